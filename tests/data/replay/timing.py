"""When things happen: the window's edge, order, lines that come late."""

from case import case
from installs import fetch, root_install
from recorder import BASH, CURL, INSTALLER_APP, SECOND, TERMINAL, TOUCH, ZSH

MILLISECOND = SECOND // 1000


def flow_after(mac, delay):
    """The script's curl connects `delay` nanoseconds after the shell's exec, to the nanosecond."""
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.wait(28)
    curl = shell.spawns(CURL, "curl", "--connect-timeout", "60", "https://slow.example.com/")
    mac.now = shell.exec_time + delay
    curl.connects("203.0.113.10", 443, at=mac.now)
    curl.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def thirty_seconds(mac):
    """The connection comes exactly 30 s after the shell: maxspan is inclusive.

    One alert of each rule.
    """
    flow_after(mac, 30 * SECOND)


@case(session=1, version=9)
def thirty_seconds_and_one_millisecond(mac):
    """The connection comes 30 s and 1 ms after the shell: too late for the installer rule.

    The session rule has no window and alerts.
    """
    flow_after(mac, 30 * SECOND + MILLISECOND)


@case(version=9)
def flow_before_shell(mac):
    """Tove's own curl connects, and two seconds later a package of hers runs a shell.

    The order is wrong for the installer rule, and her curl is in no install session. No alerts.
    """
    terminal = mac.runs(TERMINAL)
    zsh = terminal.spawns(ZSH, "-zsh")
    fetch(mac, zsh).exits()
    mac.wait(2)
    installer = mac.starts(INSTALLER_APP, uid=501)
    installer.spawns(BASH, "/bin/bash", "-c", "test -d /Applications/Tool.app").exits(256)


@case(version=9)
def late_flow_before_shell(mac):
    """The same, but the flow's line comes after the shell's: its own time decides.

    A partial advances only with an event that is not older than its last. No alerts.
    """
    terminal = mac.runs(TERMINAL)
    zsh = terminal.spawns(ZSH, "-zsh")
    curl = zsh.spawns(CURL, "curl", "https://www.example.com/")
    mac.wait(0.1)
    connected = mac.tick()
    mac.wait(1)
    installer = mac.starts(INSTALLER_APP, uid=501)
    bash = installer.spawns(BASH, "/bin/bash", "-c", "test -d /Applications/Tool.app")
    curl.connects("198.51.100.5", 443, at=connected)
    bash.exits(256)
    curl.exits()


@case(installer=1, session=1, version=9)
def overwritten_pending(mac):
    """Two shells 20 s apart, and a connection 45 s after the first: the later shell counts.

    A newer first event takes the place of the one that waits, so the connection lies 25 s after it. One alert of
    each rule; the alert's first event is the second shell.
    """
    service, package = root_install(mac)
    package.runs(service, "preinstall").exits()
    mac.wait(20)
    shell = package.runs(service)
    mac.wait(25)
    fetch(mac, shell).exits()
    shell.exits()


@case(session=2, version=9)
def consumed_pending(mac):
    """A connection 31 s after the shell, and another one after it: neither alerts in the installer rule.

    The first takes the waiting shell with it although the window has passed. The session rule alerts on both.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.wait(31)
    fetch(mac, shell, ip="203.0.113.10").exits()
    fetch(mac, shell, ip="203.0.113.11").exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def flow_in_the_same_millisecond(mac):
    """A flow stamped in milliseconds, in the millisecond in which its process began.

    A stamp that is cut off lies up to a millisecond too early: taken literally, curl was not there yet. One alert of
    each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.wait(0.005)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    cut_off = curl.exec_time // MILLISECOND * MILLISECOND
    mac.flow({"pid": curl.pid}, "203.0.113.10", 443, at=cut_off, digits=3)
    mac.wait(0.2)
    curl.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def flows_in_own_file(mac):
    """eslogger's recording in one file, the flows in another: merged by time.

    The flows' file ends long before events.ndjson does. One alert of each rule.
    """
    service, package = root_install(mac)
    safari = mac.runs(TERMINAL)
    safari.connects("198.51.100.5", 443, to="flows.ndjson")
    shell = package.runs(service)
    fetch(mac, shell, to="flows.ndjson").exits()
    shell.spawns(TOUCH, "touch", "/tmp/done").exits()
    shell.exits()
    mac.wait(50)
    service.exits()


@case(installer=1, session=1, version=9)
def late_lines(mac):
    """Lines out of order: a child's exec before the fork that made it, an exit before the flow, a late flow.

    Every line is taken at its own time; the shell's parent is known by its token before the fork is read. One alert
    of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    events = mac.files["events.ndjson"]
    events[-2], events[-1] = events[-1], events[-2]
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    events[-2], events[-1] = events[-1], events[-2]
    mac.wait(0.2)
    connected = mac.tick()
    mac.wait(0.1)
    curl.exits()
    shell.exits()
    mac.wait(3)
    service.exits()
    curl.connects("203.0.113.10", 443, at=connected)


@case(installer=1, session=1, version=9)
def ties(mac):
    """Shell, curl and connection within the same nanosecond: ties go by file, then by line.

    events.ndjson comes first, so that the shell is there when flows.ndjson's connection is read. One alert of each
    rule.
    """
    service, package = root_install(mac)
    still, mac.tick = mac.now, lambda: still
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    curl.connects("203.0.113.10", 443, to="flows.ndjson", at=still)
    del mac.tick
    mac.wait(0.1)
    curl.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def two_installs_an_hour_apart(mac):
    """A quiet install, and an hour later one that downloads: nothing is carried over.

    One alert of each rule, both of the second package.
    """
    service, package = root_install(mac, identifier="com.example.quiet")
    package.runs(service).exits()
    service.exits()
    mac.wait(3600)
    service, package = root_install(mac, identifier="com.example.loud")
    shell = package.runs(service)
    fetch(mac, shell).exits()
    shell.exits()
