# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Memory that is not private and anonymous: some of it is freed by a kill, some is not.

case_shanon() { # shared anonymous memory of one process
    expect dies=big
    machine
    start_daemon
    start big shared=650 shared=250@100
    until_quiet
}
case_memfd() { # a memfd, mapped
    expect dies=hog
    machine
    start_daemon
    start hog memfd=650 memfd=250@100
    until_quiet
}
case_memfd_held() { # a memfd, written to and never mapped
    expect dies=hog
    machine
    start_daemon
    start hog memfd-held=600 memfd-held=255@100
    until_quiet
}
case_memfd_passed() { # a memfd that a small process holds by a descriptor it was sent
    expect dies=holder
    machine
    start hog pass-memfd=850,holder
    wait_for 60 is_full_to 60
    pause 0.5
    start_daemon
    until_quiet
}
case_memfd_lent() { # a memfd that one process maps and another holds by a descriptor, beside eight smaller processes
    local i
    expect dies=hog,holder lives=app:8 kills=2
    machine
    start_daemon
    for i in {1..8}; do group=app$i start_full app anon=40; done
    start_full hog lend-memfd=430,holder
    start filler anon=60@20
    until_quiet
}
case_memfd_family() { # one memfd, mapped by four processes, beside a smaller leak
    expect dies=leak lives=sharer:4
    machine
    start_full sharer memfd=450 fork=3 touch end
    start_daemon
    start leak anon=200 anon=400@80
    until_quiet
}
case_memfd_family_alone() { # one memfd, mapped by four processes: all of them have to die
    expect dies=sharer lives=nudge:1 kills=4
    machine
    start_full sharer memfd=770 fork=3 touch end
    start_daemon
    start nudge anon=40@20
    until_quiet 3
}
case_vm16() { # three virtual machines and a leak
    expect dies=hog lives=qemu1:1,qemu2:1,qemu3:1
    machine
    for i in 1 2 3; do start_full qemu$i shared=150; done
    start_daemon
    start hog anon=200 anon=400@80
    until_quiet
}
case_pg() { # a database: shared buffers, one of eight backends leaks
    expect dies=leaker lives=postgres:8
    machine
    start_full postgres shared=300 fork=7 touch end fork=1 name=leaker touch await=$case_run/go anon=300 anon=400@80 end
    start_daemon
    : >$case_run/go
    until_quiet
}
case_shared_restart() { # a supervisor of two servers with shared memory each: one grows
    expect dies=server lives=keeper:1,other:1
    machine
    start_full keeper fork=1 name=other shared=200 end
    start_daemon
    start keeper fork=1 name=server shared=300 shared=400@80 end
    until_quiet
}

mount_tmpfs() { mkdir $case_run/tmpfs && mount -t tmpfs tmpfs $case_run/tmpfs; }
case_tmpfs_full() { # a tmpfs that no process maps: no kill can help
    expect kills=0
    machine
    mount_tmpfs
    start_daemon
    start writer write=$case_run/tmpfs/file,850 exit
    until_quiet
}
case_tmpfs_linked() { # a mapped file of a tmpfs, which stays, beside a smaller leak
    expect dies=leak lives=reader:1
    machine
    mount_tmpfs
    start_full reader file=$case_run/tmpfs/file,480
    start_daemon
    start leak anon=200 anon=400@80
    until_quiet
}
case_tmpfs_linked_alone() { # the same without the leak: no kill can help
    expect lives=reader:1 kills=0
    machine
    mount_tmpfs
    start_daemon
    start reader file=$case_run/tmpfs/file,850
    until_quiet
}
case_tmpfs_deleted() { # a mapped file of a tmpfs that was deleted
    expect dies=hog lives=nudge:1
    machine
    mount_tmpfs
    start_full hog file=$case_run/tmpfs/file,700 unlink=$case_run/tmpfs/file
    start_daemon
    start nudge anon=140@60
    until_quiet
}
case_sysv() { # a System V segment that vanishes with its last user
    expect dies=hog
    machine
    start_daemon
    start hog sysv=650 sysv=350@80
    until_quiet
}
case_sysv_kept() { # one that stays when its user is killed
    machine
    start_daemon
    start hog sysv-kept=600 sysv-kept=250@80
    until_quiet 4
}

case_ptab() { # page tables
    expect dies=ptab
    machine
    start_daemon
    start ptab tables=650 tables=350@80
    until_quiet
}
case_pipes() { # full pipes: memory that is in no figure of the process
    expect dies=pipes
    machine
    start_daemon
    start pipes pipes=600 pipes=238@80
    until_quiet
}
case_memfd_strangers() { # one memfd of 600 MiB, mapped by two programs that have nothing to do with each other
    local i
    expect lives=app:4 kills=2
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=45; done
    start_full client memfd=600 fork=1 name=server uid=65534 touch end
    start filler anon=40@20
    until_quiet
    count_population
    [ $(($(count_of client) + $(count_of server))) -lt 2 ] || bad 'client and server live'
}
case_secret() { # 260 MiB of memfd_secret(2) beside 160 MiB of anonymous memory, and another process of 330 MiB
    expect dies=hog lives=other:1
    machine
    "$tools/load" name=secret secret=1 exit || skip 'this needs memfd_secret(2)'
    start_daemon
    start_full other anon=330
    start_full hog secret=260 anon=160
    start filler anon=60@20
    until_quiet
}
case_locked_anon() { # 250 MiB of anonymous memory are locked, beside a file of 180 MiB that is not, and another process of 330 MiB
    local file
    expect dies=other lives=hog:1
    machine
    start_daemon
    start_full other anon=330
    file=$(mktemp /var/tmp/reckond-host.XXXXXX) || exit
    start_full hog "write=$file,180@400" "read=$file" locked=250
    start filler anon=260@40
    until_quiet
    rm -f "$file"
}
case_locked_file() { # a mapped file of 600 MiB, locked in memory, beside smaller processes, and a little growth
    local i file
    expect dies=model lives=app:4
    machine
    start_daemon
    for i in 1 2 3 4; do group=app$i start_full app anon=45; done
    file=$(mktemp /var/tmp/reckond-host.XXXXXX) || exit
    start model "write=$file,650@400" "lock=$file"
    until_quiet
    rm -f "$file"
}
case_memfd_held_thread() { # a memfd held by a descriptor, by a process whose first thread has exited
    expect dies=hog
    machine
    start hog memfd-held=855 leave-thread
    wait_for 60 is_full_to 60
    pause 0.5
    start_daemon
    until_quiet
}
case_memfd_held_protected() { # a memfd held by a descriptor, beside a protected process that holds more
    expect dies=hog lives=vault:1
    machine
    start_full vault memfd-held=480
    start_daemon '[Protect vault]' 'Comm=^vault$'
    start hog memfd-held=370@40
    until_quiet
}
case_memfd_held_partly() { # 200 MiB of its own and a memfd of 400 held by a descriptor, beside a process of 280
    expect dies=hog lives=other:1
    machine
    start_daemon
    start_full other anon=280
    start hog anon=200 memfd-held=400@60
    until_quiet
}
case_memfd_held_forked() { # a memfd held by a descriptor, by a parent and two children, beside a process of 80 MiB
    expect dies=hog lives=other:1
    machine
    start_daemon
    start_full other anon=80
    start_full hog memfd-held=650 fork=2 end
    start nudge anon=100@20
    until_quiet
}
case_memfd_held_each() { # eight processes that hold a memfd of 105 MiB each by a descriptor
    local i
    expect lives=other:1 kills=2
    machine
    start_daemon
    start_full other anon=80
    for i in {1..8}; do start holder$i memfd-held=105@10; done
    until_quiet
    has_killed || bad 'no kill'
}
case_tmpfs_full_beside() { # a tmpfs that no process maps, and a process that holds a memfd of 60 MiB by a descriptor
    expect lives=client:1 kills=0
    machine
    start_daemon
    mkdir -p $case_run/t
    start_full client memfd-held=60
    start writer "write=$case_run/t/f,770@60"
    until_quiet
}
case_tmpfs_full_family() { # the same, beside 91 processes that map the same 60 MiB
    local i
    expect lives=pg:91,app:4 kills=0
    machine
    for i in 1 2 3 4; do group=app$i start_full app anon=30; done
    start_full pg shared=60 fork=90 touch end
    start_daemon
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,650@160" exit
    until_quiet
}
case_tmpfs_then_leak() { # a tmpfs of 680 MiB, and a leak after that
    expect dies=hog
    machine
    start_daemon
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,680" exit
    pause 4
    start hog anon=300@40
    until_quiet
}
case_tmpfs_then_leak_noise() { # the same, and temporary files of 20 MiB that come and go
    expect dies=hog
    machine
    start_daemon
    mkdir -p $case_run/t
    start writer "write=$case_run/t/f,680" exit
    start cc repeat=500 "write=$case_run/t/tmp,20@100" sleep=0.3 "unlink=$case_run/t/tmp" drop sleep=0.3 end
    pause 4
    start hog anon=300@30
    until_quiet
}
case_tmpfs_beside_jobs() { # a tmpfs that fills by 10 MiB every 3 s, beside six jobs of 12 MiB at a time
    local i
    expect lives=app:4 kills=0
    machine
    for i in 1 2 3 4; do group=app$i start_full app anon=30; done
    start_daemon
    mkdir -p $case_run/t
    start make repeat=60 "jobs=6,6,$case_run/out" anon=12 sleep=0.7 end sleep=0.6 end
    start writer "write=$case_run/t/f,580" exit
    pause 1
    for i in 1 2 3 4 5 6 7; do
        start writer "write=$case_run/t/f$i,10" exit
        pause 3
    done
    until_quiet
}
