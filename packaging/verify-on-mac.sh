#!/bin/bash
# Goes through docs/verified.md on a Mac, and leaves a folder of answers to send back.
#
#     sudo bash verify-on-mac.sh [--yes] [--vedette PATH] [--out FOLDER]
#     bash verify-on-mac.sh --list          # the lines that it goes through, on any system
#
# It reads what macOS says, and asks before it changes anything: it installs the self-test's package, stops the sensor for
# some seconds, and nothing else. --yes answers those two. Lines that only a person can try are written down as such.
# What it leaves holds the Mac's name, its profiles and its processes' names: look through it before you send it.
set -u
PATH=/usr/bin:/bin:/usr/sbin:/sbin
export PATH

vedette="/Library/Application Support/Vedette/bin/vedette"
id="dev.vedette.sensor"
extension="/Applications/Vedette.app/Contents/Library/SystemExtensions/$id.systemextension"
status_file="/Library/Application Support/Vedette/status.json"
health="/Library/Logs/Vedette/health.ndjson"
out=""
yes=no
list=no
number=0

while [ $# -gt 0 ]; do
  case $1 in
    --yes) yes=yes ;;
    --list) list=yes ;;
    --vedette) vedette=${2:?--vedette needs a path}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    *) echo "$1: unknown; see the head of this file" >&2; exit 2 ;;
  esac
  shift
done

# row BEHAVIOUR: begins the answers to a line of docs/verified.md, which begins like this.
row() {
  number=$((number + 1))
  if [ "$list" = yes ]; then
    printf '%s\n' "$1"
    return
  fi
  file="$out/$(printf '%02d' "$number").txt"
  printf '%s\n' "$1" > "$file"
  printf '%2d  %s\n' "$number" "$1"
}

# run COMMAND…: writes what it says and its exit code to the answers.
run() {
  [ "$list" = no ] || return 0
  { printf '\n$ %s\n' "$*"; "$@" 2>&1 < /dev/null | head -c 4000000; printf '(exit %s)\n' "${PIPESTATUS[0]}"; } >> "$file"
}

# by_hand WHAT: what only a person can try.
by_hand() {
  [ "$list" = no ] || return 0
  printf '\nBY HAND: %s\nAnswer:\n' "$1" >> "$file"
}

# may WHAT: whether the person agrees.
may() {
  [ "$list" = no ] || return 1
  [ "$yes" = no ] || return 0
  printf '    %s [y/N] ' "$1"
  read -r answer && [ "$answer" = y ]
}

sensor_pid() {
  plutil -extract pid raw -o - "$status_file" 2> /dev/null
}

if [ "$list" = no ]; then
  [ "$(uname -s)" = Darwin ] || { echo "this asks a Mac, and this is none; --list shows what" >&2; exit 2; }
  [ "$(id -u)" = 0 ] || { echo "only root sees all of it: sudo bash $0" >&2; exit 2; }
  out=${out:-"$PWD/vedette-verify-$(date +%Y%m%d-%H%M%S)"}
  umask 077
  mkdir -p "$out" || exit 2
  {
    sw_vers
    uname -a
    csrutil status
    "$vedette" --version
    ls -ldn "$vedette" "$extension"
    codesign -dvvv -r- --entitlements - "$extension"
    spctl --assess --type install -vv "$extension"
  } > "$out/00-mac.txt" 2>&1
fi

# Endpoint Security
row 'es_new_client gives 3 without the entitlement, 4 without Full Disk Access, 5 without root, 6 with too many clients'
run "$vedette" status --json
run "$vedette" doctor --json
by_hand 'take Full Disk Access from the sensor and give it again: does vedette status say running within 15 s?'
row 'after such an error a client can be made by the same process'
by_hand 'the same: is the pid in vedette status the same before and after?'
row 'the callback is called with one message at a time, in order, and not after es_delete_client has returned'
run ls -lt /Library/Logs/DiagnosticReports
row 'a message that was retained stays valid on another thread until it is released'
by_hand 'a development build with MallocScribble=1 in its environment, for an hour: does it crash?'
row 'seq_num counts a kind, global_seq_num all'
if may 'Stop the sensor for 20 s, and build many processes meanwhile?'; then
  pid=$(sensor_pid)
  if [ -n "$pid" ] && kill -STOP "$pid" 2> /dev/null; then
    i=0
    while [ $i -lt 4000 ]; do /usr/bin/true; i=$((i + 1)); done
    sleep 20
    kill -CONT "$pid"
    sleep 15
  fi
fi
run "$vedette" status --json
row 'muting the sensor by its own audit token leaves out its own exec, fork and exit'
by_hand 'with telemetry on: has any event the pid of the sensor?'
row 'parent_audit_token names the parent'
by_hand 'with telemetry on, sh -c "sh -c true": is each process.parent.entity_id that of an event before?'
row 'start_time is that of the fork and stays over exec'
by_hand 'with telemetry on, sh -c "exec true": is there one entity id?'
row 'mach_time is of the clock that mach_absolute_time reads, and stands still while the Mac sleeps'
by_hand 'let the Mac sleep for a minute: is there no blind window in health.ndjson for it?'
run tail -n 50 "$health"
row 'under Rosetta, an Intel program'
run lipo -archs "$extension/Contents/MacOS/$id"
row 'structures only ever grow, and version says by what'
run "$vedette" status --json
row 'cs_validation_category (message version 10)'
by_hand 'nothing to try: it is not read'

# Processes that already run
row 'task_name_for_pid gives root the name of any task'
run log show --last 1d --style ndjson --predicate "subsystem == \"$id\" AND eventMessage CONTAINS \"ran already\""
run sh -c 'ps -A | wc -l'
row 'csops_audittoken gives flags, cdhash, signing id and team id'
by_hand 'an app that ran before the sensor starts a process: has process.parent.code_signature its team?'
row 'CS_PLATFORM_BINARY (0x04000000) is what a message says as is_platform_binary'
by_hand 'restart the sensor during a long install: has its next process vedette.package?'
row 'PROC_PIDTBSDINFO gives the start that a message says as start_time'
by_hand 'in a shell from before the sensor, exec sh: does process.entity_id stay?'
row 'kern.procargs2: count, path, NULs'
by_hand 'the parent of a new process, from before the sensor: is its command line that of ps?'

# Connections
row "from macOS 26.4 on a client may subscribe to event 154"
run grep source_chosen "$health"

row "the Darwin of macOS 26.4 is 25.4 or later"
run sw_vers
run uname -r

row "event 154's payload: families"
run grep source_chosen "$health"
run "$vedette" doctor --probe-network --json
run grep '"what":"network"' "$health"

row "its ports stand in one order for each transport"
by_hand 'with telemetry on: do the ports of known connections, DNS among them, stand there as they are?'

row "event 154 is in the order of global_seq_num with exec"
run plutil -extract events raw -o - "$status_file"

row "the kernel control com.apple.network.statistics is open"
run grep source_chosen "$health"

row "its messages and descriptors in Darwin 22"
run grep '"what":"network"' "$health"

row "TCP's event is sent when a connection is made"
by_hand 'with telemetry on: is curl https://example.com there at once, and how soon?'

row "GET_UPDATE answers in parts"
run netstat -an
by_hand 'with telemetry on and more than 100 sockets open: is a connected UDP socket there?'

row "PROC_PIDT_BSDINFOWITHUNIQID gives"
by_hand 'with telemetry on: is vedette.attribution of most connections named?'

row "the extension's own executable may be started by it"
run grep source_chosen "$health"

row "a source that was believed goes on telling"
by_hand 'leave the Mac idle for an hour: does vedette status name the same network source as before?'

row "PREV_EVENT_DISCARDED and CLOSED_AFTER_DROP"
run plutil -extract sources.network xml1 -o - "$status_file"

# The rest
row "gethostuuid gives the hardware's UUID"
run sh -c 'ioreg -d2 -c IOPlatformExpertDevice | grep IOPlatformUUID'
run plutil -extract host_id raw -o - "$status_file"
row 'sysctl.proc_translated is 1 under Rosetta'
run arch -x86_64 sysctl sysctl.proc_translated
row 'a full disk fails pwrite and write with ENOSPC'
by_hand 'on a volume of its own, see alerts.file: fill it, raise an alert, make room: is the alert there?'
row 'os_log keeps levels default, error and fault on disk; what is marked public is shown'
run log show --last 1d --style ndjson --predicate "subsystem == \"$id\""
row 'the part of os/log.h in packaging/sdk makes the entries that'
run log show --last 1d --style compact --predicate "subsystem == \"$id\""
row 'SIGTERM comes before a system extension is ended'
run sh -c "grep -h '\"action\":\"stop\"' '$health' '$health'.1 | tail -n 5"
row "an app's main thread may end by abort"
run sh -c "ls -l /Library/Logs/DiagnosticReports | grep -i '$id'"

# Deploying, doctor, selftest
row 'systemextensionsctl list writes a line for each extension'
run systemextensionsctl list
row 'profiles show -output stdout-xml writes a property list'
run profiles show -output stdout-xml
row 'codesign --verify -R=REQUIREMENT exits with 3'
run codesign --verify '-R=identifier "com.apple.ls"' /bin/ls
run codesign --verify '-R=identifier "x"' /bin/ls
run codesign --verify '-R=identifier and' /bin/ls
row 'the requirement that vedette profile reads from a signature'
run codesign -d -r- "$extension"
run "$vedette" profile --signed-binary "$extension" --out "$out/profiles"
run plutil -lint "$out"/profiles/*
run plutil -p "$out/profiles/full-disk-access.mobileconfig"
row "a requirement's text with every value in quotes is taken"
run csreq '-r=identifier "a.b" and certificate leaf[subject.OU] = "ABCDE12345"' -t
row 'log show --style ndjson begins with the oldest entry'
run sh -c 'log show --style ndjson | head -1'
row 'the four profiles are taken by an MDM and by macOS'
run "$vedette" doctor --json
row 'a system extension policy completes a request that waits'
by_hand 'on a Mac for tests: the package first, then the profile. What does systemextensionsctl list say, and when?'
row 'a profile with the identifier of another takes its place'
by_hand 'replace system-extension.mobileconfig by removal.mobileconfig: does the extension go on running?'
row 'an extension that NonRemovableSystemExtensions names cannot be removed'
by_hand 'sudo vedette uninstall with system-extension.mobileconfig, then with removal.mobileconfig: what does it say?'
row 'pkgbuild and installer are on every Mac'
if may 'Install the package of the self-test?'; then run "$vedette" selftest --yes --json; fi
run tail -n 60 /var/log/install.log
row "a connection of such a script's curl to 127.0.0.1"
run sh -c "grep -h vedette.selftest /Library/Logs/Vedette/alerts.ndjson | tail -n 1"
row "posix_spawn runs the system's programs"
run "$vedette" doctor

# The package and the system extension
row 'Installer takes a package as embala-pkg writes it'
run pkgutil --pkg-info dev.vedette.pkg
run pkgutil --files dev.vedette.pkg
by_hand 'pkgutil --check-signature and spctl --assess --type install of the package: what do they say?'
row "codesign and Gatekeeper accept rcodesign's signatures"
run codesign --verify --deep --strict --verbose=4 /Applications/Vedette.app
run codesign -d --entitlements - /Applications/Vedette.app
run codesign -d --entitlements - "$extension"
run spctl --assess --type execute --verbose=4 /Applications/Vedette.app
row 'macOS starts an extension whose executable is named as its bundle id'
run ps -ax -o user,pid,args -p "$(sensor_pid)"
row 'a request is answered on the queue that it names'
by_hand 'sudo vedette extension activate; echo $?'
row 'root may ask without a person logged in'
run log show --last 1d --style compact --predicate 'eventMessage CONTAINS "extension activate ended"'
row 'each error of OSSystemExtensionErrorCode comes in the case'
by_hand 'copy the app to another folder and run its command, extension activate: is the exit code 5?'
row 'an older version replaces a newer one'
by_hand 'install an older package: what does systemextensionsctl list say?'
row 'package scripts may move and replace an app of the same team'
run sh -c 'grep -i vedette /var/log/install.log | tail -n 40'
row 'a signed command outside of the app runs'
run "$vedette" --version
row '/var/run is empty after a start'
run ls -l /var/run/dev.vedette.activate.submitted
row 'a profile that holds the extension makes deactivate fail'
by_hand 'sudo vedette uninstall with NonRemovableSystemExtensions: is the exit code 1, and is everything still there?'
row "OSLogPreferences in the extension's Info.plist keeps"
run log show --last 1d --info --style compact --predicate "subsystem == \"$id\""

if [ "$list" = no ]; then
  printf '\n%s lines; the answers are in %s.\nWrite yours below BY HAND, look through them, and send the folder back.\n' "$number" "$out"
fi
