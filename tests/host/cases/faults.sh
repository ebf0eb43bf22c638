# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# What the daemon may lack, and what may happen to it.

n_open() { find "/proc/$daemon/fd" -mindepth 1 | wc -l; }
case_few_descriptors() { # no descriptors are left when memory is low
    expect dies=hog
    machine
    start_daemon
    prlimit --pid "$daemon" --nofile="$(($(n_open) + 1))"
    start hog anon=650 anon=350@80
    until_quiet
}
case_few_descriptors_start() { # hardly more than it opens at its start
    local limit
    expect dies=hog
    machine
    start_daemon
    limit=$(($(n_open) + 3))
    kill "$daemon"
    wait "$daemon"
    daemon_as=(prlimit "--nofile=$limit:$limit")
    start_daemon
    start hog anon=650 anon=350@80
    until_quiet
}
case_hidepid() { # /proc is mounted with hidepid=2
    expect dies=hog
    machine
    mount -o remount,hidepid=2 /proc || skip '/proc cannot be mounted with hidepid=2'
    start_daemon
    start hog uid=65534 anon=650 anon=350@80
    until_quiet
}
# (Since Linux 6.15 CAP_PERFMON will do for it, and so does CAP_SYS_ADMIN.)
without_ptrace=(setpriv --bounding-set '-sys_ptrace,-perfmon,-sys_admin' --inh-caps '-sys_ptrace,-perfmon,-sys_admin')
case_no_ptrace() { # smaps_rollup cannot be read: a leak
    expect dies=hog
    machine
    daemon_as=("${without_ptrace[@]}")
    start_daemon
    start hog uid=65534 anon=650 anon=350@80
    until_quiet
}
case_no_ptrace_shared() { # the same, shared memory
    expect dies=hog
    machine
    daemon_as=("${without_ptrace[@]}")
    start_daemon
    start hog uid=65534 shared=650 shared=250@80
    until_quiet
}
case_no_ptrace_family() { # the same, a database with a child that saves, and a leak
    expect dies=hog lives=redis:2
    machine
    start_full redis uid=65534 anon=420 fork=1 touch end
    daemon_as=("${without_ptrace[@]}")
    start_daemon
    start hog uid=65534 anon=250 anon=400@80
    until_quiet
}
case_no_ptrace_family_large() { # the same, and a leak of less than half: to kill the child alone frees nothing
    expect dies=redis lives=app:1
    machine
    start_full redis uid=65534 anon=600 fork=1 touch end
    start_full app uid=65534 anon=130
    daemon_as=("${without_ptrace[@]}")
    start_daemon
    start nudge uid=65534 anon=80@20
    until_quiet
}
case_no_ptrace_workers() { # the same, workers with memory of their own: one is enough
    expect lives=web:1,worker:5 kills=3
    machine
    daemon_as=("${without_ptrace[@]}")
    start_daemon
    start web uid=65534 anon=40 fork=8 name=worker anon=70 anon=45@10 end
    until_quiet 3
    has_killed || bad 'no kill'
}
case_many_groups() { # with 65,536 supplementary groups
    expect dies=hog
    machine
    start_daemon
    start hog groups=65536 anon=650 anon=350@80
    until_quiet
}
case_many_groups_beside() { # 150 others have them
    expect dies=hog lives=member:150
    machine
    start_full member groups=65536 kib=64 fork=149 end
    start_daemon
    start hog anon=500 anon=400@60
    until_quiet
}
case_reload() { # the configuration is read again while memory is low
    expect dies=hog
    machine
    start_full app anon=150
    start_daemon
    start hog anon=500 sleep=2 anon=300@80
    wait_for 60 is_full_to 290
    pause 1
    kill -HUP "$daemon"
    until_quiet
}
case_paused() { # it is stopped while the leak grows
    expect dies=hog lives=app:1
    machine
    start_full app anon=250
    start_daemon
    start hog anon=200 sleep=1 anon=400@200
    pause 0.8
    kill -STOP "$daemon"
    wait_for 60 is_full_to 70
    kill -CONT "$daemon"
    until_quiet
}
