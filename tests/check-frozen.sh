#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-frozen.sh: the daemon as a process, with frozen groups, in each version of the freezer: the
# largest process is killed, the others are frozen again, by this daemon, at its exit, or by the next one if it is
# killed in between.  Needs root, a cgroup2 mount and a tmpfs in /dev/shm; anything else is SKIP (77).
set -u

reckond=${BUILDDIR:-.}/reckond
# shellcheck source=tests/daemon-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/daemon-helpers.sh"
v2=$(mount_of cgroup2 ,)
v1=$(mount_of cgroup ,freezer,)
subtree=/reckond-frozen-$$

if [ "$(id -u)" != 0 ] || [ -z "$v2" ] || [ "$(stat -f -c %T /dev/shm 2>/dev/null)" != tmpfs ] ||
	! mkdir "$v2$subtree" 2>/dev/null; then
	echo "SKIP: this needs root, a cgroup2 mount and a tmpfs in /dev/shm"
	exit 77
fi
tmp=$(mktemp -d /dev/shm/check-frozen.XXXXXX)
export RUNTIME_DIRECTORY=$tmp

cleanup() {
	[ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
	[ ! -d "$v2$subtree/g" ] || echo 0 >"$v2$subtree/g/cgroup.freeze"
	[ ! -d "$v1$subtree" ] || echo THAWED >"$v1$subtree/freezer.state"
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
	wait 2>/dev/null
	for dir in "$v2$subtree/g" "$v2$subtree" ${v1:+"$v1$subtree/g" "$v1$subtree"}; do
		[ ! -d "$dir" ] || rmdir "$dir"
	done
	rm -r "$tmp"
}
trap cleanup EXIT
mkdir "$v2$subtree/g"
[ -z "$v1" ] || mkdir -p "$v1$subtree/g"

# A process that holds so many MiB and ignores SIGTERM, in the group, in both versions.
hold() { # MIB NAME
	perl -e '$0 = $ARGV[1]; $SIG{TERM} = "IGNORE"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' \
		"$1" "$2" >"$tmp/ready" &
	victim=$!
	pids+=("$victim")
	wait_for "[ -s '$tmp/ready' ]"
	: >"$tmp/ready"
	echo "$victim" >"$v2$subtree/g/cgroup.procs"
	[ -z "$v1" ] || echo "$victim" >"$v1$subtree/g/cgroup.procs"
}
start() { # MEMORY ACTION [LINE...]
	printf '%s\n' '[Protect sibling]' 'Comm=^sibling$' '[Daemon]' MinVictim=1M '[Policy now]' "MemoryAvailable=$1" \
		"Action=$2" "${@:3}" >"$tmp/conf"
	: >"$tmp/log"
	"$reckond" --config "$tmp/conf" --subtree "$subtree" 2>"$tmp/log" &
	daemon=$!
	wait_for "grep -q ^Ready '$tmp/log'"
}
stop() { # SIGNAL
	kill "-$1" "$daemon"
	wait "$daemon" 2>/dev/null
	daemon=''
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }

freeze_v2() { echo "$1" >"$v2$subtree/g/cgroup.freeze"; }
frozen_v2() { grep -q 'frozen 1' "$v2$subtree/g/cgroup.events"; }
freeze_v1() { if [ "$1" = 1 ]; then echo FROZEN; else echo THAWED; fi >"$v1$subtree/freezer.state"; }
frozen_v1() { grep -q FROZEN "$v1$subtree/g/freezer.state"; }

hold 4 sibling
sibling=$victim
versions=v2
[ -z "$v1" ] && echo 'skip - version 1: no freezer' || versions='v2 v1'
for v in $versions; do
	hold 32 victim
	freeze_$v 1
	wait_for frozen_$v
	start 100% kill
	check "wait_for \"! is_alive $victim\"" "$v: a frozen victim is gone"
	check "wait_for \"frozen_$v\" && grep -qi 'its group is frozen again' '$tmp/log'" \
		"$v: and its group frozen again"
	stop TERM
	freeze_$v 0

	# SIGTERM, ignored: the daemon is killed while the group is thawed.
	hold 64 victim
	freeze_$v 1
	wait_for frozen_$v
	start 100% terminate Grace=1h
	check "wait_for \"grep -q 'its group was frozen, thawed' '$tmp/log'\" && wait_for \"! frozen_$v\"" \
		"$v: the group is thawed for a SIGTERM"
	freeze_$v 1
	check "wait_for \"grep -q 'found frozen after its signal; thawed' '$tmp/log' && ! frozen_$v\"" \
		"$v: and again, when it is frozen again"
	stop KILL
	check "! frozen_$v" "$v: a daemon that is killed leaves it thawed"
	start 0% kill
	check "grep -q 'Pid $victim: an earlier reckond has thawed $subtree.* (v' '$tmp/log' && ! frozen_$v" \
		"$v: the next one knows, and waits for the victim"
	stop KILL
	kill -KILL "$victim"
	wait "$victim" 2>/dev/null
	start 0% kill
	check "wait_for frozen_$v && grep -q ' is frozen again: an earlier reckond' '$tmp/log'" \
		"$v: the next but one freezes it again, as the victim is gone"
	stop TERM
	freeze_$v 0

	# The same, and the daemon is stopped.
	hold 64 victim
	freeze_$v 1
	wait_for frozen_$v
	start 100% terminate Grace=1h
	wait_for "! frozen_$v"
	stop TERM
	check "frozen_$v && is_alive $victim" "$v: a daemon that gets SIGTERM freezes it again"

	# Only the victim is thawed.
	start 100% kill Thaw=victim
	check "wait_for \"! is_alive $victim\" && frozen_$v && is_alive $sibling" \
		"$v: Thaw=victim ends it and leaves the others frozen"
	stop TERM
	check "is_alive $sibling" "$v: no other was killed"
	freeze_$v 0
done
printf 'not a ledger\n' >"$tmp/thawed"
start 0% kill
check "[ \$(grep -c \"'*$tmp/thawed is damaged\" '$tmp/log') = 1 ] && ! grep -qE '(missing privilege|limitation): groups that' '$tmp/log'" \
	'a damaged file is one line'
stop TERM
exit $failed
