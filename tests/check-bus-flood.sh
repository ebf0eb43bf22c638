#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-bus-flood.sh: clients of the bus that ask and never read, ask for much, or send much: reckond
# keeps its size, and answers others; it reconnects to a bus that accepts no data; lists are returned in
# pages.
#
# Times are printed, but not checked here (see bench/flood): they depend on the bus.
# Anything but root, a cgroup2 mount, dbus-daemon, busctl and jq is SKIP (77).
# Environment: BUILDDIR, SRCDIR.
set -uo pipefail
# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

write_bus_conf ''
quiet_conf >"$tmp/conf"
# A history that takes many pages.
mkdir "$tmp/state"
jq -n '{version: 1, entries: [range(1; 101) | {id: ., time_usec: (1700000000000000 + . * 1000000), boot: "0123456789abcdef0123456789abcdef",
    kind: "killed", policy: "kill", action: "kill", target: "process", rank_by: "footprint", pid: (1000 + .), uid: 1000, comm: "hog",
    cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox.scope", outcome: "exited", signal: "SIGKILL",
    footprint_bytes: 1073741824, ranked: [range(0; 8) | {pid: ., comm: "hog", cgroup: "/user.slice", footprint_bytes: 1048576, verdict: "smaller"}]}]}' \
    >"$tmp/state/history.json"
export STATE_DIRECTORY=$tmp/state
# (With AddressSanitizer in it: what is freed is not kept, as its size is looked at.)
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0
start_bus
start --dry-run
check 'wait_for is_there 20' 'it is on the bus'

#
# Pages
#
rows() { # METHOD SIGNATURE FIRST LIMIT: how many come
    busctl --system call "${manager[@]}" "$@" 2>"$tmp/out" | awk '{ print $2 }'
}
first=$(rows ListHistory tu 0 0)
check "[ '$first' -gt 1 ] && [ '$first' -lt 20 ]" 'ListHistory: a page, not all'
check "[ \"\$(rows ListHistory tu 0 2)\" = 2 ]" 'ListHistory: no more than requested'
check "[ \"\$(rows ListHistory tu 3 0)\" = 2 ]" 'ListHistory: older ones'
check "[ \"\$(rows ListHistory tu 1 0)\" = 0 ]" 'ListHistory: none is older than the oldest'
check "[ \"\$(rows GetHistory u 0)\" = $first ]" 'GetHistory: the first page'
"$build/reckonctl" --json history 0 >"$tmp/out" 2>&1
check "[ \"\$(jq -c '[.entries[].id] == [range(100; 0; -1)]' '$tmp/out')\" = true ]" 'reckonctl history: all of them, by pages'
"$build/reckonctl" --json history 33 >"$tmp/out" 2>&1
check "[ \"\$(jq -c '[.entries[].id] == [range(100; 67; -1)]' '$tmp/out')\" = true ]" 'as many as requested'
{ quiet_conf; for i in {1..300}; do printf '[Avoid r%d]\nCgroup=/a-cgroup-with-a-long-name-so-that-there-are-pages-of-rules/%d\n' $i $i; done; } >"$tmp/conf"
call Reload
"$build/reckonctl" --json rules >"$tmp/out" 2>&1
check "[ \"\$(jq '.rules | map(select(.name | test(\"^r[0-9]\"))) | length' '$tmp/out')\" = 300 ]" 'reckonctl rules: all of them, by pages'
check "[ \"\$(rows ListRules uu 0 0)\" -lt 300 ] && [ \"\$(rows ListRules uu 0 7)\" = 7 ] && [ \"\$(rows ListRules uu 100000 0)\" = 0 ]" 'ListRules: pages'
check "[ \"\$(rows ListPolicies uu 0 0)\" = 5 ] && [ \"\$(rows ListPolicies uu 3 0)\" = 2 ]" 'ListPolicies'
hold 16
hold 32
wait_for "[ \"\$(rows ListCandidates uu 0 0)\" = 2 ]"
busctl --system call "${manager[@]}" ListCandidates uu 0 1 >"$tmp/out" 2>&1
check "grep -q \"\\\"Pid\\\" u $held .*\\\"Comm\\\" s \\\"hold\\\" .*\\\"Verdict\\\" s \\\"chosen\\\"\" '$tmp/out'" 'ListCandidates: what is known of each'
check "[ \"\$(rows ListCandidates uu 1 0)\" = 1 ] && [ \"\$(rows ListCandidates uu 2 0)\" = 0 ]" 'ListCandidates: from one on'
check "[ \"\$(rows ListCgroups uu 0 2)\" = 2 ] && [ \"\$(rows ListCgroups uu 256 0)\" = 0 ]" 'ListCgroups'
quiet_conf >"$tmp/conf"
call Reload

#
# Floods
#
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$daemon/status"; } # KiB
since() { echo "$(((${EPOCHREALTIME/./} - $1) / 1000)) ms"; }
flood() { # CLIENTS SECONDS KIND
    : >"$tmp/flood"
    "${nobody[@]}" "$build/tests/bus-flood" "$@" >"$tmp/flood" 2>&1 &
    flood=$!
    pids+=("$flood")
    wait_for "grep -q . '$tmp/flood'"
}
call_again() { # until it is answered, for two minutes
    local until=$((SECONDS + 120))
    until call ListPolicies uu 0 0; do # (a bus whose queue for reckond is full refuses it at once)
        [ $SECONDS -lt $until ] || return
        sleep 0.1
    done
}
while read -r clients seconds kind; do
    before=$(field VmRSS)
    echo 5 >"/proc/$daemon/clear_refs" # VmHWM begins anew
    flood "$clients" "$seconds" "$kind"
    sleep 0.3
    at=${EPOCHREALTIME/./}
    call_again
    answered=$?
    took=$(since "$at")
    wait "$flood"
    check "[ $answered = 0 ] && is_alive $daemon" "$clients clients that never read ($kind): another one is answered (after $took; $(tail -n 1 "$tmp/flood"))"
    grew=$(($(field VmHWM) - before))
    check "[ $grew -lt 2048 ]" "and reckond has grown by less than 2 MiB ($grew KiB)"
done <<END
4 3 mixed
50 3 history
50 3 explain
4 2 noreply
4 2 large
END
check 'call_again' 'it answers when it is over'
echo "timer latency: $(get TimerLatencyMaxUSec) us"

#
# A bus that takes nothing: it is stopped while there is much to be answered
#
flood 50 60 history
sleep 1
kill -STOP "$bus"
check "wait_for \"grep -q '^bus: accepts nothing' '$tmp/log'\" 40" 'a bus that takes nothing is left'
kill -CONT "$bus"
end KILL "$flood"
check 'wait_for is_there 60' 'and joined again'
check 'call_again' 'and it answers'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exit $failed
