#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-private.sh: reckond's private socket: root is answered without a bus, and while clients flood
# the bus; other users are not; what clients do that send no D-Bus, half a message or nothing, do not
# read, or are too many; a socket that was left behind, and that of another daemon.
#
# Needs what check-bus.sh does, and perl; anything else is SKIP (77).  Environment: BUILDDIR, SRCDIR.
set -uo pipefail

# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

quiet_conf >"$tmp/conf"
mkdir "$tmp/run"
export RUNTIME_DIRECTORY=$tmp/run
# (With AddressSanitizer in it: what is freed is not kept, as its size is looked at.)
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0
socket=$tmp/run/private
ctl() { timeout 30 "$build/reckonctl" "$@" >"$tmp/out" 2>&1; status=$?; }
is_private() { [ $status = 0 ] && [ "$(answer .connection)" = '"private"' ]; }
number=0
client() { # KIND: sets events, the file of what happens
    number=$((number + 1))
    events=$tmp/client$number
    : >"$events"
    perl "$source/tests/private-client.pl" "$socket" "$1" >"$events" 2>&1 &
    client=$!
    pids+=("$client")
    wait_for "[ -s '$events' ]"
}
seconds_open() { sed -n 's/^closed after \([0-9]*\) s$/\1/p' "$1"; }

#
# Without a bus
#
start --dry-run
check "[ \"\$(stat -c '%F %a %u' '$socket')\" = 'socket 600 0' ]" 'there is a socket, for root alone'
check "! grep -q \"socket 'private'\" '$tmp/log'" 'and no lack of it is reported'
ctl --json status
check "is_private && [ \"\$(answer '[.source, .running, .state]')\" = '[\"daemon\",true,\"watch\"]' ]" 'status, without a bus'
ctl explain
check "[ $status = 0 ] && grep -q '^Answered by reckond on its private socket\.$' '$tmp/out'" 'explain says where it asked'
ctl --json explain
check is_private 'and so does its JSON'
ctl --json history
check is_private 'history'
printf '[Prefer holders]\nComm=^hold$\nWeight=3\n' >>"$tmp/conf"
ctl reload
check "[ $status = 0 ] && grep -q 'has reloaded' '$tmp/out'" 'reload'
ctl --json rules
check "is_private && [ \"\$(answer '[.rules[] | select(.name == \"holders\") | .weight]')\" = '[3]' ]" 'rules: those that were reloaded'
echo 'Bogus=1' >>"$tmp/conf"
ctl reload
check "[ $status = 2 ] && grep -q 'conf:[0-9]*: .*Bogus' '$tmp/out'" 'a reload with an error is refused'
quiet_conf >"$tmp/conf"
ctl reload
if command -v dbus-send >/dev/null; then
    dbus-send --peer="unix:path=$socket" --print-reply /org/reckond1 org.freedesktop.DBus.Introspectable.Introspect >"$tmp/out" 2>&1
    check "grep -q 'org.reckond1.Manager' '$tmp/out'" 'another library (libdbus): introspection'
    dbus-send --peer="unix:path=$socket" --print-reply /org/reckond1 org.reckond1.Manager.ListPolicies uint32:0 uint32:1 >"$tmp/out" 2>&1
    check "grep -q 'string \"warn\"' '$tmp/out'" 'and a method'
    for level in debug info; do
        dbus-send --peer="unix:path=$socket" --print-reply /org/freedesktop/LogControl1 org.freedesktop.DBus.Properties.Set \
            string:org.freedesktop.LogControl1 string:LogLevel variant:string:$level >"$tmp/out" 2>&1
        check "wait_for \"grep -q '^log: level $level' '$tmp/log'\" && grep -q 'method return' '$tmp/out'" "the log level is set ($level)"
    done
else
    skip 'libdbus: dbus-send is not installed'
fi
for kind in together parts; do
    client $kind
    wait "$client"
    check "[ \$(grep -cx answered '$events') = 2 ]" "calls that come with the end of the login ($kind)"
done

#
# Other users
#
"${nobody[@]}" perl "$source/tests/private-client.pl" "$socket" idle >"$tmp/out" 2>&1
check "grep -qi 'not connected: Permission denied' '$tmp/out'" 'another user cannot connect'
chmod 755 "$tmp/run"
chmod 666 "$socket"
"${nobody[@]}" timeout 20 perl "$source/tests/private-client.pl" "$socket" idle >"$tmp/out" 2>&1
check "grep -qx refused '$tmp/out'" 'nor is it answered where the mode of the socket permits it'
"${nobody[@]}" timeout 20 "$build/reckonctl" --json status >"$tmp/out" 2>"$tmp/err"
check "grep -q '^reckonctl: cannot query reckond: no system bus' '$tmp/err'" 'reckonctl of another user asks the bus'
chmod 600 "$socket"

#
# Clients that misbehave
#
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$daemon/status"; } # KiB
processes() { ctl --json status; answer .processes; }
before=$(field VmRSS) processes=$(processes)
echo 5 >"/proc/$daemon/clear_refs" # VmHWM begins anew
client garbage
garbage=$events
check "wait_for '[ -n \"\$(seconds_open $garbage)\" ]'" 'one that sends no D-Bus is disconnected'
client nothing
nothing=$events
client half
half=$events
client large
large=$events
client deaf
deaf=$events
ctl --json status
check is_private 'beside clients that send nothing, half a call, a large one, or do not read, another one is answered'
check "wait_for '[ -n \"\$(seconds_open $nothing)\" ]' 60" "one that does not log in is disconnected"
check "wait_for '[ -n \"\$(seconds_open $half)\" ]' 60" "one that sends half a call is"
check "wait_for '[ -n \"\$(seconds_open $large)\" ]' 60" "one that does not send the rest of a large call is"
check "wait_for '[ -n \"\$(seconds_open $deaf)\" ]' 60" "one that does not read is"
echo "open for $(seconds_open "$nothing"), $(seconds_open "$half"), $(seconds_open "$large") and $(seconds_open "$deaf") s"
grew=$(($(field VmHWM) - before)) # (where others have started processes meanwhile, by some more for each)
more=$(($(processes) - processes))
check "[ $grew -lt $((2048 + 2 * (more > 0 ? more : 0))) ]" "and reckond has grown by less than 2 MiB ($grew KiB; $more processes more)"

#
# Many of them
#
idle=()
for _ in {1..8}; do
    client idle
    idle+=("$events")
done
check "! grep -q closed ${idle[*]}" 'eight clients are connected'
ctl --json rules
check is_private 'a ninth one is answered'
check "wait_for \"grep -q '^closed' '${idle[0]}'\" && ! grep -q closed ${idle[*]:1}" 'for it, the one that was idle for longest is disconnected'

#
# Another daemon, and one that was killed
#
first=$daemon
"$build/reckond" --config "$tmp/conf" --subtree "$subtree" --dry-run 2>"$tmp/second" &
pids+=("$!")
wait_for "grep -q ^Ready '$tmp/second'"
check "grep -q \"^limitation: .*socket 'private' in the runtime directory: another reckond has it\" '$tmp/second'" 'another daemon does not take it'
end TERM "$!"
wait "$!"
ctl --json rules
check "is_private && is_alive $first" 'the first one still answers'
end KILL "$daemon"
wait "$daemon" 2>/dev/null
check "[ -S '$socket' ]" 'a daemon that is killed leaves it behind'
ctl --json rules
check "[ $status = 0 ] && [ \"\$(answer .source)\" = '\"reckonctl\"' ]" 'where nothing listens, reckonctl evaluates the rules itself'
start --dry-run
ctl --json rules
check is_private 'the next one replaces it'
stop
check "[ $status = 0 ] && [ ! -e '$socket' ]" 'SIGTERM: exit status 0, and the socket is removed'
RUNTIME_DIRECTORY=$tmp/nonesuch start --dry-run
check "grep -q \"^limitation: .*socket 'private' in the runtime directory: No such file\" '$tmp/log'" 'without the directory there is none, and it says so'
stop

#
# A bus that is flooded
#
write_bus_conf ''
start_bus
start --dry-run
wait_for is_there 20
"${nobody[@]}" "$build/tests/bus-flood" 240 120 mixed >"$tmp/flood" 2>&1 &
pids+=("$!")
wait_for "grep -q ready '$tmp/flood'"
for command in rules status; do
    n=0 most=0
    for _ in {1..25}; do # more than one sender's allowance
        at=${EPOCHREALTIME/./}
        ctl --json $command
        took=$(((${EPOCHREALTIME/./} - at) / 1000))
        ! is_private || n=$((n + 1))
        [ $took -le $most ] || most=$took
    done
    check "[ $n = 25 ] && [ $most -lt 20000 ]" "with 240 clients that flood the bus: $command, by the private socket ($n times of 25, after $most ms at most)"
done
end TERM "$!"
wait "$!" 2>/dev/null
rm "$socket"
asks_bus() { ctl --json rules; [ "$(answer .connection)" = '"system-bus"' ]; }
check 'wait_for asks_bus 60' 'without the socket, reckonctl asks the bus'
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exit $failed
