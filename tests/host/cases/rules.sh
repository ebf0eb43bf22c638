# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Rules, oom_score_adj, RankBy= and Target=.

# A user's own program of that name, not the one that the rules mean.
with_name() { # NAME
    expect "dies=$1"
    machine
    own_program "$1"
    start_daemon
    start "$1" uid=65534 anon=650 anon=350@80
    until_quiet
}
case_name_xorg() { # a user's program called Xorg
    with_name Xorg
}
case_name_systemd() { # a user's program called systemd
    with_name systemd
}
case_name_gnome_shell() { # a user's program called gnome-shell
    with_name gnome-shell
}
case_name_dpkg() { # a user's program called dpkg
    with_name dpkg
}

case_adj_999() { # a leak with oom_score_adj -999
    expect dies=hog
    "$tools/load" adj=-999 exit 2>/dev/null || skip 'oom_score_adj may not be lowered here (CAP_SYS_RESOURCE)'
    machine
    start_daemon
    start hog adj=-999 anon=650 anon=350@80
    until_quiet
}
case_adj_1000_tiny() { # a small one with oom_score_adj 1000 beside a leak
    expect dies=hog lives=tiny:1
    machine
    start_full tiny adj=1000 anon=2
    start_daemon
    start hog anon=650 anon=350@80
    until_quiet
}
case_adj_500() { # 200 MiB with oom_score_adj 500 count less than 590
    expect dies=hog lives=helper:1
    machine
    start_full helper adj=500 anon=200
    start_daemon
    start hog anon=400 anon=400@80
    until_quiet
}
case_prefer() { # 250 MiB that are preferred by 3 before 450
    expect dies=batch lives=app:1
    machine
    start_full app anon=450
    start_full batch anon=250
    start_daemon '[Prefer batch]' 'Comm=^batch$' Weight=3
    start nudge anon=160@60
    until_quiet
}
case_protect() { # the largest is protected by the administrator: it lives, and no spree follows
    expect lives=hog:1 probe=0 kills=3
    machine
    start_daemon '[Protect mine]' 'Comm=^hog$'
    start hog anon=600 anon=210@80
    until_quiet 4
}

case_badness_shared() { # RankBy=badness, shared memory
    expect dies=hog lives=app:1
    machine
    start_full app anon=250
    start_daemon "$(both_policies RankBy=badness)"
    start hog shared=350 shared=400@80
    until_quiet
}
case_badness_tables() { # RankBy=badness, page tables
    expect dies=hog lives=app:1
    machine
    start_full app anon=250
    start_daemon "$(both_policies RankBy=badness)"
    start hog tables=350 tables=250@80
    until_quiet
}
case_growth() { # RankBy=growth, born in calm, beside a larger one that does not grow
    expect dies=hog lives=app:1
    machine
    start_full app anon=440
    start_daemon "$(both_policies RankBy=growth)"
    pause 11 # then the other is older than what growth looks back over
    start hog anon=100 sleep=2 anon=400@100
    until_quiet
}
case_growth_calm() { # RankBy=growth: all that it has was taken in calm and at once
    expect dies=hog lives=app:1
    machine
    start_full app anon=440
    start_daemon "$(both_policies RankBy=growth)"
    pause 11 # then the other is older than what growth looks back over
    start hog anon=330
    start nudge anon=80@40
    until_quiet
}

case_group_inner() { # Target=cgroup: the leak is in a cgroup that has another below it
    expect dies=hog lives=other:1
    machine
    start_full other anon=150
    mkdir "$work/unit"
    group=unit/below start_full tiny kib=64
    start_daemon "$(both_policies Target=cgroup)"
    group=unit start hog anon=400 anon=400@80
    until_quiet
}
case_group_top() { # Target=cgroup: the leak is directly in the subtree, beside cgroups
    local i
    expect dies=leak lives=app:4
    machine
    for i in 1 2 3 4; do group=app$i start_full app anon=60; done
    start_daemon "$(both_policies Target=cgroup)"
    group=. start leak anon=900@150
    until_quiet
}
case_group_spared() { # Target=cgroup: a small process that a rule protects is in the cgroup of the leak
    local i
    expect dies=leak lives=app:4,mate:1
    machine
    for i in 1 2 3 4; do group=app$i start_full app anon=60; done
    start_daemon "$(both_policies Target=cgroup)" '[Protect m]' 'Comm=^mate$'
    group=sess start_full mate anon=2
    group=sess start leak anon=900@150
    until_quiet
}
case_group_sum() { # Target=cgroup: six of 80 MiB together are more than one of 200
    expect dies=worker lives=other:1
    machine
    start_full other anon=200
    start_daemon "$(both_policies Target=cgroup)"
    start worker fork=5 anon=60 anon=70@10 end anon=60
    until_quiet
}
case_group_name() { # Target=cgroup: a user's program called Xorg does not protect its cgroup
    expect dies=worker lives=other:1
    machine
    start_full other anon=200
    own_program Xorg
    group=unit start_full Xorg uid=65534 kib=64
    load=$tools/load
    start_daemon "$(both_policies Target=cgroup)"
    group=unit start worker uid=65534 fork=5 anon=60 anon=70@10 end anon=60
    until_quiet
}
case_swap_none() { # RankBy=swap, where there is no swap
    local i
    expect dies=leak lives=app:3
    machine
    start_daemon "$(both_policies RankBy=swap)"
    for i in 1 2 3; do group=app$i start_full app anon=50; done
    start leak anon=900@150
    until_quiet
}
