# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Shared memory beside a tmpfs, held in ways that are hard to see, or by processes that change.

apps() { # N MIB: each in a cgroup of its own
    local i
    for ((i = 1; i <= $1; i++)); do group=app$i start_full app anon=$2; done
}
fill_tmpfs() { # MIB: by a process that exits; and then a pause
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,$1" exit
    pause 4
}
tmpfs_then() { # MIB STEP: of the leak
    expect dies=hog lives=app:4
    machine
    apps 4 20
    start_daemon
    fill_tmpfs "$1"
    start hog "$2"
    until_quiet
}
case_tmpfs_then_shared() { # a tmpfs of 600 MiB, and a leak of shared memory after that
    tmpfs_then 600 shared=300@40
}
case_tmpfs_then_memfd() { # the same, of a mapped memfd
    tmpfs_then 600 memfd=300@40
}
case_tmpfs_then_held() { # the same, of a memfd held by a descriptor
    tmpfs_then 600 memfd-held=300@40
}
case_tmpfs_then_deleted() { # the same, of a mapped file of the same tmpfs that was deleted
    expect dies=hog lives=app:4
    machine
    apps 4 20
    start_daemon
    fill_tmpfs 600
    start hog "file=$case_run/t/d,10" "unlink=$case_run/t/d" shared=300@40
    until_quiet
}
case_tmpfs_beside_shared() { # must not: a process that maps 60 MiB, and a tmpfs that fills slowly after that
    expect lives=app:4,pg:4 kills=0
    machine
    apps 4 20
    start_full pg shared=60 fork=3 touch end
    start_daemon
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,720@40" exit
    until_quiet
}
case_tmpfs_mapped_slowly() { # must not: a tmpfs is filled, and a process maps files of it that stay, bit by bit
    expect lives=app:4,mapper:1 kills=0
    machine
    apps 4 20
    start_daemon
    fill_tmpfs 600
    start mapper "file=$case_run/t/m,150@40"
    until_quiet
}

untouched() { # STEP...: of the child, which makes $ready
    expect dies=hog,holder lives=app:8 kills=2
    machine
    start_daemon
    apps 8 40
    start_full hog shared=430 fork=1 name=holder "$@" end
    wait_for 60 [ -e $ready ] || bad 'the child did not come so far'
    start filler anon=60@20
    until_quiet 4
}
ready=$case_run/ready
case_untouched() { # a child that maps 430 MiB of shared memory and has touched none of it
    untouched mark=$ready
}
case_untouched_touched() { # the same, and it has touched it
    untouched touch mark=$ready
}
case_untouched_half() { # the same, and it has touched half of it
    untouched touch=215 mark=$ready
}
case_untouched_late() { # the same, and it touches it while memory gets short
    untouched mark=$ready sleep=2.3 touch
}
case_untouched_small() { # must not: children that map what their living parent has, beside a leak
    expect dies=leak lives=hog:1,child:4
    machine
    start_full hog shared=300 fork=4 name=child end
    start_daemon
    start leak anon=200 anon=400@80
    until_quiet
}

case_memfd_lent_hung() { # a memfd that one process maps and another holds, beside one that holds its mmap lock forever
    expect dies=hog,holder lives=app:8,hung:1 kills=2
    [ -e /dev/fuse ] || skip 'this needs /dev/fuse'
    machine
    start hung reserve=1000 hold-mmap-lock=$case_run/fuse
    start_daemon
    apps 8 40
    start_full hog lend-memfd=430,holder
    start filler anon=60@20
    until_quiet
}
case_memfd_held_many() { # a memfd held by a descriptor, by a parent and twelve children
    expect dies=hog lives=app:4
    machine
    start_daemon
    apps 4 40
    start_full hog memfd-held=600 fork=12 end
    start nudge anon=120@20
    until_quiet
}
case_memfd_held_crowd() { # the same, by a parent and 300 children
    expect dies=hog lives=app:4
    machine
    start_daemon
    apps 4 40
    start_full hog memfd-held=540 fork=300 end
    start nudge anon=120@20
    until_quiet
}
case_memfd_held_swarm() { # must not: the same, by a parent and 600 children: too many to be killed together, and no other dies for it
    expect lives=app:4,nudge:1 kills=0
    machine 1300
    apps 4 20
    start_daemon
    start_full hog memfd-held=850 fork=600 end
    start nudge anon=60@20
    until_quiet
    grep -q 'by a descriptor; by hog' "$log" || bad 'hog is not named'
}
case_memfd_held_strangers() { # must not: one memfd of 600 MiB, held by two programs that have nothing to do with each other
    expect lives=app:4,nudge:1 kills=0
    machine
    apps 4 20
    start_daemon
    start service uid=65533 queue=$case_run/queue receive
    wait_for 60 [ -S $case_run/queue ]
    start hog uid=65534 send-memfd=660,$case_run/queue,keep
    pause 3
    start nudge anon=60@20
    until_quiet
    grep -Eq 'by a descriptor; by (hog|service)' "$log" || bad 'neither is named'
}
case_memfd_thread() { # a memfd held by a thread with descriptors of its own
    expect dies=hog lives=app:4
    machine
    start_daemon
    apps 4 40
    start_full hog memfd-thread=600
    start nudge anon=120@20
    until_quiet
}
case_memfd_in_flight() { # a memfd whose only descriptor waits in a socket: one process has both its ends
    expect dies=hog lives=app:4,nudge:1
    machine
    start_daemon
    apps 4 40
    start_full hog uid=65534 memfd-in-flight=600
    start nudge anon=120@20
    until_quiet
}
case_memfd_in_flight_leak() { # a leak of such memfds, of 20 MiB each
    expect dies=hog lives=app:4
    machine
    apps 4 20
    start_daemon
    start hog uid=65534 repeat=38 memfd-in-flight=20 sleep=0.2 end
    until_quiet 4
}
case_memfd_in_flight_small() { # must not: a process with a socket like that, beside a full tmpfs
    expect lives=app:4,client:1 kills=0
    machine
    apps 4 20
    start_full client uid=65534 memfd-in-flight=20
    start_daemon
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,760@100" exit
    until_quiet
}
case_memfd_in_flight_hidden() { # must not: the same, beside a full tmpfs in another mount namespace
    expect lives=app:4,client:1 kills=0
    machine
    apps 4 20
    start_full client uid=65534 memfd-in-flight=20
    start_daemon
    mkdir -p $case_run/t
    in_subtree writer unshare --mount sh -c "mount -t tmpfs tmpfs $case_run/t && '$tools/load' write=$case_run/t/f,740@100"
    pause 8
    until_quiet
}
case_memfd_in_flight_two() { # must not: two programs have files in flight, and it is not known which has the large one
    expect lives=app:4,client:1,hog:1 kills=0
    machine
    apps 4 20
    start_full client uid=65534 memfd-in-flight=1
    start_daemon
    start hog uid=65533 memfd-in-flight=660
    pause 4
    start nudge anon=60@20
    until_quiet
}
case_memfd_in_flight_service() { # must not: a service of a system user, to which another user has sent it
    expect lives=app:4,service:1 kills=0
    machine
    apps 4 20
    start_daemon
    start service uid=99 queue=$case_run/queue
    wait_for 60 [ -S $case_run/queue ]
    start sender uid=65534 send-memfd=660,$case_run/queue exit
    pause 4
    start nudge anon=60@20
    until_quiet
}
# What another user has sent.
case_memfd_sent() { # a memfd of 400 MiB that another user has sent to a service, which keeps it, beside a leak of 300
    expect dies=hog lives=service:1,app:4
    machine
    apps 4 20
    start_daemon
    start service uid=65533 queue=$case_run/queue receive
    wait_for 60 [ -S $case_run/queue ]
    start sender uid=65534 send-memfd=400,$case_run/queue exit
    pause 3
    start hog anon=100 anon=280@40
    until_quiet
}
case_memfd_sent_alone() { # the same, of 660 MiB and without the leak: no other kill can help
    expect dies=service lives=app:4,nudge:1
    machine
    apps 4 20
    start_daemon
    start service uid=65533 queue=$case_run/queue receive
    wait_for 60 [ -S $case_run/queue ]
    start sender uid=65534 send-memfd=660,$case_run/queue exit
    pause 4
    start nudge anon=60@20
    until_quiet
}
# Shared memory that hops by fork, so that none has touched it.
hop_shared() { # SECONDS
    expect dies=hog lives=app:4,filler:1
    machine
    apps 4 40
    start_daemon
    start hog shared=600 hop-fork=$1
    wait_for 60 is_full_to 180
    start filler anon=100@20
    until_quiet 6
}
case_shared_hop() { # shared memory that hops by fork, once in a second
    hop_shared 1
}
case_shared_hop_fast() { # the same, every 0.1 s
    hop_shared 0.1
}
