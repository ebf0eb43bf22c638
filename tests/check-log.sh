#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-log.sh: the daemon does its work though nobody reads what it says: its standard error is a
# pipe whose reader has gone.  Needs root and a cgroup2 mount for a scope of its own; anything else is
# SKIP (77).
set -u

reckond=$(cd "${BUILDDIR:-.}" && pwd)/reckond
mount=$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
	/proc/self/mountinfo)
scope=/reckond-log-$$
tmp=$(mktemp -d)
pids=() daemon='' failed=0

if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$scope" 2>/dev/null; then
	echo "SKIP: this needs root and a cgroup2 mount"
	exit 77
fi
unset NOTIFY_SOCKET JOURNAL_STREAM
export STATE_DIRECTORY='' RUNTIME_DIRECTORY='' DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent

cleanup() {
	[ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
	wait 2>/dev/null
	rmdir "$mount$scope"
	rm -r "$tmp"
}
trap cleanup EXIT

check() { # CONDITION NAME
	if eval "$1"; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		failed=1
	fi
}
wait_for() { # CONDITION: for ten seconds
	local i
	for ((i = 0; i < 200; i++)); do
		eval "$1" && return
		sleep 0.05
	done
	return 1
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
# A process that holds so many MiB, in the scope.
hold() { # MIB
	: >"$tmp/ready"
	perl -e '$0 = "hold"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' "$1" \
		>"$tmp/ready" &
	pids+=("$!")
	wait_for "[ -s '$tmp/ready' ]"
	echo "$!" >"$mount$scope/cgroup.procs"
}
start() { # its standard error is our fd 8
	"$reckond" --config "$tmp/conf" --scope "$scope" 2>&8 8>&- &
	daemon=$!
}
stop() { # sets status
	kill -TERM "$daemon"
	wait "$daemon"
	# shellcheck disable=SC2034 # in the conditions that check() evaluates
	status=$?
	daemon=''
}

printf '[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/conf"
mkfifo "$tmp/fifo"

# Whoever read has gone.
exec 9<>"$tmp/fifo" 8>"$tmp/fifo" 9>&-
hold 16
start
check "wait_for \"! is_alive ${pids[0]}\"" 'without a reader it ends its victim'
check "is_alive $daemon" 'and lives on'
stop
check '[ $status = 0 ]' 'SIGTERM ends it well'
exec 8>&-
exit $failed
