# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Processes that are compared or killed together, and those that are not to be.

case_young_leak() { # beside eight compilers a leak that was just started, and took 220 MiB at once
    expect dies=hog lives=make:9
    machine
    start_daemon
    start make fork=8 anon=20 anon=50@12 end
    pause 2.5
    start hog anon=220 anon=200@6
    until_quiet
}
case_memfd_held_inherited() { # a memfd held by a descriptor that a child has inherited, and kept through execve(2)
    expect dies=hog,exe lives=app:1
    machine
    start_daemon
    start_full app anon=80
    start hog memfd-held=640 fork=1 execute=1 sleep=100 end end
    start nudge anon=60 anon=60@20
    until_quiet
}
case_memfd_held_inherited_small() { # control: a smaller one, beside a leak
    expect dies=hog lives=app:1,shell:1
    machine
    start_daemon
    start_full app anon=80
    start_full shell memfd-held=60 fork=1 execute=1 sleep=100 end end
    start hog anon=400 anon=400@60
    until_quiet
}
case_queue_of_one_length() { # a queue whose jobs have arguments of one length, eight at a time: half of them are done at least
    local result
    expect lives=queue:1 kills=10
    machine
    start_daemon
    start queue "jobs=20,8,$case_run/result" execute=0 name=job anon=140@70 end end
    until_quiet 6 60
    result=$(cat "$case_run/result")
    [[ $result =~ built=1[0-9] ]] || bad 'less than half are done'
    note=$result
}
case_queue_in_a_terminal() { # the same in the cgroup of a terminal: the shell and the editor in it live
    local result
    expect lives=vim:1,bash:1 kills=12
    machine
    start_daemon
    group=vte.scope
    start_full vim anon=60
    start bash session fork=1 name=xargs "jobs=24,8,$case_run/result" execute=0 name=job anon=140@70 end end end
    until_quiet 6 60
    result=$(cat "$case_run/result")
    [[ $result =~ built=1[0-9] ]] || bad 'less than ten are done'
    note=$result
}
case_memfd_held_forked_two() { # one memfd is held by three, another grows: it does not do to terminate the parent alone
    expect dies=hog lives=app:2
    machine
    start_daemon
    group=app1 start_full app anon=80
    group=app2 start_full app anon=90
    start hog memfd-held=450 fork=2 end memfd-held=150@100
    start nudge anon=30 anon=60@20
    until_quiet
}
case_memfd_held_at_once() { # one of 600 MiB is there between two samples, and three hold it: no other dies before it is known
    expect dies=hog lives=app:2 kills=3
    machine
    start_daemon
    group=app1 start_full app anon=80
    group=app2 start_full app anon=90
    start hog memfd-held=600 fork=2 end memfd-held=150@100
    start nudge anon=30 anon=60@20
    until_quiet
}
case_memfd_held_then_forked() { # its holder forks when it has been surveyed already: the children die for it, too
    expect dies=hog lives=app:2 kills=3
    machine
    start_daemon
    group=app1 start_full app anon=80
    group=app2 start_full app anon=90 fork=1 end
    start hog memfd-held=680 fork=2 end
    until_quiet
}
case_suite_with_database() { # a script starts a database, and later tests that fill memory: the database lives
    expect lives=db:1 kills=60
    machine
    start_daemon
    start script session repeat=1 fork=1 execute=1 name=db anon=150 sleep=100 end end sleep=12 end \
        repeat=45 fork=1 name=sh fork=1 execute=61 name-of-its-own anon=15 sleep=60 end end end sleep=0.08 end
    until_quiet 3 60
}
