#!/bin/sh
# Starts one place of a lab and stays with it. Runs in a mount namespace of its own, so that whatever it mounts goes when
# its last process goes.
# Arguments: a marker by which the lab finds this process, control group, network namespace, lower, upper, work and root
# directory of the overlay, and the command.
set -eu
cgroup=/sys/fs/cgroup/$2 namespace=$3 lower=$4 upper=$5 work=$6 root=$7
shift 7

# systemd needs the unified hierarchy where it looks for it; a machine may have another there.
if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" != cgroup2fs ]; then
	umount --recursive /sys/fs/cgroup || true
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# Processes may only be in leaf groups: this one waits in one, the machine lives in the other.
mkdir -p "$cgroup/keeper" "$cgroup/machine"
echo $$ >"$cgroup/keeper/cgroup.procs"
for group in /sys/fs/cgroup /sys/fs/cgroup/bastide "${cgroup%/*}" "$cgroup"; do
	for controller in cpu io memory pids; do
		# Controllers that stay on the older hierarchy are not there: the hosts then run without limits.
		echo "+$controller" 2>/dev/null >"$group/cgroup.subtree_control" || true
	done
done

# What systemd-nspawn notes of its machines goes with this one.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn

mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"

while :; do
	# A machine boots without firewall rules and does not forward, whatever it did before a reboot.
	ip netns exec "$namespace" sh -c 'nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward'
	status=0
	sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$cgroup/machine/cgroup.procs" "$@" || status=$?
	# What systemd-nspawn answers when the machine asked for a reboot.
	[ "$status" = 133 ] && continue
	echo "the machine has ended with status $status"
	exit "$status"
done
