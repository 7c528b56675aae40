#!/bin/sh
# Runs a case in a root of its own: sandbox.sh ROOT CASE. As root in a user and mount namespace (`unshare`).
#
# Shell and tools are this machine's, bound read-only in effect: the namespace's root owns none of them. What only macOS
# has is in stand-ins/.
set -eu
root="$1"
case="$2"
here=$(dirname "$0")

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/sbin" "$root/usr/local/bin" "$root/dev" "$root/state" \
  "$root/var/run" "$root/Applications" "$root/Library/Application Support" "$root/Library/LaunchDaemons" "$root/Library/Logs"
for name in bin sbin lib lib32 lib64; do
  if [ -h "/$name" ]; then
    [ "$name" = sbin ] || ln -s "$(readlink "/$name")" "$root/$name"
  elif [ -d "/$name" ] && [ "$name" != sbin ]; then
    mkdir -p "$root/$name"
    mount --rbind "/$name" "$root/$name"
  fi
done
# Debian's awk is a link to a link in /etc/alternatives.
for name in usr/bin usr/lib usr/lib32 usr/lib64 etc/alternatives dev; do
  [ -d "/$name" ] || continue
  mkdir -p "$root/$name"
  mount --rbind "/$name" "$root/$name"
done
cp "$here"/stand-ins/* "$root/usr/sbin/"
chmod 755 "$root"/usr/sbin/*
# Linux has one too, which comes first in PATH.
[ ! -e "$root/usr/bin/logger" ] || mount --bind "$root/usr/sbin/logger" "$root/usr/bin/logger"
cp "$here/prelude.sh" "$root/prelude.sh"
cp "$case" "$root/case.sh"
exec chroot "$root" /bin/sh -eu -c '. /prelude.sh; . /case.sh' 2>&1
