# What cases say: each prints what happened.
# shellcheck shell=sh
PATH=/usr/bin:/bin:/usr/sbin
export PATH
umask 022
support="/Library/Application Support/Vedette"
: > /state/extensions
echo 0 > /state/answer

# install VERSION [VOLUME]: as the installer does, with the payload and scripts in /packages/VERSION.
install() {
  echo "== install $1${2:+ on $2}"
  if ! "/packages/$1/scripts/preinstall" /packages/v.pkg "${2:-/}" "${2:-/}"; then
    echo "preinstall refuses"
    return
  fi
  mkdir -p "$support"
  cp -a "/packages/$1/payload" "$support/staging"
  chmod 700 "$support/staging"
  status=0
  "/packages/$1/scripts/postinstall" /packages/v.pkg "${2:-/}" "${2:-/}" || status=$?
  echo "postinstall: exit $status"
}

# The LaunchDaemon's hour has come.
daemon() {
  echo "== the daemon"
  status=0
  "$support/bin/activate" || status=$?
  echo "activate: exit $status"
}

# restart: what a start of the Mac changes.
restart() {
  echo "== restart"
  rm -rf /var/run
  mkdir -p /var/run
}

uninstall() {
  echo "== uninstall${1:+ $*}"
  status=0
  "$support/bin/uninstall" "$@" || status=$?
  echo "uninstall: exit $status"
}

# extension VERSION STATE: what systemextensionsctl has.
extension() {
  printf '*\t*\tABCDE12345\tdev.vedette.sensor (%s)\tVedette\t[%s]\n' "$1" "$2" > /state/extensions
}

# answer CODE: how `vedette extension` ends from now on.
answer() {
  echo "$1" > /state/answer
}

# show: calls of macOS's commands since the last time, the log, and what is there.
show() {
  for name in calls log; do
    [ ! -s "/state/$name" ] || sed "s/^/$name: /" "/state/$name"
    : > "/state/$name"
  done
  plist=/Applications/Vedette.app/Contents/Info.plist
  [ ! -f "$plist" ] || sed -n '/CFBundleVersion/{n;s/.*<string>\(.*\)<.*/the app is of version \1/p;}' "$plist"
  find /Applications /Library /usr/local/bin /var/run -mindepth 1 \( -path '*.app/*' -prune \) -o -mindepth 1 \
    ! -path /Library/LaunchDaemons ! -path /Library/Logs ! -path '/Library/Application Support' \
    -printf '%M %u %p %l\n' | sort -k 3 | sed 's/ *$//; s/^/has: /'
}
