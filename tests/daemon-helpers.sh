# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
# daemon-helpers.sh: for the tests that run the daemon as a process, on a subtree of their own: where
# cgroups are mounted, checks, and waiting.  Sourced by a test, which sets
# tmp, and may have another show_log.

mount_of() { # TYPE OPTION: of the cgroup version and controller (v1)
    awk -v type="$1" -v option="$2" '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == type &&
        ("," $NF ",") ~ option) { print $5; exit } }' /proc/self/mountinfo
}
pids=() daemon='' failed=0
show_log() { sed 's/^/#   /' "$tmp/log"; }
check() { # CONDITION NAME
    if eval "$1"; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        show_log
        # shellcheck disable=SC2034 # for the test
        failed=1
    fi
}
skip() { echo "skip - $*"; }
wait_for() { # CONDITION: for ten seconds
    local i
    for ((i = 0; i < 200; i++)); do
        eval "$1" && return
        sleep 0.05
    done
    return 1
}
end_all() { # the daemon, and what was started
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
}
