#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-bus.sh: reckond on a D-Bus bus, called by clients that are not ours (busctl, gdbus and
# dbus-send: three libraries): each property, method and signal; access rights; invalid
# calls; a client that disconnects; a bus that is started late, or restarted; and each example
# of org.reckond1(5).
#
# On a private bus, with our policy file, and a subtree of our own.  Needs root, a cgroup2 mount,
# dbus-daemon, busctl and jq; anything else is SKIP (77).  Environment: BUILDDIR, SRCDIR.
set -uo pipefail

# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

write_bus_conf ''
quiet_conf >"$tmp/conf"

#
# No bus at first
#
start --dry-run
check "wait_for \"grep -q '^bus: none' '$tmp/log'\"" 'without a bus it runs, and logs it'
sleep 1
check "[ \$(grep -c '^bus: ' '$tmp/log') = 1 ]" 'once'
start_bus
check 'wait_for is_there 20' 'it joins a bus that is started later'

#
# What it is
#
timeout 20 busctl --system introspect --xml-interface org.reckond1 /org/reckond1 >"$tmp/xml" 2>&1
sed -n '/interface name="org.reckond1.Manager"/,/<\/interface>/p' "$tmp/xml" >"$tmp/out"
check "[ \$(grep -c '<arg ' '$tmp/out') -ge 14 ] && ! grep '<arg ' '$tmp/out' | grep -vq ' name='" \
    'introspection names each argument'
for name in Explain GetHistory ListCandidates ListCgroups ListHistory ListPolicies ListRules Reload; do
    check "grep -q '<method name=\"$name\"' '$tmp/out'" "it has the method $name"
done
check "! grep -q 'type=\"a(' '$tmp/out'" 'rows are dictionaries, so that members can be added'
for name in StateChanged LowMemory Killed; do
    check "grep -q '<signal name=\"$name\"' '$tmp/out'" "it has the signal $name"
done
# Each property: its type, and what it is here.
total_kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
while read -r name type filter; do
    busctl --system -j get-property "${manager[@]}" "$name" >"$tmp/out" 2>&1
    check "[ \"\$(answer .type)\" = '\"$type\"' ] && [ \"\$(answer '.data | $filter')\" = true ]" "$name"
done <<END
Version s . == "$("$build/reckond" --version | cut -d ' ' -f 2)"
State s . == "watch"
DryRun b .
Subtree s . == "$subtree"
ConfigFiles as . == ["$tmp/conf"]
ReloadErrors as . == []
Conflicts as type == "array"
MissingPrivileges as length == $(grep -c '^missing privilege: ' "$tmp/log")
Limitations as length == $(grep -c '^limitation: ' "$tmp/log")
MemoryTotal t . > 0 and . <= $total_kib * 1024
MemoryAvailable t . > 0 and . < $total_kib * 1024
SwapTotal t . >= 0
SwapFree t . >= 0
PressureSome u . >= 0 and . <= 10000
PressureFull u . >= 0 and . <= 10000
HasPressure b . == $([ -r /proc/pressure/memory ] && echo true || echo false)
Processes u . > 2
Kills u . == 0
StartedUSec t . > (now - 60) * 1000000 and . < now * 1000000
ReadUSec t . > (now - 1) * 1000000 and . <= now * 1000000
TimerLatencyMaxUSec t . < 10000000
Latency aa{sv} map(.Kind.data) == ["delay", "duration"] and all(.[]; (.Counts.data | length) == 12 and (.Counts.data | add) > 0 and .MaxUSec.data < 10000000)
END
check '[ "$(get ReadUSec)" -lt "$(sleep 0.2; get MemoryAvailable >/dev/null; get ReadUSec)" ]' 'memory is read anew for a caller'

#
# The next victim
#
hold 16
small=$held
hold 64
large=$held
sleep 0.5 # a sample finds them
list ListCandidates
check "[ \"\$(answer '[.[].Pid]')\" = '[$large,$small]' ]" 'ListCandidates: the largest of the subtree first'
check "[ \"\$(answer '.[0] | .Comm == \"hold\" and .Cgroup == \"$subtree\" and .FootprintBytes >= 64 * 1048576 and
    .ScoreMinBytes <= .EstimateBytes and .EstimateBytes <= .ScoreMaxBytes and .Weight == 1 and .OomScoreAdj == 0 and
    .Verdict == \"chosen\"')\" = true ]" 'and what is known of it'
call ListCandidates uu 0 1
check "[ \"\$(answer '.data[0] | length')\" = 1 ]" 'ListCandidates: no more than requested'
call ListCandidates uu 0 4294967295
check "[ \"\$(answer '.data[0] | length')\" = 2 ]" 'ListCandidates: a limit beyond the most'
list ListCgroups
check "[ \"\$(answer 'map(select(.Cgroup == \"$subtree\"))[0] | .MinBytes <= .EstimateBytes and .EstimateBytes <= .MaxBytes and
    .EstimateBytes >= 80 * 1048576 and .Processes == 2')\" = true ]" 'ListCgroups: the subtree, its range and its processes'
check "[ \"\$(answer '.[0].Cgroup')\" = '\"/\"' ]" 'ListCgroups: the whole machine is the largest'
call ListCgroups uu 0 2
check "[ \"\$(answer '.data[0] | length <= 2')\" = true ]" 'ListCgroups: no more than requested'

# The places of all there is in an object; of a list, of its first item.  Not of the lists of processes that
# are larger, or protected: on a machine that others use these change from one sample to the next.
shape='def shape: if type == "object" then to_entries | map({(.key): (.value | shape)}) | add
    elif type == "array" then (.[0] | if . == null then null else shape end)
    else null end; del(.survivors, .protected) | shape'
call Explain u 0
check "[ \"\$(answer '.data[0].Victim.data')\" = $large ]" 'Explain: the victim'
check "answer '.data[0].Reason.data' | grep -q '\"If memory ran out now, hold (pid $large, user root) would be killed first; this would free [0-9.]* MiB.\"\|No policy'" \
    'Explain: in words'
answer '.data[0].Json.data | fromjson' >"$tmp/json"
# By itself: without a bus.
explain_alone() {
    DBUS_SYSTEM_BUS_ADDRESS=unix:path=$tmp/nonesuch "$build/reckonctl" --json --config "$tmp/conf" --subtree "$subtree" explain "$@" |
        jq -c 'del(.source, .connection, .held_by_descriptors) | if .process then
            .process |= del(.command_line, .executable, .unit, .container) else . end'
}
explain_alone >"$tmp/own"
check "[ \"\$(jq -c '$shape' '$tmp/json')\" = \"\$(jq -c '$shape' '$tmp/own')\" ] ||
    diff <(jq '$shape' '$tmp/json') <(jq '$shape' '$tmp/own')" 'Explain: the JSON that reckonctl prints'
call Explain u "$small"
check "[ \"\$(answer '.data[0] | .IsVictim.data == false and .Excluded.data == \"\" and .Victim.data == $large')\" = true ]" \
    'Explain: one that would not be killed first'
answer '.data[0].Json.data | fromjson' >"$tmp/json"
check "[ \"\$(jq -c '[.process.rank, .process.reason]' '$tmp/json')\" = '[2,\"hold (pid $large, user root) ranks higher\"]' ]" 'and why'
explain_alone "$small" >"$tmp/own"
check "[ \"\$(jq -c '$shape' '$tmp/json')\" = \"\$(jq -c '$shape' '$tmp/own')\" ]" 'and the JSON that reckonctl prints'
"$build/reckonctl" --json explain >"$tmp/out" 2>&1
check "[ \"\$(answer '[.source, .victim.pid]')\" = '[\"daemon\",$large]' ]" 'reckonctl explain calls it'
call Explain u "$daemon"
check "answer '.data[0].Excluded.data' | grep -q self && answer '.data[0].Reason.data' | grep -q 'this is reckond itself'" \
    'Explain: reckond itself would not be killed'
: >"$tmp/ready"
perl -e '$| = 1; print "ready\n"; sleep 100' >"$tmp/ready" &
pids+=("$!")
wait_for "[ -s '$tmp/ready' ]"
call Explain u "$!"
check "answer '.data[0].Excluded.data' | grep -q outside_subtree" 'Explain: one that has just started, outside the subtree'
call Explain u 4194999
check "grep -q 'There is no process 4194999' '$tmp/out'" 'Explain: no process has this number'
call Explain u 4294967295
check "grep -q 'There is no process' '$tmp/out'" 'Explain: nor this one'
hold 128 '$0 = ""; open F, ">/proc/self/comm"; print F "a\xff\e[1m"; close F;
    $x = "x" x (128 << 20); $| = 1; print "ready\n"; sleep 1000;'
hostile=$held
wait_for "list ListCandidates && [ \"\$(answer '.[0].Pid')\" = $hostile ]"
check "[ \"\$(answer '.[0].Comm')\" = '\"a\\ufffd\\u001b[1m\"' ] || [ \"\$(answer '.[0].Comm | explode')\" = '[97,65533,27,91,49,109]' ]" \
    'a name that is no text becomes one'
end KILL "$hostile"
# U+FFFE, a noncharacter, which sd-bus does not send: as a name, of a cgroup too, and in the history.
group=$subtree/$'g\xef\xbf\xbe'
mkdir "$mount$group"
hold 128 '$0 = ""; open F, ">/proc/self/comm"; print F "n\xef\xbf\xbe"; close F;
    $x = "x" x (128 << 20); $| = 1; print "ready\n"; sleep 1000;'
hostile=$held
echo "$hostile" >"$mount$group/cgroup.procs"
call Explain u "$hostile"
check "[ \"\$(answer '.data[0] | .IsVictim.data, .Victim.data' | paste -sd ' ')\" = 'true $hostile' ]" 'Explain: one with a noncharacter in its name'
wait_for "list ListCandidates && [ \"\$(answer '.[0].Pid')\" = $hostile ]"
check "[ \"\$(answer '.[0].Comm | explode')\" = '[110,65533,65533,65533]' ] &&
    [ \"\$(answer '.[0].Cgroup | explode[-4:]')\" = '[103,65533,65533,65533]' ]" 'ListCandidates: noncharacters are replaced'
list ListCgroups
check "[ \"\$(answer '[.[] | select(.Cgroup | explode[-4:] == [103, 65533, 65533, 65533])] | length')\" = 1 ]" \
    'ListCgroups: noncharacters are replaced'
printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >>"$tmp/conf"
call Reload
check "wait_for \"call GetHistory u 1 && grep -q $hostile '$tmp/out'\"" 'GetHistory: one with a noncharacter in its name'
quiet_conf >"$tmp/conf"
call Reload
end KILL "$hostile"
wait_for "rmdir '$mount$group' 2>/dev/null"

# In watch, without an exec.  (A process that is read is ranked by the reading; this one is not read.)
hold 40
check "wait_for \"list ListCandidates; [ \\\"\\\$(answer '.[0].Pid')\\\" = $large ]\"" 'the largest is the victim'
echo 900 >"/proc/$held/oom_score_adj"
check "wait_for \"list ListCandidates; [ \\\"\\\$(answer '.[0].Pid')\\\" = $held ]\"" 'another one, when it is adjusted'
end KILL "$held"

#
# Rules and policies
#
list ListRules
check "[ \"\$(answer '[.[] | select(.Name == \"init\")][0] | .Kind == \"protect\" and .Weight == 1 and .Builtin and
    (.Conditions | test(\"^Comm=.* User=root \\\\(executable is root\\u0027s\\\\)\$\"))')\" = true ]" 'ListRules: those built in'
check "[ \"\$(answer '[.[] | select(.Kind == \"reluctant\") | .Name] | join(\" \")')\" = \
    '\"session-unit display-unit display compositor session\"' ]" 'ListRules: those that make reluctant'
list ListPolicies
check "[ \"\$(answer 'map(.Name)')\" = '[\"warn\",\"terminate\",\"kill\",\"stall\",\"thrash\"]' ]" 'ListPolicies: those built in'
check "answer '.[1].Conditions' | grep -q '\"available <= 10% capped at 4.0 GiB ([0-9.]* .iB)'" 'ListPolicies: conditions in words'
check "[ \"\$(answer 'map(.Holds) | any')\" = false ]" 'ListPolicies: none holds that is switched off'

#
# What is wrong in a call
#
call ListCandidates s many
check "grep -q \"Invalid arguments 's'\" '$tmp/out'" 'another type is refused'
call ListCandidates
check "grep -q \"Invalid arguments ''\" '$tmp/out'" 'no argument is refused'
call Frobnicate
check "grep -q 'Unknown method' '$tmp/out'" 'an unknown method is refused'
busctl --system get-property "${manager[@]}" Frobnication >"$tmp/out" 2>&1
check "grep -q 'Unknown .*property' '$tmp/out'" 'an unknown property is refused'
busctl --system set-property "${manager[@]}" DryRun b false >"$tmp/out" 2>&1
check "grep -q 'not writable' '$tmp/out'" 'what is read only is refused'

#
# Reload
#
if command -v gdbus >/dev/null; then
    : >"$tmp/signals"
    timeout 600 "${nobody[@]}" gdbus monitor --system --dest org.reckond1 >"$tmp/signals" 2>&1 &
    pids+=("$!")
    wait_for "grep -q 'is owned by' '$tmp/signals'"
else
    skip 'signals: gdbus is not installed'
    : >"$tmp/signals"
fi
printf '[Policy kill]\nMemoryAvailable=plenty\nAction=end\n' >>"$tmp/conf"
call Reload
check "grep -q 'Call failed' '$tmp/out' && [ \$(grep -c 'conf:[0-9]*: ' '$tmp/out') = 2 ]" \
    'Reload: a bad configuration is refused, with all its errors'
has_gdbus && gdbus call --system --dest org.reckond1 --object-path /org/reckond1 \
    --method org.reckond1.Manager.Reload >"$tmp/out" 2>&1
check "! has_gdbus || grep -q org.reckond1.Error.BadConfiguration '$tmp/out'" 'by its own name'
{ quiet_conf; printf '[Prefer holders]\nComm=^hold$\nWeight=3\n'; } >"$tmp/conf"
call Reload
check "[ ! -s '$tmp/out' ] || [ \"\$(answer .type)\" != x ]" 'Reload: a good one is taken'
list ListRules
check "[ \"\$(answer '[.[] | select(.Name == \"holders\") | .Kind, .Conditions, .Weight, .Builtin]')\" = '[\"prefer\",\"Comm=^hold\$\",3,false]' ]" \
    'and its rules hold'
list ListCandidates
check "[ \"\$(answer '.[0].Weight')\" = 3 ]" 'and weigh'
# What it is announced to have changed; what else is announced meanwhile has nothing to do with it.
changed() { grep -o "'DryRun'\|'Subtree'\|'ConfigFiles'" "$tmp/signals" | paste -sd ' '; }
mkdir "$tmp/conf.d"
printf '[Daemon]\nDryRun=yes\n' >"$tmp/conf.d/more.conf"
call Reload
check "! has_gdbus || { wait_for '[ -n \"\$(changed)\" ]' && [ \"\$(changed)\" = \"'ConfigFiles'\" ]; }" 'PropertiesChanged is sent for what has changed'
rm -r "$tmp/conf.d"
call Reload
check "! has_gdbus || wait_for '[ \"\$(changed | wc -w)\" = 2 ]'" 'and when it changes back'
# Policies are new with each configuration, though memory is not short anew.
cp "$tmp/conf" "$tmp/before"
for policy in one other; do
    { quiet_conf; printf '[Policy %s]\nMemoryAvailable=100%%\nAction=warn\n' $policy; } >"$tmp/conf"
    call Reload
    check "wait_for \"grep -q '^Memory is low: .*(policy $policy)' '$tmp/log'\"" "a policy of the new configuration warns ($policy)"
    check "! has_gdbus || wait_for \"grep -q \\\"LowMemory.*'Policy': <'$policy'>\\\" '$tmp/signals'\"" 'by the signal, too'
done
cp "$tmp/before" "$tmp/conf"
call Reload

#
# Access
#
for method in 'Explain u 0' 'GetHistory u 0' 'ListCandidates uu 0 1' 'ListCgroups uu 0 1' 'ListHistory tu 0 0' \
    'ListPolicies uu 0 0' 'ListRules uu 0 0'; do
    # shellcheck disable=SC2086
    check "call_as_nobody $method" "anyone may call ${method%% *}"
done
check "! call_as_nobody Reload && grep -q 'Access denied' '$tmp/out'" 'Reload is for root (the policy)'
"${nobody[@]}" busctl --system get-property "${manager[@]}" State >"$tmp/out" 2>&1
check "grep -q '\"watch\"' '$tmp/out'" 'anyone may read a property'
set_level() { "$@" busctl --system set-property "${log_control[@]}" LogLevel s debug >"$tmp/out" 2>&1; }
check "! set_level '${nobody[0]}' ${nobody[*]:1} && grep -q 'Access denied' '$tmp/out'" 'the log level is for root (the policy)'
busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetNameOwner s org.reckond1 >"$tmp/out" 2>&1
"${nobody[@]}" busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su org.reckond1 0 >"$tmp/out" 2>&1
check "grep -q 'Access denied' '$tmp/out'" 'only root may own the name'

#
# org.freedesktop.LogControl1
#
check '[ "$(level LogLevel) $(level LogTarget) $(level SyslogIdentifier)" = "info auto reckond" ]' 'LogControl1: at first'
set_level env
check '[ "$(level LogLevel)" = debug ]' 'LogControl1: the level is set'
check "wait_for \"grep -q '^sample: ' '$tmp/log'\"" 'and there are debugging lines'
sleep 1.2
check "[ \$(grep -c '^sample: ' '$tmp/log') -lt 200 ]" 'not too many'
busctl --system set-property "${log_control[@]}" LogLevel s loud >"$tmp/out" 2>&1
check "grep -q 'no log level .loud.' '$tmp/out'" 'LogControl1: no such level'
busctl --system set-property "${log_control[@]}" SyslogIdentifier s x >"$tmp/out" 2>&1
check "[ -s '$tmp/out' ] && [ \"\$(level SyslogIdentifier)\" = reckond ]" 'LogControl1: what cannot be set'
busctl --system set-property "${log_control[@]}" LogTarget s null
busctl --system set-property "${log_control[@]}" LogLevel s info
sleep 0.3; lines=$(wc -l <"$tmp/log"); call Reload; sleep 0.3
check "[ \$(wc -l <'$tmp/log') = $lines ] && [ \$(level LogTarget) = null ]" 'LogControl1: the target is set'
busctl --system set-property "${log_control[@]}" LogTarget s auto

#
# Others than sd-bus
#
if command -v dbus-send >/dev/null; then
    dbus-send --system --print-reply --dest=org.reckond1 /org/reckond1 org.reckond1.Manager.Explain uint32:0 >"$tmp/out" 2>&1
    check "grep -q 'string \"Victim\"' '$tmp/out'" 'dbus-send (libdbus) is answered'
    dbus-send --system --print-reply --dest=org.reckond1 /org/reckond1 org.freedesktop.DBus.Properties.GetAll \
        string:org.reckond1.Manager >"$tmp/out" 2>&1
    check "[ \$(grep -c '^      dict entry' '$tmp/out') = 26 ]" 'all properties at once'
    # Calls without waiting for the answer: the caller has exited when it arrives.
    for _ in {1..20}; do dbus-send --system --dest=org.reckond1 --type=method_call /org/reckond1 org.reckond1.Manager.Explain uint32:0; done
    check 'call ListPolicies uu 0 0' 'a client that has exited does no harm'
else
    skip 'libdbus: dbus-send is not installed'
fi
if has_gdbus; then
    gdbus introspect --system --dest org.reckond1 --object-path /org/reckond1 >"$tmp/out" 2>&1
    check "grep -q 'ListCandidates(in  u first,' '$tmp/out'" 'gdbus (GLib) reads the introspection'
fi

#
# The examples of the man page, each as it stands there; what would run for ever, for a second.
#
n=0
while read -r command; do
    n=$((n + 1))
    if ! command -v "${command%% *}" >/dev/null; then
        skip "example: $command"
        continue
    fi
    sleep=$([[ $command == *monitor* ]] && echo 1 || echo 20)
    timeout "$sleep" bash -o pipefail -c "$command" >"$tmp/out" 2>&1
    status=$?
    check "[ $status = 0 ] || [ $status:$sleep = 124:1 ]" "example: $command"
done < <(sed -nE '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^[$#] //p' "$source/man/org.reckond1.5")
check "[ $n = 8 ]" 'all examples were found'

#
# Another daemon of the kind beside it
#
[ -d "$mount/system.slice" ] || { mkdir "$mount/system.slice" && made_slice=$mount/system.slice; }
if mkdir "$mount/system.slice/earlyoom.service" 2>/dev/null; then
    rival=$mount/system.slice/earlyoom.service
    stop
    check '[ $status = 0 ]' 'SIGTERM: exit status 0'
    echo "$small" >"$rival/cgroup.procs"
    start --dry-run
    check "grep -q '^earlyoom.service is active, too' '$tmp/log'" 'another daemon is named at start'
    wait_for is_there
    check "[ '$(get Conflicts)' = '[\"earlyoom.service\"]' ]" 'and on the bus'
    echo "$small" >"$mount$subtree/cgroup.procs"
else
    skip 'another one beside it: there is an earlyoom.service here'
fi

#
# A real kill: a victim that ignores SIGTERM.  Meanwhile queries about processes, and a reload, return
# an error.
#
stop
{ quiet_conf; printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=terminate\nGrace=8s\n'; } >"$tmp/later"
quiet_conf >"$tmp/conf"
hold 128 '$SIG{TERM} = "IGNORE";'
stubborn=$held
start
wait_for is_there
cp "$tmp/later" "$tmp/conf"
call Reload
wait_for "[ \"\$(get State)\" = '\"killing\"' ]"
check "[ \"\$(get State)\" = '\"killing\"' ]" 'in state killing properties are answered'
timeout -s KILL 0.1 busctl --system call "${manager[@]}" ListCandidates uu 0 0 >"$tmp/gone" 2>&1 # a caller may disconnect
list ListPolicies
check "[ \"\$(answer 'map(select(.Name == \"now\"))[0].Holds')\" = true ]" 'and ListPolicies'
call GetHistory u 0
check "answer .data | grep -q '\"in-progress\"' && answer .data | grep -q $stubborn" 'and GetHistory'
is_busy() { grep -qE "hold \\(pid $stubborn\\) was sent SIGTERM [0-9.]+ m?s ago by policy now; ask again when it has exited\\." "$tmp/out"; }
for method in 'ListCandidates uu 0 0' 'ListCgroups uu 0 0' 'Explain u 0' 'Explain u 1'; do
    # shellcheck disable=SC2086
    call $method
    check is_busy "a request for processes returns Busy with the victim ($method)"
done
echo 'Bogus=1' >>"$tmp/conf"
call Reload
check "is_busy && ! grep -q Bogus '$tmp/log'" 'Reload: busy too, and nothing is done'
if has_gdbus; then
    gdbus call --system --dest org.reckond1 --object-path /org/reckond1 --method org.reckond1.Manager.ListCgroups 0 0 >"$tmp/out" 2>&1
    check "is_busy && grep -q 'org\.reckond1\.Error\.Busy' '$tmp/out'" 'by its own name'
fi
timeout 20 "$build/reckonctl" status >"$tmp/out" 2>&1
status=$?
check "[ $status = 0 ] && grep -qE '^Killing +hold \\(pid $stubborn\\): SIGTERM [0-9.]+ m?s ago, policy now\$' '$tmp/out' &&
    grep -qE '^Now +policy now \\(terminate\\): available <= 100%' '$tmp/out'" 'reckonctl status shows which policy holds'
timeout 20 "$build/reckonctl" explain >"$tmp/out" 2>&1
status=$?
check "[ $status = 1 ] && is_busy" 'reckonctl explain, too'
timeout 90 "$build/reckonctl" reload >"$tmp/reloaded" 2>&1 &
reloading=$!
check "[ \"\$(get State)\" = '\"killing\"' ] && is_alive $stubborn" 'all that while the victim was on its way'
check "wait_for \"! is_alive $stubborn\" 20 && is_alive $daemon" 'the victim went'
wait "$reloading"
status=$?
check "[ $status = 2 ] && grep -q 'conf:[0-9]*: .*Bogus' '$tmp/reloaded'" 'reckonctl reload has waited, and has the errors'
wait_for "call ListCgroups uu 0 0"
check "[ '\"aa{sv}\"' = \"\$(answer .type)\" ]" 'the next caller is answered'
check "! has_gdbus || wait_for \"grep -q \\\"StateChanged ('[a-z]*', 'killing')\\\" '$tmp/signals'\"" 'StateChanged is sent'
check "! has_gdbus || wait_for \"grep -q \\\"LowMemory.*'Policy': <'now'>.*'Level': <'terminate'>.*'ForecastUSec': <uint64 \\\" '$tmp/signals'\"" 'LowMemory is sent'
check "! has_gdbus || wait_for \"grep -q \\\"PropertiesChanged.*'Kills': <uint32 1>\\\" '$tmp/signals'\"" 'the change of Kills is signalled'
wait_for "! is_alive $large && ! is_alive $small" 20 # they follow: the policy still holds
check "! has_gdbus || wait_for \"grep -q \\\"Killed ({.*'Pid': <uint32 $stubborn>.*'Outcome': <'[a-z-]*'>.*'Escalated': <true>\\\" '$tmp/signals'\"" 'Killed is sent'
check "! has_gdbus || wait_for \"[ \\\$(grep -c 'Killed (' '$tmp/signals') = 3 ]\"" 'for each victim once, when its record is complete'
check "! has_gdbus || grep -q \"Killed .*'Pid': <uint32 $small>.*'Reclaimed2sBytes': <uint64 \" '$tmp/signals'" 'with what was reclaimed'
# (What busctl -j makes of an array of dictionaries does not show where one ends.)
history() { # LIMIT: a line for each entry
    gdbus call --system --dest org.reckond1 --object-path /org/reckond1 --method org.reckond1.Manager.GetHistory "$1" 2>&1 |
        sed "s/{'Id':/\n&/g" | grep "^{'Id'" >"$tmp/out"
}
if has_gdbus; then
    history 0
    check "[ \"\$(sed -nE \"s/.*'Kind': <'killed'>.* 'Pid': <uint32 ([0-9]+)>, 'Uid'.*/\\1/p\" '$tmp/out' | paste -sd ' ')\" = '$small $large $stubborn' ]" \
        'GetHistory: the newest first'
    check "tail -n 1 '$tmp/out' | grep \"'TimeUsec': <uint64 1.*'Policy': <'now'>, .*'DryRun': <false>, 'Pid': <uint32 $stubborn>, 'Uid': <uint32 0>, 'Comm': <'hold'>, \" |
        grep \"'OomScoreAdj': <0>, 'Weight': <1.0>, 'FootprintBytes': <uint64 [0-9]\{8,\}>, \" | grep -q \"'Signal': <'SIGKILL'>\"" 'GetHistory: what is known of it'
    check "tail -n 1 '$tmp/out' | grep -q \"'Ranked': <\\[{'Pid': <uint32 $stubborn>, .*'Verdict': <'chosen'>}\"" \
        'GetHistory: and of those it was compared with'
    all=$(wc -l <"$tmp/out")
    history 1
    check "[ $all -ge 3 ] && [ \$(wc -l <'$tmp/out') = 1 ]" 'GetHistory: no more than requested'
else
    skip 'GetHistory: gdbus is not installed'
fi

#
# The bus is stopped, and started again
#
quiet_conf >"$tmp/conf"
kill -HUP "$daemon"
stop_bus
check "wait_for \"grep -q '^bus: lost' '$tmp/log'\"" 'a bus that disconnects is noticed'
start_bus
check 'wait_for is_there 20' 'one that is restarted is joined again'
check "is_alive $daemon && call ListPolicies uu 0 0" 'by the same daemon, which answers'
# Also while a kill is in progress: queries return an error.
stop
hold 16 '$SIG{TERM} = "IGNORE";'
cp "$tmp/later" "$tmp/conf"
start
check "wait_for is_there && [ \"\$(get State)\" = '\"killing\"' ] && is_alive $held" 'it joins while a victim is on its way'
end KILL "$held"
# In calm, where samples are far apart, not only at the next one.
printf '[Policy %s]\nAction=none\n' warn terminate kill stall thrash >"$tmp/conf"
stop
start
wait_for is_there
set_level env
wait_for "grep -q '^sample: ' '$tmp/log'" 20 # so the next one is some time away
if [ "$(get State)" = '"calm"' ]; then
    samples=$(grep -c '^sample: ' "$tmp/log")
    stop_bus
    check "wait_for \"grep -q '^bus: lost' '$tmp/log'\" 20 &&
        [ \$(sed '/^bus: lost/,\$d' '$tmp/log' | grep -c '^sample: ') = $samples ]" 'in calm it is noticed without a sample'
    start_bus
    check 'wait_for is_there 20' 'and joined again'
    busctl --system set-property "${log_control[@]}" LogLevel s info
else
    skip 'a bus that disconnects in calm: it is not calm here'
fi
stop
check '[ $status = 0 ]' 'SIGTERM: exit status 0'
exit $failed
