#!/bin/sh
# An Intune custom attribute for macOS (data type String): what Vedette does on this Mac, its version and its rules.
#
#   running 0.1.0 rules 2 4f1c9e0b7d2a
#
# Intune keeps at most 20 KiB of one line of standard output, and runs this as root every eight hours.
set -u

vedette="/Library/Application Support/Vedette/bin/vedette"
plutil="/usr/bin/plutil"

if [ ! -x "$vedette" ]; then
  echo "not installed"
  exit 0
fi

status=$("$vedette" status --plist 2> /dev/null)

# value KEY: the value of one key of the status; nothing where it has none.
value() {
  printf '%s' "$status" | "$plutil" -extract "$1" raw -o - - 2> /dev/null
}

state=$(value state)
case "$state" in
  "") echo "no status" ;;
  never_started) echo "never_started" ;;
  *) printf '%s %s rules %s %.12s\n' "$state" "$(value version)" "$(value rules.loaded)" "$(value rules.hash)" ;;
esac
