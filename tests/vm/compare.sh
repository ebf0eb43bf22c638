#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# compare.sh: the leak of guest-smoke under each out-of-memory daemon, and under
# none, in the same VM; prints how long the latency probe had to wait.  There is
# no verdict: the exit status is 0 when all was measured.
#
# usage: compare.sh   (or: make check-vm-all)
# Environment: as for smoke.sh; DAEMONS and TRIALS (default: 3) may be given.
set -eu

here=$(dirname "$0")
daemons=${DAEMONS:-reckond earlyoom nohang systemd-oomd none} swaps=${SWAPS:-none disk zram}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-compare.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

rc=0
DAEMONS=$daemons SWAPS=$swaps TRIALS=${TRIALS:-3} SCENARIOS=leak VM_TIMEOUT=${VM_TIMEOUT:-1800} \
    "$here/smoke.sh" >"$tmp/log" 2>&1 || rc=$?
grep '^# leak ' "$tmp/log" || :
[ $rc != 77 ] || { tail -n 3 "$tmp/log"; exit 77; }

awk -v daemons="$daemons" -v swaps="$swaps" '
function of(key,    i) {
    for (i = 2; i <= NF; i++)
        if (index($i, key "=") == 1)
            return substr($i, length(key) + 2)
}
/^# leak / {
    cell = of("daemon") " " of("swap")
    n[cell]++
    stall[cell, n[cell]] = of("stall_ms")
    if (of("signal") == "none")
        note[cell] = note[cell] "-"
    else if (of("oom_kill") > 0)
        note[cell] = note[cell] "k"
    if (of("others") != "none")
        note[cell] = note[cell] "!"
}
# The median of the trials, and all of them.
function text(cell,    i, j, t, all) {
    if (!n[cell])
        return "not measured"
    for (i = 1; i <= n[cell]; i++)
        v[i] = stall[cell, i] + 0
    for (i = 2; i <= n[cell]; i++)
        for (j = i; j > 1 && v[j] < v[j - 1]; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
    for (i = 1; i <= n[cell]; i++)
        all = all (i > 1 ? " " : "") v[i]
    return v[int((n[cell] + 1) / 2)] " (" all ") " note[cell]
}
END {
    print "\nlongest stall of the probe in ms: median (all trials), by kind of swap"
    print "  -  the leak was not killed in time   k  the kernel did   !  others went"
    printf "%-14s", "daemon"
    ns = split(swaps, s, " ")
    for (i = 1; i <= ns; i++)
        printf "%-28s", s[i]
    print ""
    nd = split(daemons, d, " ")
    for (i = 1; i <= nd; i++) {
        printf "%-14s", d[i]
        for (j = 1; j <= ns; j++) {
            printf "%-28s", text(d[i] " " s[j])
            missing += !n[d[i] " " s[j]]
        }
        print ""
    }
    exit missing > 0
}' "$tmp/log" || { cat "$tmp/log"; exit 1; }
