"""Who a process is and where it comes from: reused pids, ended processes, parents that go."""

from case import case
from installs import fetch, root_install
from recorder import BASH, CURL, SCRIPT_SERVICE, SLEEP, Binary, Package, apple


@case(version=9)
def pid_reuse_stranger(mac):
    """A stranger gets the pid of a curl that has ended: its flow is not curl's.

    The script's curl ends without a connection (its host name did not resolve). Within the window its pid is reused
    by an Apple service of the same user that connects. A lookup by pid alone would call that curl. No alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-fsSL", "https://nowhere.example.com/").exits(6 << 8)
    shell.exits()
    mac.wait(5)
    stranger = mac.starts(apple("/usr/libexec/exampled"), pid=curl.pid)
    mac.wait(0.2)
    stranger.connects("198.51.100.9", 443)


@case(installer=1, session=1, version=9)
def pid_reuse_curl(mac):
    """The other way round: the script's curl gets the pid of a stranger that has ended.

    The flow belongs to curl. One alert of each rule.
    """
    stranger = mac.starts(apple("/usr/libexec/exampled"))
    mac.wait(0.5)
    stranger.exits()
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.forks(pid=stranger.pid).execs(CURL, "curl", "-fsSL", "https://cdn.example.com/")
    mac.wait(0.1)
    curl.connects("203.0.113.10", 443).exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def pid_reuse_late_flow(mac):
    """curl's flow is read only after its pid has been reused: the flow's own time decides whose it is.

    The line comes after the stranger's start, its @timestamp lies before curl's end. One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-fsSL", "https://cdn.example.com/")
    mac.wait(0.2)
    connected = mac.tick()
    mac.wait(0.2)
    curl.exits()
    mac.wait(1)
    stranger = mac.starts(apple("/usr/libexec/exampled"), pid=curl.pid)
    curl.connects("203.0.113.10", 443, at=connected)
    stranger.exits()
    shell.exits()


@case(installer=1, session=1, version=10)
def flow_after_exit(mac):
    """A flow stamped after its process has ended: a short curl, and a network source that is slow to notice.

    An ended process is still known for a while. One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/beacon").exits()
    shell.exits()
    mac.wait(0.3)
    curl.connects("203.0.113.10", 443)


@case(session=1, version=9)
def backgrounded_child(mac):
    """The script leaves a subshell behind that waits 40 s and then downloads.

    The script and its host are gone by then and launchd is the parent; by their fork the processes still belong to
    the install session. Only the session rule alerts.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    subshell = shell.forks()
    pause = subshell.spawns(SLEEP, "sleep", "40")
    shell.exits()
    mac.wait(2)
    service.exits()
    mac.wait(38)
    pause.exits()
    fetch(mac, subshell).exits()
    subshell.exits()


@case(session=1, version=8)
def parent_exits_first(mac):
    """The script service ends before the child that it forked execs its shell.

    The child's parent token then names launchd, so the installer rule's process.parent.name does not hold. The fork
    was recorded, and the session rule alerts.
    """
    service, package = root_install(mac)
    child = service.forks()
    service.exits()
    shell = child.execs(BASH, *package.argv("postinstall", "/bin/bash"), script=f"/private{package.folder}/postinstall")
    fetch(mac, shell).exits()
    shell.exits()


@case(installer=1, version=9)
def forged_host(mac):
    """A program calls itself package_script_service and runs a shell that downloads.

    The installer rule goes by the name and alerts. The forgery is not a platform binary, so there is no install
    session: the session rule is silent, and the alert's relation is key_only.
    """
    forgery = mac.starts(Binary("/Users/Shared/package_script_service", "package_script_service"), uid=501)
    bash = forgery.spawns(BASH, "/bin/bash", "-c", "curl -s https://cdn.example.com/q; true")
    fetch(mac, bash).exits()
    bash.exits()


@case(installer=2, session=2, enrichments=1, version=9)
def two_packages(mac):
    """Two packages at once, each with a script that downloads: two alerts, each with its own package.

    The second shell starts after the first has connected, so neither overwrites the other. The second connection
    completes a sequence of its own and, as the same user's within 30 s of the first match, is in the first alert's
    enrichment too.
    """
    service, package = root_install(mac, identifier="com.example.first")
    shell = package.runs(service)
    fetch(mac, shell, ip="203.0.113.31").exits()
    second = Package(mac, "com.example.second", "/Users/tove/Downloads/Second.pkg")
    mac.wait(2)
    other = second.runs(mac.starts(SCRIPT_SERVICE))
    fetch(mac, other, ip="203.0.113.32").exits()
    other.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def two_users_at_once(mac):
    """Two installs at the same time, of root and of Tove; only root's shell is followed by a download.

    Partials are kept for each user, so Tove's later shell does not overwrite root's. One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    own = Package(mac, "com.example.usertool", "/Users/tove/Downloads/Usertool.pkg")
    tove = own.runs(mac.starts(SCRIPT_SERVICE, uid=501))
    mac.wait(3)
    fetch(mac, shell).exits()
    tove.exits()
    shell.exits()
