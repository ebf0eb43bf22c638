# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Processes that are another one, or elsewhere, by the time that they are killed.

# The hog is there first; a little more brings memory below the threshold.
nudge() {
    start_daemon "$@"
    start nudge anon=60@20
    until_quiet 3 15
}
case_hop() { # a new process every 3 ms, in the same address space
    expect dies=hog lives=nudge:1 kills=5
    machine
    start hog anon=760 hop=0.003
    wait_for 60 is_full_to 150
    nudge
}
case_hop_fast() { # every 0.3 ms
    expect dies=hog lives=nudge:1 kills=5
    machine
    start hog anon=760 hop=0.0003
    wait_for 60 is_full_to 150
    nudge
}
case_hop_slow() { # every 100 ms
    expect dies=hog lives=nudge:1 kills=5
    machine
    start hog anon=760 hop=0.1
    wait_for 60 is_full_to 150
    nudge
}
case_hop_fork() { # a new process every 30 ms, by fork()
    expect dies=hog lives=nudge:1 kills=5
    machine
    start hog anon=750 hop-fork=0.03
    wait_for 60 is_full_to 150
    nudge
}
case_relay() { # each process takes 30 MiB more, forks and exits
    expect dies=hog kills=4
    machine
    start_daemon
    start hog repeat=28 anon=30 sleep=0.15 pass-on end
    until_quiet
}
case_leader_gone() { # the first thread has exited: a zombie by its stat
    expect dies=hog lives=nudge:1
    machine
    start hog anon=700 leave-thread
    wait_for 60 is_full_to 250
    start_daemon
    start nudge anon=140@60
    until_quiet
}
case_exec_loop() { # executes itself every 50 ms, under the same name
    expect dies=hog lives=nudge:1 kills=3
    machine
    own_program hog
    start hog exec-loop=750,0.05
    wait_for 60 is_full_to 150
    nudge
}
case_moving() { # moves between two cgroups all the time; cgroups are killed
    expect dies=hog kills=20
    machine
    mkdir "$work/a" "$work/b"
    start hog anon=760 "move=0.0002,$work/a,$work/b"
    wait_for 60 is_full_to 150
    nudge "$(both_policies Target=cgroup)"
}
# A cgroup so many levels of 255 letters below the hog's.
move_hog_down() { # LEVELS
    local name pid=$last i
    printf -v name '%0255d' 0
    (
        cd "$work/hog" || exit
        for ((i = 0; i < $1; i++)); do mkdir "$name" && cd "$name" || exit; done
        echo "$pid" >cgroup.procs
    ) || bad 'no deep cgroup'
}
case_deep_cgroup() { # in a cgroup whose path has some 3,900 bytes; cgroups are killed
    expect dies=hog
    machine
    start_full hog anon=760
    move_hog_down 15
    nudge "$(both_policies Target=cgroup)"
}
case_deeper_cgroup() { # in one whose path is longer than a path can be
    expect probe=0 kills=5
    machine
    start_full hog anon=760
    move_hog_down 17
    nudge "$(both_policies Target=cgroup)"
}
case_term_sibling() { # leaves its memory to a child of its parent on SIGTERM
    expect dies=hog lives=other:1 kills=2
    machine
    start_daemon
    start_full other anon=150
    start super fork=1 name=hog sibling-on-term anon=800@60 end
    until_quiet 4
}
