#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-ctl-daemon.sh: reckonctl and the real daemon, with a subtree of our own, on a bus of our own:
# status, explain, rules and history, and what is left when it has exited.
#
# Environment: BUILDDIR, SRCDIR, FIXTURES.
set -uo pipefail
# shellcheck source=tests/ctl-bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/ctl-bus-helpers.sh"

start_bus
printf '[Daemon]\nMinVictim=0%%\n[Policy mine]\nMemoryAvailable=1G\nAction=kill\n[Prefer x]\nComm=^x$\nUser=root\n' >"$tmp/mine.conf"

echo '# status, explain, rules'
if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$subtree" 2>/dev/null; then
    skip 'this needs root and a cgroup2 mount'
    exit $failed
fi
made_subtree=yes
mkdir "$tmp/state" "$tmp/run"
hold() { # a process in the subtree; its pid in $held
    sleep 1000 &
    held=$!
    echo $held >"$mount$subtree/cgroup.procs"
}
serve_really() { # ARGUMENT...: reckond in the subtree
    stop_daemon
    "$build/reckond" --subtree "$subtree" "$@" >"$tmp/reckond.out" 2>&1 &
    mock=$!
    wait_for "$tmp/reckond.out" '^Ready'
    # It does not wait for the bus.
    for _ in {1..60}; do
        "$reckonctl" --json history >"$tmp/out" 2>"$tmp/err"
        grep -qE "$absent" "$tmp/err" || break
        sleep 0.05
    done
}
hold
serve_really --dry-run --config "$tmp/mine.conf"
if grep -qE "$absent|does not know ListHistory" "$tmp/err"; then
    skip 'this reckond does not keep a history on the bus'
    exit $failed
fi
run 'status' 0 out '^State +[a-z]+: ' out 'dry run: no process' out "^Subtree +$subtree\$" out "^Configuration +$tmp/mine\.conf\$" \
    out "^Next victim +sleep \\(pid $held, user root\\)" out '^Kills +0 processes' -- status
say 'and nothing on standard error' "$(cat "$tmp/err")"
run 'status, as JSON' 0 -- --json status
finds 'knows all that a mock knows' '[.version, .state, .dry_run, .subtree, .config_files, .conflicts, .missing_privileges, .limitations, .processes,
    .kills, .started_usec, .read_usec, .memory.total_bytes, .memory.available_bytes, .memory.swap_total_bytes,
    .policies, .victim] | map(. == null) | any' false .victim.pid $held
run 'explain the only one' 0 out "^sleep \\(pid $held, user root\\) would be killed first: " -- explain $held
run 'explain, as JSON' 0 -- --json explain
# (Which processes are larger, or protected, changes from one sample to the next.)
shape() { jq -S 'del(.survivors, .protected) | [paths | map(if type == "number" then 0 else . end)] | unique' "$tmp/out"; }
shape >"$tmp/daemon-shape"
finds 'by the daemon' .source '"daemon"' .victim.pid $held .candidates 1
run 'explain, as JSON, by itself' 0 -- --json --config "$tmp/mine.conf" --subtree "$subtree" explain
shape >"$tmp/own-shape"
finds 'by itself' .source '"reckonctl"' .victim.pid $held .candidates 1
say 'both have the same members' "$(diff "$tmp/daemon-shape" "$tmp/own-shape")"
run 'explain one outside' 0 out 'would not be killed: outside the subtree' out '^Answered by reckond on its private socket\.$' -- explain $$
run 'rules, as JSON' 0 -- --json rules
# (What a percentage is changes from one sample to the next, with what the kernel keeps locked.)
rules_of() { jq -S '.rules, [.policies[] | del(.holds) | .conditions |= gsub("\\([0-9.]+ [KMGT]iB\\)"; "")]' "$tmp/out"; }
rules_of >"$tmp/daemon-rules"
run 'rules, as JSON, by itself' 0 -- --json --config "$tmp/mine.conf" rules
rules_of >"$tmp/own-rules"
say 'are the same' "$(diff "$tmp/daemon-rules" "$tmp/own-rules")"
run 'reload' 0 out 'has reloaded its configuration' -- reload
echo 'Bogus=1' >>"$tmp/mine.conf"
run 'reload of an error' 2 err "^$tmp/mine\.conf:[0-9]+: .*Bogus" err 'the old one stays in use$' -- reload
printf '[Daemon]\nMinVictim=0%%\n[Policy now]\nMemoryAvailable=100%%\nAction=kill\n' >"$tmp/now.conf"
victim=$held
serve_really --config "$tmp/now.conf"
for _ in {1..100}; do # what was reclaimed is known in the end
    "$reckonctl" --json history >"$tmp/out" 2>/dev/null
    [ "$(json '.entries[-1].reclaimed_2s_bytes != null')" != true ] || break
    sleep 0.05
done
held=''
[ "$(json '.entries[0].kind')" != '"no-victim"' ] ||
    finds 'with no victim after it' '.entries[0].excluded' '"*[0-9] outside the subtree*'
finds 'a kill is in the history' '.entries[-1].kind' '"killed"' '.entries[-1].pid' "$victim" '.entries[-1].comm' '"sleep"' \
    '.entries[-1].outcome' '"exited"' '.entries[-1].policy' '"now"' '.entries[-1].signal' '"SIGKILL"' \
    '.entries[-1].reclaimed_2s_bytes' '[0-9]*' '.entries[-1].ranked[0].pid' "$victim" '.entries[-1].cgroup' "\"$subtree\""
run 'and in the table' 0 out " sleep \\(pid $victim\\) .* exited after [0-9.]+ [mu]s; policy now\$" -- history
run 'and in full' 0 out "^  Victim +sleep \\(pid $victim\\), user root, cgroup $subtree\$" out '^  Killed by +SIGKILL: exited after ' \
    out '^  Steps +chosen after ' out '^  Reclaimed +' -- --full history
run 'and in the state' 0 out '^State +(stuck: memory is low but no process is worth killing|watch: memory is low but no process is eligible) ' \
    out '^ +not eligible: .*[0-9] outside the subtree' out '^Kills +1 process since' out "^Last +[0-9].* ago: sleep \\(pid $victim\\) by policy now: exited after" -- status

echo '# what it has left'
# The victim's entry, which is complete; others may still come until it is stopped.
of_victim() { jq -S --argjson pid "$victim" '[.entries[] | select(.pid == $pid and .kind == "killed")]' "$1"; }
"$reckonctl" --json history >"$tmp/asked"
stop_daemon
run 'history, when it has exited' 0 out " sleep \\(pid $victim\\) .* exited after [0-9.]+ [mu]s; policy now\$" \
    out "^Read from $tmp/state/history\\.json: $absent" -- history
run 'as JSON' 0 -- --json history 1
finds 'says where from' .source '"reckonctl"' .file "\"$tmp/state/history.json\"" '.entries | length' 1
"$reckonctl" --json history >"$tmp/left" 2>/dev/null
say 'is the same' "$(diff <(of_victim "$tmp/asked") <(of_victim "$tmp/left"))"
say 'and there is one' "$([ "$(of_victim "$tmp/left" | jq length)" = 1 ] || of_victim "$tmp/left")"
if command -v setpriv >/dev/null; then
    setpriv --reuid=65534 --clear-groups "$reckonctl" history >"$tmp/out" 2>"$tmp/err"
    grep -qE "^reckonctl: $absent.*; nor can .*history.json be read: Permission denied\$" "$tmp/err"
    say 'is not for all' "$([ $? = 0 ] || cat "$tmp/err")"
else
    skip 'is not for all: no setpriv'
fi
echo '{"version": 1, "entries": 7}' >"$tmp/state/history.json"
run 'a damaged one' 1 err "^reckonctl: $absent.*; nor can .*/history\.json be read: " -- history
say 'stays where it is' "$([ "$(echo "$tmp"/state/*)" = "$tmp/state/history.json" ] || ls "$tmp/state")"
rm "$tmp/state/history.json"
run 'none' 1 err "^reckonctl: $absent.*\); and there is no history in .*/state\$" -- history
exit $failed
