#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# cases.sh: reckond against loads of odd kinds in 1 GiB VMs: which process is killed for each, and
# for which none is.  What each case is, and what it expects, is in guest-cases.
#
# usage: cases.sh [all | CASE...]   (or: make check-vm, and check-vm-all for all of them)
# Environment: BUILDDIR    the build folder (default: .)
#              DAEMONS     one or more of reckond (default), none, earlyoom, nohang, systemd-oomd
#              TRIALS      how often (default: 1)
#              VM_SUITE    the VM's Debian suite (default: this machine's)
#              VM_TIMEOUT  seconds for each VM (default: 300 for each case)
# Prints "ok - ..." and "not ok - ..." lines, and the sums last.  Exit status: 0 when nothing
# failed, 77 when no VM can be run here (a failure if CI=true).
set -eu

# Each with the swap that it needs.
core='shared:none tables:none saver:none limited:none cold:2G hot:2G swappiness0:384M noswap:384M'
more='leak:none memfd:none held:none inflight:none pipes:none pool:none deaf:none jobs:none storm:none adj:none tail:none
    throttled:none ownlimit:none swapadded:none reread:none dirty:none churn:none
    cold20:2G cold200:2G cold:zram cold20:zram cold200:zram hot:zram
    swappiness1:384M swappiness100:384M swappiness200:384M leak:384M'

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
daemons=${DAEMONS:-reckond}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-cases.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

case ${1:-} in
'') wanted=$core ;;
all) wanted="$core $more" ;;
*)
    wanted=''
    for name; do
        found=''
        for entry in $core $more; do
            case $entry in "$name" | "$name":*) wanted="$wanted $entry" found=1 ;; esac
        done
        [ -n "$found" ] || { echo "cases.sh: no case $name" >&2; exit 64; }
    done
    ;;
esac

make_overlay() {
    mkdir -p "$tmp/overlay/vm-cases" "$tmp/overlay/etc/systemd/system" &&
        make -C "$builddir" --no-print-directory install DESTDIR="$tmp/overlay" &&
        make -C "$builddir" --no-print-directory tests/vm/odd tests/vm/probe &&
        find "$tmp/overlay" -name reckond.service -path '*/system/*' ! -path '*/etc/systemd/*' \
            -exec cp {} "$tmp/overlay/etc/systemd/system/" \; &&
        cp "$here/guest-cases" "$builddir/tests/vm/odd" "$builddir/tests/vm/probe" "$tmp/overlay/vm-cases/"
}
if ! make_overlay >"$tmp/make.log" 2>&1; then
    cat "$tmp/make.log"
    echo "not ok - make install DESTDIR=... in $builddir"
    exit 1
fi

# In each trial the daemon that was first is last.
rotated() { # N WORD...
    n=$1
    shift
    while [ "$n" -gt 0 ]; do first=$1; shift; set -- "$@" "$first"; n=$((n - 1)); done
    echo "$*"
}

no_vm='' : >"$tmp/log"
for swap in none 2G zram 384M; do
    cases='' n=0
    for entry in $wanted; do
        [ "${entry#*:}" != "$swap" ] || cases="$cases ${entry%:*}" n=$((n + 1))
    done
    [ -n "$cases" ] && [ -z "$no_vm" ] || continue
    case $swap in
    none) options='' ;;
    zram) options='--zram 2G' ;;
    *) options="--swap $swap" ;;
    esac
    trial=0 script=''
    while [ $trial -lt "${TRIALS:-1}" ]; do
        # shellcheck disable=SC2086  # a list of words
        for daemon in $(rotated $trial $daemons); do script="$script /vm-cases/guest-cases $daemon$cases;" n_runs=$((${n_runs:-0} + n)); done
        trial=$((trial + 1))
    done
    rc=0
    # shellcheck disable=SC2086  # a list of words
    { "$here/vm-run" $options --suite "$suite" --mem 1024 --timeout "${VM_TIMEOUT:-$((n_runs * 300))}" \
        --overlay "$tmp/overlay" -- /bin/bash -c "$script" 2>"$tmp/stderr" || echo $? >"$tmp/rc"; } |
        sed -u "s/^# case /# case swap=$swap /; s/^\(not ok\|ok\) - \([a-z0-9]*\)/\1 - \2, swap $swap/" | tee -a "$tmp/log"
    [ ! -e "$tmp/rc" ] || rc=$(cat "$tmp/rc")
    rm -f "$tmp/rc"
    cat "$tmp/stderr" >&2
    case $rc in
    0) ;;
    125)
        no_vm="no VM can be run here: $(tail -n1 "$tmp/stderr")"
        [ "${CI:-}" != true ] || echo "not ok - $no_vm" | tee -a "$tmp/log"
        ;;
    *) echo "not ok - swap $swap: the VM lives to the end ($rc)" | tee -a "$tmp/log" ;;
    esac
done
passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
[ -z "$no_vm" ] || { echo "$no_vm"; exit 77; }
