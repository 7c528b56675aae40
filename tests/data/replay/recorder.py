"""A Mac that does what a scenario says and writes down what eslogger and a network source would.

    mac = Mac(version=9)
    service = mac.starts(SCRIPT_SERVICE)              # launchd forks, xpcproxy execs the service in place
    shell = service.spawns(BASH, "/bin/bash", "-c", "…")
    curl = shell.spawns(CURL, "curl", "https://example.com/")
    mac.wait(0.2)
    curl.connects("203.0.113.7", 443)
    curl.exits()

Everything is invented except the shape: the keys and types are those of eslogger's JSON, message versions 6 to
11. All that looks random comes from a generator seeded with the case's name, so the same scenario gives the same
bytes.
"""

import hashlib
import json
import random
from dataclasses import dataclass
from datetime import datetime, timezone

SECOND = 1_000_000_000
UNSET = 4294967295  # An audit user id that was never set.
TICKS = (24, 1000)  # Apple silicon: 24 MHz, so 24 ticks for 1000 ns.
EVENT_TYPES = {"exec": 9, "fork": 11, "create": 13, "exit": 15, "signal": 31, "unlink": 32,
               "btm_launch_item_add": 124}


@dataclass(frozen=True)
class Binary:
    """An executable file and its signature, as the kernel knows it."""

    path: str
    signing_id: str = ""
    team_id: str | None = None
    platform: bool = False

    @property
    def name(self):
        return self.path.rsplit("/", 1)[-1]

    @property
    def flags(self):
        # CS_VALID | CS_SIGNED, with CS_PLATFORM_BINARY, CS_RUNTIME or CS_ADHOC.
        kind = 0x04000000 if self.platform else 0x10000 if self.team_id else 0x2
        return 0x20000001 | kind if self.signing_id else 0


def apple(path, signing_id=None):
    return Binary(path, signing_id or "com.apple." + path.rsplit("/", 1)[-1], platform=True)


PACKAGE_KIT = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A"
LAUNCHD = apple("/sbin/launchd", "com.apple.xpc.launchd")
XPCPROXY = apple("/usr/libexec/xpcproxy")
SCRIPT_SERVICE = apple(PACKAGE_KIT + "/XPCServices/package_script_service.xpc/Contents/MacOS/package_script_service")
INSTALLD = apple(PACKAGE_KIT + "/Resources/installd")
INSTALLER_APP = apple("/System/Library/CoreServices/Installer.app/Contents/MacOS/Installer", "com.apple.installer")
INSTALLER = apple("/usr/sbin/installer", "com.apple.installer")
PLUGIN_SERVICE = apple("/System/Library/CoreServices/Installer.app/Contents/XPCServices/InstallerRemotePluginService-"
                       "arm64.xpc/Contents/MacOS/InstallerRemotePluginService-arm64")
TERMINAL = apple("/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal", "com.apple.Terminal")
SH, BASH, ZSH = apple("/bin/sh"), apple("/bin/bash"), apple("/bin/zsh")
CURL, SLEEP, SUDO = apple("/usr/bin/curl"), apple("/bin/sleep"), apple("/usr/bin/sudo")
CHOWN, CHMOD, MKDIR = apple("/usr/sbin/chown"), apple("/bin/chmod"), apple("/bin/mkdir")
LAUNCHCTL = apple("/bin/launchctl", "com.apple.xpc.launchctl")
OPEN, PERL = apple("/usr/bin/open"), apple("/usr/bin/perl")
PLISTBUDDY, SW_VERS, TOUCH = apple("/usr/libexec/PlistBuddy"), apple("/usr/bin/sw_vers"), apple("/usr/bin/touch")
PYTHON3 = Binary("/usr/local/bin/python3", "python3", "EXAMPLE123")


def instant(ns, digits):
    """RFC 3339, UTC, with that many digits of fraction."""
    whole = datetime.fromtimestamp(ns // SECOND, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns % SECOND:09d}"[: 20 + digits] + "Z"


def file(path, mode=33261, uid=0):
    seed = hashlib.sha256(path.encode()).digest()
    stamp = instant(1_788_000_000 * SECOND, 9)
    return {"path": path, "path_truncated": False, "stat": {
        "st_dev": 16777231, "st_ino": 1152921500312000000 + int.from_bytes(seed[:3]), "st_mode": mode, "st_nlink": 1,
        "st_uid": uid, "st_gid": 0, "st_rdev": 0, "st_size": 1024 + seed[3] * 512, "st_blocks": 8 + seed[3],
        "st_blksize": 4096, "st_flags": 524320, "st_gen": 0, "st_atimespec": stamp, "st_mtimespec": stamp,
        "st_ctimespec": stamp, "st_birthtimespec": stamp}}


class Mac:
    """The machine. `tokens` is "object" or "array"; `forks` False records exec only, as `eslogger exec` does; `stat`
    False leaves what stat(2) says of files out, which is most of a line and which nothing reads."""

    def __init__(self, name, version=9, tokens="object", forks=True, first_pid=4100, stat=True):
        self.random = random.Random(name)
        self.version, self.tokens, self.forks, self.stat = version, tokens, forks, stat
        self.boot = 1_795_500_000 * SECOND  # 2026-11-24T06:00:00Z
        self.now = self.boot + 7_512 * SECOND + self.random.randrange(SECOND)
        self.pid, self.pidversion = first_pid, 3 * first_pid
        self.sequence, self.sequences = self.random.randrange(200, 900), {}
        self.files = {"events.ndjson": []}
        self.ends_with_newline = True
        self.launchd = Process(self, None, 1, LAUNCHD, uid=0, asid=100000, start=self.boot)

    def wait(self, seconds):
        """Time passes."""
        self.now += round(seconds * SECOND)

    def tick(self):
        """Returns the time of the next event, a little later than the last."""
        self.now += self.random.randrange(60_000, 900_000)
        return self.now

    def runs(self, binary, uid=501, parent=None, **more):
        """Returns a process that was there before the recording began."""
        self.pid += self.random.randrange(1, 4)
        return Process(self, parent or self.launchd, self.pid, binary, uid=uid, start=self.now - 900 * SECOND, **more)

    def starts(self, binary, *args, uid=0, responsible=None, pid=None):
        """launchd starts a program: it forks, and the child execs xpcproxy and then, in place, the program."""
        child = self.launchd.forks(uid=uid, responsible=responsible, pid=pid)
        child.execs(XPCPROXY, "xpcproxy", binary.signing_id)
        self.wait(0.004)
        return child.execs(binary, *(args or (binary.path,)))

    def message(self, kind, process, event, thread=True):
        """Writes one message by `process`."""
        self.sequence += 1
        self.sequences[kind] = self.sequences.get(kind, self.random.randrange(100)) + 1
        when = self.tick()
        self.write({
            "schema_version": 1, "version": self.version, "time": instant(when, 9),
            "mach_time": (when - self.boot) * TICKS[0] // TICKS[1], "seq_num": self.sequences[kind],
            "global_seq_num": self.sequence, "action_type": 1,
            "action": {"result": {"result_type": 0, "result": {"auth": 0}}}, "event_type": EVENT_TYPES[kind],
            "event": {kind: event}, "process": process,
            "thread": {"thread_id": self.random.randrange(30_000, 90_000)} if thread else None})
        return when

    def write(self, document, to="events.ndjson"):
        """Writes a line, its keys in no order, as eslogger does."""
        line = json.dumps(self.shuffled(document), ensure_ascii=False, separators=(",", ":"))
        if self.version >= 9 and "schema_version" in document:
            line = line.replace("/", "\\/")
        self.files.setdefault(to, []).append(line.encode())

    def shuffled(self, value):
        if isinstance(value, list):
            return [self.shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = list(value)
        self.random.shuffle(keys)
        return {key: {} if key == "stat" and not self.stat and isinstance(value[key], dict)
                else self.shuffled(value[key]) for key in keys}

    def last_line(self, to="events.ndjson"):
        """Takes the last line out, to be put in elsewhere."""
        return self.files[to].pop()

    def flow(self, process=None, ip=None, port=443, to="events.ndjson", at=None, action="connection_attempted",
             digits=None, **more):
        """Writes a network source's document. `process` holds its process.*; `at` is its time, else now, written with
        as many `digits` of fraction: 9 where the time is given, else 3."""
        start = action == "connection_attempted"
        destination = {"ip": ip, "port": port, "domain": more.pop("domain", None)}
        document = {
            "@timestamp": instant(self.tick() if at is None else at, digits or (3 if at is None else 9)),
            "event": {"category": ["network"], "type": ["start" if start else "end"], "action": action},
            "destination": {key: value for key, value in destination.items() if value is not None},
            "process": process, **more}
        self.write({key: value for key, value in document.items() if value}, to)


class Process:
    """A process; an exec keeps it and replaces its image."""

    def __init__(self, mac, parent, pid, binary, uid, start, auid=None, asid=None, tty=None, responsible=None):
        self.mac, self.parent, self.original, self.pid, self.binary = mac, parent, parent or self, pid, binary
        self.uid = self.ruid = uid
        self.auid = auid if auid is not None else UNSET if uid == 0 else uid
        self.asid = asid or (100000 if uid == 0 else 100014)
        self.start, self.tty, self.responsible = start, tty, responsible
        self.group = self.session = pid
        self.children = []
        mac.pidversion += 1
        self.pidversion = 1 if pid == 1 else mac.pidversion

    def spawns(self, binary, *args, **more):
        """Forks, and the child execs: what fork and exec, or posix_spawn, write."""
        return self.forks().execs(binary, *args, **more)

    def forks(self, uid=None, responsible=None, pid=None):
        mac = self.mac
        mac.pid += mac.random.randrange(1, 4)
        uid = self.uid if uid is None else uid
        child = Process(mac, self, pid or mac.pid, self.binary, uid, mac.now // 1000 * 1000, tty=self.tty,
                        responsible=responsible or self.responsible or (None if self.pid == 1 else self))
        if self.pid != 1:
            child.auid, child.asid, child.group, child.session = self.auid, self.asid, self.group, self.session
        self.children.append(child)
        if mac.forks:
            mac.message("fork", self.image(), {"child": child.image()})
        return child

    def execs(self, binary, *args, script=None, cwd="/", uid=None, env=(), **overrides):
        """Replaces the image. `script` is the file whose `#!` line was run; `uid` that of a set-uid program."""
        mac, old = self.mac, self.image()
        self.binary = binary
        mac.pidversion += 1
        self.pidversion = mac.pidversion
        if uid is not None:
            self.uid = uid
        home = "/var/root" if self.uid == 0 else "/Users/tove"
        event = {
            "target": self.image(), "args": list(args),
            "env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "SHELL=/bin/sh", *env],
            "fds": [{"fd": 0, "fdtype": 1}, {"fd": 1, "fdtype": 6, "pipe": {"pipe_id": mac.random.getrandbits(40)}},
                    {"fd": 2, "fdtype": 2}],
            "last_fd": 2, "cwd": file(cwd, mode=16877), "script": script and file(script),
            "image_cputype": 16777228, "image_cpusubtype": -2147483646 if binary.platform else 0, **overrides}
        if mac.version >= 7:
            event["dyld_exec_path"] = binary.path
        if mac.version >= 11:
            event["entitlements"] = {"com.apple.private.example": True} if binary.platform else {}
        self.exec_time = mac.message("exec", old, event)
        return self

    def exits(self, status=0):
        """Ends. Children that are left go to launchd."""
        self.mac.message("exit", self.image(), {"stat": status}, thread=False)
        for child in self.children:
            child.parent = self.mac.launchd
        return self

    def connects(self, ip=None, port=443, **more):
        """A flow whose document names only the pid."""
        self.mac.flow({"pid": self.pid}, ip, port, **more)
        return self

    def token(self):
        fields = {"auid": self.auid, "euid": self.uid, "egid": 0 if self.uid == 0 else 20, "ruid": self.ruid,
                  "rgid": 0 if self.ruid == 0 else 20, "pid": self.pid, "asid": self.asid,
                  "pidversion": self.pidversion}
        return fields if self.mac.tokens == "object" else list(fields.values())

    def image(self):
        """es_process_t as eslogger writes it."""
        image = {
            "audit_token": self.token(), "parent_audit_token": (self.parent or self).token(),
            "responsible_audit_token": (self.responsible or self).token(),
            "ppid": self.parent.pid if self.parent else 0, "original_ppid": self.original.pid if self.parent else 0,
            "group_id": self.group, "session_id": self.session, "codesigning_flags": self.binary.flags,
            "is_platform_binary": self.binary.platform, "is_es_client": False,
            "cdhash": hashlib.sha1(self.binary.path.encode()).hexdigest().upper(),
            "signing_id": self.binary.signing_id, "team_id": self.binary.team_id,
            "executable": file(self.binary.path), "tty": self.tty and file(self.tty, mode=8592, uid=self.uid),
            "start_time": instant(self.start, 6)}
        if self.mac.version >= 10:
            image["cs_validation_category"] = 1 if self.binary.platform else 6 if self.binary.team_id else 10
        return image


class Package:
    """A .pkg and the sandbox that PackageKit unpacks its scripts into."""

    def __init__(self, mac, identifier, path):
        self.identifier, self.path = identifier, path
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
        sandbox, suffix = ("".join(mac.random.choices(letters, k=6)) for _ in range(2))
        self.folder = f"/tmp/PKInstallSandbox.{sandbox}/Scripts/{identifier}.{suffix}"

    def argv(self, name, *interpreter):
        """What PackageKit runs a script with: $1 package, $2 target, $3 volume, $4 root."""
        return [*interpreter, f"{self.folder}/{name}", self.path, "/Applications", "/", "/"]

    def runs(self, service, name="postinstall", interpreter=BASH, spelt=None):
        """The script service runs a script by its `#!` line."""
        spelt = spelt or interpreter.path
        return service.spawns(interpreter, *self.argv(name, spelt), script=f"/private{self.folder}/{name}",
                              cwd="/private" + self.folder, env=("SCRIPT_NAME=" + name,))
