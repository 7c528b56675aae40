"""What the installer rule cannot see: caught by the session rule, or by neither and documented so."""

from case import case
from installs import fetch, root_install
from recorder import (
    BASH, LAUNCHCTL, OPEN, PERL, PYTHON3, SH, Binary, apple)

ENV = apple("/usr/bin/env")
HEALTH = Binary("/Library/Tool/bin/toolctl", "com.example.toolctl", "EXAMPLE123")


@case(session=1, version=9)
def python3_script(mac):
    """The install script is a python3 program: neither `python` nor a shell.

    `#!/usr/bin/env python3`: env execs python3 in place, which connects by itself. Only the session rule alerts.
    """
    service, package = root_install(mac)
    env = package.runs(service, interpreter=ENV, spelt="/usr/bin/env")
    python = env.execs(PYTHON3, "python3", f"{package.folder}/postinstall", package.path, "/", "/", "/")
    mac.wait(0.4)
    python.connects("203.0.113.10", 443).exits()


@case(installer=1, session=1, version=9)
def python_framework(mac):
    """A framework build of python3 ends up as a process named Python, which the installer rule does know.

    The shell runs python3, which execs the interpreter inside Python.app; names are compared without case. One alert
    of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    framework = "/Library/Frameworks/Python.framework/Versions/3.13"
    python = shell.spawns(Binary(framework + "/bin/python3.13", "python3", "EXAMPLE123"), "python3", "-c", "import x")
    python.execs(Binary(framework + "/Resources/Python.app/Contents/MacOS/Python", "org.python.python", "EXAMPLE123"),
                 "python3", "-c", "import x")
    mac.wait(0.4)
    python.connects("203.0.113.10", 443).exits()
    shell.exits()


@case(session=1, version=8)
def perl_script(mac):
    """The install script is a perl program.

    perl is in neither of the installer rule's lists. Only the session rule alerts.
    """
    service, package = root_install(mac)
    perl = package.runs(service, interpreter=PERL)
    mac.wait(0.2)
    perl.connects("203.0.113.10", 80).exits()


@case(session=1, version=9)
def compiled_script(mac):
    """The install script is a compiled program: it is its own argv[0], and no interpreter has a name to match.

    Only the session rule alerts.
    """
    service, package = root_install(mac)
    path = f"/private{package.folder}/postinstall"
    program = service.spawns(Binary(path, "postinstall-55554944"), *package.argv("postinstall"))
    mac.wait(0.2)
    program.connects("203.0.113.10", 443).exits()


@case(session=1, version=9)
def renamed_curl(mac):
    """The script copies curl to another name and runs that.

    The signature still says curl, the name does not. Only the session rule alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    shell.spawns(apple("/bin/cp"), "cp", "/usr/bin/curl", "/tmp/.u").exits()
    renamed = shell.spawns(Binary("/private/tmp/.u", "com.apple.curl"), "/tmp/.u", "-s", "https://cdn.example.com/p")
    mac.wait(0.1)
    renamed.connects("203.0.113.10", 443).exits()
    shell.exits()


@case(session=1, version=9)
def bash_dev_tcp(mac):
    """bash connects by itself, through /dev/tcp.

    There is no download tool to name. Only the session rule alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.wait(0.1)
    shell.connects("203.0.113.10", 4444)
    shell.exits()


@case(version=9)
def loopback_only(mac):
    """The package's tool asks its own daemon, on this Mac, whether it is up: nothing leaves the Mac.

    Loopback in IPv4, IPv6 and IPv4 written as IPv6, the unspecified address, and the name localhost. No alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    tool = shell.spawns(HEALTH, "toolctl", "ping")
    mac.wait(0.01)
    for ip in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"):
        tool.connects(ip, 8080)
    tool.connects(None, 8080, domain="localhost")
    tool.connects("::", 8080, domain="LocalHost")
    tool.exits()
    shell.exits()


@case(installer=1, version=9)
def loopback_curl(mac):
    """A loopback connection again, but by curl.

    The installer rule asks only for the name and alerts; the session rule asks for the destination and does not.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    fetch(mac, shell, ip="127.0.0.1").exits()
    shell.exits()


@case(session=6, version=9)
def other_destinations(mac):
    """What counts as leaving the Mac: neighbours do, a bare name does, a flow without a destination does not.

    Private, link-local and multicast addresses are other machines. Where a flow has no address yet, or the
    unspecified one, its name decides. A flow that names nothing, and the end of a flow, raise nothing. Six alerts
    of the session rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    tool = shell.spawns(HEALTH, "toolctl", "register")
    mac.wait(0.01)
    for ip in ("10.20.30.40", "169.254.10.2", "fe80::1c2d:3eff:fe4f:5a6b", "224.0.0.251"):
        tool.connects(ip, 443)
    tool.connects(None, 443, domain="licence.example.com")
    tool.connects("0.0.0.0", 443, domain="licence.example.com")
    tool.connects(None, None)
    tool.connects("10.20.30.40", 443, action="disconnect_received")
    tool.exits()
    shell.exits()


@case(version=9)
def handed_to_launchd(mac):
    """A known limit: the script installs a LaunchDaemon, and launchd runs it.

    The daemon is launchd's child and no descendant of the installer, and its name is its own. No alerts: neither
    rule sees work that is handed on.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    plist = "/Library/LaunchDaemons/com.example.heron.plist"
    shell.spawns(LAUNCHCTL, "launchctl", "bootstrap", "system", plist).exits()
    shell.exits()
    daemon = mac.starts(Binary("/Library/Heron/herond", "herond"))
    mac.wait(1)
    daemon.connects("203.0.113.80", 443)


@case(version=9)
def handed_to_open(mac):
    """A known limit: the script opens an app, and launchd starts it for the user.

    No alerts, for the same reason; AppleEvents, cron and nsurlsessiond are of this kind too.
    """
    service, package = root_install(mac)
    shell = package.runs(service, interpreter=SH)
    shell.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    shell.spawns(OPEN, "open", "-a", "/Applications/Heron.app").exits()
    shell.exits()
    app = mac.starts(Binary("/Applications/Heron.app/Contents/MacOS/Heron", "com.example.heron", "EXAMPLE999"), uid=501)
    mac.wait(1)
    app.connects("203.0.113.80", 443)
