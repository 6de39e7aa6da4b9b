#!/usr/bin/env bash
# Boots systemd with the unit of deploy/ over a copy-on-write view of this machine's root. Whatever it writes is gone with it;
# /tmp, /run and /dev are its own, and so are network, processes and control group.
#   systemd.sh STAGE UNIT BINARY PACKAGE
set -euo pipefail
stage=$1 unit=$2 binary=$3 package=$4
mount -t tmpfs tmpfs "$stage"
mkdir "$stage"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/upper,workdir=$stage/work" "$stage/root"
cd "$stage/root"
install -m 644 "$unit" etc/systemd/system/latchd.service
install -m 755 "$binary" usr/local/bin/latchd
cp "$package" latchd.deb
# An image of a container forbids packages to start services.
rm -f usr/sbin/policy-rc.d
mount -t tmpfs tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
touch dev/console
mkdir dev/shm dev/pts && ln -s pts/ptmx dev/ptmx
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
# A small disk for the data: with a user that systemd makes, this is where it lies.
mkdir -p -m 700 var/lib/private && mkdir -p var/lib/private/latchd
mount -t tmpfs -o size=96m tmpfs var/lib/private/latchd
mkdir -p old
pivot_root . old
umount -l /old
ip link set lo up
# Nothing of the machine can be reached any more, or systemd is not started.
[ "$(stat -f -c %T /)" = overlayfs ] && [ "$(stat -f -c %T /tmp)" = tmpfs ]
[ -z "$(ls -A /tmp)" ] && [ -z "$(ls -A /old)" ]
export container=latchd-test
exec /lib/systemd/systemd --unit=basic.target --log-target=console --show-status=0
