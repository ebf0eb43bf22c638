#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-daemon.sh: the daemon itself, as a process, on a subtree of our own: it logs what it found,
# kills the right one, reads its configuration again, never signals in a dry run, and stops when
# it gets SIGTERM; and its history is the same after a restart.  Needs root and a cgroup2 mount; anything else is SKIP (77).
set -u

reckond=${BUILDDIR:-.}/reckond
# shellcheck source=tests/daemon-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/daemon-helpers.sh"
mount=$(mount_of cgroup2 ,)
subtree=/reckond-check-$$
tmp=$(mktemp -d)
mkdir "$tmp/state"
export STATE_DIRECTORY=$tmp/state
history=$tmp/state/history.json

if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$subtree" 2>/dev/null; then
	echo "SKIP: this needs root and a cgroup2 mount"
	exit 77
fi

cleanup() {
	end_all
	for group in "$mount$subtree"/*/; do [ ! -d "$group" ] || rmdir "$group"; done
	rmdir "$mount$subtree"
	rm -r "$tmp"
}
trap cleanup EXIT

group='' # below the subtree: where the next one is
# A process that holds so many MiB, in the subtree.  (A shell would be avoided: see reckond.conf(5).)
hold() { # MIB [COMMAND...], by which it is run
	"${@:2}" perl -e '$0 = "hold"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' "$1" \
		>"$tmp/ready" &
	pids+=("$!")
	wait_for "[ -s '$tmp/ready' ]"
	: >"$tmp/ready"
	echo "$!" >"$mount$subtree$group/cgroup.procs"
}
as=() # a command by which the daemon is run
start() { # ARGUMENT...
	: >"$tmp/log" # lines of the last one are not to be taken for this one's
	"${as[@]}" "$reckond" --config "$tmp/conf" --subtree "$subtree" "$@" 2>"$tmp/log" &
	daemon=$!
	wait_for "grep -q ^Ready '$tmp/log'"
}
stop() { # sets status
	kill -TERM "$daemon"
	wait "$daemon"
	# shellcheck disable=SC2034 # in the conditions that check() evaluates
	status=$?
	daemon=''
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }

# A dry run: names the victim, signals no process.
printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
hold 16
small=${pids[0]}
hold 64
large=${pids[1]}
start --dry-run
check "wait_for \"grep -q '^Would kill .*(pid $large,' '$tmp/log'\"" 'a dry run names the largest of the subtree'
check "is_alive $large && is_alive $small" 'a dry run signals no process'
for found in memory: swap: pressure: cgroups: counting: policy; do
	check "grep -q '^$found' '$tmp/log'" "it logs what it found: $found"
done
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'

# The whole path.  The subtree is left alone at first: a policy that does not hold.
printf '[Policy now]\nMemoryAvailable=0%%\nAction=kill\n' >"$tmp/conf"
start
check "! grep -q '^Killing' '$tmp/log'" 'it kills nothing while nothing is wrong'
check "! grep -qE '(missing privilege|limitation): self-test' '$tmp/log'" 'the self-test finds nothing that does not work'

# Nothing is forked once there are threads.
stop
if command -v strace >/dev/null && strace -o "$tmp/trace" true 2>/dev/null; then
	as=(strace -f -qq -e 'trace=clone,clone3,fork,vfork' -o "$tmp/trace")
	start
	as=()
	main=$(head -n 1 "$tmp/trace" | cut -d ' ' -f 1)
	grep -E "^$main +(clone3?|v?fork)\(" "$tmp/trace" >"$tmp/calls"
	check "[ \$(sed -n '/CLONE_THREAD/,\$p' '$tmp/calls' | grep -vc CLONE_THREAD) = 0 ] &&
		[ \$(grep -vc CLONE_THREAD '$tmp/calls') = 2 ]" 'what it forks is forked before there are threads'
	kill -TERM "$(cat "/proc/$daemon/task/$daemon/children")" # strace itself does not pass the signal on
	wait "$daemon"
	daemon=''
else
	echo 'skip - what it forks is forked before there are threads: no strace here'
fi
start

# A configuration with an error changes nothing; one without is taken at once.
printf '[Policy now]\nMemoryAvailable=plenty\n' >"$tmp/conf"
kill -HUP "$daemon"
check "wait_for \"grep -q 'the old one stays' '$tmp/log'\"" 'a bad configuration is refused'
check "grep -q '^$tmp/conf:2: ' '$tmp/log'" 'and its error is named with its place'
check "is_alive $large" 'and no process is killed'
printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
kill -HUP "$daemon"
check "wait_for \"! is_alive $large\"" 'with a good one the largest is killed'
check "wait_for \"grep -qE '^Killing .*\\(pid $large,.* [12] of 2 candidates read; next would be [a-z]+ \\(pid $small, ' '$tmp/log'\"" \
	'and the next victim is named'
check "wait_for \"grep -qE '^Killed .*\\(pid $large, .*: ([0-9.]+ .?i?B reclaimed in [0-9]+ ms|exited after [0-9]+ ms)' '$tmp/log'\"" 'and it is logged'
check "grep -qE '\\(pid $large, .*(reclaimed in|little more is available)' '$tmp/log'" 'with what was reclaimed'
check "wait_for \"! is_alive $small\"" 'then the other, as the policy still holds'
check "wait_for \"grep -q 'no process is worth killing' '$tmp/log'\"" 'and that no other is left is logged'
check "[ \$(grep -c '^Killing' '$tmp/log') = 2 ]" 'each once, and none outside the subtree'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'

# The history: the dry run, both kills, and the decision without a victim; a line each.
# KIND PID KEY: that number in the entry.
number_of() {
	sed -n "s/,\"ranked\":.*//;/\"kind\":\"$1\".*\"pid\":$2,/s/.*\"$3\":\([0-9]*\).*/\1/p" "$history"
}
is_between() { [ -n "$1" ] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
n_entries() { grep -c '^{"id":' "$history"; }
of_largest() { number_of killed "$large" "$1"; }
check '[ "$(n_entries)" = 4 ]' 'the history has all four'
check '[ "$(number_of dry-run "$large" id)" = 1 ]' 'the dry run first'
check '[ "$(of_largest id)" = 2 ] && [ "$(number_of killed "$small" id)" = 3 ]' 'then both kills'
check "grep -qE '^\\{\"id\":3,.*\"outcome\":\"(exited|reclaimed)\",.*\"signal\":\"SIGKILL\"' '$history'" 'with the outcome'
check "grep -q '^{\"id\":4,.*\"kind\":\"no-victim\"' '$history'" 'and that no other was left'
check 'is_between "$(of_largest footprint_bytes)" $((64 << 20)) $((80 << 20))' 'how much was expected to be freed'
check '[ -n "$(of_largest reclaimed_bytes)" ] && [ -n "$(of_largest available_before_bytes)" ]' \
	'how much was reclaimed'
check 'is_between "$(of_largest signal_usec)" 0 "$(of_largest exited_usec)"' \
	'and when each step was over'

# It is there again after a restart, and is written while the daemon runs, when the disk works again.
hold 32
# shellcheck disable=SC2034 # in the conditions that check() evaluates
third=${pids[2]}
start
check "grep -q '^history: kept in $tmp/state, 4 of earlier' '$tmp/log'" 'a new daemon knows the history'
check "wait_for \"grep -q 'no process is worth killing' '$tmp/log'\"" 'it kills the next one'
printf '[Policy now]\nMemoryAvailable=0%%\nAction=kill\n' >"$tmp/conf"
kill -HUP "$daemon"
check 'wait_for "[ \"\$(number_of killed $third id)\" = 5 ]"' 'and that is in the file soon'
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
start
check "grep -q '^history: .* 6 of earlier' '$tmp/log'" 'which outlives a SIGKILL'
stop
check '[ "$(n_entries)" = 6 ]' 'and a stop without anything new'

# A damaged one is no reason not to start.
echo '{"version":1,"entries":[{"id":' >"$history"
start
check "[ \$(grep -c 'is no history' '$tmp/log') = 1 ]" 'a damaged history is one line'
check '[ -e "$history.bad" ] && [ ! -e "$history" ]' 'and set aside'
check "grep -q '^Ready' '$tmp/log'" 'and the daemon runs'
stop
STATE_DIRECTORY=$tmp/missing
start
check "grep -q '^Cannot use the state directory .*no history is kept' '$tmp/log' && grep -q '^Ready' '$tmp/log'" \
	'it runs without a state directory, too'
stop
printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
STATE_DIRECTORY=

# As an ordinary user: a process that may not be signalled is tried once, and the next one is killed.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if "${nobody[@]}" test -x "$reckond"; then
	chmod 755 "$tmp"
	chown -R 65534 "$mount$subtree"
	hold 64
	large=${pids[-1]}
	hold 16 "${nobody[@]}"
	small=${pids[-1]}
	as=("${nobody[@]}")
	start
	check "wait_for \"! is_alive $small\"" 'an ordinary user'"'"'s own process is killed'
	check "grep -q '(pid $large, .* cannot be killed: Operation not permitted.* skipped for 30 s' '$tmp/log'" \
		'instead of the larger one, which it may not kill'
	check "wait_for \"grep -q 'no process is worth killing.* 1 skipped' '$tmp/log'\"" 'then it is logged that no other is left'
	check "[ \$(grep -c '(pid $large, .* cannot be killed' '$tmp/log') = 1 ] && is_alive $large" \
		'and no process is tried in a loop'
	stop
	check '[ $status = 0 ]' 'SIGTERM: exit status 0'
else
	echo "SKIP: an ordinary user may not run $reckond"
fi

# A whole cgroup: together they are larger than the one beside them.  (One that is left in the subtree
# itself would be killed by itself.)
as=()
! is_alive "$large" || kill -KILL "$large"
mkdir "$mount$subtree/job" "$mount$subtree/beside"
group=/beside
hold 32
group=/job
hold 24
hold 24
printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\nTarget=cgroup\n' >"$tmp/conf"
start
check "wait_for \"grep -q '^Killing cgroup $subtree/beside ' '$tmp/log'\"" 'then it is the turn of the other cgroup'
check "grep '^Killing' '$tmp/log' | head -n 1 | grep -q '^Killing cgroup $subtree/job (2 processes, '" \
	'the cgroup that holds most is killed first'
check "grep -qE '^Killed cgroup $subtree/job \\(.* (reclaimed in|exited after)' '$tmp/log'" 'and it is logged'
check "! is_alive ${pids[-1]} && ! is_alive ${pids[-2]}" 'with all in it'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'

# What is read between SIGTERM and SIGKILL counts: a victim may be protected by it.
group=''
printf '[Policy now]\nMemoryAvailable=0%%\nAction=terminate\nGrace=2s\n' >"$tmp/conf"
perl -e '$SIG{TERM} = "IGNORE"; $0 = "deaf"; $x = "x" x (96 << 20); $| = 1; print "ready\n"; sleep 1000' >"$tmp/ready" &
deaf=$!
pids+=("$deaf")
wait_for "[ -s '$tmp/ready' ]"
mkdir "$mount$subtree/deaf"
echo "$deaf" >"$mount$subtree/deaf/cgroup.procs"
start
sed -i 's/=0%/=100%/' "$tmp/conf"
kill -HUP "$daemon"
check "wait_for \"grep -q '^Killing deaf ' '$tmp/log'\"" 'one that ignores SIGTERM gets it'
printf '[Protect it]\nComm=deaf\n' >>"$tmp/conf"
kill -HUP "$daemon"
check "wait_for \"grep -q '^deaf (.* is not killed' '$tmp/log'\" && is_alive $deaf" 'and spared, where it is protected meanwhile'
check "[ \"\$(grep -E '^deaf |was reloaded' '$tmp/log' | grep -c 'was reloaded')\" = 2 ]" 'as the configuration was read in between'
printf '[Policy now]\nMemoryAvailable=100%%\nAction=terminate\nGrace=1s\n' >"$tmp/conf"
kill -HUP "$daemon"
check "wait_for \"grep -q '^Killed deaf (' '$tmp/log'\" && ! is_alive $deaf" 'and killed, where it is not any more'
stop

# A subtree by the configuration need not be there yet.

start_without_subtree() { # the file names it
	: >"$tmp/log"
	"$reckond" --config "$tmp/conf" --dry-run 2>"$tmp/log" &
	daemon=$!
	wait_for "grep -q ^Ready '$tmp/log'"
}
printf '[Daemon]\nMinVictim=1M\nSubtree=%s/later\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' "$subtree" >"$tmp/conf"
start_without_subtree
check "wait_for \"grep -q '^Subtree $subtree/later: there is no such cgroup' '$tmp/log'\"" 'a subtree that is not there is logged'
check "wait_for \"grep -q 'no process is worth killing' '$tmp/log'\"" 'and none is chosen'
mkdir "$mount$subtree/later"
group=/later
hold 8
check "wait_for \"grep -q '^Would kill hold (pid ${pids[-1]},' '$tmp/log'\"" 'until it is there'
stop
exit $failed
