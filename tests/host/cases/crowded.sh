# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# A holder beside processes that take long to read.

crowded() { # N STEP...: of those beside it, which are older
    expect dies=hog "lives=app:4,crowd:$1"
    machine
    start_daemon
    start_full crowd "fork=$(($1 - 1))" "${@:2}" end "${@:2}"
    pause 1
    apps 4 40
    start_full hog memfd-held=550
    start nudge anon=120@10
    until_quiet
}
case_crowded_descriptors() { # a memfd held by a descriptor, beside 12 processes with 19,000 descriptors each
    crowded 12 descriptors=19000
}
case_crowded_mappings() { # the same, beside 12 processes with 20,000 mappings each, and address space that they do not use
    crowded 12 reserve=2000 mappings=20000
}
case_crowded_untouched() { # a child that maps shared memory and has touched none of it, beside 12 processes with 20,000 mappings each
    expect dies=hog,holder lives=app:4,crowd:12 kills=2
    machine
    start_daemon
    start_full crowd fork=11 reserve=2000 mappings=20000 end reserve=2000 mappings=20000
    pause 1
    apps 4 40
    start_full hog shared=450 fork=1 name=holder end
    start filler anon=180@20
    until_quiet 4
}
case_small_memfds() { # 9,000 memfds of 60 KiB each held by descriptors
    expect dies=hog lives=app:4
    machine
    start_daemon
    apps 4 40
    start_full hog small-memfds=9000,60
    start nudge anon=120@10
    until_quiet
}
case_small_memfds_leak() { # a leak of such memfds
    expect dies=hog lives=app:4
    machine
    apps 4 40
    start_daemon
    start hog repeat=170 small-memfds=100,60 sleep=0.15 end
    until_quiet
}
case_small_deleted_leak() { # a leak of deleted files of a tmpfs, of 60 KiB each
    expect dies=hog lives=app:4
    machine
    apps 4 40
    start_daemon
    start hog repeat=170 "small-deleted=100,60,$case_run/small" sleep=0.15 end
    until_quiet
}
case_thread_tables() { # a memfd held by a thread with descriptors of its own, beside 2,500 threads with 100 each
    expect dies=hog lives=app:4
    machine
    start_daemon
    apps 4 40
    start_full crowd descriptors=100 thread-tables=2500
    start_full hog memfd-thread=560
    start nudge anon=120@10
    until_quiet
}
case_held_daemonized() { # a memfd held by a descriptor, by a program and its daemon, which has a session of its own
    expect dies=hog,helper lives=app:4 kills=2
    machine
    start_daemon
    apps 4 40
    start_full hog memfd-held=560 fork=1 fork=1 session name=helper end exit end
    start nudge anon=120@10
    until_quiet
}
