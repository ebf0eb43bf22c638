# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# What is known of the processes is old: others allocate and free all the time, or many are idle.

churn_on() { churn 40 1000000 & }
case_stale() { # 39 of 12 MiB and a large one that is protected: no sleeper dies
    expect lives=session:1 probe=0 kills=8
    machine
    start_full mid fork=38 anon=12 end anon=12
    start_daemon '[Protect session]' 'Comm=^session$'
    churn_on
    start session anon=250 anon=128@60
    until_quiet 3
    has_killed || bad 'no kill'
}
case_stale2() { # three of 75 MiB and a larger one that is protected
    expect lives=session:1 kills=3
    machine
    for i in 1 2 3; do start_full mid$i anon=75; done
    start_daemon '[Protect session]' 'Comm=^session$'
    churn_on
    start session anon=450 anon=130@60
    until_quiet 3
    has_killed || bad 'no kill'
}
case_stale_leak() { # 400 of 1 MiB, and a leak that was there before, and small
    expect dies=leak lives=mid:401,keeper:1
    machine
    start_full mid fork=400 anon=1 end
    start_full keeper fork=1 name=leak await=$case_run/go anon=200 anon=300@60 end
    start_daemon
    churn_on
    pause 1
    : >$case_run/go
    until_quiet
}

# N idle processes of 64 KiB; 10 GiB are allocated and freed; then a leak takes 5.5 GiB, as fast as
# it can.  The daemon has not looked at the processes for a while: its policy is above the watch.
idle_and_leak() { # N new|old
    local n=$1 mib=$(($1 * 120 / 1024 + 6100)) go=$case_run/go
    [ "$available_mib" -ge $((mib + 1500)) ] || skip "this needs $((mib + 1500)) MiB of memory"
    [ "$free_pids" -ge $((n + 3000)) ] || skip "this needs $((n + 3000)) pids"
    expect dies=leak "lives=idler:$n"
    machine $mib 0 0
    start_full idler kib=64 "fork=$((n - 1))" end
    [ "$2" = new ] || start leak "await=$go" anon=5504
    read_available
    start_daemon WatchBelow=1% "$(only_policy "MemoryAvailable=$((mib - 3500))M")"
    churn 256 40
    [ "$2" = old ] || start leak "await=$go" anon=5504
    pause 0.3
    : >"$go"
    wait_for 60 is_over # all are read first: seconds on a busy machine
    until_quiet
}
case_idle_9000_new() { # 9,000 idle processes, and a leak that they do not know yet
    idle_and_leak 9000 new
}
case_idle_9000_old() { # the leak was there before, and small
    idle_and_leak 9000 old
}
case_idle_18000_new() { # 18,000 idle processes
    idle_and_leak 18000 new
}
case_idle_18000_old() { # likewise, an old leak
    idle_and_leak 18000 old
}

# A leak that is born in calm.  The last pid that was given tells nothing if the pids have wrapped.
leak_after_pids() { # lap|none
    local last_pid=/proc/sys/kernel/ns_last_pid before
    expect dies=leak lives=web:1
    machine
    start_full web anon=64
    read_available
    start_daemon WatchBelow=10% "$(only_policy "MemoryAvailable=$((mib - 500))M")"
    pause 1
    read -r before <$last_pid
    [ "$1" != lap ] || echo 20000 >$last_pid
    start leak await=$case_run/go anon=700
    pause 0.3
    [ "$1" != lap ] || echo $((before + 1)) >$last_pid
    /bin/true
    : >$case_run/go
    until_quiet
}
case_pid_wrap() { # the pids have wrapped since the processes were listed
    leak_after_pids lap
}
case_pid_plain() { # likewise, but they have not
    leak_after_pids none
}
