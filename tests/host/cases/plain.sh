# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# One process that grows, and what makes it hard to find or to kill.

case_leak() { # private anonymous memory
    expect dies=hog
    machine
    start_daemon
    start hog anon=650 anon=350@100
    until_quiet
}
case_lxc() { # as in a container under lxcfs: zoneinfo is that of a large host
    local cpu
    expect dies=hog
    machine
    {
        printf 'Node 0, zone   Normal\n  pages free     1000000\n  pagesets\n'
        for ((cpu = 0; cpu < 64; cpu++)); do
            printf '    cpu: %d\n              count: 20000\n              high:  27000\n' $cpu
        done
    } >$case_run/zoneinfo-host
    mount --bind $case_run/zoneinfo-host /proc/zoneinfo
    start_daemon
    start hog anon=650 anon=350@100
    until_quiet
}
case_huge() { # in huge pages
    expect dies=hog
    machine
    start_daemon
    start hog huge=650 huge=350@100
    until_quiet
}
case_locked() { # locked memory
    expect dies=hog
    machine
    start_daemon
    start hog locked=650 anon=350@100
    until_quiet
}
case_threads() { # with 200 threads
    expect dies=hog
    machine
    start_daemon
    start hog threads=200 anon=650 anon=350@100
    until_quiet
}
case_other_user() { # an ordinary user's
    expect dies=hog
    machine
    start_daemon
    start hog uid=65534 anon=650 anon=350@100
    until_quiet
}
case_odd_name() { # a name that looks like the fields of stat
    expect 'dies=) R 1 1 ('
    machine
    start_daemon
    group=hog start ') R 1 1 (' anon=650 anon=350@100
    until_quiet
}
case_odd_cgroup() { # a cgroup with blanks, a backslash and more in its name
    expect dies=hog
    machine
    start_daemon
    group='a\012b "%s" \ (deleted)' start hog anon=650 anon=350@100
    until_quiet
}
case_pidns() { # the first process of a pid namespace
    expect dies=ctr
    machine
    start_daemon
    in_subtree ctr unshare --pid --fork --mount-proc "$load" name=ctr anon=650 anon=350@100
    until_quiet
}
case_late_start() { # the daemon is started when memory is low already
    expect dies=hog
    machine
    start_full app anon=100
    start_full hog anon=710
    start_daemon
    until_quiet
}
case_two_hogs() { # the larger of two that grow
    expect dies=hog lives=slow:1
    machine
    start_daemon
    start slow anon=250 anon=60@20
    start hog anon=400 anon=400@100
    until_quiet
}
case_mapped_file() { # a process that maps a file beside a leak: its pages are only cache
    local file=$directory/mapped
    expect dies=hog lives=reader:1
    truncate -s 400M "$file"
    [ "$(stat -f -c %T "$file")" != tmpfs ] || skip "${directory%/*/*} is a tmpfs"
    machine
    start_full reader "read=$file"
    start_daemon
    start hog anon=300 anon=700@100
    until_quiet
}

case_termalloc() { # takes memory on SIGTERM
    expect dies=hog
    machine
    start_daemon
    start hog greedy anon=650 anon=350@60
    until_quiet 3
}
case_deaf() { # ignores SIGTERM
    expect dies=hog
    machine
    start_daemon
    start hog deaf anon=650 anon=350@60
    until_quiet 3
}
case_vfork() { # waits in vfork()
    expect dies=hog lives=nudge:1
    machine
    start hog anon=600 vfork
    wait_for 60 is_full_to 350
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
}
case_traced() { # stopped by a debugger
    expect dies=traced lives=nudge:1,debugger:1
    machine
    start_full debugger trace=traced,600
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
}
case_traced_exit() { # stops for its debugger when it exits
    expect lives=nudge:1,debugger:1
    machine
    start_full debugger trace-exit=traced,600
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
    ! is_full_to 300 || bad 'the memory of traced is not free'
}
case_stopped() { # stopped by SIGSTOP
    expect dies=hog lives=nudge:1
    machine
    start hog anon=600 stop
    wait_for 60 is_full_to 350
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
}
case_frozen_v2() { # frozen, version 2, with two others
    expect dies=hog lives=nudge:1,mate:2
    machine
    group=box start_full mate kib=64 fork=1 end
    group=box start_full hog anon=600
    echo 1 >"$work/box/cgroup.freeze"
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
}
case_frozen_v1() { # frozen, version 1, with two others
    local pid
    expect dies=hog lives=nudge:1,mate:2
    [ -n "$work_freezer" ] || skip 'there is no freezer of version 1'
    machine
    group=box start_full mate kib=64 fork=1 end
    group=box start_full hog anon=600
    mkdir "$work_freezer/box"
    while read -r pid; do echo "$pid" >"$work_freezer/box/cgroup.procs"; done <"$work/box/cgroup.procs"
    echo FROZEN >"$work_freezer/box/freezer.state"
    start_daemon
    start nudge anon=100 anon=150@60
    until_quiet
}

case_restarted() { # a service that is restarted, three times
    expect dies=hog lives=keeper:1 kills=3
    machine
    start_daemon
    start keeper restart=3 name=hog anon=650 anon=400@100 end
    until_quiet 3
}
case_bursts() { # takes nearly all and frees it at once, again and again: others have no part in it
    machine
    start_daemon
    start burst repeat=6 anon=830 sleep=0.1 drop sleep=0.5 end
    until_quiet
}
