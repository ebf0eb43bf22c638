#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-log.sh: the daemon works although its log is not read: its standard error is a
# pipe that is full, or whose reader has exited; the journal accepts nothing.  When reading
# resumes, all queued messages are written in order, and the number of dropped ones.  Needs root and a cgroup2 mount
# for a subtree of its own; anything else is SKIP (77).
set -u

reckond=$(cd "${BUILDDIR:-.}" && pwd)/reckond
# shellcheck source=tests/daemon-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/daemon-helpers.sh"
mount=$(mount_of cgroup2 ,)
subtree=/reckond-log-$$
tmp=$(mktemp -d)

if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$subtree" 2>/dev/null; then
	echo "SKIP: this needs root and a cgroup2 mount"
	exit 77
fi
unset NOTIFY_SOCKET JOURNAL_STREAM
export STATE_DIRECTORY='' RUNTIME_DIRECTORY='' DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent

cleanup() {
	end_all
	rmdir "$mount$subtree"
	rm -r "$tmp"
}
trap cleanup EXIT

show_log() {
	[ ! -s "$tmp/log" ] || grep -av '^$\|^fill\|Nonsense' "$tmp/log" | tail -n 40 | sed 's/^/#   /'
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
# A process that holds so many MiB, in the subtree.
hold() { # MIB
	: >"$tmp/ready"
	perl -e '$0 = "hold"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' "$1" \
		>"$tmp/ready" &
	pids+=("$!")
	wait_for "[ -s '$tmp/ready' ]"
	echo "$!" >"$mount$subtree/cgroup.procs"
}
hold_three() { # MIB of the last, the others are larger; the last three of pids
	: >"$tmp/log"
	hold $(($1 + 32))
	hold $(($1 + 16))
	hold "$1"
}
all_three_go() { wait_for "! is_alive ${pids[-3]} && ! is_alive ${pids[-2]} && ! is_alive ${pids[-1]}"; }
as=() # a command by which the daemon is run
start() { # its standard error is our fd 8
	"${as[@]}" "$reckond" --config "$conf" --subtree "$subtree" 2>&8 8>&- 9>&- &
	daemon=$!
}
stop() { # sets status
	kill -TERM "$daemon"
	wait_for "! is_alive $daemon" || kill -KILL "$daemon"
	wait "$daemon"
	# shellcheck disable=SC2034 # in the conditions that check() evaluates
	status=$?
	daemon=''
}

good_conf() { printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n'; }
# (With a path that makes long lines of what is wrong in it.)
long=$(printf '%0200d' 0)
conf=$tmp/$long/$long/$long/conf
mkdir -p "${conf%/*}"
good_conf >"$conf"
mkfifo "$tmp/fifo"
# A pipe that takes nothing more: fd 8; from fd 9 it can be read.
open_full_pipe() {
	exec 9<>"$tmp/fifo" 8>"$tmp/fifo"
	# (The last lines one byte each: not one is to fit in.)
	perl -e 'use Fcntl; fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK); $x = "fill\n" x 800;
		1 while syswrite(STDOUT, $x); 1 while syswrite(STDOUT, "\n"); fcntl(STDOUT, F_SETFL, O_WRONLY)' >&8
}
# The lines about the last three of pids in $tmp/log, of these kinds, each one word: "1 2 3".
order_of() { # REGEX, with @ where the pid is
	local i
	for i in -3 -2 -1; do grep -nE "${1//@/${pids[i]}}" "$tmp/log" | sed "s/:.*/ $((i + 4))/"; done |
		sort -n | cut -d ' ' -f 2 | paste -sd ' '
}

# Whoever read has gone.
exec 9<>"$tmp/fifo" 8>"$tmp/fifo" 9>&-
hold 16
start
check "wait_for \"! is_alive ${pids[0]}\"" 'without a reader it kills its victim'
check "is_alive $daemon" 'and lives on'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exec 8>&-

# A pipe without a reader, for now.
open_full_pipe
hold_three 16
start
check all_three_go 'with a full pipe all three victims are killed'
# Much more than is kept: a hundred of these are a line each, and one line counts the others.
{ good_conf; for ((i = 0; i < 500; i++)); do echo "Nonsense$i=is not a key that there is in any configuration"; done; } >"$conf"
kill -HUP "$daemon"
sleep 1
cat <&9 >"$tmp/log" 8>&- &
reader=$!
check "wait_for \"grep -q '[0-9] messages were lost' '$tmp/log'\"" 'when it is read, lost messages are logged'
good_conf >"$conf"
kill -HUP "$daemon"
check "wait_for \"grep -q '^The configuration was reloaded' '$tmp/log'\"" 'and logging continues from there'
check "grep -q '^Ready' '$tmp/log' && [ '$(order_of '^Killing hold \(pid @,')' = '1 2 3' ]" \
	'and there is all that was said before, in order'
check "[ '$(order_of '^Killed hold \(pid @,')' = '1 2 3' ]" 'and their outcomes'
kept=$(grep -c 'Nonsense' "$tmp/log") lost=$(sed -n 's/ messages were lost.*//p' "$tmp/log")
# (And that the configuration was refused, for standard error and for the journal; and what was said
# of memory meanwhile.)
check "[ '$kept' -gt 0 ] && [ '$lost' -ge $((103 - kept)) ] && [ '$lost' -le $((113 - kept)) ]" \
	"each is there or was counted ($kept and $lost of 103 and a few)"
check "[ \"\$(grep -nE 'Nonsense|lost|was reloaded' '$tmp/log' | tail -n 2 | grep -c 'lost\|reloaded')\" = 2 ]" 'in its place'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exec 8>&- 9>&-
kill "$reader" 2>/dev/null
wait "$reader" 2>/dev/null

# And then it gets SIGTERM.
open_full_pipe
hold 16
start
check "wait_for \"! is_alive ${pids[-1]}\"" 'with a full pipe a victim is killed'
SECONDS=0
stop
check "[ $status = 0 ] && [ $SECONDS -le 5 ]" 'and SIGTERM stops it soon, without a reader'
exec 8>&- 9>&-

# The journal: a socket that is full.
mkdir "$tmp/journal"
# Opens it, fills it; reads when a file exists, a line for each field.
cat >"$tmp/journald" <<'END'
use Socket;
my ($path, $go, $log, $in, $out, $entry) = @ARGV;
socket($in, PF_UNIX, SOCK_DGRAM, 0) && bind($in, sockaddr_un($path)) or die "$path: $!";
socket($out, PF_UNIX, SOCK_DGRAM, 0) && connect($out, sockaddr_un($path)) or die $!;
1 while send($out, "MESSAGE=fill\n", MSG_DONTWAIT);
$| = 1;
print "full\n";
select(undef, undef, undef, 0.05) until -e $go;
open(my $f, '>', $log);
$f->autoflush(1);
print $f $entry while defined recv($in, $entry, 65536, 0);
END
: >"$tmp/ready"
perl -MIO::Handle "$tmp/journald" "$tmp/journal/socket" "$tmp/go" "$tmp/log" >"$tmp/ready" &
pids+=("$!")
# shellcheck disable=SC2016 # in the shell of the namespace
as=(unshare -m sh -c 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
	mount --bind "$0" /run/systemd/journal && exec "$@"' "$tmp/journal")
if ! wait_for "grep -q full '$tmp/ready'" || ! "${as[@]}" true 2>/dev/null; then
	echo "skip - the journal: no socket, or no mount namespace to put it in"
	exit $failed
fi
hold_three 16
exec 8>/dev/null
start
check all_three_go 'with a full journal all three victims are killed'
: >"$tmp/go"
entries_are_in_order() { [ "$(order_of '^RECKOND_VICTIM_PID=@$')" = '1 1 2 2 3 3' ]; }
check 'wait_for entries_are_in_order' 'when it reads, the entries of all three come, in order'
check "grep -q '^MESSAGE=Killing .*(pid ${pids[-1]},' '$tmp/log' && grep -q '^MESSAGE_ID=3c1f0a5d0f7e4b0c9a52a4e7c6f1d280' '$tmp/log'" \
	'with what was said, and by what it is found'
check "grep -q '^SYSLOG_IDENTIFIER=reckond' '$tmp/log' && grep -q '^PRIORITY=4' '$tmp/log' && grep -qx 'RECKOND_VICTIM_CGROUP=$subtree' '$tmp/log'" \
	'and its fields'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exec 8>&-
exit $failed
