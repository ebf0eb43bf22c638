#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-ctl-bus.sh: reckonctl with a daemon to call: what it prints in a pipe, on terminals of several
# widths and as JSON, what it prints where the daemon is not there, old, silent or refuses, and every
# example of its man page.
#
# The daemon is tests/mock-reckond with tests/fixtures/ctl/running.json, changed by jq, on a bus of
# our own.  (With the real one: check-ctl-daemon.sh.)
# Environment: BUILDDIR, SRCDIR, FIXTURES.
set -uo pipefail
# shellcheck source=tests/ctl-bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/ctl-bus-helpers.sh"

echo '# no bus, and no daemon'
run 'status without a bus' 1 out '^State +not known$' out '^Memory +[0-9]' \
    err '^reckonctl: cannot query reckond: no system bus \(' -- status
run 'and as JSON' 1 -- --json status
finds 'says so' .running null .error '*no system bus*' .source '"reckonctl"' .state null \
    .memory.total_bytes '[1-9]*' '.policies[0].name' '"*"' .next.name '"*"'
run 'history without a bus' 1 err 'no system bus .*; systemctl status dbus reckond\); and there is no history in ' -- history
start_bus
run_apart none 'status without a daemon' 1 out '^State +not running: no process would be killed in time$' \
    out '^Memory +[0-9.]+% of ' \
    err '^reckonctl: reckond is not running \(systemctl start reckond; if that fails: reckonctl check; journalctl -u reckond\)$' -- status
run_apart none 'and as JSON' 1 -- --json status &&
    finds 'says so' .running false .error '*is not running*' .memory.available_bytes '[1-9]*' .last null
run_apart runs 'status with a daemon that is not on the bus' 1 out '^State +not known$' out '^Memory ' \
    err '^reckonctl: reckond runs \(pid [0-9]+\) but is not on the bus \(journalctl -u reckond\)$' -- status
run_apart runs 'and as JSON' 1 -- --json status &&
    finds 'says so' .running null .error '*runs (pid *' .state null
run_apart hidden 'status where processes are hidden' 1 out '^State +not known$' \
    err '^reckonctl: reckond is not on the bus \(is it running\? systemctl status reckond\)$' -- status
run_apart runs 'history with a daemon that is not on the bus' 1 err '^reckonctl: reckond runs \(pid ' -- history
run 'history without a daemon' 1 err "^reckonctl: $absent" -- history
run 'and as JSON' 1 -- --json history
finds 'is an object with error' .error '"reckond *"'
run 'reload without a daemon' 1 err "^reckonctl: $absent" -- reload
run 'explain without a daemon' 0 out '^If memory ran out now, |^The conditions of ' \
    out "^Evaluated by reckonctl itself: $absent" -- explain
run 'rules without a daemon' 0 out '^warn +warn +\? +available <= 15% capped at 6\.0 GiB \([0-9]' \
    out '^protect +bus +yes +-  Comm=\^\(dbus-daemon\|' out '^avoid +shell +yes +0.5  Comm=' \
    out "^Evaluated by reckonctl itself: $absent" -- rules
run 'and as JSON' 0 -- --json rules
finds 'has all of each' .source '"reckonctl"' '.policies[1].action' '"terminate"' '.policies[0].holds' null \
    '.rules[0].kind' '"protect"' '.rules[0].builtin' true '.rules[0].conditions' '"Cgroup=*"'
printf '[Daemon]\nMinVictim=0%%\n[Policy mine]\nMemoryAvailable=1G\nAction=kill\n[Prefer x]\nComm=^x$\nUser=root\n' >"$tmp/mine.conf"
run 'rules of a file' 0 out '^mine +kill +\? +available <= 1\.0 GiB$' out '^prefer +x +- +2  Comm=\^x\$ User=root$' \
    out 'as --config asks for' -- --config "$tmp/mine.conf" rules
problem=''
[ ! -e "$tmp/was-started" ] || problem=' it was started'
say 'asking does not start the daemon' "$problem"

echo '# a daemon'
serve
run status 0 out '^State +calm: enough memory is available \(reckond 0\.1\.0\)$' \
    out '^Memory +62\.2% of 7\.6 GiB available$' out '^Swap +90\.4% of 3\.9 GiB free$' \
    out '^Pressure +some 1\.2%, full 0\.0% of the last 10 s$' \
    out '^Next threshold +warn, 3\.6 GiB of memory and 2\.6 GiB of swap away: available <= 15% \(1\.1 GiB\)' \
    out '^Next victim +chromium \(pid 812, user alice\); would free 1\.4 GiB$' \
    out '^Kills +1 process since the start, 2 d 5 h ago$' \
    out '^Last +2 h 12 min ago: chromium \(pid 4711\) by policy kill: exited after 43 ms; 1\.3 GiB of 1\.4 GiB reclaimed$' \
    out '^Configuration +/etc/reckond/reckond\.conf$' -- status
say 'and nothing on standard error' "$(cat "$tmp/err")"
is_harmless 'and no colour in a pipe'
run 'status, as JSON' 0 -- --json status
finds 'has what reckonctl(1) promises' .running true .source '"daemon"' .version '"0.1.0"' .state '"calm"' \
    .dry_run false .subtree '"/"' '.config_files[0]' '"/etc/*"' .conflicts '\[\]' .missing_privileges '\[\]' .limitations '\[\]' .processes 362 \
    .kills 1 .started_usec '[1-9]???????????????' .read_usec '[1-9]???????????????' .memory.available_permyriad 6229 .memory.pressure_some_permyriad 120 \
    '.policies[4].name' '"thrash"' .next.name '"warn"' .next.memory_bytes '[1-9]*' .victim.pid 812 .last.id 4 \
    .last.reclaimed_2s_bytes '[1-9]*' '.last.ranked[1].comm' '"firefox"'
serve '.explain["0"].group = {cgroup: "/user.slice/app.scope", by: "memory.oom.group", processes: 9,
    footprint_bytes: 2147483648, footprint_min_bytes: 2147483648, footprint_max_bytes: 2147483648}'
run 'status where all of a cgroup would be killed' 0 \
    out '^Next victim +all of cgroup /user.slice/app.scope \(9 processes\); would free 2\.0 GiB$' -- status
serve
run explain 0 out '^If memory ran out now, chromium' out '^Next would be code \(pid 1044, user alice\): would free 900 MiB\.$' \
    out '^Not postgres \(pid 701, user postgres\), although it would free 1\.7 GiB: protected by the rule database\.$' \
    out '^Not firefox \(.*\), although it would free 1\.6 GiB: its score is 805 MiB \(oom_score_adj 0, weight 0\.5\)\.$' \
    out '1 of 143 candidates; no other could rank higher than the first\.$' out '^  and 139 more$' out '^  2 by rule bus \(built in\): dbus-daemon$' out '^Answered by reckond on the system bus\.$' -- explain
run 'explain, as JSON' 0 -- --json explain
finds 'is the object of the daemon' .source '"daemon"' .candidates 143 '.ranked[1].pid' 1044
serve '.explain["0"] |= del(.survivors)'
run 'explain by an older daemon' 0 \
    out '^Not postgres \(pid 701\), although it would free 1\.7 GiB: protected by the rule database\.$' \
    out '^Not firefox \(.*\), although it would free 1\.6 GiB: its score is 805 MiB \(oom_score_adj 0, weight 0\.5\)\.$' -- explain
serve '.explain["0"] |= (.survivors |= ([range(6) as $i | .[0] + {pid: (7000 + $i)}]
        + [.[1] + {command: "app", skipped_for: "similar", reason: "killing a similar one freed little"},
           .[1] + {command: "light", skipped_for: "failed", reason: "the last attempt to kill it failed"}]))'
run 'explain where many are not killed' 0 out '^Not postgres \(pid 7002, ' \
    out '^Not app \(.*\), although it would free 1\.6 GiB: killing a similar one freed little\.$' \
    out '; no other could rank higher than the first, except those that are skipped\.$' -- explain
problem=''
[ "$(grep -c '^Not .*although' "$tmp/out")" = 4 ] || problem=' other than three and the skipped one'
say 'and no more' "$problem"
serve '.explain["0"] |= (.excluded.skipped = 2 | .survivors[1] += {footprint_bytes: 1000, skipped_for: "failed",
        reason: "the last attempt to kill it failed"} | .survivors[0] += {footprint_bytes: null, excluded: "unreadable", reason: "its memory may not be read"})'
run 'explain where one is skipped' 0 out '^Not eligible: .*, 2 skipped' \
    out '^Not firefox \(.*\), although it has a higher score: the last attempt to kill it failed\.$' \
    out '^Not postgres \(.*\), although it was larger: its memory may not be read\.$' \
    out 'could rank higher than the first, except those that are skipped\.$' -- explain
serve
run 'explain a pid' 0 out '^code \(pid 1044.* would not be killed first: chromium' out '^  Rank: +2 of 143$' -- explain 1044
run 'explain a pid that the daemon does not know' 1 err '^reckonctl: no such process: 5$' -- explain 5
run 'explain with a file does not call the daemon' 0 out 'itself: as --config asks for' \
    -- --config "$tmp/mine.conf" explain
run history 0 out '^ID +AGO  VICTIM +WOULD FREE  FREED 0\.1 s' \
    out '^ 4  2 h 12 min  chromium \(pid 4711\) +1\.4 GiB +1\.2 GiB +1\.3 GiB +1\.3 GiB  exited after 43 ms; policy kill$' \
    out '^ 3 .*  -  .*no victim; policy kill$' out '^ 2 .*could not be killed, ineffective; policy terminate$' \
    out '^ 1 .* - .*dry run; policy kill$' -- history
problem=''
[ "$(tail -n 1 "$tmp/out" | cut -c 1-2)" = ' 4' ] || problem=' it is not'
say 'the newest is last' "$problem"
run 'the newest two' 0 out '^ 4 ' out '^ 3 ' -- history 2
problem=''
[ "$(wc -l <"$tmp/out")" = 3 ] || problem=' other than three lines'
say 'and no more' "$problem"
run 'all' 0 out '^ 4 ' out '^ 1 ' -- history 0
run 'all that is known' 0 out '^4: 20..-..-.. ..:..:.., 2 h 12 min ago: chromium' out '^  Reclaimed +1\.2 GiB after 0\.1 s, ' \
    out 'Killed by +SIGKILL, as it had not exited on SIGTERM: .*; 1 other process that shared its memory was killed with it.*thawed \(2 levels\), then frozen again$' \
    out '^  Next were +firefox \(pid 900, 790 MiB\)$' out '^3: .*no process was worth killing for policy kill\.$' -- --full history
run 'the choice' 0 out '^  Choice +2 of 140 candidates read precisely; no other could have ranked higher than the first$' \
    -- --full history
run 'how the machine stood' 0 out '^  Policy +kill \(kill\), with 340 MiB of 7\.6 GiB available, 120 MiB of swap free, PSI full 31\.2%$' \
    -- --full history
serve '.history[0] += {swap_total_bytes: 0, swap_free_before_bytes: 0, pressure_some_permyriad: 4500}
    | .history[1].swap_total_bytes = 4187593113 | .history[1] |= del(.pressure_full_permyriad)'
run 'how it stood with swap' 0 out 'available, no swap, PSI some 45\.0%, full 31\.2%$' \
    out 'of 7\.6 GiB available, 90\.0 MiB of swap free$' -- --full history
run 'the steps' 0 out '^  Steps +chosen after 240 us, pidfd open after 290 us, boosted after 340 us, signalled after 390 us, handed to the reaper after' \
    -- --full history
serve '.history[0] += {escalated: true, escalated_usec: 5000400, boost_usec: 5000300, reap_usec: 5000500, exited_usec: 5043000}'
run 'the steps, with SIGKILL after SIGTERM' 0 \
    out 'open after 290 us, signalled after 390 us, boosted after 5\.0 s, SIGKILL after 5\.0 s, handed to the reaper after 5\.0 s, outcome' \
    -- --full history
serve '.history[0].ranked[1].killed_with = true | .history[0].ranked[2] = (.history[0].ranked[1] + {comm: "next", killed_with: false})'
run 'one that was killed with it was not next' 0 out '^  Next were +next \(pid 900, 790 MiB\)$' -- --full history 1
serve '.history[0] += {skipped_pid: 77, skipped_comm: "app", skipped_cgroup: "/app.slice", skipped_footprint_bytes: 1073741824,
        skipped_for: "similar"} | .history[1] = .history[0] + {id: 3, skipped_for: "failed", target: "cgroup"}
    | .history[1].ranked[1] |= del(.pid, .comm) | .history[2] |= (.approximate = true)'
run 'one that was larger and skipped' 0 \
    out '2 of 140 candidates read precisely; not the larger app \(pid 77, 1\.0 GiB\), as killing a similar one had freed little; no other could' \
    out '; not the larger cgroup /app.slice \(1\.0 GiB\), as the last attempt to kill it had failed; no other could' \
    out '2 of 140 candidates read precisely; others might have ranked higher than the first$' \
    out '^  Next were +cgroup /user.slice/.*app-firefox.scope \(790 MiB\)$' -- --full history
problem=''
! grep -q 'no other could be' "$tmp/out" || problem=' it is said'
say 'it is not said that there was none' "$problem"
serve
run 'history, as JSON' 0 -- --json history
finds 'the newest first, with all members' .source '"daemon"' '.entries[0].id' 4 '.entries[0].kind' '"killed"' \
    '.entries[0].time_usec' '[1-9]*' '.entries[0].reclaimed_100ms_bytes' '[1-9]*' '.entries[0].weight' '1?(.0)' \
    '.entries[0].ineffective' false '.entries[2].refrozen' 2 '.entries[0].ranked[0].verdict' '"chosen"'
run rules 0 out '^thrash +kill +- +available <= 20% ' out '^protect +database +- +-  Comm=\^postgres\$ User=postgres$' \
    out '^prefer +browsers +- +1\.5  Cgroup=' out '^Answered by reckond on the system bus\.$' -- rules
run 'rules, as JSON' 0 -- --json rules
finds 'as the daemon has them' .source '"daemon"' '.policies[0].holds' false '.rules[1].builtin' false '.rules[2].weight' 0.5
run reload 0 out 'has reloaded its configuration' -- reload
run 'reload, as JSON' 0 -- --json reload
finds 'says so' .reloaded true
for command in status explain history rules; do
    status=0
    "$reckonctl" $command >/dev/full 2>"$tmp/err" || status=$?
    [ $status = 1 ] && say "$command to a full disk is a failure" '' || say "$command to a full disk" " $status"
done

echo '# usage'
run 'history of no number' 2 err "'x' is not a number" -- history x
run 'history of two' 2 err 'one number' -- history 1 2
run 'status of something' 2 err 'no arguments' -- status now
run 'rules of something' 2 err 'no arguments' -- rules now
run 'reload of something' 2 err 'no arguments' -- reload now
run 'status of a file' 2 err '^reckonctl: status: --config is not for it$' -- --config "$tmp/mine.conf" status
run 'history of a subtree' 2 err '^reckonctl: history: --subtree is not for it$' -- --subtree / history
run 'check of a subtree' 2 err '^reckonctl: check: --subtree is not for it$' -- --subtree / check
run 'explain in full' 2 err '^reckonctl: explain: --full is not for it$' -- --full explain
run 'explain 0' 2 err "'0' is not a pid" -- explain 0

echo '# daemons in other states'
serve '.history = [] | .properties += {Kills: 0, State: "killing", DryRun: true, Subtree: "/user.slice",
    ConfigFiles: [], Conflicts: ["earlyoom.service", "systemd-oomd.service"], MissingPrivileges: ["may not signal"],
    Limitations: ["no file"],
    SwapTotal: 0, SwapFree: 0, HasPressure: false} | .explain["0"].policies[2].holds = true
    | .explain["0"].policies[0].action = "none" | .explain["0"].policies[3] |= (.action = "none" | .holds = true) | .explain["0"].victim = null'
run 'status' 0 out '^State +killing: waiting for memory to be freed' out '^ +dry run: no process is killed' \
    out '^Swap +none$' out '^Pressure +not known' out '^Now +policy kill: available <= 5% ' \
    out '^Next threshold +terminate, ' \
    out '^Kills +0 processes since' out '^Missing +may not signal$' out '^Limitations +no file$' out '^Conflicts +earlyoom.service$' \
    out '^ +systemd-oomd.service$' out '^ +both may kill for one shortage' out '^Subtree +/user.slice$' out '^Configuration +none: the built-in' -- status
problem=''
! grep -qE '^(Last|Next victim)' "$tmp/out" || problem=' one is named'
say 'no next victim, and no last kill' "$problem"
problem=''
! grep -q 'policy stall' "$tmp/out" || problem=' it is named'
say 'a policy that does nothing is no news' "$problem"
run 'an empty history' 0 out '^No process has been killed yet\.$' -- history
run 'an empty history, as JSON' 0 -- --json history
finds 'is empty' .entries '\[\]'
serve '.properties.State = "stuck" | .explain["0"] |= (.victim = null | .ranked = [] | .policies[2].holds = true
    | .excluded += {protected: 3, outside_subtree: 26, unreadable: 2}) | .history[1].excluded = "3 protected, 26 outside the subtree"'
run 'status where no process is eligible' 0 out '^State +stuck: memory is low but no process is worth killing \(reckond 0\.1\.0\)$' \
    out '^ +not eligible: init, 212 kernel threads, 3 protected, 1 reluctant, 2 with .*, 26 outside the subtree, 2 unreadable$' -- status
run 'status where no process is eligible, as JSON' 0 -- --json status
finds 'says how many, and why' .victim null .excluded.protected 3
run 'no victim, in full' 0 out '^  Excluded +3 protected, 26 outside the subtree$' -- --full history
serve '.properties.State = "watch" | .explain["0"] |= (.victim = null | .policies[0].holds = true)'
run 'status where no process need be killed' 0 out '^State +watch: memory is sampled often ' -- status
serve '.properties += {State: "stuck", MemoryHeldBy: [
    {kind: "tmpfs", text: "tmpfs", bytes: 6442450944, path: "/tmp/\u001bx", pid: 77, command: "cp"},
    {kind: "memfds", text: "memfds of 1 process", bytes: 1073741824, path: "", pid: 78, command: "compositor"},
    {kind: "slab", text: "slab", bytes: 104857600, path: "", pid: 0, command: ""},
    {kind: "largest_process", text: "too small to be worth a kill", bytes: 5242880, path: "", pid: 9, command: "bash"}]}
    | .explain["0"] |= (.victim = null | .ranked = [] | .policies[2].holds = true)'
run 'status shows where memory is' 0 out '^State +stuck: ' out '^Held by +6\.0 GiB tmpfs /tmp/\?x$' out '^ +likely held by cp \(pid 77\)$' \
    out '^ +1\.0 GiB memfds of 1 process$' out '^ +by compositor \(pid 78\)$' out '^ +100 MiB slab$' \
    out '^Largest +bash \(pid 9, 5\.0 MiB\): too small to be worth a kill$' -- status
run 'as JSON' 0 -- --json status
finds 'says where memory is' '.memory_held_by[0].bytes' 6442450944 '.memory_held_by[2].kind' '"slab"' '.memory_held_by[3].pid' 9 .min_victim 7969177
serve '.properties += {Latency: [{kind: "delay", max_usec: 212000, late: 3, cause: "cpu"},
    {kind: "duration", max_usec: 70000, late: 1, cause: "paging"}]}'
run 'status of a daemon that was late' 0 out '^Late +3 samples of memory started too late, 212 ms at most; of the last one: there was no CPU for it$' -- status
run 'as JSON' 0 -- --json status
finds 'has both' '.latency[0].late' 3 '.latency[1].cause' '"paging"'
serve '.properties += {Latency: [{kind: "delay", max_usec: 9000, late: 0, cause: ""}, {kind: "duration", max_usec: 9000, late: 0, cause: ""}]}'
run 'status of one that was not' 0 -- status
problem=''
! grep -q '^Late' "$tmp/out" || problem=' it does'
say 'does not speak of it' "$problem"
serve '.properties += {Degraded: true, ConfigErrors: ["/etc/b.conf:7: this is \u001bwrong", "and this"]}'
run 'status of a degraded daemon' 0 out '^Degraded +the configuration has errors and is used in part' out '^ +/etc/b.conf:7: this is \?wrong$' \
    out '^ +and this$' out '\(reckonctl check\)$' -- status
serve '.properties += {Degraded: true, ConfigFiles: ["/etc/reckond/reckond.conf.d/x.conf"]}'
run 'which files are checked: the usual ones' 0 out '\(reckonctl check\)$' -- status
serve '.properties += {Degraded: true, ConfigFiles: ["/etc/reckond/reckond.conf2", "/etc/reckond/reckond.conf2.d/x.conf"]}'
run 'or the one that was named' 0 out '\(reckonctl check /etc/reckond/reckond.conf2\)$' -- status
serve '.properties += {Degraded: true, ConfigErrors: ["/etc/b.conf:7: this is \u001bwrong", "and this"]}'
run 'as JSON' 0 -- --json status
finds 'has the errors' .degraded true '.config_errors[1]' '"and this"'
serve '.properties += {ReloadErrors: ["/etc/reckond/reckond.conf:7: this is \u001bwrong", "and this", "and that"]}'
run 'status after a reload that was refused' 0 out '^Configuration +/etc/reckond/reckond.conf$' \
    out '^ +the last reload was refused \(reckonctl check\): /etc/reckond/reckond.conf:7: this is \?wrong, and 2 more$' -- status
serve '.properties += {ReloadErrors: ["Too many open files"], ConfigFiles: ["/srv/x.conf"]}'
run 'or could not be read' 0 out '^ +the last reload was refused \(reckonctl check /srv/x.conf\): Too many open files$' -- status
run 'as JSON' 0 -- --json status
finds 'has the reason' .degraded false '.reload_errors[0]' '"Too many open files"'
serve '.history[0].time_usec = 4102444800000000 | .history[1].time_usec = 4102444700000000'
run 'a history from after now' 0 out '^ 4  2(100-01-01|099-12-31) ..:..:..  chromium' out '^ 3  2' out '^ 2 +2 d  mkswap' -- history
run 'in full' 0 out '^4: 2.*-.*-.* ..:..:.., in the future: chromium' -- --full history
problem=''
! grep -q ' ago' "$tmp/out" || [ "$(grep -c ' ago' "$tmp/out")" = 2 ] || problem=' other than two are of the past'
say 'and the others are not' "$problem"
run 'and the last one' 0 out '^Last +2.*-.*-.* ..:..:..: chromium \(pid 4711\) by' -- status
serve '.history |= [.[0], .[0], .[0], .[0], .[0], .[0]] | .history[0].kind = "cancelled" | .history[1].outcome = "reclaimed"
    | .history[2].outcome = "cancelled" | .history[3].outcome = "in-progress" | .history[4].outcome = "of a newer daemon"
    | .history |= [to_entries[] | .value.id = 9 - .key | .value.cgroup = "/a.slice/\(.key).service" | .value]
    | .history[5].target = "cgroup" | .history[5].cgroup = "/a.slice"'
run 'other outcomes' 0 out ' not killed \(memory recovered\); policy kill$' out ' still exiting, memory already reclaimed after 43 ms; ' \
    out ' cancelled \(memory recovered\); ' out ' in progress; ' out ' not known; ' \
    out ' cgroup /a\.slice +1.4 GiB ' -- history
run 'other outcomes in full' 0 out 'chromium \(pid 4711\) was chosen by policy kill and not killed: memory had recovered\.$' \
    out ' ago: cgroup /a\.slice by policy kill: ' -- --full history
serve '.history |= [.[0], .[0], .[0], .[0]] | .history |= [to_entries[] | .value.id = 9 - .key | .value.pid = 800 + .key |
    .value.time_usec -= .key * 10000000 | .value.cgroup = "/system.slice/mydb.service" | .value]'
run 'a unit that is killed again and again is one row' 0 out '^ 9 .* mydb\.service: killed 4 times in (29|30) s ' -- history
problem=''
! grep -q '^ [678] ' "$tmp/out" || problem=' others are shown as well'
say 'and only one' "$problem"
run 'in status too' 0 out '^Last .*: mydb\.service: killed 4 times in (29|30) s; chromium \(pid 800\) by policy kill: ' -- status
run 'and in JSON' 0 -- --json history
finds 'all of them are' '.entries[3].pid' 803 '.entries[0].pid' 800
# shellcheck disable=SC2016
serve '("\u001b[2J\u009b1m\u202ex\nb\ttt" as $evil | .history[0] |= (.comm = $evil | .cgroup = $evil | .policy = $evil)
    | .properties.MissingPrivileges = [$evil] | .properties.Limitations = [$evil] | .properties.State = $evil | .properties.ConfigFiles = [$evil]
    | .explain["0"] |= (.answer = $evil | .victim.command = $evil | .ranked[0].cgroup = $evil | .ranked[0].user = $evil
        | .protected[0].command = $evil | .protected[0].rule.name = $evil | .policy.name = $evil | .policy.conditions = $evil)
    | .rules[0][2] = $evil | .policies[0][0] = $evil)'
for command in status explain history 'history --full' rules; do
    # shellcheck disable=SC2086
    run "$command with what is no text in it" 0 -- $command
    is_harmless 'and none of it comes out'
    ! LC_ALL=C grep -qP '\xe2\x80\xae|\xc2\x9b' "$tmp/out" || say 'not even from beyond ASCII' ' it does'
    # shellcheck disable=SC2086
    run "$command, as JSON" 0 -- --json $command
    finds 'is still JSON'
done

echo '# daemons that do not answer'
serve '.old = true | .properties.Version = "0.0.9"'
run 'history of an old daemon' 1 err '^reckonctl: reckond 0\.0\.9 is older than this reckonctl: it does not know ListHistory$' -- history
run 'status of an old daemon' 1 err 'reckond 0\.0\.9 is older than this reckonctl: it does not know State$' \
    out '^State +not known' out '^Memory' -- status
run 'explain of an old daemon' 0 out 'itself: reckond 0\.0\.9 is older' -- explain $$
serve '.errors = {Explain: ["org.freedesktop.DBus.Error.LimitsExceeded", "Too many are waiting"],
    ListHistory: ["org.example.Odd", "Odd\u001b"],
    Reload: ["org.reckond1.Error.BadConfiguration", "/etc/a.conf:2: what\u001b is this\n/etc/b.conf:7: and this"]}'
run 'explain where too many ask' 1 err '^reckonctl: reckond cannot answer Explain: Too many are waiting$' -- explain
run 'an odd error' 1 err '^reckonctl: reckond cannot answer ListHistory: Odd\?$' -- history
run 'status without these' 0 err 'Explain: Too many' err 'ListHistory: Odd' out '^State +calm' out '^Kills' -- status
run 'reload of a bad configuration' 2 err '^/etc/a\.conf:2: what\? is this$' err '^/etc/b\.conf:7: and this$' \
    err 'the old one stays in use$' -- reload
run 'reload of a bad configuration, as JSON' 2 -- --json reload
finds 'has all errors' .error '*old one stays*' '.messages[1]' '"/etc/b.conf:7: and this"'
# shellcheck disable=SC2016
serve '("stub\u001b (pid 812) was sent SIGTERM 3.1 s ago by policy now; ask again when it has exited." as $why
    | .errors = {Explain: ["org.reckond1.Error.Busy", $why], Reload: ["org.reckond1.Error.Busy", $why, 2]}
    | .properties.State = "killing" | .policies[1][3] = true
    | .history |= [.[0] | .comm = "stub\u001b" | .pid = 812 | .policy = "now" | .signal = "SIGTERM" | .outcome = "in-progress"
        | .time_usec = -3100000 | del(.exited_usec)] + .)'
busy='reckond is busy: stub\? \(pid 812\) was sent SIGTERM 3\.1 s ago by policy now; ask again when it has exited\.'
run 'status while a victim is on its way' 0 out '^State +killing: ' out '^Killing +stub\? \(pid 812\): SIGTERM 3\.[0-9] s ago, policy now$' \
    out '^Now +policy terminate: available <= 10% ' out '^Kills +1 process since' out '^Configuration +/etc/reckond/' -- status
say 'and nothing on standard error' "$(cat "$tmp/err")"
! grep -qE '^(Next|Last)' "$tmp/out"
say 'nor what is not known' "$([ $? = 0 ] || grep -E '^(Next|Last)' "$tmp/out")"
run 'and as JSON' 0 -- --json status
finds 'which process it is' .source '"daemon"' .killing.pid 812 .killing.command '"stub*"' .killing.policy '"now"' .killing.signal '"SIGTERM"' \
    .killing.target '"process"' .killing.cgroup '"/user.slice/*"' .killing.signalled_usec '[1-9]???????????????' \
    '.policies | length' 5 '.policies[1].holds' true '.policies[1].action' '"terminate"' '.policies[1].memory_available_bytes' null \
    .victim null .group null .next null .last.pid 812
finds 'has the shape that it always has' '.policies[0] | keys | join(" ")' \
    '"action conditions for_usec holds memory_available_bytes name pressure_full_permyriad pressure_some_permyriad rank_by swap_free_bytes target thrashing_permyriad"'
run 'explain while a victim is on its way' 1 err "^reckonctl: $busy\$" -- explain
say 'and nothing else' "$(cat "$tmp/out")"
run 'explain a pid' 1 err "^reckonctl: $busy\$" -- explain 1044
run 'as JSON' 1 -- --json explain
finds 'says so' .error '"reckond is busy: *"'
run 'reload while a victim is on its way waits for it' 0 out 'has reloaded its configuration' -- reload
say 'silently where there is no terminal' "$(cat "$tmp/err")"
serve '.errors = {Explain: ["org.reckond1.Error.Busy", "stub (pid 812) was sent SIGTERM"]}'
run 'status where it is over meanwhile' 0 err '^reckonctl: reckond is busy: stub \(pid 812\)' out '^Last +2 h' -- status
run 'and as JSON' 0 -- --json status
finds 'has no process' .killing null
serve '.explain["0"] = "[1" | .explain["1"] = "7"'
run 'an answer that is no JSON' 0 out 'itself: reckond cannot answer Explain: its answer cannot be read\.$' -- explain
run 'an answer that is no object' 0 out 'itself: .* its answer cannot be read\.$' -- explain 1
serve '.silent = ["Explain", "ListHistory", "ListRules"]'
began=$SECONDS
run 'history of a silent daemon' 1 err '^reckonctl: reckond has not answered within 5 s \(journalctl -u reckond\)$' -- history
# Its own answer would be by other files, perhaps.
run 'explain of a silent daemon' 1 err '^reckonctl: reckond has not answered within 5 s \(journalctl -u reckond\)$' -- explain $$
run 'and as JSON' 1 -- --json explain
finds 'says so' . '{"error":"reckond has not answered within 5 s (journalctl -u reckond)"}'
run 'rules of a silent daemon' 1 err '^reckonctl: reckond has not answered within 5 s \(journalctl -u reckond\)$' -- rules
problem=''
[ $((SECONDS - began)) -le 30 ] || problem=" they took $((SECONDS - began)) s"
say 'and not much later' "$problem"
timeout 30 "$reckonctl" history >"$tmp/out" 2>"$tmp/err" &
asking=$!
sleep 1
stop_daemon
status=0
wait $asking || status=$?
[ $status = 1 ] && grep -q '^reckonctl: reckond cannot answer ListHistory: ' "$tmp/err" && problem='' || problem=" status $status"
say 'a daemon that disconnects during a call' "$problem"
serve
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    real=$reckonctl
    printf '#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups --inh-caps=-all %s "$@"\n' "$real" >"$tmp/as-nobody"
    chmod 755 "$tmp/as-nobody"
    reckonctl=$tmp/as-nobody
    run 'reload by another user' 1 err '^reckonctl: only root may have it reload \(sudo reckonctl reload\)$' -- reload
    run 'status by another user' 0 out '^State +calm' -- status
    reckonctl=$real
else
    skip 'reload by another user: not root, or no setpriv'
fi

echo '# terminals'
# WIDTH ARGUMENT...: on a terminal, into $tmp/tty (lines end with CR LF there)
on_terminal() {
    local width=$1
    script -qec "stty cols $width; $reckonctl ${*:2}" /dev/null </dev/null | tr -d '\r' >"$tmp/tty"
}
# NAME: without what colours it
plain() { sed 's/\x1b\[[0-9;]*m//g' "$tmp/tty" >"$tmp/out"; }
if command -v script >/dev/null && script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    export TERM=xterm
    for width in 40 80 200; do
        for command in status explain 'explain 1023' history 'history --full' rules; do
            # shellcheck disable=SC2086
            on_terminal $width $command
            plain
            : >"$tmp/err"
            problem=''
            [ "$(wc -L <"$tmp/out")" -le $width ] || problem=" a line of $(wc -L <"$tmp/out") columns"
            [ -s "$tmp/out" ] || problem=' nothing at all'
            say "$command on $width columns" "$problem"
            ! grep -q $'\x1b' "$tmp/tty" && say 'in colour' ' there is none'
        done
    done
    on_terminal 80 status
    plain
    grep -q '\[█*░*w░*t░*k░*\]' "$tmp/out" && problem='' || problem=' there is none'
    say 'a bar with the lines of the policies in it' "$problem"
    [ "$(grep -c '^ *\[.*\]$' "$tmp/out")" = 2 ] && problem='' || problem=' not two'
    say 'one for memory and one for swap' "$problem"
    COLUMNS=50 on_terminal 200 status
    plain
    [ "$(wc -L <"$tmp/out")" = 50 ] && problem='' || problem=" $(wc -L <"$tmp/out") columns"
    say 'COLUMNS takes precedence over the terminal' "$problem"
    for variable in NO_COLOR=1 TERM=dumb TERM=; do
        on_terminal 80 status # (the exported ones)
        env "$variable" script -qec "stty cols 80; $reckonctl status" /dev/null </dev/null >"$tmp/tty"
        grep -q $'\x1b' "$tmp/tty" && problem=' there is' || problem=''
        say "no colour with $variable" "$problem"
    done
    serve '.errors = {Reload: ["org.reckond1.Error.Busy", "stub (pid 812) was sent SIGTERM.", 3]}'
    on_terminal 80 reload
    plain
    [ "$(cat "$tmp/out")" = "$(printf '%s\n' 'reckonctl: reckond is busy: stub (pid 812) was sent SIGTERM.' \
        'reckonctl: retrying for up to one minute' 'reckond has reloaded its configuration.')" ] && problem='' || problem=' not that'
    say 'a reload that waits says why' "$problem"
    serve '.history[0].comm = "ě字" | .explain["0"].victim.command = "ě字"'
    LC_ALL=C on_terminal 80 status
    LC_ALL=C grep -qP '[\x80-\xff]' "$tmp/tty" && problem=' there is' || problem=''
    say 'nothing but ASCII where there is no UTF-8' "$problem"
    plain
    grep -q '^ *\[##*\.*w\.*t\.*k\.*\]' "$tmp/out" && problem='' || problem=' there is none'
    say 'a bar of ASCII' "$problem"
    on_terminal 80 status
    grep -q 'ě字 (pid 812' "$tmp/tty" && problem='' || problem=' it is not there'
    say 'a name of UTF-8 where there is' "$problem"
else
    skip 'terminals: no script(1), or it cannot have one here'
fi

echo '# the examples of reckonctl(1)'
serve
printf '[Protect editors]\nComm=^vim$\n' >"$tmp/new.conf"
# (In a file of its own: the commands read standard input no more than their user does.)
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/{/^\.Bd/,/^\.Ed/{/^\./d; s/\\&//g; s/\\e/\\/g; p}}' \
    "$source/man/reckonctl.1" >"$tmp/examples"
sudo() { "$@"; }
export -f sudo
# The expected lines are in the output, in their order; "..." stands for any text.
matches() { # EXPECTED OUTPUT
    # shellcheck disable=SC2016
    perl -0777 -e 'my ($expected, $output) = map { open(my $f, "<", $_) or die; <$f> } @ARGV;
        my $pattern = join(".*", map { quotemeta } split(/\.\.\./, $expected, -1));
        exit($output !~ /\A$pattern\n*\z/s)' "$1" "$2"
}
run_example() { # COMMAND, with what is expected in $tmp/expected
    (cd "$tmp" && PATH="$build:$PATH" bash -c "$1") >"$tmp/out" 2>"$tmp/err" </dev/null
    matches "$tmp/expected" "$tmp/out" && problem='' || problem=" it is not: $(cat "$tmp/expected")"
    say "$1" "$problem"
}
if command -v perl >/dev/null; then
    command='' n_examples=0
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            [ -z "$command" ] || run_example "$command"
            command=${line#'$ '} n_examples=$((n_examples + 1))
            : >"$tmp/expected"
        else
            printf '%s\n' "$line" >>"$tmp/expected"
        fi
    done <"$tmp/examples"
    run_example "$command"
    [ $n_examples -ge 7 ] && problem='' || problem=" only $n_examples"
    say 'all of them were found' "$problem"
else
    skip 'the examples: no perl'
fi
exit $failed
