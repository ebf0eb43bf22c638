# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# A small process that changes without a trace, and then grows.

case_left_protected() { # a small process leaves the cgroup that is protected, and grows
    expect dies=hog lives=app:4,filler:1
    machine
    start_full filler anon=600
    apps 4 20
    start_daemon '[Protect safe]' "Cgroup=$subtree/safe $subtree/filler"
    group=safe start hog sleep=12 anon=300@150
    mkdir -p "$work/open"
    pause 10
    echo "$last" >"$work/open/cgroup.procs"
    until_quiet
}
