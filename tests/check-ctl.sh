#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-ctl.sh: reckonctl from outside: explain on this machine and on a subtree of our own, check on
# files that are wrong, exit statuses, and valid JSON in every case.  It signals no process.
#
# Environment: BUILDDIR.  Parts that need root, or a cgroup of their own, are skipped with the reason.
set -uo pipefail

build=$(cd "${BUILDDIR:-.}" && pwd)
reckonctl=$build/reckonctl
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-ctl.XXXXXX")
mount=$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
    /proc/self/mountinfo)
subtree=/reckonctl-check-$$
made_subtree=no pids=() failed=0
cleanup() {
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    [ ! -d "$mount$subtree/job" ] || rmdir "$mount$subtree/job"
    [ "$made_subtree" = no ] || rmdir "$mount$subtree"
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

# shellcheck source=tests/ctl-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/ctl-helpers.sh"
# A daemon that happens to run here is not called.
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$tmp/no-bus

echo '# the command line'
run 'help' 0 out '^Usage: reckonctl ' out '^  explain ' -- --help
run 'version' 0 out '^reckond [0-9]' -- --version
run 'no command' 2 err 'no command' --
run '-h' 0 out '^Usage: reckonctl ' -- -h
run 'a command for help' 0 out '^Usage: reckonctl ' -- help
run '-V' 0 out '^reckond [0-9]' -- -V
run 'an unknown command' 2 err "unknown command 'bogus'; try" -- bogus
for pair in statsu:status explian:explain hist:history chekc:check rule:rules relaod:reload; do
    run "a misspelled command: ${pair%:*}" 2 err "did you mean '${pair#*:}'\\?" -- "${pair%:*}"
done
run 'an empty name of a file' 2 err '^reckonctl: --config needs the name of a file$' -- --config= check
run 'an unknown command, as JSON' 2 err bogus -- --json bogus
finds 'is an object with error' .error '*bogus*'
run 'an unknown option' 2 err "unrecognized option '--bogus'" -- --bogus --json explain
finds 'is an object with error too' .error '*usage*'
run 'text that is not UTF-8, as JSON' 2 -- --json $'b\xff\e\n'
finds 'is still JSON' .error '"unknown command *'
run 'a second pid' 2 err 'one process' -- explain 1 2
run 'no pid' 2 err "'-1' is not a pid" -- explain -- -1
run 'no pid, but nearly' 2 err "'1x' is not a pid" -- explain 1x
run 'a subtree that is no path' 2 err "begins with '/'" -- --subtree nowhere explain
run 'a subtree that is not there' 1 err '^reckonctl: subtree /nowhere-at-all: ' -- \
    --subtree /nowhere-at-all explain
status=0
"$reckonctl" --help >/dev/full 2>"$tmp/err" || status=$?
: >"$tmp/out"
problem=''
[ $status = 1 ] || problem=" exit status $status, expected 1"
say 'an answer that cannot be written is a failure' "$problem"

STATE_DIRECTORY=$tmp/none run 'no history' 1 err "no system bus .*; and there is no history in $tmp/none$" -- history

echo '# check'
mkdir "$tmp/good.conf.d"
cat >"$tmp/good.conf" <<'END'
[Daemon]
MinVictim=1M
DryRun=yes
[Protect kept]
Comm=^rc-kept$
END
cp "$tmp/good.conf" "$tmp/good.conf.d/10-same.conf"
cat >"$tmp/bad.conf" <<'END'
[Daemon]
DryRun=perhaps
Subtree=/
[Policy one]
MemoryAvailable=200%
Action=kill
[Bogus]
END
mkdir "$tmp/half.conf.d"
cp "$tmp/good.conf" "$tmp/half.conf"
printf '[Policy two]\nAction=murder\n' >"$tmp/half.conf.d/20-bad.conf"
run 'a good file' 0 out '^2 files read: no errors' -- check "$tmp/good.conf"
say 'says nothing on standard error' "$(cat "$tmp/err")"
run 'a good file by --config' 0 out '^2 files read: no errors' -- --config "$tmp/good.conf" check
run 'both' 2 err 'either' -- --config "$tmp/good.conf" check "$tmp/good.conf"
printf '[Daemon]\nSubtree=/no/such/cgroup\n' >"$tmp/subtree.conf"
run 'a subtree that is not there' 0 out 'no errors, 1 warning\.$' err "^$tmp/subtree.conf:2: warning: Subtree=/no/such/cgroup: there is no such cgroup now" \
    -- check "$tmp/subtree.conf"
run 'as JSON' 0 -- --json check "$tmp/subtree.conf"
finds 'says so' '.messages[0].kind' '"warning"' '.messages[0].line' 2 '.messages[0].text' '*no such cgroup*'
run 'a bad file: every error and its line' 2 out '3 errors' err "^$tmp/bad.conf:2: .*DryRun" \
    err "^$tmp/bad.conf:5: .*MemoryAvailable" err "^$tmp/bad.conf:7: .*Bogus" -- check "$tmp/bad.conf"
problem=''
[ "$(wc -l <"$tmp/err")" = 3 ] || problem=' other than three lines'
say 'and nothing else' "$problem"
cp "$tmp/err" "$tmp/errors"
if [ -x "$build/reckond" ]; then
    "$build/reckond" --check-config --config "$tmp/bad.conf" >"$tmp/out" 2>"$tmp/err"
    problem=$(diff "$tmp/errors" "$tmp/err")
    say 'reckond --check-config says the same' "$problem"
else
    skip 'reckond --check-config: no reckond here'
fi
run 'a bad drop-in of a good file' 2 err "^$tmp/half.conf.d/20-bad.conf:2: " -- check "$tmp/half.conf"
run 'several files: each for itself' 2 out '^5 files read: ' err "^$tmp/bad.conf:2: " \
    err "^$tmp/half.conf.d/20-bad.conf:2: " -- check "$tmp/good.conf" "$tmp/bad.conf" "$tmp/half.conf"
run 'a file that is not there' 2 err "^$tmp/none.conf: " -- check "$tmp/none.conf"
run 'a bad file, as JSON' 2 err "^$tmp/bad.conf:2: " -- --json check "$tmp/bad.conf"
finds 'lists files and messages' '.files[0]' "\"$tmp/bad.conf\"" '.messages[1].line' 5 \
    '.messages[2].kind' '"error"' '.messages[0].text' '*DryRun*'
run 'a good file, as JSON' 0 -- --json check "$tmp/good.conf"
finds 'has no messages' .messages '\[\]' '.files[1]' "\"$tmp/good.conf.d/10-same.conf\""
run 'explain with a bad file' 2 err "^$tmp/bad.conf:2: " err '3 errors' -- --config "$tmp/bad.conf" explain
run 'explain with a bad file, as JSON' 2 -- --config "$tmp/bad.conf" --json explain
finds 'is an object with error' .error '*3 errors*'

echo '# explain, on this machine'
printf '[Daemon]\nSubtree=/\n' >"$tmp/plain.conf"
run 'explain' 0 out '^If memory ran out now, |^The conditions of policy ' out '^Memory: [0-9.]+% of ' \
    out 'Not eligible: .*kernel thread|Not eligible: init|hidepid' -- --config "$tmp/plain.conf" explain
run 'explain, as JSON' 0 -- --config "$tmp/plain.conf" --json explain
finds 'has the parts that reckonctl(1) promises' '.memory.total_bytes' '[1-9]*' \
    '.memory.available_permyriad' '[0-9]*' '.policy.name' '"*"' '.candidates' '[0-9]*' \
    '.policies[0].name' '"warn"' '.policies[0].action' '"warn"' '.policies[0].memory_available_bytes' \
    '[1-9]*' '.read_error_bytes' '[0-9]*' '.accuracy_error_bytes' '[0-9]*' \
    '.excluded.kernel_threads' '[0-9]*' '.approximate' '@(true|false)' .subtree '"/"' .dry_run false
if [ -d /proc/1 ]; then
    run 'explain 1' 0 out '\(pid 1[,)].* would not be killed: .*init' -- explain 1
    run 'explain 1, as JSON' 0 -- --json explain 1
    finds 'is init' .process.pid 1 .process.excluded '"init"' .process.is_victim false \
        .process.rank null .process.reason '*init*'
else
    skip 'explain 1: it is hidden here'
fi
run 'explain a process' 0 out "^  Command line: +(.*/)?bash .*check-ctl" out '^  Executable: +/.*bash$' -- explain $$
run 'explain a process, as JSON' 0 -- --json explain $$
finds 'has what describes it' .process.command_line '*check-ctl*' .process.executable '"/*bash"' .process.container null
if [ "$(stat -fc %T /dev/shm)" = tmpfs ]; then
    head -c 20M /dev/zero >"/dev/shm/check-ctl-$$"
    exec 9<"/dev/shm/check-ctl-$$"
    rm "/dev/shm/check-ctl-$$"
    sleep 1000 & # inherits it
    pids=($!)
    exec 9<&-
    run 'explain what holds memory by descriptors' 0 out '^ +and 20\.0 MiB by descriptors alone, which is freed as well$' -- explain "${pids[0]}"
    run 'explain what holds memory by descriptors, as JSON' 0 -- --json explain "${pids[0]}"
    finds 'has what it holds' .process.held_bytes 20971520 ".held_by_descriptors[] | select(.pid == ${pids[0]}) | .bytes" 20971520
    kill "${pids[0]}"
    pids=()
else
    skip 'explain what holds memory by descriptors: no tmpfs at /dev/shm'
fi
run 'a pid that no process has' 1 err 'no such process.*: 4194305$' -- explain 4194305
run 'a pid that no process has, as JSON' 1 -- --json explain 4194305
finds 'is an object with error' .error '*no such process*'
if command -v python3 >/dev/null; then
    # (The first output is the thread's, the second that of a child that has exited.)
    python3 -uc 'import os, threading, time
ready = threading.Event()
def wait():
    print(threading.get_native_id())
    ready.set()
    time.sleep(60)
threading.Thread(target=wait, daemon=True).start()
ready.wait()
pid = os.fork()
if pid == 0: os._exit(0)
print(pid)
time.sleep(60)' >"$tmp/ids" 2>/dev/null &
    pids+=($!)
    for _ in {1..100}; do
        [ "$(wc -l <"$tmp/ids")" = 2 ] && grep -q '^State:.Z' "/proc/$(sed -n 2p "$tmp/ids")/status" && break
        sleep 0.05
    done
    { read -r thread; read -r zombie; } <"$tmp/ids"
    run 'a thread' 1 err "^reckonctl: $thread is a thread of process ${pids[0]} " -- explain "$thread"
    run 'a zombie' 1 err "^reckonctl: process $zombie has exited: it is a zombie" -- explain "$zombie"
    kill "${pids[0]}"
    pids=()
fi
run 'a pid out of all bounds' 2 err 'not a pid' -- explain 99999999999999999999

echo '# explain, on a subtree of our own'
if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! command -v perl >/dev/null ||
    ! mkdir "$mount$subtree" 2>/dev/null; then
    skip 'this needs root, perl and a cgroup2 mount'
    exit $failed
fi
made_subtree=yes
hold() { # NAME MIB: a process of that name that holds so much, in the subtree; its pid in $held
    local i
    # shellcheck disable=SC2016
    perl -e '$0 = $ARGV[0]; $x = "x"; $x x= $ARGV[1] << 20; sleep 1000' "$1" "$2" &
    held=$!
    pids+=("$held")
    echo "$held" >"$mount$subtree/cgroup.procs"
    for ((i = 0; i < 200; i++)); do
        [ "$(awk '{ print int(($2 - $3) / 256) }' "/proc/$held/statm")" -ge "$2" ] && return
        sleep 0.05
    done
    echo "not ok - a process of our own does not grow to $2 MiB" && exit 1
}
hold rc-small 4; small=$held
hold $'big\n\e[2J"\xff' 40; big=$held # never printed as it is
hold rc-middle 16; middle=$held
hold rc-kept 60; kept=$held
options=(--config "$tmp/good.conf" --subtree "$subtree")
run 'explain, as JSON' 0 -- "${options[@]}" --json explain
finds 'the largest that may go is the victim' .victim.pid $big .candidates 3 '.ranked[0].pid' $big \
    '.ranked[1].pid' $middle '.ranked[2].pid' $small .victim.verdict '"chosen"' .victim.cgroup \
    "\"$subtree\"" .subtree "\"$subtree\"" .excluded.protected 1 '.protected[0].pid' $kept \
    '.protected[0].footprint_bytes' '6[0-9]??????' '.protected[0].rule.name' '"kept"' '.protected[0].rule.builtin' false .dry_run true
finds 'its size is right' .victim.anonymous_bytes '4[1-9]??????' .victim.weight '1?(.0)'
finds 'its name is escaped' .victim.command '"big\\n\\u001[bB]\[2J\\"*"'
run 'explain' 0 out "^If memory ran out now, big\\?\\?\\[2J\"[^ ]+ \\(pid $big, user root\\) would be killed first; this would free 4[0-9]\\.[0-9] MiB\\.$" \
    out "^ +$big .* victim +$subtree\$" out "^ +$middle  rc-middle .* $subtree\$" out 'DryRun=yes' \
    out '1 protected, [0-9]+ outside the subtree' out '1 by rule kept: rc-kept$' -- "${options[@]}" explain
problem=''
! LC_ALL=C grep -q '[[:cntrl:]]' "$tmp/out" || problem=' control characters'
say 'nothing but text gets to the terminal' "$problem"
run 'explain the victim' 0 out "\\(pid $big, user root\\) would be killed first: " out 'Rank: +1 of 3' \
    -- "${options[@]}" explain $big
run 'explain the next' 0 out "^rc-middle \\(pid $middle, .* would not be killed first: big.*\\(pid $big, " \
    out 'Rank: +2 of 3' -- "${options[@]}" explain $middle
run 'explain one that is protected' 0 \
    out "^rc-kept \\(pid $kept, .* would not be killed: protected by the rule kept\\." -- "${options[@]}" explain $kept
run 'explain one that is protected, as JSON' 0 -- "${options[@]}" --json explain $kept
finds 'names the rule' .process.excluded '"protected"' .process.rule.name '"kept"' .process.rank null \
    .victim.pid $big
run 'explain one outside' 0 out "would not be killed: outside the subtree $subtree\\." -- "${options[@]}" explain $$
echo 1000 >"/proc/$middle/oom_score_adj"
run 'explain one with a high oom_score_adj' 0 out 'Score: +[0-9.]+ MiB \(oom_score_adj 1000, weight 1' \
    -- "${options[@]}" explain $middle
printf '[Daemon]\nMinVictim=1M\n[Prefer middle]\nComm=^rc-middle$\nWeight=4\n' >"$tmp/prefer.conf"
run 'a preferred one is killed first' 0 -- --config "$tmp/prefer.conf" --subtree "$subtree" --json explain
finds 'although it is not the largest that may go' .victim.pid $middle .victim.weight '4?(.0)'
printf '[Daemon]\nMinVictim=1M\n[Policy always]\nMemoryAvailable=100%%\nAction=kill\nRankBy=badness\n' >"$tmp/now.conf"
run 'a policy that holds' 0 out '^The conditions of policy always hold now: ' out '^Policy always: kill at ' \
    out 'badness' -- --config "$tmp/now.conf" --subtree "$subtree" explain
run 'a policy that holds, as JSON' 0 -- --config "$tmp/now.conf" --subtree "$subtree" --json explain
finds 'says so' .policy.name '"always"' .policy.holds true .policy.rank_by '"badness"' .victim.pid $middle
# (What is in the subtree itself is killed by itself.)
job=$subtree/job
mkdir "$mount$job"
for pid in "${pids[@]}"; do echo "$pid" >"$mount$job/cgroup.procs"; done
printf '[Daemon]\nMinVictim=1M\n[Policy always]\nMemoryAvailable=100%%\nAction=kill\nTarget=cgroup\n' >"$tmp/group.conf"
run 'a policy that kills a cgroup' 0 out "^The conditions .* hold now: rc-kept \\(pid $kept, .* would be killed first, with all of cgroup $job \\(4 processes\\); this would free 1[2-3][0-9]" \
    out '^It kills all processes of a cgroup at once\.$' out "^ +1[2-3][0-9].* victim +4  rc-kept \\(pid $kept\\)  $job\$" \
    out '^Read precisely: 1 cgroup;' -- --config "$tmp/group.conf" --subtree "$subtree" explain
run 'a policy that kills a cgroup, as JSON' 0 -- --config "$tmp/group.conf" --subtree "$subtree" --json explain
finds 'says so' .policy.target '"cgroup"' '.policies[0].target' '"process"' .group.cgroup "\"$job\"" \
    .group.by '"policy"' .group.processes 4 .group.footprint_bytes '1????????' .victim.pid $kept \
    .victim.processes 4 .victim.oom_score_adj null
run 'one that is killed with its cgroup' 0 \
    out "^rc-small .* would be killed first, with all of cgroup $job \\(4 processes\\): no other cgroup ranks higher; this would free 1" \
    out '^  Frees: +(at most )?[4-9]\.[0-9] MiB' out '^  Rank: +1 \(that of its cgroup\)$' \
    -- --config "$tmp/group.conf" --subtree "$subtree" explain $small
printf '[Protect kept]\nComm=^rc-kept$\n' >>"$tmp/group.conf"
run 'without one that is protected' 0 out "would be killed first, with all of cgroup $job \\(3 processes\\); this would free 6" -- --config "$tmp/group.conf" \
    --subtree "$subtree" explain
run 'and one that is killed with it' 0 out "would be killed first, with all of cgroup $job \\(3 processes\\)" -- --config "$tmp/group.conf" \
    --subtree "$subtree" explain $small
for pid in "${pids[@]}"; do kill -KILL "$pid"; done
wait 2>/dev/null
pids=()
rmdir "$mount$job"
run 'an empty subtree' 0 out '^If memory ran out now, no process would be killed: none is eligible and large enough\.' -- --subtree "$subtree" explain
run 'an empty subtree, as JSON' 0 -- --subtree "$subtree" --json explain
finds 'has no victim' .victim null .ranked '\[\]' .candidates 0
exit $failed
