"""What management tools do all day: installs that must stay quiet, and two known false positives."""

from case import case
from installs import fetch
from recorder import (
    BASH, CHMOD, CHOWN, CURL, INSTALLER, LAUNCHCTL, MKDIR, SCRIPT_SERVICE, SH, SUDO, TERMINAL, TOUCH, ZSH, Binary,
    Package, apple)

HDIUTIL, DITTO, GIT = apple("/usr/bin/hdiutil"), apple("/usr/bin/ditto"), apple("/usr/bin/git")
MUNKI = "/usr/local/munki/"


def quiet_scripts(mac, package, *, responsible=None):
    """A preinstall and a postinstall as most packages have them: nothing leaves the Mac."""
    service = mac.starts(SCRIPT_SERVICE, responsible=responsible)
    pre = package.runs(service, "preinstall", SH)
    pre.execs(BASH, *package.argv("preinstall", "/bin/sh"))
    pre.spawns(MKDIR, "mkdir", "-p", "/Library/Tool").exits()
    pre.exits()
    mac.wait(2)
    post = package.runs(service, "postinstall", SH)
    post.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    post.spawns(CHOWN, "chown", "-R", "root:wheel", "/Library/Tool").exits()
    post.spawns(LAUNCHCTL, "launchctl", "bootstrap", "system", "/Library/LaunchDaemons/com.example.tool.plist").exits()
    post.exits()
    return service


def install(mac, tool, path, *options):
    """A management tool runs installer(8)."""
    installer = tool.spawns(INSTALLER, "/usr/sbin/installer", *options, "-pkg", path, "-target", "/")
    mac.wait(1.5)
    return installer


@case(version=9)
def benign_munki(mac):
    """Munki 7 installs a package that it has downloaded before.

    managedsoftwareupdate, a compiled program, fetches by itself, runs installer(8), and reports afterwards. The
    install's scripts connect to nothing, and no process has a download tool's name. No alerts.
    """
    munki = mac.starts(Binary(MUNKI + "managedsoftwareupdate", "com.example.munki.msu", "EXAMPLE456"))
    munki.connects("198.51.100.40", 443, domain="munki.example.com")
    mac.wait(20)
    path = "/Library/Managed Installs/Cache/Tool-4.2.pkg"
    installer = install(mac, munki, path, "-verboseR")
    quiet_scripts(mac, Package(mac, "com.example.tool", path), responsible=munki).exits()
    installer.exits()
    munki.connects("198.51.100.40", 443, domain="munki.example.com")
    munki.exits()


@case(installer=1, version=9)
def known_false_positive_munki_6(mac):
    """Munki 6 is a Python program, and reports right after an install: a known false positive.

    Its interpreter's process is named Python and runs as root, as the package's scripts do. Within 30 s of a
    script's shell its report is, to the installer rule, a download tool of the same user. The alert's relation is
    key_only: the connection is in no install session, and the session rule is silent. Make an exception for the
    process's signature and destination.
    """
    python = "/usr/local/munki/Python.framework/Versions/3.13/Resources/Python.app/Contents/MacOS/Python"
    munki = mac.starts(Binary(python, "org.python.python", "EXAMPLE456"), MUNKI + "munki-python",
                       MUNKI + "managedsoftwareupdate", "--auto")
    mac.wait(0.3)
    munki.connects("198.51.100.40", 443, domain="munki.example.com")
    mac.wait(20)
    path = "/Library/Managed Installs/Cache/Tool-4.2.pkg"
    installer = install(mac, munki, path, "-verboseR")
    quiet_scripts(mac, Package(mac, "com.example.tool", path), responsible=munki).exits()
    installer.exits()
    mac.wait(2)
    munki.connects("198.51.100.41", 443, domain="reports.example.com")
    munki.exits()


@case(version=10, tokens="array")
def benign_jamf(mac):
    """Jamf Pro runs a policy: it downloads a package, installs it, and collects an inventory a minute later.

    The jamf binary fetches by itself. Extension attributes are shell scripts that may run curl, but they are
    children of jamf and outside the window. No alerts.
    """
    daemon = mac.runs(Binary("/usr/local/jamf/bin/jamf", "com.jamf.management.Jamf", "EXAMPLE789"), uid=0)
    jamf = daemon.spawns(daemon.binary, "/usr/local/jamf/bin/jamf", "policy", "-event", "install-tool")
    jamf.connects("198.51.100.60", 8443, domain="jamf.example.com")
    mac.wait(9)
    path = "/Library/Application Support/JAMF/Downloads/Tool.pkg"
    installer = install(mac, jamf, path, "-dumplog", "-verbose")
    quiet_scripts(mac, Package(mac, "com.example.tool", path), responsible=daemon).exits()
    installer.exits()
    mac.wait(65)
    attribute = jamf.spawns(SH, "/bin/sh", "/Library/Application Support/JAMF/tmp/2F0C").execs(BASH, "/bin/sh", "2F0C")
    fetch(mac, attribute, ip="198.51.100.61").exits()
    attribute.exits()
    jamf.exits()


@case(version=9)
def benign_installomator(mac):
    """Installomator downloads with curl first and installs then.

    A zsh script below jamf: it asks for the newest version, fetches the package, and runs installer(8). All of its
    connections come before the package's shells, which connect to nothing. No alerts.
    """
    jamf = mac.runs(Binary("/usr/local/jamf/bin/jamf", "com.jamf.management.Jamf", "EXAMPLE789"), uid=0)
    script = "/usr/local/Installomator/Installomator.sh"
    zsh = jamf.spawns(ZSH, "/bin/zsh", "--no-rcs", script, "exampletool", script=script)
    for ip, url in (("198.51.100.70", "https://api.example.net/latest"),
                    ("198.51.100.71", "https://dl.example.net/T.pkg")):
        curl = zsh.spawns(CURL, "curl", "-fsL", url)
        mac.wait(0.3)
        curl.connects(ip, 443).exits()
    path = "/private/var/folders/zz/example/T/tmp.Qe/Tool.pkg"
    installer = install(mac, zsh, path, "-verbose")
    quiet_scripts(mac, Package(mac, "com.example.tool", path), responsible=jamf).exits()
    installer.exits()
    zsh.exits()


@case(version=11)
def benign_intune(mac):
    """The Intune agent installs a package and runs a shell script of its own.

    The agent downloads by itself. Its own scripts are children of the agent, run after the install and outside the
    window. No alerts.
    """
    path = "/Library/Intune/Microsoft Intune Agent.app/Contents/MacOS/IntuneMdmDaemon"
    agent = mac.starts(Binary(path, "com.example.intune.agent.daemon", "EXAMPLE321"))
    mac.wait(0.3)
    agent.connects("198.51.100.80", 443, domain="agents.example.com")
    mac.wait(6)
    package = "/Library/Application Support/Microsoft/Intune/Downloads/Tool.pkg"
    installer = install(mac, agent, package)
    quiet_scripts(mac, Package(mac, "com.example.tool", package), responsible=agent).exits()
    installer.exits()
    mac.wait(45)
    script = agent.spawns(SH, "/bin/sh", "/Library/Intune/script.sh").execs(ZSH, "/bin/sh", "/Library/Intune/script.sh")
    fetch(mac, script, ip="198.51.100.81").exits()
    script.exits()


@case(version=9)
def benign_homebrew_cask(mac):
    """brew fetches a cask's package with curl as the user, and installs it with sudo as root.

    The download is another user's, comes before the shells, and is in no install session. No alerts.
    """
    terminal = mac.runs(TERMINAL, tty="/dev/ttys000")
    brew = terminal.spawns(BASH, "/bin/bash", "/opt/homebrew/bin/brew", "install", "--cask", "tool",
                           script="/opt/homebrew/bin/brew")
    fetch(mac, brew, ip="198.51.100.90").exits()
    sudo = brew.spawns(SUDO, "/usr/bin/sudo", "-E", "--", "/usr/sbin/installer", uid=0)
    path = "/opt/homebrew/Caskroom/tool/4.2/Tool.pkg"
    installer = install(mac, sudo, path)
    quiet_scripts(mac, Package(mac, "com.example.tool", path), responsible=terminal).exits()
    installer.exits()
    sudo.exits()
    brew.exits()


@case(version=8)
def benign_homebrew_pkg(mac):
    """Homebrew's own package: its postinstall script arranges a git repository and hands it to the user.

    Many children, git among them, and no connection. No alerts.
    """
    terminal = mac.runs(TERMINAL)
    service = mac.starts(SCRIPT_SERVICE, responsible=terminal)
    post = Package(mac, "sh.brew.homebrew", "/Users/tove/Downloads/Homebrew.pkg").runs(service)
    post.spawns(DITTO, "ditto", "/opt/homebrew-payload", "/opt/homebrew").exits()
    for command in ("reset --hard", "config --local core.autocrlf false"):
        post.spawns(GIT, "git", "-C", "/opt/homebrew", *command.split()).exits()
    sudo = post.spawns(SUDO, "sudo", "-u", "tove", "touch", "/opt/homebrew/.done")
    sudo.execs(TOUCH, "touch", "/opt/homebrew/.done", uid=501).exits()
    post.spawns(CHMOD, "chmod", "-R", "go-w", "/opt/homebrew").exits()
    post.exits()


@case(installer=1, session=1, version=9)
def known_false_positive_own_package(mac):
    """An organisation's own package fetches its agent with curl: the known false positive of both rules.

    To the rules it is what malware does. Make an exception for the package's identifier and the destination.
    """
    jamf = mac.runs(Binary("/usr/local/jamf/bin/jamf", "com.jamf.management.Jamf", "EXAMPLE789"), uid=0)
    path = "/Library/Application Support/JAMF/Downloads/Bootstrap.pkg"
    installer = install(mac, jamf, path)
    service = mac.starts(SCRIPT_SERVICE, responsible=jamf)
    post = Package(mac, "com.example.bootstrap", path).runs(service, interpreter=ZSH)
    fetch(mac, post, ip="198.51.100.100", domain="agent.example.com").exits()
    post.exits()
    installer.exits()
