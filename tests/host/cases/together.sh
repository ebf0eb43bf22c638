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
