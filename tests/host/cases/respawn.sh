# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# One program that is started again each time it is killed, and queues that look like that.

respawn() { # NAME STEP...: a leak is started again by it
    start "$@" restart=40 execute=1 name=leak anon=900@500 sleep=30 end end
}
case_respawn_loop() { # a script that starts a leak again and again is killed with it
    expect dies=loop,leak lives=app:2 kills=5
    machine
    start_daemon
    start_full app fork=1 end anon=40
    respawn loop
    until_quiet 6 60
}
case_respawn_unit() { # the same by the first process of a service: all of the service is killed
    expect dies=init,leak lives=app:2 kills=5
    machine
    start_daemon
    start_full app fork=1 end anon=40
    group=leak.service respawn init session
    until_quiet 6 60
}
case_respawn_beside() { # control: it has started a database too; both live
    expect lives=init:1,db:1 kills=50
    machine
    start_daemon
    group=leak.service respawn init session fork=1 execute=1 name=db anon=40 sleep=200 end end
    until_quiet 3 20
}
case_respawn_terminal() { # control: by a shell at a terminal, in a unit of its own
    expect lives=bash:1 kills=50
    machine
    start_daemon
    group=vte.scope respawn bash terminal
    until_quiet 3 20
}
case_respawn_script() { # a script at a terminal, that runs make: the script is killed, the shell is not
    expect dies=script,make,leak lives=bash:1 kills=6
    machine
    start_daemon
    group=vte.scope start bash terminal fork=1 execute=1 name=script restart=40 \
        execute=1 name=make fork=1 execute=1 name=leak anon=900@500 sleep=30 end end finish end end end end
    until_quiet 6 60
}
case_respawn_job() { # control: jobs one after the other, each with other arguments, all of which fill memory
    expect lives=queue:1 kills=50
    machine
    start_daemon
    start queue restart=40 execute=0 name=job anon=900@500 sleep=30 end end
    until_quiet 3 20
}
case_respawn_between() { # control: of jobs with the same arguments some are done
    expect lives=queue:1 kills=50
    machine
    start_daemon
    start queue repeat=20 restart=2 execute=1 name=job anon=900@500 sleep=30 end end \
        "jobs=1,1,$case_run/result" execute=1 name=job anon=100@500 sleep=6 end end end
    until_quiet 8 50
}
case_queue_forked() { # a queue whose jobs are forks, eight at a time: half of them are done at least
    local result
    expect lives=queue:1 kills=10
    machine
    start_daemon
    start queue "jobs=20,8,$case_run/result" name=job anon=140@70 end
    until_quiet 6 60
    result=$(cat "$case_run/result")
    [[ $result =~ built=1[0-9] ]] || bad 'less than half are done'
    note=$result
}
case_forked_again() { # control: a server's workers that are forked again
    expect dies=server kills=9
    machine
    start_daemon
    start server "jobs=100,4,$case_run/result" name=worker anon=300@100 sleep=30 end
    until_quiet 8
    note=$(cat "$case_run/result")
}
