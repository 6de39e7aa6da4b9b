#!/usr/bin/env bash
# Installs, upgrades and purges the Debian package over a copy-on-write view of this machine's root, in namespaces of its own.
#   package.sh STAGE PACKAGE NEWER
set -euo pipefail
trap 'echo "package.sh, line $LINENO: $BASH_COMMAND" >&2' ERR
stage=$1
mount -t tmpfs tmpfs "$stage"
mkdir "$stage"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/upper,workdir=$stage/work" "$stage/root"
cp "$2" "$stage/root/package.deb"
cp "$3" "$stage/root/newer.deb"
cd "$stage/root"
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p old
pivot_root . old
umount -l /old
ip link set lo up
[ "$(stat -f -c %T /)" = overlayfs ]
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
unset "${!LATCHD_@}"
# Indexing all pages of this machine takes longer than everything below.
rm -f /var/lib/man-db/auto-update
dropin=/usr/lib/systemd/system/latchd.service.d/package.conf

echo "== install"
dpkg -i package.deb
[ -z "$(dpkg --audit)" ]
[ "$(getent passwd latchd | cut -d: -f6,7)" = /var/lib/latchd:/usr/sbin/nologin ]
[ "$(stat -c '%U:%G %a' /etc/latchd)" = "root:latchd 750" ]
[ "$(stat -c '%U:%G %a' /etc/latchd/config.toml)" = "root:latchd 640" ]
[ "$(systemctl --root=/ is-enabled latchd)" = enabled ]
[ -z "$(systemd-analyze verify --man=no latchd.service 2>&1 | tee /dev/stderr)" ]
[ "$(zgrep -c 'latchd lock' /usr/share/man/man1/latchd-lock.1.gz)" -gt 3 ]
bash -c '. /usr/share/bash-completion/completions/latchd; complete -p latchd' >/dev/null

echo "== start as the unit does"
command=$(sed -n 's/^ExecStart=//p' $dropin | tail -n 1)
install -d -m 700 -o latchd -g latchd /var/lib/latchd
cd /var/lib/latchd
# Nothing has to notice that it ends.
export LATCHD_SERVER_DRAIN_DELAY=0s
setpriv --reuid=latchd --regid=latchd --clear-groups --no-new-privs --bounding-set=-all $command 2>/run/log &
server=$!
latchd health --wait 20s || { cat /run/log; false; }
[ "$(stat -c %U "/proc/$server")" = latchd ]
[ "$(readlink "/proc/$server/exe")" = /usr/bin/latchd ]
[ "$(stat -c '%U %a' data)" = "latchd 700" ]
latchd lock nightly --wait 0s -- true

echo "== upgrade"
echo "# of the operator" >>/etc/latchd/config.toml
user=$(id latchd)
dpkg --force-confdef -i /newer.deb
[ "$(dpkg-query -W -f='${Version}' latchd)" = 9.0.0 ]
grep -q '^# of the operator' /etc/latchd/config.toml
grep -q '^# of the newer package' /etc/latchd/config.toml.dpkg-dist
[ "$(stat -c '%U:%G %a' /etc/latchd/config.toml)" = "root:latchd 640" ]
[ "$(id latchd)" = "$user" ]
kill $server
wait $server

echo "== remove and purge"
cd /
dpkg -r latchd
[ -e /etc/latchd/config.toml ] && [ -d /var/lib/latchd/data ] && [ ! -e /usr/bin/latchd ]
dpkg -P latchd
[ ! -e /etc/latchd ] && [ ! -e /var/lib/latchd ] && [ ! -e $dropin ]
[ -z "$(find /etc /usr/bin /usr/lib/systemd /usr/lib/sysusers.d /usr/share/man /usr/share/doc /var/lib/systemd -name '*latchd*')" ]
