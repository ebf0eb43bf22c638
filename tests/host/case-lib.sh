# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, and for the cases
# case-lib.sh: what the cases are written in.
#
# A case is a function case_NAME.  It says what is expected (expect), makes the machine (machine),
# starts the daemon (start_daemon) and its processes (start, start_full), and waits until the daemon
# has done what it does (until_quiet).  Then judge() counts which processes are left, by
# name, in the cgroup that is the daemon's subtree, and prints the line of the case.
#
# From the environment: name, id, reckond, tools, unified, memory, freezer, subtree, directory,
# available_mib, free_pids (see run).

case_run=/run/case
log=$directory/log
work=$unified/$id/work            # the subtree
work_memory=$memory/$id/work      # the same in the hierarchy with the memory controller
work_freezer=${freezer:+$freezer/$id/work}
oom_file=$work_memory/memory.events
[ -e "$oom_file" ] || oom_file=$work_memory/memory.oom_control
daemon='' daemon_as=() n_started=0 machine_mib=0 lowest_mib=1000000
exec 9<> <(:) # nothing ever comes from here

pause() { # SECONDS
    read -rt "$1" -u 9 || :
}
now_ms() { now_ms=$((${EPOCHREALTIME/[.,]/} / 1000)); } # sets now_ms
wait_for() { # SECONDS COMMAND...: until it is true
    local now_ms end
    now_ms
    end=$((now_ms + $1 * 1000))
    while ! "${@:2}"; do
        now_ms
        [ $now_ms -lt $end ] || return
        pause 0.05
    done
}

#
# What is expected
#
dies=() lives=() either=() most_kills=1 wrong=() note=''
# WORD...:
#   dies=NAME,...        none of these is left
#   lives=NAME:N,...     at least N of these are left
#   either=NAME,...      all of exactly one of these are gone
#   kills=N              so many decisions to kill at most (default: 1)
#   probe=N              of the bystanders (default: 1, and all sleepers)
expect() {
    local word list
    for word; do
        IFS=, read -ra list <<<"${word#*=}"
        case $word in
        dies=*) dies+=("${list[@]}") ;;
        lives=*) lives+=("${list[@]}") ;;
        either=*) either=("${list[@]}") ;;
        kills=*) most_kills=${word#*=} ;;
        probe=*) n_probes=${word#*=} ;;
        *) echo "expect: $word" >&2; exit 1 ;;
        esac
    done
}
describe_expectation() {
    local text=''
    [ ${#dies[@]} = 0 ] || text+="$(join "${dies[@]}") to die, "
    [ ${#either[@]} = 0 ] || text+="either of $(join "${either[@]}") to die, "
    [ ${#lives[@]} = 0 ] || text+="$(join "${lives[@]}") to live, "
    case $most_kills in
    0) echo "${text}no kill" ;;
    1) echo "${text}one kill at most" ;;
    *) echo "${text}at most $most_kills kills" ;;
    esac
}
join() {
    local IFS=' '
    echo "$*"
}
bad() { wrong+=("$1"); } # REASON
skip() { # REASON: it cannot be run here
    echo "skip - $name: $1"
    exit 0
}

#
# The machine and its processes
#
n_sleepers=60 n_probes=1
# Processes that are to live beside the case: sleepers of 0.2 MiB, and a larger one, the probe.
machine() { # [MIB [SLEEPERS [PROBE-MIB]]]
    local mib=${1:-1024} probe=${3:-48} file
    machine_mib=$mib n_sleepers=${2:-$n_sleepers}
    limit_memory "$("$tools/fakemem" --limit "$mib")" || exit
    (echo 0 >"$unified/$id/daemon/cgroup.procs" && exec nice -n -19 "$tools/fakemem" "$work_memory" "$mib" $case_run) &
    wait_for 60 [ -s $case_run/zoneinfo ] || exit
    printf 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n' >$case_run/swaps
    for file in meminfo zoneinfo swaps; do mount --bind $case_run/$file /proc/$file || exit; done
    [ "$n_sleepers" = 0 ] || start_full sleeper kib=64 "fork=$((n_sleepers - 1))" end
    if [ "$probe" = 0 ]; then n_probes=0; else start_full probe "anon=$probe"; fi
}
# So that the kernel's own killer acts where that of a full machine would; without swap.
limit_memory() { # BYTES
    if [ -e "$work_memory/memory.max" ]; then
        echo "$1" >"$work_memory/memory.max"
        [ ! -e "$work_memory/memory.swap.max" ] || echo 0 >"$work_memory/memory.swap.max"
    else
        echo 0 >"$work_memory/memory.swappiness"
        echo "$1" >"$work_memory/memory.limit_in_bytes"
    fi
}
kernel_kills() { # sets n_kernel_kills
    local key value
    n_kernel_kills=0
    while read -r key value; do
        [ "$key" != oom_kill ] || n_kernel_kills=$value
    done <"$oom_file"
}

# In the subtree, each program in a cgroup of its own unless group says which.
in_subtree() { # GROUP COMMAND...
    mkdir -p "$work/$1" || bad "no cgroup $1"
    (
        echo 0 >"$work/$1/cgroup.procs" || exit
        [ "$work_memory" = "$work" ] || echo 0 >"$work_memory/cgroup.procs" || exit
        exec "${@:2}"
    ) &
    last=$!
}
load=$tools/load
group=''
busy=() # "PID MARK" of those that have been started: MARK is there when all steps are done
start() { # NAME STEP...: see load.c
    local mark=$case_run/mark-$((++n_started))
    in_subtree "${group:-$1}" "$load" "name=$1" "${@:2}" "mark=$mark"
    busy+=("$last $mark")
}
start_full() { # NAME STEP...: and waits until the steps are done
    start "$@"
    wait_for 60 [ -e "$case_run/mark-$n_started" ] || bad "$1 did not come to its end"
}
is_busy() { # some have steps left
    local entry
    for entry in "${busy[@]}"; do
        [ -e "${entry#* }" ] || ! kill -0 "${entry% *}" 2>/dev/null || return 0
    done
    return 1
}
# The program under another name, as a user's own file: comm is right from exec on.
own_program() { # NAME
    mkdir -p $case_run/bin
    cp "$tools/load" "$case_run/bin/$1" && chown 65534 "$case_run/bin/$1"
    load=$case_run/bin/$1
}
# Allocates and frees beside the subtree: the kernel's count of allocated pages runs.
churn() { # MIB TIMES
    "$tools/load" name=churn "repeat=$2" "huge=$1" drop end exit
}

population=''
count_population() { # sets population: lines of "N NAME"
    population=$(find "$work" -name cgroup.procs -execdir cat {} + 2>/dev/null | sed 's,.*,/proc/&/comm,' |
        xargs -r cat 2>/dev/null | sort | uniq -c)
}
count_of() { # NAME
    awk -v name="$1" '{ n = $1; $1 = ""; if (substr($0, 2) == name) sum += n } END { print sum + 0 }' <<<"$population"
}

#
# The daemon
#
start_daemon() { # [CONFIGURATION-LINE...]: the first ones are of [Daemon]
    local key
    for key in Subtree Scope; do
        printf '%s\n' '[Daemon]' "$key=$subtree" "$@" >"$directory/conf"
        ! "$reckond" --check-config --config "$directory/conf" 2>&1 | grep -q "unknown key '$key'" && break
    done
    : >"$log"
    (
        echo 0 >"$unified/$id/daemon/cgroup.procs"
        [ -z "$freezer" ] || echo 0 >"$freezer/$id/daemon/cgroup.procs"
        export STATE_DIRECTORY='' RUNTIME_DIRECTORY=$case_run/runtime DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
        exec "${daemon_as[@]}" "$reckond" --config "$directory/conf" >"$log" 2>&1
    ) &
    daemon=$!
    wait_for 60 grep -qi '^Ready' "$log" || bad "reckond is not ready: $(tail -n 1 "$log")"
}
# Configurations: one key for both policies that kill; and one policy alone, that kills.
both_policies() { printf '[Policy %s]\n%s\n' terminate "$1" kill "$1"; } # KEY=VALUE
only_policy() { # KEY=VALUE
    printf '[Policy %s]\nAction=none\n' warn terminate kill stall thrash
    printf '[Policy only]\nAction=kill\n%s\n' "$1"
}
is_kill='^(Ending|Killing) (cgroup |.* \(pid [0-9]+)'
count_kills() { # sets n_kills: the decisions to kill, by what the daemon says
    local line pids=' '
    n_kills=0
    while IFS= read -r line; do
        [[ $line =~ $is_kill ]] || continue
        if [[ ! $line =~ ^[A-Z][a-z]+\ cgroup\  ]]; then
            line=${line#* (pid } # the first in the line is the one that is killed
            [[ $pids != *" ${line%%[!0-9]*} "* ]] || continue # a stronger signal to the same one
            pids+="${line%%[!0-9]*} "
        fi
        n_kills=$((n_kills + 1))
    done <"$log"
}
has_killed() {
    count_kills
    [ $n_kills -gt 0 ]
}
daemon_runs() { kill -0 "$daemon" 2>/dev/null; }
is_over() { # nothing is to be waited for any more
    has_killed && return
    kernel_kills
    [ "$n_kernel_kills" != 0 ] || ! daemon_runs
}
# Sets steady_ms to how long nothing has happened, in ms: no kill, and available memory the same.
observe() {
    now_ms
    count_kills
    read_available
    [ $mib -ge $lowest_mib ] || lowest_mib=$mib
    if [ $n_kills != $n_before ] || [ $((mib - mib_before)) -gt 2 ] || [ $((mib_before - mib)) -gt 2 ]; then
        since=$now_ms n_before=$n_kills mib_before=$mib
    fi
    steady_ms=$((now_ms - since))
}
has_had_its_time() { # nothing happens any more
    [ $steady_ms -ge 20000 ] || { [ $steady_ms -ge 6000 ] && ! is_busy; }
}
# Until it has killed or has had its time, and then until nothing has happened for a while.
until_quiet() { # [SECONDS-OF-QUIET [SECONDS-AT-MOST]]
    local now_ms end since=0 steady_ms n_before=-1 mib_before=0 quiet=${1:-2} most=${2:-30}
    observe
    end=$((now_ms + 90000))
    while ! is_over && ! has_had_its_time && [ $now_ms -lt $end ]; do
        pause 0.1
        observe
    done
    end=$((now_ms + most * 1000))
    while [ $steady_ms -lt $((quiet * 1000)) ] && [ $now_ms -lt $end ]; do
        pause 0.1
        observe
    done
}
read_available() { # sets mib, of the machine
    local key value rest
    while read -r key value rest; do
        [ "$key" != MemAvailable: ] || { mib=$((value / 1024)); return; }
    done <$case_run/meminfo
}
is_full_to() { # MIB
    read_available
    [ $mib -le "$1" ]
}

# "3 sleeper, probe": what the daemon says that it chose
list_kills() {
    local list
    list=$(grep -aE "$is_kill" "$log" | sed -E 's/^[A-Z][a-z]+ //; s/^cgroup ([^ ]*).*/\1/; s/ \(pid [0-9]+.*//; s/(.{80}).*/\1.../' |
        sed "s,^$subtree/,," | sort | uniq -c | sort -rn |
        awk '{ n = $1; $1 = ""; printf "%s%s%s", (NR > 1 ? ", " : ""), (n > 1 ? n " " : ""), substr($0, 2) }')
    echo "${list:-none}"
}

# The namespace is gone when all its processes are, and frozen ones (version 1) do not die.
thaw_all() {
    local state
    for state in "$work_freezer"/*/freezer.state; do
        [ ! -e "$state" ] || echo THAWED >"$state"
    done
}

#
# The verdict
#
none_is_left() { # NAME...
    local entry
    count_population
    for entry; do [ "$(count_of "$entry")" = 0 ] || return; done
}
judge_population() {
    local entry n gone=0
    wait_for 6 none_is_left "${dies[@]}" # one that has been sent a SIGTERM has its time
    for entry in "${dies[@]}"; do
        n=$(count_of "$entry")
        [ "$n" = 0 ] || bad "$entry lives"
    done
    for entry in "${lives[@]}" "sleeper:$n_sleepers" "probe:$n_probes"; do
        n=$(count_of "${entry%:*}")
        [ "$n" -ge "${entry##*:}" ] || bad "$n of ${entry##*:} ${entry%:*} left"
    done
    for entry in "${either[@]}"; do
        [ "$(count_of "$entry")" -gt 0 ] || gone=$((gone + 1))
    done
    [ ${#either[@]} = 0 ] || [ $gone = 1 ] || bad "$gone of $(join "${either[@]}") gone"
}
judge() {
    local verdict=ok reason text=''
    judge_population
    count_kills
    kernel_kills
    [ $n_kills -le "$most_kills" ] || bad "$n_kills kills"
    [ $((${#dies[@]} + ${#either[@]})) = 0 ] || [ $n_kills -gt 0 ] || bad 'no kill'
    [ $n_kills -gt 0 ] || [ $lowest_mib -le $((machine_mib * 12 / 100)) ] || bad "$lowest_mib MiB were always available"
    [ "$n_kernel_kills" = 0 ] || bad "$n_kernel_kills killed by the kernel"
    daemon_runs || bad 'reckond is gone'
    for reason in "${wrong[@]}"; do
        verdict='not ok' text+="${text:+, }$reason"
    done
    read_available
    [ -z "$text" ] || note+="${note:+, }$mib MiB available"
    echo "$verdict - $name: expected $(describe_expectation); killed $(list_kills)${text:+: $text}${note:+ ($note)}"
}
