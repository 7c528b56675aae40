"""The forms that recordings come in: token arrays, exec only, ECS documents nested and dotted, other kinds."""

from case import case
from installs import fetch, root_install
from recorder import BASH, CURL, SCRIPT_SERVICE, SH, Package, apple, file, instant

APPLE_SIGNED = {"exists": True, "trusted": True, "status": "trusted", "subject_name": "Software Signing"}


@case(installer=1, session=1, version=10, tokens="array")
def array_tokens(mac):
    """Audit tokens as arrays of eight numbers, as a release of macOS 26 writes them.

    The order is auid, euid, egid, ruid, rgid, pid, asid, pidversion. One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service, interpreter=SH)
    shell.execs(BASH, *package.argv("postinstall", "/bin/sh"))
    fetch(mac, shell).exits()
    shell.exits()


@case(installer=1, session=1, version=6)
def macos_13(mac):
    """Message version 6, macOS 13: an exec has no dyld_exec_path yet.

    One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    fetch(mac, shell).exits()
    shell.exits()


@case(installer=1, session=1, version=9, forks=False)
def exec_only(mac):
    """`sudo eslogger exec`: no forks and no exits, so parents are known by their tokens only.

    One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    fetch(mac, shell)


@case(installer=1, session=1, version=9)
def other_kinds(mac):
    """Messages of kinds that are not used yet stand between: they are counted and are no errors.

    One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.message("create", shell.image(), {"destination_type": 1, "acl": None, "destination": {"new_path": {
        "dir": file("/Library/LaunchDaemons", mode=16877), "filename": "com.example.tool.plist", "mode": 33188}}})
    item = {"item_type": 4, "legacy": True, "managed": False, "uid": 0, "app_url": None,
            "item_url": "file:///Library/LaunchDaemons/com.example.tool.plist"}
    mac.message("btm_launch_item_add", mac.launchd.image(), {
        "item": item, "executable_path": "/Library/Tool/toold", "instigator": shell.image(), "app": None,
        "instigator_token": shell.token(), "app_token": None})
    curl = fetch(mac, shell)
    mac.message("unlink", curl.image(), {"target": file("/tmp/x"), "parent_dir": file("/tmp", mode=17407)})
    mac.message("signal", shell.image(), {"sig": 15, "target": curl.image(), "instigator": None})
    curl.exits(15)
    shell.exits()


@case(installer=1, session=1, version=9)
def flow_with_entity_id(mac):
    """The flow's document names its process by an entity_id of its own source: it is kept as it is.

    What it does not name (name, executable, user, parent) is filled by the pid. One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    mac.wait(0.2)
    mac.flow({"pid": curl.pid, "entity_id": "Zm9yZWlnbi1zZW5zb3ItNDIxNy0xNzk1NTA3NTEz"}, "203.0.113.10", 443)
    curl.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def flow_with_everything(mac):
    """A flow's document as Elastic's sensor writes it, start and end: only the start counts.

    One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    mac.wait(0.2)
    for action in ("connection_attempted", "disconnect_received"):
        ended = {"bytes": 5_242_880} if action == "disconnect_received" else {}
        mac.flow({"pid": curl.pid, "name": "curl", "executable": "/usr/bin/curl"}, "203.0.113.10", 443, action=action,
                 source={"ip": "192.0.2.15", "address": "192.0.2.15", "port": 51544, **ended},
                 network={"direction": "egress", "transport": "tcp", "type": "ipv4"},
                 user={"id": "0", "name": "root"}, ecs={"version": "8.10.0"}, message="Endpoint network event")
        mac.wait(0.8)
    curl.exits()
    shell.exits()


@case(installer=1, session=1, version=9)
def flow_dotted_and_in_milliseconds(mac):
    """A flow's document with dotted keys, single values where others have arrays, and milliseconds for its time.

    One alert of each rule.
    """
    service, package = root_install(mac)
    shell = package.runs(service)
    curl = shell.spawns(CURL, "curl", "-s", "https://cdn.example.com/x")
    mac.wait(0.2)
    mac.write({"@timestamp": mac.tick() // 1_000_000, "event.category": "network", "event.type": "start",
               "process.pid": curl.pid, "destination.ip": "203.0.113.10", "destination": {"port": 443}})
    curl.exits()
    shell.exits()


def elastic(mac, category, type_, action, host, user, process, dotted=False, **more):
    """Writes a document as Elastic's sensor does, with a host."""
    document = {
        "@timestamp": instant(mac.tick(), 6), "ecs": {"version": "8.10.0"},
        "event": {"kind": "event", "category": [category], "type": [type_], "action": action, "outcome": "unknown"},
        "host": {"id": host, "name": "mac-" + host[-4:].lower(), "os": {"type": "macos", "name": "macOS"}},
        "user": {"id": user}, "process": process, **more}
    mac.write(flatten(document) if dotted else document)


def flatten(value, prefix=""):
    """Nested objects as dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {path: leaf for key, inner in value.items()
            for path, leaf in flatten(inner, f"{prefix}.{key}" if prefix else key).items()}


def elastic_install(mac, host, dotted=False):
    """The script service, its shell, and curl, as documents; returns what curl's flow names."""
    service = {"pid": 610, "entity_id": f"{host}-service", "name": "package_script_service",
               "executable": SCRIPT_SERVICE.path,
               "code_signature": {**APPLE_SIGNED, "signing_id": "com.apple.package_script_service"}}
    shell = {"pid": 611, "entity_id": f"{host}-shell", "name": "bash", "executable": "/bin/bash",
             "args": ["/bin/bash", "/tmp/PKInstallSandbox.Kt3mQa/Scripts/com.example.tool.x7YqLp/postinstall",
                      "/Users/tove/Downloads/Tool.pkg", "/", "/", "/"], "args_count": 6,
             "code_signature": {**APPLE_SIGNED, "signing_id": "com.apple.bash"}, "parent": service}
    curl = {"pid": 612, "entity_id": f"{host}-curl", "name": "curl", "executable": "/usr/bin/curl",
            "args": ["curl", "-s", "https://cdn.example.com/x"], "args_count": 3,
            "code_signature": {**APPLE_SIGNED, "signing_id": "com.apple.curl"},
            "parent": {key: shell[key] for key in ("pid", "entity_id", "name", "executable")}}
    for process in (service, shell, curl):
        elastic(mac, "process", "start", "exec", host, "0", process, dotted)
    mac.wait(0.2)
    return {key: curl[key] for key in ("pid", "entity_id", "name", "executable")}


@case(installer=1, session=1)
def ecs_nested(mac):
    """ECS documents only, from a sensor that is not this one: processes and flow, nested keys.

    They have no platform flag; a trusted Apple signature without a team takes its place, so there is an install
    session. One alert of each rule.
    """
    curl = elastic_install(mac, "5D8C1C9E-0000-4000-8000-00000000A001")
    elastic(mac, "network", "start", "connection_attempted", "5D8C1C9E-0000-4000-8000-00000000A001", "0", curl,
            destination={"ip": "203.0.113.10", "port": 443}, network={"transport": "tcp", "type": "ipv4"})


@case(installer=1, session=1)
def ecs_dotted(mac):
    """ECS documents only, with dotted keys.

    The same story as ecs-nested. One alert of each rule.
    """
    curl = elastic_install(mac, "5D8C1C9E-0000-4000-8000-00000000A001", dotted=True)
    elastic(mac, "network", "start", "connection_attempted", "5D8C1C9E-0000-4000-8000-00000000A001", "0", curl,
            dotted=True, destination={"ip": "203.0.113.10", "port": 443})


@case(version=9)
def two_macs(mac):
    """Two Macs in one recording: a shell on one and a curl on the other belong to different hosts.

    The sequence joins by host.id, the process table is kept for each host. No alerts.
    """
    first, second = "5D8C1C9E-0000-4000-8000-00000000A001", "5D8C1C9E-0000-4000-8000-00000000B002"
    elastic_install(mac, first)
    curl = {"pid": 612, "name": "curl", "executable": "/usr/bin/curl", "entity_id": f"{second}-curl"}
    elastic(mac, "process", "start", "exec", second, "0", {**curl, "args": ["curl", "https://www.example.com/"]})
    elastic(mac, "network", "start", "connection_attempted", second, "0", curl,
            destination={"ip": "198.51.100.5", "port": 443})


@case(session=1)
def own_records(mac):
    """Records of this sensor read back, among them an alert and a health document.

    A flow that says to which install session it belongs is believed. An alert is what a detection made and a health
    document no event: neither is evaluated, though the alert repeats the flow's fields. One alert of the session
    rule.
    """
    host, process = "5D8C1C9E-0000-4000-8000-00000000A001", {"pid": 815, "name": "python3", "entity_id": "a-815"}
    flow = {"destination": {"ip": "203.0.113.10", "port": 443},
            "vedette": {"package": {"host": "package_script_service", "identifier": "com.example.tool"}}}
    elastic(mac, "network", "start", "connection_attempted", host, "0", process, **flow)
    for kind in ("alert", "state"):
        mac.write({"@timestamp": instant(mac.tick(), 9), "host": {"id": host}, "process": process, **flow,
                   "event": {"kind": kind, "category": ["network"], "type": ["start"]}})


@case(loss=1)
def own_losses(mac):
    """A live sensor's record of lost messages, once while a package was being installed and once not.

    The sensor itself writes what was lost, who was busiest and which install session ran; a replay decides as it did. A hole
    in the numbers of the messages that follow is no such event, as a recording may have been filtered. One alert of the
    loss rule, with the package and the busiest process; `vedette.gap` is true.
    """
    host = "5D8C1C9E-0000-4000-8000-00000000A001"
    make = {"pid": 850, "name": "make", "entity_id": "a-850", "executable": "/usr/bin/make"}
    package = {"host": "package_script_service", "session": "a-701", "identifier": "com.example.tool"}
    for sessions in (1, 0):
        loss = {"missing": 500, "messages": 12_000, "of_busiest": 11_300, "sessions": sessions}
        elastic(mac, "host", "info", "events_lost", host, "501", make,
                vedette={"loss": loss, **({"package": package} if sessions else {})})
        mac.wait(61)
    shell = mac.starts(SCRIPT_SERVICE).spawns(BASH, "/bin/bash")
    mac.sequence += 7
    shell.spawns(CURL, "curl", "https://example.com/").exits()


@case(installer=1, session=1, version=9)
def hostile_text(mac):
    """Arguments and paths that try to reach the reader's terminal, or to look like other lines.

    Control characters, newlines, escape sequences, a NUL, text that reads right to left, quotes, other scripts, and
    an argument of 20,000 characters: all of it is data. One alert of each rule.
    """
    terminal_codes = "\x1b[2J\x1b[31mnothing to see\x07\n{\"event\":{\"kind\":\"alert\"}}\r\t\x00\x7f\u202egkp.tidua"
    service = mac.starts(SCRIPT_SERVICE)
    package = Package(mac, "com.example.büro", "/Users/tove/Downloads/Büro „neu“ \x1b]0;x\x07 🐦.pkg")
    shell = package.runs(service)
    shell.spawns(apple("/bin/echo"), "echo", "A" * 20_000).exits()
    curl = shell.spawns(CURL, "curl", "-H", terminal_codes, "https://cdn.example.com/'\"\\x")
    mac.wait(0.2)
    curl.connects("203.0.113.10", 443, domain="cdn.example.com\x1b[0m")
    curl.exits()
    shell.exits()
