"""Input that is broken around a good story: each broken line is reported and skipped, and nothing else is lost."""

import json

from case import case
from installs import fetch, root_install
from recorder import TOUCH


def install_with(mac, *lines):
    """root-postinstall's story with `lines` (bytes) put between the shell and its curl."""
    service, package = root_install(mac)
    shell = package.runs(service)
    mac.files["events.ndjson"] += lines
    fetch(mac, shell).exits()
    shell.exits()


def a_message(mac):
    """A good message, decoded, to be spoiled."""
    other = mac.runs(TOUCH)
    other.spawns(TOUCH, "touch", "/tmp/x")
    line = json.loads(mac.last_line())
    mac.last_line()
    return line


def encoded(document):
    return json.dumps(document, separators=(",", ":")).encode()


@case(folder="bad", installer=1, session=1, skipped=3, version=9)
def truncated_lines(mac):
    """Lines that break off, in the middle of the file and at its end, where no newline follows.

    Three are skipped. One alert of each rule.
    """
    line = encoded(a_message(mac))
    install_with(mac, line[: len(line) // 2], b'{"@timestamp":"2026-11-24T08:05:1')
    mac.files["events.ndjson"].append(line[:900])
    mac.ends_with_newline = False


@case(folder="bad", installer=1, session=1, skipped=12, version=9)
def wrong_types(mac):
    """Values of types that they cannot have, and lines that are no object.

    Each of the twelve is skipped: nothing is guessed. One alert of each rule.
    """
    def spoilt(*path, value):
        message = a_message(mac)
        at = message
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return encoded(message)

    target = ("event", "exec", "target")
    install_with(
        mac,
        spoilt("time", value=True), spoilt("event", value=[]), spoilt(*target, value=7),
        spoilt("process", "audit_token", value=[1, 2, 3]), spoilt(*target, "audit_token", "pid", value="612"),
        spoilt(*target, "audit_token", "pid", value=2**40), spoilt(*target, "audit_token", "pid", value=-5),
        spoilt("event", "exec", "args", value={"0": "touch"}),
        encoded({"@timestamp": {"seconds": 5}, "event": {"category": ["network"]}}),
        b"[1,2,3]", b"42", b'{"a":"neither eslogger nor ECS"}')


@case(folder="bad", installer=1, session=1, skipped=2, version=9)
def invalid_utf8(mac):
    """Bytes that are not UTF-8: in an eslogger message and in an ECS document.

    The two lines are skipped. One alert of each rule.
    """
    line = encoded(a_message(mac))
    install_with(mac, line.replace(b"touch", b"to\xff\xfech"), b'{"@timestamp":"2026-11-24T08:05:12Z","x":"\xc3"}')


@case(folder="bad", installer=1, session=1, skipped=3, version=9)
def deep_nesting(mac):
    """Objects and arrays 20,000 levels deep: no decoder may run out of stack.

    An array that is no document, an object that is never closed, and one where a process should be. One alert of
    each rule.
    """
    depth = 20_000
    message = a_message(mac)
    message["event"]["exec"]["target"] = "HERE"
    deep = encoded(message).replace(b'"HERE"', b"[" * depth + b"]" * depth)
    install_with(mac, b"[" * depth + b"]" * depth,
                 b'{"@timestamp":"2026-11-24T08:05:12Z","a":' + b'{"a":' * depth, deep)


@case(folder="bad", installer=1, session=1, skipped=2, version=9)
def far_away_times(mac):
    """Timestamps from other centuries between the shell and its download.

    Those of 1970, 2199 and 1700 are taken as they are and must not expire what waits; those of the years 1500 and 9999
    cannot be held in nanoseconds and are skipped. One alert of each rule.
    """
    lines = []
    for year in ("1970", "2199", "1700", "1500", "9999"):
        message = a_message(mac)
        message["time"] = year + "-01-01T00:00:00.000000000Z"
        lines.append(encoded(message))
    install_with(mac, *lines)


@case(folder="bad", installer=1, session=1, version=9)
def line_endings(mac):
    """Lines that end in CR LF, empty lines, lines of blanks, and no newline at the end.

    Nothing is wrong with these, and none is skipped. One alert of each rule.
    """
    install_with(mac, b"", b"   ", b"\t")
    mac.files["events.ndjson"] = [line + b"\r\n" for line in mac.files["events.ndjson"]]
    mac.ends_with_newline = False


@case(folder="bad")
def empty_file(mac):
    """An empty file, and one with nothing but newlines.

    There are no events, no alerts, and nothing to complain of.
    """
    mac.files["newlines.ndjson"] = [b"", b"", b""]


@case(folder="bad", skipped=3)
def not_a_recording(mac):
    """Text that is no JSON at all, as when the wrong file is named.

    Each line is reported and skipped. No alerts.
    """
    mac.files["events.ndjson"] = [b"PK\x03\x04 this is an archive", b"<?xml version=\"1.0\"?>", b"\x00\x01\x02\x03"]
