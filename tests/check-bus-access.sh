#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-bus-access.sh: reckond on a D-Bus bus that permits more than ours, that is queried in calm
# again and again, and where users do not see the processes of others.
#
# On a private bus, with a subtree of our own.  Needs root, a cgroup2 mount, dbus-daemon, busctl and
# jq; anything else is SKIP (77).  Environment: BUILDDIR, SRCDIR.
set -uo pipefail

# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

#
# A bus that permits everything to every user
#
quiet_conf >"$tmp/conf"
write_bus_conf '<policy context="mandatory"><allow send_destination="org.reckond1"/></policy>'
start_bus
start --dry-run
check 'wait_for is_there 20' 'it is there'
lines=$(grep -c 'was reloaded' "$tmp/log")
denied() { # NAME OBJECT METHOD ARGUMENT...
    if ! command -v dbus-send >/dev/null; then
        skip "$1: dbus-send is not installed"
        return
    fi
    "${nobody[@]}" dbus-send --system --print-reply --dest=org.reckond1 "${@:2}" >"$tmp/out" 2>&1
    check "grep -q 'AccessDenied: Only root may do this' '$tmp/out'" "$1"
}
denied 'Reload is for root (reckond itself)' /org/reckond1 org.reckond1.Manager.Reload
denied 'the log level is for root (reckond itself)' /org/freedesktop/LogControl1 org.freedesktop.DBus.Properties.Set \
    string:org.freedesktop.LogControl1 string:LogLevel variant:string:debug
check "[ \$(grep -c 'was reloaded' '$tmp/log') = $lines ] && [ \"\$(level LogLevel)\" = info ]" 'and nothing was done'
check 'call Reload' 'root may'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'

#
# In calm, with frequent requests: the present state
#
{ quiet_conf; printf '[Protect nobody]\nUser=nobody\n'; } | sed 's/^WatchBelow=.*/WatchBelow=0%/' >"$tmp/conf"
start --dry-run
wait_for is_there 20
hold 64
large=$held
hold 40 '$x = "x" x ($ARGV[0] << 20); $SIG{USR1} = sub { $0 = "renamed"; $> = 65534 };
    $| = 1; print "ready\n"; sleep 1000 while 1;'
first() { # MEMBER: of the ranking
    list ListCandidates
    answer ".[0].$1"
}
check "wait_for '[ \"\$(first Pid)\" = $large ]'" 'in calm: the largest is the victim'
echo 900 >"/proc/$held/oom_score_adj"
check "wait_for '[ \"\$(first Pid) \$(first OomScoreAdj)\" = \"$held 900\" ]'" 'another one, when it is adjusted'
mkdir "$mount$subtree/moved"
echo "$held" >"$mount$subtree/moved/cgroup.procs"
check "wait_for '[ \"\$(first Cgroup | jq -r .)\" = $subtree/moved ]'" 'it is seen to have moved'
kill -USR1 "$held"
check "wait_for '[ \"\$(first Pid)\" = $large ]'" 'to another user: now a rule protects it'
call Explain u "$held"
check "answer '.data[0] | [.Excluded.data, .Reason.data]' | grep -q 'protected.*renamed.*user nobody'" 'and this is the process'
end KILL "$held" "$large"
wait_for "rmdir '$mount$subtree/moved' 2>/dev/null"
stop

#
# Where users do not see the processes of others
#
if unshare -m mount -t proc -o hidepid=2 proc /proc 2>/dev/null; then
    if has_gdbus; then
        : >"$tmp/signals"
        timeout 600 "${nobody[@]}" gdbus monitor --system --dest org.reckond1 >"$tmp/signals" 2>&1 &
        pids+=("$!")
        wait_for "[ -s '$tmp/signals' ]"
    fi
    hold 64
    quiet_conf >"$tmp/conf"
    : >"$tmp/log"
    unshare -m bash -c 'mount -t proc -o hidepid=2 proc /proc && exec "$@"' - "$build/reckond" --config "$tmp/conf" --subtree "$subtree" 2>"$tmp/log" &
    daemon=$!
    wait_for "grep -q ^Ready '$tmp/log'"
    wait_for is_there 20
    for method in 'Explain u 0' "Explain u $held" 'GetHistory u 0' 'ListCandidates uu 0 0' 'ListHistory tu 0 0'; do
        # shellcheck disable=SC2086
        check "! call_as_nobody $method && grep -q 'Access denied' '$tmp/out'" "hidepid: ${method%% *} shows processes to root only"
        # shellcheck disable=SC2086
        check "call $method" 'but it does root'
    done
    for method in 'ListCgroups uu 0 0' 'ListRules uu 0 0' 'ListPolicies uu 0 0'; do
        # shellcheck disable=SC2086
        check "call_as_nobody $method" "hidepid: ${method%% *} is for everyone"
    done
    { quiet_conf; printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n'; } >"$tmp/conf"
    call Reload
    check "! has_gdbus || wait_for \"grep -q 'Killed ({' '$tmp/signals'\" 20" 'hidepid: Killed is sent'
    check "! has_gdbus || ! grep 'Killed ({' '$tmp/signals' | grep -q \"'Pid'\\|hold\\|'Uid'\\|Cgroup\\|Ranked': <\[{\"" 'but not which process it was'
    stop
else
    skip 'hidepid: /proc cannot be mounted here'
fi
exit $failed
