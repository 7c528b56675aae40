#!/bin/sh
# A Jamf Pro extension attribute (data type String, input type Script): what Vedette does on this Mac.
#
#   running | degraded: PROBLEM; … | safe_mode | silent (SECONDS s) | stopped | never_started | not installed
#
# A smart group "Vedette is not running" asks for "is not running". Jamf runs this as root at each inventory.
set -u

vedette="/Library/Application Support/Vedette/bin/vedette"
plutil="/usr/bin/plutil"

if [ ! -x "$vedette" ]; then
  echo "<result>not installed</result>"
  exit 0
fi

status=$("$vedette" status --plist 2> /dev/null)

# value KEY: the value of one key of the status; nothing where it has none.
value() {
  printf '%s' "$status" | "$plutil" -extract "$1" raw -o - - 2> /dev/null
}

state=$(value state)
case "$state" in
  "") result="no status" ;;
  silent) result="silent ($(value age_s) s)" ;;
  degraded)
    # `raw` gives a dictionary's keys, one a line.
    problems=$(value problems | while IFS= read -r problem; do printf '%s; ' "$problem"; done)
    result="degraded: ${problems%; }"
    ;;
  *) result="$state" ;;
esac

# What stands in a problem could come from a file's name: nothing of it may end the element.
printf '<result>%s</result>\n' "$(printf '%s' "$result" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')"
