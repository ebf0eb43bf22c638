# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Families of processes: what they share counts once; and many that are alike.

case_bgsave() { # a database of 420 MiB with a child that saves, beside a leak of more than its half
    expect dies=hog lives=redis:2
    machine
    start_full redis anon=420 fork=1 touch end
    start_daemon
    start hog anon=250 anon=400@80
    until_quiet
}
case_bgsave_hog_small() { # the same of 650 MiB: the leak is less than its half
    expect either=hog,redis kills=2
    machine
    start_full redis anon=650 fork=1 touch end
    start_daemon
    start hog anon=60 anon=110@40
    until_quiet
    count_population
    [ "$(count_of redis)" != 1 ] || bad 'a process of redis died, which frees nothing'
}
case_bgsave_written() { # its parent has written to all since: each has its own, one is enough
    expect lives=redis:1,hog:1
    machine
    start_full redis anon=320 fork=1 touch end dirty
    start_daemon
    start hog anon=60 anon=120@40
    until_quiet
    count_population
    [ "$(count_of redis)" = 1 ] || bad 'no process of redis died'
}
case_cow_family() { # 245 MiB shared copy-on-write by 21, beside three of 40 MiB: the family has to die
    expect dies=web lives=innocent:1 kills=24
    machine 512 60 0
    for i in 1 2 3; do group=innocent$i start_full innocent anon=40; done
    start_full web anon=245 fork=20 touch end
    start_daemon
    start nudge anon=30@15
    until_quiet 3 40
    note="$(count_population; count_of innocent) of 3 innocents left"
}
case_family_large() { # 120 MiB shared by 301, beside one of 60: all of the family at once, or what it shares is kept
    expect dies=fam lives=small:1 kills=301
    machine 400 3 0
    start_full fam anon=120 fork=300 end
    start_full small anon=60
    start_daemon
    start nudge anon=40@10
    until_quiet
}
case_bgsave_protected() { # the database is protected, its child that saves is not: to kill the child frees nothing
    expect dies=hog lives=redis:1,saver:1 kills=1
    machine
    start_full redis anon=420 fork=1 name=saver touch end
    start_daemon '[Protect redis]' 'Comm=^redis$'
    start hog anon=150 anon=300@80
    until_quiet
}
case_prefork() { # eight workers, each leaks its own
    expect lives=web:1,worker:5 kills=3
    machine
    start_daemon
    start web anon=40 fork=8 name=worker anon=70 anon=45@10 end
    until_quiet 3
    has_killed || bad 'no kill'
}
case_browser() { # a large parent, tabs with a higher oom_score_adj, one of them leaks
    expect dies=leaker lives=firefox:1,tab:5
    machine
    start_full firefox anon=150 fork=5 adj=167 name=tab anon=40 end fork=1 adj=167 name=leaker await=$case_run/go anon=300 anon=300@80 end
    start_daemon
    : >$case_run/go
    until_quiet
}
case_sharers() { # six processes in one address space
    expect dies=hog
    machine
    start_daemon
    start hog sharers=5 anon=650 anon=350@80
    until_quiet
}
case_sharers_150() { # 150 processes in one address space: one round
    local i
    expect dies=hog lives=app:4
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=40; done
    start hog sharers=150 anon=650 anon=350@120
    until_quiet
}
case_sharers_many() { # 300 processes in one address space
    local i
    expect dies=hog lives=app:4 kills=6
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=40; done
    start hog sharers=300 anon=650 anon=350@120
    until_quiet
}
case_sharers_too_many() { # 1,200: they are killed in rounds, until the one is that allocates
    local i
    expect dies=grower lives=app:4 kills=20
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=40; done
    start hog sharers=1200 name=grower anon=550 anon=350@120
    until_quiet
}
case_tmux() { # shells and a leak in one cgroup
    expect dies=python3 lives=bash:4,sleep:3
    machine
    start_daemon
    # shellcheck disable=SC2016 # is for that shell
    in_subtree tmux bash -c 'for i in 1 2 3; do bash -c "sleep 1000; :" & done
        "$0" name=python3 anon=650 anon=350@80; sleep 1000; :' "$load"
    until_quiet
}
# As that of a real one, each compiler is a program of its own with other arguments than the last.
build_of() { # JOBS PARALLEL MIB@RATE
    local result=$case_run/result built
    machine
    start_daemon
    start ninja "jobs=$1,$2,$result" execute=61 name=cc1plus "anon=$3" sleep=0.5 end end
    wait_for 120 grep -q left=0 "$result" || bad 'it did not come to its end'
    read -r note <"$result"
    built=${note#built=}
    [ "${built%% *}" -ge $(($1 / 2)) ] || bad "${built%% *} of $1 built"
}
case_build() { # 20 compilers of 140 MiB, eight at a time: half of them succeed at least
    expect lives=ninja:1 kills=10
    build_of 20 8 140@100
}
case_build_100() { # 40 compilers of 100 MiB, ten at a time: half of them succeed at least
    expect lives=ninja:1 kills=20
    build_of 40 10 100@60
}
case_build_110() { # 36 compilers of 110 MiB, nine at a time, slower
    expect lives=ninja:1 kills=18
    build_of 36 9 110@30
}
case_build_again() { # control: workers with the same arguments that a server starts again at once
    local i
    expect dies=server lives=app:2 kills=9
    machine
    start_daemon
    for i in 1 2; do group=app$i start_full app anon=60; done
    start server jobs=100,4,/dev/null execute=1 name=worker anon=300@100 sleep=30 end end
    until_quiet 8
}
case_build_drivers() { # small compilers, 24 at a time, each below a shell and a driver of its own
    local i
    expect lives=app:4 kills=40
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=60; done
    start make session jobs=60,24,/dev/null name=sh fork=1 name=gcc fork=1 name=cc1 anon=40@20 sleep=2 exit end finish end finish end
    until_quiet 3
}
case_storm() { # twelve processes of 12 MiB a second, without end: none of the others dies for it
    expect kills=200
    machine
    start_daemon
    start storm fork=33 name=stormer anon=12 end spawn=12 name=stormer anon=12 end
    until_quiet 20 6
}
case_storm_database() { # the same beside a database of 150 MiB, more than an eighth of memory
    expect lives=db:1 kills=200
    machine
    start_full db anon=150
    pause 5 # it is no victim for having been started just now
    start_daemon
    start storm fork=25 name=stormer anon=12 end spawn=12 name=stormer anon=12 end
    until_quiet 10 6
}
case_storm_leak() { # control: 45 that were started at once and do not grow, beside a leak of less than half
    expect dies=hog lives=job:45
    machine
    start_daemon
    start_full shell fork=45 name=job anon=13 end
    start hog anon=100 anon=500@60
    until_quiet
}
case_storm_names() { # the same, each with a name of its own
    local i
    expect lives=app:4 kills=400
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=30; done
    start storm fork=20 name-of-its-own anon=12 end spawn=12 name-of-its-own anon=12 end
    until_quiet 20 6
}
suite() { # STEP...: 70 test programs, each with a parent of its own; none of the others dies
    local i
    expect lives=app:4 kills=200
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=42; done
    start suite session repeat=70 fork=1 name=sh fork=1 "$@" end end sleep=0.08 end
    until_quiet 4 20
}
case_suite() { # test programs of 14 MiB, each with a name of its own
    suite name-of-its-own anon=14
}
case_suite_programs() { # the same, each executed with other arguments: none is a replacement
    suite execute=61 name-of-its-own anon=14 sleep=60 end
}
case_desktop_leak() { # control: beside programs of one session that were just started a leak dies
    local i steps=()
    expect dies=hog lives=desktop:1 kills=1
    machine
    start_daemon
    for i in 10 25 40 15 30 20 35 12 28 18 22 33; do
        steps+=(fork=1 execute=61 name-of-its-own "anon=$i" sleep=60 end end sleep=0.1)
    done
    start_full desktop session "${steps[@]}"
    start hog anon=100 anon=600@80
    until_quiet
    count_population
    [ "$(grep -c ' n[0-9]' <<<"$population")" = 12 ] || bad 'some of the session are gone'
}
case_suite_leak() { # control: one of them leaks, and none of the others dies
    expect dies=leak kills=1
    machine
    start_daemon
    start suite session repeat=40 fork=1 name=sh fork=1 name-of-its-own anon=8 end end sleep=0.08 end \
        fork=1 name=leak anon=60 anon=600@100 end
    until_quiet
    count_population
    [ "$(grep -c ' n[0-9]' <<<"$population")" = 40 ] || bad 'some of the suite are gone'
}
case_storm_subtree() { # the same in a cgroup that cannot be killed as one
    expect kills=200
    machine
    start_daemon
    group=.
    start storm fork=33 name=stormer anon=12 end spawn=12 name=stormer anon=12 end
    until_quiet 20 6
}
case_subshells() { # a shell that started 48 of its own program before the first kill lives
    expect lives=shell:1 kills=40
    machine
    start_daemon
    group=.
    start shell session fork=48 name=job anon=4 anon=16@3 end
    until_quiet 4
}
case_subshells_go_on() { # control: it goes on starting them, and is killed
    expect dies=shell kills=200
    machine
    start_daemon
    group=.
    start shell session fork=33 name=job anon=12 end spawn=12 name=job anon=12 end
    until_quiet 20 6
}
case_renderers() { # thirty that are old: a leak beside them dies, and none of them
    expect dies=hog lives=renderer:30
    machine
    start_full browser fork=30 name=renderer anon=18 end
    start_daemon
    start hog anon=100 anon=500@60
    until_quiet
}
case_medium() { # ten that grow to 120 MiB each
    expect kills=5
    machine
    start_daemon
    for i in {1..10}; do start m$i anon=60 anon=60@15; done
    until_quiet 3
    has_killed || bad 'no kill'
}
case_crowd() { # 420 of 2 MiB each: the sleepers are not worth a kill
    expect probe=0 kills=40
    machine
    start_daemon
    start crowd repeat=53 fork=8 anon=2 end sleep=0.07 end
    until_quiet 3
}
case_crowd_medium() { # 170 of 5 MiB each
    expect probe=0 kills=12
    machine
    start_daemon
    start crowd repeat=34 fork=5 anon=5 end sleep=0.1 end
    until_quiet 3
    has_killed || bad 'no kill'
}
case_forkserver() { # 400 MiB copy-on-write by 41, which takes long to measure, beside a leak of less
    expect dies=leak lives=srv:41
    machine
    start_daemon
    start_full srv anon=400 fork=40 touch end
    start leak anon=900@80
    until_quiet
}
# A cgroup is killed as a whole: what its processes share is freed, but once.
cgroup_family() { # KIND
    expect dies=leak lives=server:21
    machine
    start_full server "$1=200" fork=20 touch end
    start_daemon "$(both_policies Target=cgroup)"
    start leak anon=300 anon=400@60
    until_quiet
}
case_cgroup_shares() { # Target=cgroup: 21 that map the same 200 MiB of shared memory, beside a leak
    cgroup_family shared
}
case_cgroup_copies() { # Target=cgroup: 21 that share 200 MiB copy on write, beside a leak
    cgroup_family anon
}
case_cgroup_many() { # Target=cgroup: twelve servers of 20 that share 30 MiB each, more than are measured at once, beside a leak
    local i
    expect dies=leak lives=web:240
    machine
    for i in {1..12}; do group=web$i start_full web anon=30 fork=19 touch end; done
    start_daemon "$(both_policies Target=cgroup)"
    start leak anon=400 anon=200@20
    until_quiet
}
