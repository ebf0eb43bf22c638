#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# soak.sh: reckond, as its own service, in a VM for a long time: leaks, page cache, swap, forks, frozen
# cgroups, reloads and floods of the bus, again and again, in a random order.  What happens in the
# VM, and what is right, is in guest-soak.
#
# usage: soak.sh [SEED]   (default: a random one; it is printed.  Or: make check-soak)
# Environment: BUILDDIR      the build folder (default: .)
#              SOAK_SECONDS  how long (default: 1800)
#              VM_SUITE      the VM's Debian suite (default: this machine's)
#              VM_TIMEOUT    seconds for the VM (default: SOAK_SECONDS and 240 more)
#              OUT           a folder for the journal and the trace (default: not kept)
# Prints "ok - ..." and "not ok - ..." lines, and the sums last.  Exit status: 0 when nothing
# failed, 77 when no VM can be run here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
seconds=${SOAK_SECONDS:-1800}
limit=${VM_TIMEOUT:-$((seconds + 240))}
seed=${1:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-soak.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

# What is laid over the VM's root: the installation, with its unit where systemd
# looks for it whatever the prefix, and the tools of this test.
make_overlay() {
    mkdir -p "$tmp/overlay/vm-soak" "$tmp/overlay/etc/systemd/system" &&
        make -C "$builddir" --no-print-directory install DESTDIR="$tmp/overlay" &&
        make -C "$builddir" --no-print-directory tests/vm/odd tests/vm/major-faults tests/bus-flood &&
        find "$tmp/overlay" -name reckond.service -path '*/system/*' ! -path '*/etc/systemd/*' \
            -exec cp {} "$tmp/overlay/etc/systemd/system/" \; &&
        cp "$here/guest-soak" "$builddir/tests/vm/odd" "$builddir/tests/vm/major-faults" \
            "$builddir/tests/bus-flood" "$tmp/overlay/vm-soak/"
}
if ! make_overlay >"$tmp/make.log" 2>&1; then
    cat "$tmp/make.log"
    echo "not ok - make install DESTDIR=... in $builddir"
    exit 1
fi

echo "# seed $seed"
began=$(date +%s)
{
    rc=0
    "$here/vm-run" --suite "$suite" --mem 1024 --swap 512M --timeout "$limit" --overlay "$tmp/overlay" \
        ${OUT:+--out "$OUT"} -- /vm-soak/guest-soak "$seconds" "$seed" 2>"$tmp/stderr" || rc=$?
    echo "$rc" >"$tmp/rc"
} | tee "$tmp/log"
cat "$tmp/stderr" >&2
no_vm=''
case $(cat "$tmp/rc") in
0) echo "# VM: $(($(date +%s) - began)) s; the host's load: $(cat /proc/loadavg)" ;;
125)
    no_vm="no VM can be run here: $(tail -n1 "$tmp/stderr")"
    [ "${CI:-}" != true ] || echo "not ok - $no_vm" | tee -a "$tmp/log"
    ;;
124) echo "not ok - all is done in time ($limit s)" | tee -a "$tmp/log" ;;
*) echo "not ok - the VM lives to the end" | tee -a "$tmp/log" ;;
esac

passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
echo "$passed passed, $failed failed (seed $seed)"
[ "$failed" = 0 ] || exit 1
[ -z "$no_vm" ] || { echo "$no_vm"; exit 77; } # the reason last, for scripts/test
