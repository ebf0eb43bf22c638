#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# watch: what reckond costs while memory is short, but not so short that a policy holds: CPU time at
# some distances from the first policy that kills (10 %), with 1,000 processes, at rest and beside
# one that allocates and frees without a pause.
#
# Runs the built one with --dry-run, a subtree of its own, and a meminfo of a machine of 8 GiB that is
# bound over /proc/meminfo in a mount namespace.  What is allocated (/proc/vmstat) and pressure are
# this machine's: nothing else should run.
#
# usage: watch [SECONDS]   (for each row; default: 15; BUILDDIR: where reckond was built)
# BESIDE: another build folder, of which each row is measured as well, right before, without a mark.
# How often it slept does not depend on what else runs.
# Exit status: 0; 1 where a mark falls short; 77 where it cannot be measured here.
set -eu
export LC_ALL=C

seconds=${1:-15} n=${N:-1000}
builddir=$(cd "${BUILDDIR:-.}" && pwd)
if [ -z "${WATCH_INSIDE:-}" ]; then
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    cgroup=$mount/reckond-watch-$$
    { [ -n "$mount" ] && mkdir "$cgroup"; } 2>/dev/null || { echo "no cgroup2 mount to make a subtree in"; exit 77; }
    trap 'rmdir "$cgroup"' EXIT
    trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
    rc=0
    WATCH_INSIDE=$cgroup unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@" || rc=$?
    while [ -s "$cgroup/cgroup.procs" ]; do sleep 0.1; done
    exit "$rc"
fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/watch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
meminfo() { # PERCENT
    awk -v percent="$1" 'BEGIN {
        total = 958 * 1024; available = int(total * percent / 100); rest = total - available - 310000
        printf "MemTotal: %d kB\nMemFree: %d kB\nMemAvailable: %d kB\nBuffers: 0 kB\nCached: 100000 kB\n", total, available, available
        printf "SwapCached: 0 kB\nActive(anon): %d kB\nInactive(anon): 5000 kB\nActive(file): 50000 kB\nInactive(file): 45000 kB\n", rest
        printf "Unevictable: 0 kB\nMlocked: 0 kB\n"
        printf "SwapTotal: 2097148 kB\nSwapFree: %d kB\nAnonPages: %d kB\nShmem: 5000 kB\nSlab: 200000 kB\n", 1400000, rest
        printf "SReclaimable: 50000 kB\nSUnreclaim: 150000 kB\nKernelStack: 20000 kB\nPageTables: 80000 kB\nPercpu: 10000 kB\n"
        printf "HugePages_Total: 0\nHugePages_Free: 0\nHugepagesize: 2048 kB\nHugetlb: 0 kB\n"
    }'
}
meminfo 50 >"$tmp/meminfo"
printf 'Node 0, zone   Normal\n  pages free     2000\n        min      500\n        low      600\n        high     700\n        spanned  2097152\n        present  2097152\n        managed  2097152\n' >"$tmp/zoneinfo"
mount --bind "$tmp/meminfo" /proc/meminfo
mount --bind "$tmp/zoneinfo" /proc/zoneinfo
(
    echo 0 >"$WATCH_INSIDE/cgroup.procs"
    i=0
    while [ $i -lt $n ]; do sleep 1000000 & i=$((i + 1)); done
) &
sleep 3

nanoseconds() { cat /proc/"$pid"/task/*/schedstat | awk '{ cpu += $1 } END { printf "%.0f\n", cpu }'; }
sleeps() { awk '$1 == "voluntary_ctxt_switches:" { print $2 }' /proc/"$pid"/status; }
short=0
measure() { # BUILDDIR PERCENT: "CPU SLEEPS", per cent of a CPU and how often it slept in a second
    meminfo "$2" >"$tmp/meminfo"
    "$1/reckond" --dry-run --subtree "/${WATCH_INSIDE##*/}" >"$tmp/log" 2>&1 &
    pid=$!
    sleep 5
    kill -0 $pid 2>/dev/null || { cat "$tmp/log" >&2; exit 1; }
    [ -z "${TRACE:-}" ] || timeout 10 strace -f -c -S calls -p $pid -o /tmp/w.strace; before=$(nanoseconds) slept=$(sleeps)
    sleep "$seconds"
    after=$(nanoseconds) slept=$(($(sleeps) - slept))
    kill $pid
    wait $pid || :
    awk -v cpu=$((after - before)) -v slept=$slept -v seconds="$seconds" 'BEGIN { printf "%.2f %.1f\n", cpu / 1e7 / seconds, slept / seconds }'
}
row() { # NAME PERCENT
    [ -z "${BESIDE:-}" ] || measure "$BESIDE" "$2" | sed "s/^/beside: $1 /"
    measure "$builddir" "$2" >"$tmp/row"
    awk -v name="$1" '{
        printf "mark %s %.2f %%_of_a_CPU 1 %s\n", name, $1, $1 <= 1 ? "ok" : "short"
        printf "%s: it slept %.1f times a second\n", name, $2
        exit $1 > 1
    }' "$tmp/row" || short=1
}
for percent in 8 4; do row "watch_at_$percent" $percent; done; exit
"$builddir/tests/vm/odd" churn churn 300 &
for percent in 29 15.5 10.5; do row "watch_beside_churn_at_$percent" $percent; done
exit $short
