# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Which processes share memory with the victim, and which only run the same program.

# In one session: each argument is the steps of a process that is started by itself.
in_one_session() {
    local steps text='' n=0
    for steps; do text+="'$load' $steps mark=$case_run/session-$((++n)) & "; done
    in_subtree session setsid bash -c "$text wait"
    for ((; n > 0; n--)); do
        wait_for 60 [ -e "$case_run/session-$n" ] || bad "process $n of the session did not come to its end"
    done
}

case_same_session() { # two share 400 MiB; the same program is run in the same session, and shares none of it
    expect dies=pair lives=twin:1
    machine
    start_daemon
    in_one_session 'name=twin anon=230' 'name=pair shared=400 fork=1 touch end anon=80'
    start filler anon=130@20
    until_quiet
}
case_same_session_protected() { # the same, that one is protected: the two die all the same
    expect dies=pair lives=twin:1,calm:1
    machine
    start_daemon '[Protect twin]' 'Comm=^twin$'
    start_full calm anon=150
    in_one_session 'name=twin anon=60' 'name=pair shared=400 fork=1 touch end anon=80'
    start filler anon=140@20
    until_quiet
}
case_workers_other_user() { # workers of another user share the memory of their parent: to kill them alone frees nothing
    expect dies=server,worker lives=calm:1
    machine
    start_full calm anon=120
    start_full server anon=570 fork=8 touch name=worker uid=65534 end
    start_daemon
    start filler anon=100@20
    until_quiet
}
case_mmap_lock_held() { # a process holds its own mmap lock for ever: what others share is measured all the same
    expect dies=hog lives=redis:2
    [ -e /dev/fuse ] || skip 'this needs /dev/fuse'
    machine
    start_full redis anon=420 fork=1 touch end
    start_full locker anon=30 "hold-mmap-lock=$case_run/fuse"
    start_daemon
    start hog anon=250 anon=400@80
    until_quiet
}
