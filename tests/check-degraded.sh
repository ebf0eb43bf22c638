#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-degraded.sh: reckond started with errors in its configuration: it protects the machine by what
# has none, kills nothing that was meant to be spared, and reports it: on the bus, to the service
# manager, in the log and by reckonctl status; until a configuration without errors is loaded.
#
# Anything but root, a cgroup2 mount, dbus-daemon, busctl and jq is SKIP (77).
# Environment: BUILDDIR, SRCDIR.
set -uo pipefail
# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

write_bus_conf ''
start_bus
# In a mount namespace of its own, with another list of users.
cp /etc/passwd "$tmp/passwd"
has_namespace() { unshare -m true 2>/dev/null && unshare -m mount --bind "$tmp/passwd" /etc/passwd 2>/dev/null; }
export NOTIFY_SOCKET=$tmp/notify
if command -v perl >/dev/null; then
    perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die;
        $| = 1; print "bound\n"; while (recv(S, $x, 4096, 0), defined $x) { print "$x\n" }' "$tmp/notify" >"$tmp/notified" &
    pids+=("$!")
    wait_for "grep -q bound '$tmp/notified'"
fi
notified() { ! command -v perl >/dev/null || wait_for "grep -q '$1' '$tmp/notified'"; }

{
    printf '[Policy %s]\nAction=none\n' warn terminate kill stall thrash
    printf '[Daemon]\nMinVictim=1M\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n'
    printf '[Policy broken]\nMemoryAvailable=plenty\nAction=kill\n'
    printf '[Prefer kept]\nComm=^kept$\nWeight=heavy\n'
    printf '[Protect kept]\nComm=^kept$\nCgroup=not-a-path\n'
    printf '[Protect ghost]\nUser=ghost\n'
    printf '[Metrics all]\nPort=1\n[Daemon]\nNewKnob=1\n'
} >"$tmp/conf"
line=$(grep -nF '[Policy broken]' "$tmp/conf" | cut -d : -f 1)
hold 96 '$0 = "kept"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000;'
kept=$held
hold 16
victim=$held
start
check "wait_for \"! is_alive $victim\"" 'it kills by the policy without errors'
check "wait_for \"grep -q 'no process is worth killing' '$tmp/log'\" && is_alive $kept" 'and not what was meant to be protected'
check "grep -q '^$tmp/conf:$((line + 1)): MemoryAvailable= needs' '$tmp/log' && grep -q '^$tmp/conf:$line: \\[Policy broken\\] has errors and is not used' '$tmp/log'" \
    'the log has a line for each error'
check "grep -q '^$tmp/conf:[0-9]*: warning: User=ghost: there is no such user' '$tmp/log' && grep -q '^$tmp/conf:[0-9]*: warning: unknown section \\[Metrics\\]' '$tmp/log' &&
    grep -q \"^$tmp/conf:[0-9]*: warning: unknown key 'NewKnob'\" '$tmp/log'" 'and for each warning'
check "grep -q '^Degraded: the configuration has 6 errors;' '$tmp/log'" 'and one for all'
wait_for is_there 20
check "[ \"\$(get Degraded)\" = true ] && [ \"\$(get ConfigErrors | jq length)\" = 6 ] &&
    [ \"\$(get ConfigErrors | jq '.[0]' | grep -c '$tmp/conf:$line: \\[Policy broken\\]')\" = 1 ]" 'the bus tells'
check "notified '^STATUS=Degraded: .*(reckonctl check $tmp/conf)'" 'the service manager is notified'
"$build/reckonctl" status >"$tmp/out" 2>&1
status=$?
check "[ $status = 0 ] && grep -q '^Degraded  *the configuration has errors' '$tmp/out' && grep -q '^ *$tmp/conf:$line: ' '$tmp/out' && grep -q '^Memory ' '$tmp/out'" \
    'reckonctl status shows it, and the status'
list ListRules
rule() { answer ".[] | select(.Name == \"$1\") | [.Kind, .Conditions]"; }
check "[ '[\"protect\",\"Comm=^kept\$\"]' = \"\$(rule kept)\" ] && [ '[\"protect\",\"User=ghost (no such user)\"]' = \"\$(rule ghost)\" ]" \
    'the rules are those that are in use'
check "! answer '.[].Kind' | grep -q prefer" 'and no others'
call Reload
check "grep -q 'Call failed' '$tmp/out' && [ \"\$(get Degraded)\" = true ]" 'a reload stays strict'
"$build/reckond" --check-config --config "$tmp/conf" >"$tmp/out" 2>&1
status=$?
check "[ $status = 2 ] && grep -q \"^$tmp/conf:[0-9]*: unknown key 'NewKnob'\" '$tmp/out'" 'so does --check-config'
quiet_conf >"$tmp/conf"
call Reload
check "[ \"\$(get Degraded)\" = false ] && [ \"\$(get ConfigErrors)\" = '[]' ]" 'a reload without errors clears it'
check "notified '^STATUS=Watching memory'" 'and the service manager is notified'
{ quiet_conf; printf '[Daemon]\nMinVictim=2G\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n'; } >"$tmp/conf"
call Reload
check "notified '^STATUS=Memory is low, but no process is worth killing'" 'it is notified when no process is worth killing'
quiet_conf >"$tmp/conf"
call Reload
check "! command -v perl >/dev/null || wait_for \"grep STATUS= '$tmp/notified' | tail -n 1 | grep -q Watching\"" 'and when that is over'
stop

# A reload that is refused by a signal, which has no answer.
quiet_conf >"$tmp/conf"
start
echo nonsense >>"$tmp/conf"
kill -HUP "$daemon"
check "notified '^STATUS=Watching memory; the last reload was refused (reckonctl check $tmp/conf)'" 'a reload that is refused is notified'
lines=$(wc -l <"$tmp/conf")
wait_for is_there 20
check "[ \"\$(get Degraded)\" = false ] && [ \"\$(get ReloadErrors | jq length)\" = 1 ] && get ReloadErrors | grep -q '\"$tmp/conf:$lines: '" \
    'the bus tells why'
"$build/reckonctl" status >"$tmp/out" 2>&1
check "grep -A 1 '^Configuration  *$tmp/conf$' '$tmp/out' | grep -q '^  *the last reload was refused (reckonctl check $tmp/conf): $tmp/conf:$lines: '" \
    'reckonctl status shows it'
quiet_conf >"$tmp/conf"
call Reload
check "[ \"\$(get ReloadErrors)\" = '[]' ] && "$build/reckonctl" status 2>&1 | grep '^Configuration' >'$tmp/out' && ! "$build/reckonctl" status 2>&1 | grep refused" \
    'neither does once one succeeds'
check "! command -v perl >/dev/null || wait_for \"grep STATUS= '$tmp/notified' | tail -n 1 | grep -qx 'STATUS=Watching memory'\"" 'until one is not'

# One that fails for want of files, which there may be soon.
has_reloaded_since() { [ "$(grep -c 'was reloaded' "$tmp/log")" -gt "$1" ]; }
has_errors() { [ "$(get ReloadErrors)" != '[]' ]; }
is_calm() { ! command -v perl >/dev/null || grep STATUS= "$tmp/notified" | tail -n 1 | grep -qx 'STATUS=Watching memory'; }
is_ready() { ! command -v perl >/dev/null || grep -E '^(RELOADING|READY)=1' "$tmp/notified" | tail -n 1 | grep -q READY; }
if command -v prlimit >/dev/null; then
    files=$(prlimit --pid "$daemon" --nofile --noheadings --output SOFT)
    n_reloads=$(grep -c 'was reloaded' "$tmp/log")
    prlimit --pid "$daemon" --nofile=3:
    kill -HUP "$daemon"
    check "wait_for \"get ReloadErrors | grep -q 'Too many open files; it is tried again'\"" 'the bus tells that it is tried again'
    check "! has_reloaded_since $n_reloads" 'and until then it has failed'
    prlimit --pid "$daemon" --nofile="${files// /}:" # a socket to notify the service manager takes one, too
    check "wait_for 'has_reloaded_since $n_reloads' 40" 'it is tried again'
    check "notified '^STATUS=Watching memory; the last reload failed: Too many open files; it is tried again'" 'the service manager was notified'
    check "! has_errors && wait_for is_calm && wait_for is_ready" 'and of its end'
fi
stop

# What limits the processes that may be killed at all.
printf '[Policy now]\nMemoryAvailable=100%%\nAction=kill\n[Daemon]\nDryRun=ye\n' >"$tmp/conf"
start
check "wait_for \"grep -q '^Would kill .*(pid $kept,' '$tmp/log'\" && is_alive $kept" 'DryRun= that cannot be read is a dry run'
wait_for is_there 20
check "[ \"\$(get DryRun)\" = true ] && notified '^STATUS=Degraded: .*dry run'" 'and it is notified'
stop

# A drop-in that cannot be read is left out, and nothing else is.
quiet_conf >"$tmp/conf"
mkdir "$tmp/conf.d"
mkfifo "$tmp/conf.d/10-fifo.conf"
printf '[Policy kill]\nAction=kill\n' >"$tmp/conf.d/20-kill.conf"
start --dry-run
check "grep -q '^$tmp/conf.d/10-fifo.conf: is a FIFO' '$tmp/log' && grep -q '^policy kill: kill' '$tmp/log' && ! grep -q '^policy warn' '$tmp/log'" \
    'a drop-in that is a FIFO: the other files'
stop
rm -r "$tmp/conf.d"
ln -s conf.d "$tmp/conf.d"
start --dry-run
check "grep -q '^$tmp/conf.d: cannot be listed' '$tmp/log' && ! grep -q '^policy' '$tmp/log'" \
    'a directory of drop-ins that cannot be listed: the file itself'
stop
for command in "$build/reckond --check-config --config" "$build/reckonctl check"; do
    $command "$tmp/conf" >"$tmp/out" 2>&1
    status=$?
    check "[ $status = 2 ] && grep -q '^$tmp/conf.d: cannot be listed' '$tmp/out'" 'which is an error of the check'
done
rm "$tmp/conf.d" "$tmp/conf"

# A user that is created later.
if has_namespace; then
    { quiet_conf; printf '[Protect ghost]\nUser=ghost\n'; } >"$tmp/conf"
    : >"$tmp/log"
    unshare -m bash -c 'mount --bind "$1" /etc/passwd && shift && exec "$@"' - "$tmp/passwd" "$build/reckond" --dry-run \
        --config "$tmp/conf" --subtree "$subtree" 2>"$tmp/log" &
    daemon=$!
    wait_for "grep -q ^Ready '$tmp/log'"
    wait_for is_there 20
    check "[ \"\$(get Degraded)\" = false ]" 'a user that does not exist does not degrade it'
    echo 'ghost:x:54321:54321::/:/bin/false' >>"$tmp/passwd"
    call Reload
    list ListRules
    check "[ '[\"protect\",\"User=ghost\"]' = \"\$(rule ghost)\" ]" 'it is found when the configuration is loaded again'
    stop
else
    skip 'a user that comes into being: no mount namespaces here'
fi

# A bus without the policy file.
stop_bus
sed -i '/<include>/d' "$tmp/bus.conf"
start_bus
quiet_conf >"$tmp/conf"
start --dry-run
check "wait_for \"grep -q '^bus: may not be org.reckond1 (.*org.reckond1.conf in /etc/dbus-1/system.d' '$tmp/log'\"" \
    'without the policy of the bus it is said which file is missing'
stop

# Without the daemon, with the files in the usual place.
if unshare -m mount -t tmpfs none /run 2>/dev/null && [ ! -e /etc/reckond/reckond.conf ]; then
    printf '[Policy now]\nMemoryAvailable=plenty\nAction=kill\n[Daemon]\nSubtree=/no/such/cgroup\n' >"$tmp/conf"
    unshare -m bash -c 'mount -t tmpfs none /run && mkdir /run/reckond && cp "$1" /run/reckond/reckond.conf &&
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent exec "$2" status' - "$tmp/conf" "$build/reckonctl" >"$tmp/out" 2>"$tmp/err"
    status=$?
    check "[ $status = 1 ] && grep -q '^Errors  */run/reckond/reckond.conf:' '$tmp/out' && grep -q '^Memory .* available' '$tmp/out' &&
        grep -q '^/run/reckond/reckond.conf:2: ' '$tmp/err'" 'reckonctl status shows a status without the daemon too'
else
    skip 'reckonctl status without the daemon: no mount namespaces here, or a configuration'
fi
exit $failed
