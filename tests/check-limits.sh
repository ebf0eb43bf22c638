#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-limits.sh: what the daemon logs at its start when it lacks a permission, that it logs nothing
# of the kind when it does not, and that it does its work all the same as far as that goes: without
# single capabilities, as nobody, with cgroups that are read-only, in a user namespace, without a
# runtime directory.  Needs root and a cgroup2 mount for a subtree of its own; anything else is SKIP.
set -u

reckond=$(cd "${BUILDDIR:-.}" && pwd)/reckond
# shellcheck source=tests/daemon-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/daemon-helpers.sh"
mount=$(mount_of cgroup2 ,)
freezer=$(mount_of cgroup ,freezer,)
subtree=/reckond-limits-$$
tmp=$(mktemp -d)

if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$subtree" 2>/dev/null; then
	echo "SKIP: this needs root and a cgroup2 mount"
	exit 77
fi

cleanup() {
	end_all
	[ ! -d "$mount$subtree/g" ] || rmdir "$mount$subtree/g"
	rmdir "$mount$subtree"
	rm -r "$tmp"
}
trap cleanup EXIT

# A process that holds so many MiB, in the subtree or below.  Sets victim.
hold() { # MIB GROUP [COMMAND...]: run by this command
	: >"$tmp/ready"
	"${@:3}" perl -e '$x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' "$1" \
		>"$tmp/ready" &
	victim=$!
	pids+=("$victim")
	wait_for "[ -s '$tmp/ready' ]"
	echo "$victim" >"$mount$subtree$2/cgroup.procs"
}
start() { # [COMMAND...]: that runs it
	: >"$tmp/log"
	"$@" "$reckond" --config "$tmp/conf" --subtree "$subtree" "${options[@]}" 2>"$tmp/log" &
	daemon=$!
	wait_for "grep -q ^Ready '$tmp/log'"
}
stop() {
	[ -z "$daemon" ] || kill -TERM "$daemon"
	wait "$daemon"
	daemon=''
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
says() { grep -qE "^(missing privilege|limitation): $1" "$tmp/log"; }

# What each case may log; the others must not be logged.  (Of CAP_SYS_RESOURCE, locked memory and its
# own oom_score_adj: the caller may lack these as well.)
declare -A line=(
	[kill]='may not kill processes of other users \(CAP_KILL\)'
	[nice]='may not raise priorities \(CAP_SYS_NICE\)'
	[fifo]='reapers run at normal priority'
	[boost]='self-test could not boost'
	[ptrace]='may not read smaps_rollup of others \(CAP_SYS_PTRACE\)'
	[dac]='may not thaw or kill groups of other users \(CAP_DAC_OVERRIDE\)'
	[userns]='in a user namespace'
	[v2]='may not thaw frozen groups \(v2\)'
	[v1]='may not thaw frozen groups \(v1\)'
	[thaw]='self-test could not thaw'
	[signal]='self-test could not signal'
	[ledger]='groups that are thawed are not frozen again if reckond is killed'
)
# NAME EXPECTED [COMMAND...]: starts it, compares its log with the words in EXPECTED, and has it
# kill a victim of root's.
try() {
	local name=$1 expected=" $2 " key wrong=''
	shift 2
	hold 16 ''
	start "$@"
	for key in "${!line[@]}"; do
		case $expected in
		*" $key "*) says "${line[$key]}" || wrong+=" not said: $key;" ;;
		*" $key? "*) ;;
		*) says "${line[$key]}" && wrong+=" said: $key;" ;;
		esac
	done
	check "[ -z '$wrong' ]" "$name:${wrong:- logs what it lacks (${expected# })}"
	if [ ${#options[@]} = 0 ]; then
		check "wait_for \"! is_alive $victim\"" "$name: does its work"
	else
		check "wait_for \"grep -q '^Would kill .*(pid $victim,' '$tmp/log'\"" "$name: makes its choice"
		kill -KILL "$victim"
	fi
	stop
}
can() { "$@" true 2>/dev/null; }

printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
chmod -R a+rX "$tmp"
options=()
runtime=''
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
	runtime=$(mktemp -d /dev/shm/check-limits.XXXXXX)
	trap 'cleanup; rm -r "$runtime"' EXIT
fi
export RUNTIME_DIRECTORY=${runtime:-/nonexistent}
ledger=${runtime:+}
[ -n "$runtime" ] || ledger=ledger

try 'all permissions' "$ledger"
[ -z "$runtime" ] || RUNTIME_DIRECTORY=/nonexistent try 'no runtime directory' ledger

if can setpriv --bounding-set -kill; then
	try 'no CAP_KILL' "$ledger kill" setpriv --bounding-set -kill
	try 'no CAP_SYS_NICE' "$ledger nice fifo boost" setpriv --bounding-set -sys_nice
	try 'no CAP_SYS_PTRACE' "$ledger ptrace" setpriv --bounding-set -sys_ptrace
	try 'no CAP_DAC_OVERRIDE' "$ledger dac" setpriv --bounding-set -dac_override

	# The largest process belongs to another user and may not be signalled: the next one is killed.
	hold 48 '' setpriv --reuid 65534 --clear-groups
	other=$victim
	hold 16 ''
	start setpriv --bounding-set -kill
	check "wait_for \"! is_alive $victim\" && is_alive $other" 'no CAP_KILL: kills the next one that it may kill'
	check "grep -q '(pid $other, .*cannot be killed: Operation not permitted' '$tmp/log'" 'and logs it'
	stop
	kill -KILL "$other"

	# A frozen group that was delegated to another user.
	mkdir "$mount$subtree/g"
	hold 16 /g
	echo 1 >"$mount$subtree/g/cgroup.freeze"
	chown 65534 "$mount$subtree/g/cgroup.freeze"
	wait_for "grep -q 'frozen 1' '$mount$subtree/g/cgroup.events'"
	start setpriv --bounding-set -dac_override
	check "wait_for \"! is_alive $victim\"" 'no CAP_DAC_OVERRIDE: SIGKILL for what cannot be thawed'
	check "grep -q 'Pid $victim: could not thaw: Permission denied' '$tmp/log'" 'and it logs it'
	check "[ \"\$(cat '$mount$subtree/g/cgroup.freeze')\" = 1 ]" 'and its group is as it was'
	stop
	hold 16 /g
	start
	check "wait_for \"! is_alive $victim\" && ! grep -q 'could not thaw' '$tmp/log'" \
		'with it, it may thaw the group of any user'
	stop
else
	skip 'single capabilities: no setpriv'
fi

if can unshare -m; then
	# shellcheck disable=SC2016 # in the shell of the namespace
	try 'cgroups that are read-only' "$ledger v2${freezer:+ v1}" unshare -m sh -c '
		mount -o remount,ro,bind "$1" && { [ -z "$2" ] || mount -o remount,ro,bind "$2"; } &&
		shift 2 && exec "$@"' sh "$mount" "$freezer"
else
	skip 'cgroups that are read-only: no mount namespace'
fi

# What of root is mapped into the namespace is still ours; but the capabilities are not real.
if can unshare -Ur; then
	try 'a user namespace' "$ledger userns nice? fifo boost ledger?" unshare -Ur
else
	skip 'a user namespace: none can be made'
fi
if can unshare -Urpf --mount-proc; then
	# All that there is to be seen is in it, as in a container: nothing is missing, but for the
	# priorities.
	options=(--dry-run)
	: >"$tmp/log"
	unshare -Urpf --mount-proc timeout 2 "$reckond" --config "$tmp/conf" --dry-run 2>"$tmp/log"
	check "! says '${line[userns]}' && grep -q ^Ready '$tmp/log'" 'in a container with its own users nothing is logged of it'
else
	skip 'a container: no pid namespace'
fi

# As an ordinary user.
options=(--dry-run)
if setpriv --reuid 65534 --clear-groups test -x "$reckond" 2>/dev/null; then
	try 'an ordinary user, dry run' 'kill nice fifo ptrace dac' setpriv --reuid 65534 --clear-groups
	printf '[Policy now]\nMemoryAvailable=0%%\nAction=kill\n' >"$tmp/conf"
	options=()
	start setpriv --reuid 65534 --clear-groups
	check "says '${line[v2]}' && says '${line[ledger]}' && ! says '${line[signal]}'" \
		'an ordinary user: no group may be thawed, its own processes may be killed'
	stop
else
	skip "an ordinary user: may not run $reckond"
fi

# With few files: what it keeps of processes leaves enough to choose and to kill.
if can prlimit --nofile=80:80; then
	options=()
	printf '[Policy now]\nMemoryAvailable=0%%\nAction=kill\n' >"$tmp/conf"
	start prlimit --nofile=80:80
	hold 32 ''
	printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
	kill -HUP "$daemon"
	check "wait_for '[ ! -e /proc/$victim ] || grep -q \"^State:.Z\" /proc/$victim/status'" 'with 80 files it kills all the same'
	check "! says 'Too many open files'" 'and lacks none'
	stop
else
	skip 'few files: no prlimit'
fi
exit $failed
