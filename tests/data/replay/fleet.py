"""What a fleet installs in a week, and what the built-in rules say of it: `tests/data/fleet`, the table in docs/rules.md.

Each is one install on one Mac. Nothing of it is recorded from anybody: the chains are those that management tools,
vendors' updaters and macOS make, the names and addresses are made up. An alert here is a false positive; the docstring
says why it comes, and what tells it from the real thing.
"""

from functools import partial

from benign import DITTO, HDIUTIL, MUNKI, install, quiet_scripts
from case import case
from installs import fetch
from recorder import (
    BASH, CHMOD, CHOWN, CURL, INSTALLD, INSTALLER_APP, LAUNCHCTL, MKDIR, OPEN, PACKAGE_KIT, SCRIPT_SERVICE, SH, SUDO,
    TERMINAL, TOUCH, ZSH, Binary, Package, apple)

fleet_case = partial(case, folder="fleet", stat=False)

JAMF = Binary("/usr/local/jamf/bin/jamf", "com.jamf.management.Jamf", "EXAMPLE789")
MUNKI_7 = Binary(MUNKI + "managedsoftwareupdate", "com.example.munki.msu", "EXAMPLE456")
PYTHON = "/usr/local/munki/Python.framework/Versions/3.13/Resources/Python.app/Contents/MacOS/Python"
SYSTEM_INSTALLD = apple(PACKAGE_KIT + "/Resources/system_installd")
SOFTWAREUPDATED = apple("/System/Library/CoreServices/Software Update.app/Contents/Resources/softwareupdated")
NSURLSESSIOND, LN = apple("/usr/libexec/nsurlsessiond"), apple("/bin/ln")
LPADMIN, SNMP = apple("/usr/sbin/lpadmin"), apple("/usr/libexec/cups/backend/snmp")


def session(mac, identifier, path, *, responsible=None, uid=0):
    """A script service and a package whose script it will run."""
    return mac.starts(SCRIPT_SERVICE, uid=uid, responsible=responsible), Package(mac, identifier, path)


def opened(mac, identifier, path):
    """Tove opens a package in Installer."""
    installer = mac.starts(INSTALLER_APP, uid=501)
    mac.wait(9)
    mac.starts(INSTALLD)
    return installer, *session(mac, identifier, path, responsible=installer)


@fleet_case(version=9)
def munki_run(mac):
    """Munki 7: two packages in one run, and a report at its end.

    managedsoftwareupdate, a compiled program, fetches and reports by itself; the packages' scripts connect to nothing.
    """
    munki = mac.starts(MUNKI_7, MUNKI_7.path, "--auto")
    munki.connects("198.51.100.40", domain="munki.example.com")
    for name in ("Editor-3.1", "Fonts-12"):
        munki.connects("198.51.100.40", domain="munki.example.com")
        mac.wait(14)
        path = f"/Library/Managed Installs/Cache/{name}.pkg"
        installer = install(mac, munki, path, "-verboseR")
        quiet_scripts(mac, Package(mac, "com.example." + name.lower(), path), responsible=munki).exits()
        installer.exits()
    mac.wait(1)
    munki.connects("198.51.100.41", domain="reports.example.com")
    munki.exits()


@fleet_case(installer=1, version=9)
def munki_run_with_a_report_in_python(mac):
    """Munki with a postflight script in Python, which reports at once.

    Its interpreter's process is called Python, as root, seconds after a package's shell: by name a download tool. The
    connection is in no install session. The signature of the process and the destination tell it.
    """
    munki = mac.starts(MUNKI_7, MUNKI_7.path, "--auto")
    path = "/Library/Managed Installs/Cache/Editor-3.1.pkg"
    installer = install(mac, munki, path, "-verboseR")
    quiet_scripts(mac, Package(mac, "com.example.editor", path), responsible=munki).exits()
    installer.exits()
    postflight = munki.spawns(SH, "/bin/sh", MUNKI + "postflight", script=MUNKI + "postflight")
    postflight.execs(BASH, "/bin/sh", MUNKI + "postflight")
    python = postflight.spawns(Binary(PYTHON, "org.python.python", "EXAMPLE456"), "munki-python", MUNKI + "report.py")
    mac.wait(1)
    python.connects("198.51.100.41", domain="reports.example.com").exits()
    postflight.exits()
    munki.exits()


@fleet_case(version=10, tokens="array")
def jamf_policy(mac):
    """Jamf Pro: a policy installs a package, and updates the inventory at its end.

    jamf fetches and uploads by itself. The inventory's extension attributes are shell scripts that read files.
    """
    daemon = mac.runs(JAMF, uid=0)
    jamf = daemon.spawns(JAMF, JAMF.path, "policy", "-trigger", "CLIENT_CHECKIN", "-randomDelaySeconds", "300")
    jamf.connects("198.51.100.60", 8443, domain="jamf.example.com")
    mac.wait(7)
    path = "/Library/Application Support/JAMF/Downloads/Editor.pkg"
    installer = install(mac, jamf, path, "-dumplog", "-verbose")
    quiet_scripts(mac, Package(mac, "com.example.editor", path), responsible=daemon).exits()
    installer.exits()
    for number in range(3):
        name = f"/Library/Application Support/JAMF/tmp/{number}"
        attribute = jamf.spawns(SH, "/bin/sh", name).execs(BASH, "/bin/sh", name)
        attribute.spawns(apple("/usr/bin/defaults"), "defaults", "read", "/Library/Preferences/com.example.tool").exits()
        attribute.exits()
    jamf.connects("198.51.100.60", 8443, domain="jamf.example.com").exits()


@fleet_case(installer=1, version=10)
def jamf_policy_with_an_attribute_that_asks(mac):
    """Jamf Pro: the inventory right after an install has an extension attribute that runs curl.

    Root's curl, seconds after a package's shell. It descends from jamf, not from the install: the alert's relation is
    key_only. The process's parent and the destination tell it.
    """
    daemon = mac.runs(JAMF, uid=0)
    jamf = daemon.spawns(JAMF, JAMF.path, "policy", "-event", "install-editor")
    jamf.connects("198.51.100.60", 8443, domain="jamf.example.com")
    path = "/Library/Application Support/JAMF/Downloads/Editor.pkg"
    installer = install(mac, jamf, path, "-dumplog", "-verbose")
    quiet_scripts(mac, Package(mac, "com.example.editor", path), responsible=daemon).exits()
    installer.exits()
    mac.wait(4)
    name = "/Library/Application Support/JAMF/tmp/7"
    attribute = jamf.spawns(ZSH, "/bin/zsh", name)
    fetch(mac, attribute, ip="198.51.100.61", domain="warranty.example.com").exits()
    attribute.exits()
    jamf.exits()


@fleet_case(version=11)
def intune_agent(mac):
    """Intune: the agent installs a package, and runs a shell script an hour later.

    The agent downloads by itself.
    """
    path = "/Library/Intune/Microsoft Intune Agent.app/Contents/MacOS/IntuneMdmDaemon"
    agent = mac.starts(Binary(path, "com.example.intune.agent.daemon", "EXAMPLE321"))
    agent.connects("198.51.100.80", domain="agents.example.com")
    mac.wait(6)
    package = "/Library/Application Support/Microsoft/Intune/Downloads/Editor.pkg"
    installer = install(mac, agent, package)
    quiet_scripts(mac, Package(mac, "com.example.editor", package), responsible=agent).exits()
    installer.exits()
    agent.connects("198.51.100.80", domain="agents.example.com")
    mac.wait(3600)
    script = agent.spawns(SH, "/bin/sh", "/Library/Intune/script.sh").execs(ZSH, "/bin/sh", "/Library/Intune/script.sh")
    fetch(mac, script, ip="198.51.100.81").exits()
    script.exits()


def label(mac, jamf, name):
    """One label of Installomator's: the newest version is asked for and fetched, then installed."""
    script = "/usr/local/Installomator/Installomator.sh"
    zsh = jamf.spawns(ZSH, "/bin/zsh", "--no-rcs", script, name, script=script)
    for ip in ("198.51.100.70", "198.51.100.71"):
        fetch(mac, zsh, ip=ip).exits()
        mac.wait(3)
    path = f"/private/var/folders/zz/example/T/tmp.Qe/{name}.pkg"
    zsh.spawns(apple("/usr/sbin/spctl"), "spctl", "-a", "-vv", "-t", "install", path).exits()
    installer = install(mac, zsh, path, "-verbose")
    quiet_scripts(mac, Package(mac, "com.example." + name, path), responsible=jamf).exits()
    installer.exits()
    zsh.exits()


@fleet_case(version=9)
def installomator_label(mac):
    """Installomator: one label.

    Its curl runs before the package's shells, and nothing connects after them.
    """
    label(mac, mac.runs(JAMF, uid=0), "editor")


@fleet_case(installer=1, enrichments=1, version=9)
def installomator_two_labels(mac):
    """Installomator: two labels, one right after the other.

    The second label's curl comes seconds after the first package's shells: same Mac, same user, a download tool. The
    relation is key_only, and the destination is the vendor's. What comes next is written as an enrichment.
    """
    jamf = mac.runs(JAMF, uid=0)
    label(mac, jamf, "editor")
    mac.wait(2)
    label(mac, jamf, "fonts")


@fleet_case(version=9)
def homebrew_two_casks(mac):
    """Homebrew: two casks whose artifacts are packages, one after the other.

    curl runs as the user, the packages' shells as root: another user's, and in no install session.
    """
    terminal = mac.runs(TERMINAL, tty="/dev/ttys000")
    brew = terminal.spawns(BASH, "/bin/bash", "/opt/homebrew/bin/brew", "install", "--cask", "editor", "fonts",
                           script="/opt/homebrew/bin/brew")
    for name in ("editor", "fonts"):
        fetch(mac, brew, ip="198.51.100.90").exits()
        sudo = brew.spawns(SUDO, "/usr/bin/sudo", "-E", "--", "/usr/sbin/installer", uid=0)
        path = f"/opt/homebrew/Caskroom/{name}/4.2/{name}.pkg"
        installer = install(mac, sudo, path)
        quiet_scripts(mac, Package(mac, "com.example." + name, path), responsible=terminal).exits()
        installer.exits()
        sudo.exits()
    brew.exits()


@fleet_case(version=9)
def conferencing_app_updates(mac):
    """A conferencing app updates itself, in the manner of Zoom.

    Its privileged updater fetches by itself and runs installer(8); the package's scripts copy, and open the app, which
    launchd starts.
    """
    updater = mac.starts(Binary("/Library/PrivilegedHelperTools/com.example.meet.updater", "com.example.meet.updater",
                                "EXAMPLE100"))
    updater.connects("198.51.100.110", domain="cdn.example.net")
    mac.wait(12)
    path = "/Library/Application Support/com.example.meet/Meet.pkg"
    installer = install(mac, updater, path)
    service, package = session(mac, "com.example.meet.pkg", path, responsible=updater)
    pre = package.runs(service, "preinstall")
    pre.spawns(apple("/usr/bin/killall"), "killall", "Meet").exits(256)
    pre.exits()
    post = package.runs(service)
    post.spawns(CHMOD, "chmod", "-R", "go-w", "/Applications/Meet.app").exits()
    post.spawns(OPEN, "open", "-a", "/Applications/Meet.app").exits()
    post.exits()
    installer.exits()
    app = mac.starts(Binary("/Applications/Meet.app/Contents/MacOS/Meet", "com.example.meet", "EXAMPLE100"), uid=501)
    app.connects("198.51.100.111", domain="api.example.net")


@fleet_case(version=9)
def browser_updates(mac):
    """A browser updates itself from a disk image, in the manner of Chrome.

    No package is installed, so there is no install session, whatever its updater's shell scripts do.
    """
    agent = mac.starts(Binary("/Library/Example/ExampleUpdater.app/Contents/MacOS/ExampleUpdater",
                              "com.example.Updater", "EXAMPLE101"))
    agent.connects("198.51.100.120", domain="update.example.net")
    mac.wait(8)
    agent.spawns(HDIUTIL, "/usr/bin/hdiutil", "attach", "/tmp/Browser.dmg", "-nobrowse").exits()
    script = agent.spawns(BASH, "/bin/bash", "-p", "/Volumes/Browser/.install.sh", script="/Volumes/Browser/.install.sh")
    script.spawns(apple("/usr/bin/rsync"), "/usr/bin/rsync", "-a", "/Volumes/Browser/", "/Applications/Browser.app").exits()
    script.exits()
    agent.connects("198.51.100.120", domain="update.example.net").exits()


@fleet_case(session=1, version=9)
def browser_package_registers_its_updater(mac):
    """A browser's package for enterprises: its script runs the updater once, which registers at its server.

    A child of the script connects: that is what the session rule asks for. The package's identifier, the updater's
    signature and the destination tell it.
    """
    jamf = mac.runs(JAMF, uid=0)
    path = "/Library/Application Support/JAMF/Downloads/Browser.pkg"
    installer = install(mac, jamf, path)
    service, package = session(mac, "com.example.browser", path, responsible=jamf)
    post = package.runs(service, interpreter=BASH)
    post.spawns(DITTO, "ditto", "/Applications/Browser.app/Updater", "/Library/Example/Updater").exits()
    updater = post.spawns(Binary("/Library/Example/Updater/ksinstall", "com.example.ksinstall", "EXAMPLE101"),
                          "ksinstall", "--install", "--wake")
    mac.wait(0.6)
    updater.connects("198.51.100.120", domain="update.example.net").exits()
    post.exits()
    installer.exits()


@fleet_case(session=1, version=9)
def office_suite(mac):
    """An office suite's package, in the manner of Microsoft's: the script starts the updater as the user.

    `sudo -u` changes the user and execs in place: the updater is still a child of the script, and it connects.
    """
    installer, service, package = opened(mac, "com.example.package.office", "/Users/tove/Downloads/Office.pkg")
    post = package.runs(service, interpreter=ZSH)
    post.spawns(LAUNCHCTL, "launchctl", "bootstrap", "system", "/Library/LaunchDaemons/com.example.office.helper.plist")
    updater = "/Library/Application Support/Example/AutoUpdate.app/Contents/MacOS/AutoUpdate"
    sudo = post.spawns(SUDO, "sudo", "-u", "tove", updater, "--trigger")
    own = sudo.execs(Binary(updater, "com.example.autoupdate", "EXAMPLE102"), updater, "--trigger", uid=501)
    mac.wait(1.4)
    own.connects("198.51.100.130", domain="officecdn.example.net").exits()
    post.exits()
    mac.wait(3)
    installer.exits()


@fleet_case(session=2, version=9)
def creative_suite(mac):
    """A creative suite, in the manner of Adobe's: its own installer fetches parts while packages are installed.

    The suite's installer and its helpers run outside of install sessions. But one package's script starts a licensing
    helper that connects, twice.
    """
    own = mac.starts(Binary("/Volumes/Suite/Install.app/Contents/MacOS/Install", "com.example.suite.install",
                            "EXAMPLE103"), uid=501)
    helper = mac.starts(Binary("/Library/PrivilegedHelperTools/com.example.suite.installer", "com.example.suite.helper",
                               "EXAMPLE103"))
    for number in range(3):
        own.connects("198.51.100.140", domain="parts.example.net")
        helper.connects("198.51.100.140", domain="parts.example.net")
        mac.wait(5)
        path = f"/private/tmp/suite/part{number}.pkg"
        installer = install(mac, helper, path)
        service, package = session(mac, f"com.example.suite.part{number}", path, responsible=helper)
        post = package.runs(service)
        post.spawns(CHOWN, "chown", "-R", "root:admin", "/Applications/Suite").exits()
        if number == 2:
            licence = post.spawns(Binary("/Library/Application Support/Suite/licensed", "com.example.suite.licensed",
                                         "EXAMPLE103"), "licensed", "--activate")
            licence.connects("198.51.100.141", domain="licence.example.net")
            licence.connects("198.51.100.142", domain="entitlement.example.net").exits()
        post.exits()
        installer.exits()
    own.exits()


@fleet_case(session=1, version=8)
def printer_driver(mac):
    """A printer's driver: the script asks the printer for its model.

    The printer is another machine on the network, and a private address counts: what a script reaches there may be
    anything. The destination's port and address tell it.
    """
    installer, service, package = opened(mac, "com.example.printer.driver", "/Volumes/Driver/Driver.pkg")
    post = package.runs(service, interpreter=SH)
    post.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    snmp = post.spawns(SNMP, "/usr/libexec/cups/backend/snmp", "10.20.30.9")
    mac.wait(0.1)
    snmp.connects("10.20.30.9", 161).exits()
    post.spawns(LPADMIN, "lpadmin", "-p", "Hall", "-v", "ipp://10.20.30.9/ipp/print", "-m", "everywhere", "-E").exits()
    post.exits()
    mac.wait(2)
    installer.exits()


@fleet_case(version=10)
def vpn_client(mac):
    """A VPN client: its scripts load a daemon and an agent, which launchd starts and which connect.

    launchd's children are in no install session.
    """
    installer, service, package = opened(mac, "com.example.vpn", "/Users/tove/Downloads/VPN.pkg")
    pre = package.runs(service, "preinstall")
    pre.spawns(LAUNCHCTL, "launchctl", "bootout", "system/com.example.vpnd").exits(3 << 8)
    pre.exits()
    post = package.runs(service)
    post.spawns(LAUNCHCTL, "launchctl", "bootstrap", "system", "/Library/LaunchDaemons/com.example.vpnd.plist").exits()
    post.spawns(LAUNCHCTL, "launchctl", "asuser", "501", "launchctl", "load", "/Library/LaunchAgents/com.example.vpn.plist")
    post.exits()
    daemon = mac.starts(Binary("/opt/vpn/bin/vpnd", "com.example.vpnd", "EXAMPLE104"))
    daemon.connects("198.51.100.150", domain="gateway.example.com")
    mac.wait(4)
    installer.exits()


@fleet_case(version=10)
def command_line_tools(mac):
    """Xcode's command line tools, by softwareupdate.

    Apple's services fetch; system_installd runs Apple's scripts, which connect to nothing.
    """
    terminal = mac.runs(TERMINAL)
    tool = terminal.spawns(apple("/usr/sbin/softwareupdate"), "softwareupdate", "-i", "Command Line Tools for Xcode")
    service = mac.starts(SOFTWAREUPDATED)
    service.connects("198.51.100.160", domain="swcdn.example.com")
    mac.starts(NSURLSESSIOND, uid=501).connects("198.51.100.160", domain="swcdn.example.com")
    mac.wait(40)
    mac.starts(SYSTEM_INSTALLD)
    scripts = mac.starts(SCRIPT_SERVICE)
    package = Package(mac, "com.apple.pkg.CLTools_Executables", "/Library/Updates/012-34567/CLTools_Executables.pkg")
    post = package.runs(scripts)
    post.spawns(apple("/usr/bin/xcode-select"), "xcode-select", "--switch", "/Library/Developer/CommandLineTools").exits()
    post.exits()
    service.connects("198.51.100.161", domain="swscan.example.com")
    tool.exits()


@fleet_case(version=11)
def macos_update(mac):
    """An update of macOS.

    No package's scripts run: the system volume is replaced as a whole. Apple's services fetch.
    """
    service = mac.starts(SOFTWAREUPDATED)
    service.connects("198.51.100.160", domain="gdmf.example.com")
    mac.starts(NSURLSESSIOND).connects("198.51.100.160", domain="updates.example.com")
    mac.wait(600)
    mac.starts(apple("/System/Library/PrivateFrameworks/SoftwareUpdate.framework/Versions/A/Resources/"
                     "SoftwareUpdateNotificationManager.app/Contents/MacOS/SoftwareUpdateNotificationManager"), uid=501)
    service.exits()


@fleet_case(version=9)
def python_from_its_makers(mac):
    """Python's own package: its scripts run the new interpreter, offline.

    A process called Python runs as root in the install session, and connects to nothing.
    """
    installer, service, package = opened(mac, "org.example.Python.PythonFramework", "/Users/tove/Downloads/python.pkg")
    post = package.runs(service, interpreter=SH)
    post.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    framework = "/Library/Frameworks/Python.framework/Versions/3.13"
    python = post.spawns(Binary(framework + "/bin/python3.13", "python3", "EXAMPLE105"), "python3", "-m", "ensurepip")
    python.execs(Binary(framework + "/Resources/Python.app/Contents/MacOS/Python", "org.python.python", "EXAMPLE105"),
                 "python3", "-m", "ensurepip")
    mac.wait(6)
    python.exits()
    post.spawns(LN, "ln", "-fs", framework + "/bin/python3.13", "/usr/local/bin/python3").exits()
    post.spawns(TOUCH, "touch", framework + "/Resources/.done").exits()
    post.exits()
    installer.exits()


@fleet_case(installer=1, session=1, version=9)
def onboarding_package(mac):
    """An organisation's own package for new Macs: its script fetches an agent with curl.

    To both rules it is what malware does, by the same means. The package's identifier with the destination tell it;
    so does signing the agent's package and installing it as one.
    """
    jamf = mac.runs(JAMF, uid=0)
    path = "/Library/Application Support/JAMF/Downloads/Onboarding.pkg"
    installer = install(mac, jamf, path)
    service, package = session(mac, "com.example.onboarding", path, responsible=jamf)
    post = package.runs(service, interpreter=ZSH)
    post.spawns(MKDIR, "mkdir", "-p", "/opt/agent").exits()
    curl = post.spawns(CURL, "curl", "-fsSL", "-o", "/opt/agent/agent.pkg", "https://agent.example.com/agent.pkg")
    mac.wait(0.2)
    curl.connects("198.51.100.170", domain="agent.example.com").exits()
    post.exits()
    installer.exits()


@fleet_case(version=9)
def app_store_app(mac):
    """An app from the App Store.

    storedownloadd fetches, installd installs; the package has no scripts.
    """
    mac.starts(apple("/System/Library/PrivateFrameworks/CommerceKit.framework/Versions/A/Resources/storedownloadd"),
               uid=501).connects("198.51.100.180", domain="store.example.com")
    mac.wait(20)
    mac.starts(INSTALLD).exits()
