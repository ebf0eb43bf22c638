#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# storm.sh: reckond, as its own service, in a VM in which 200 programs eat memory
# for minutes, and fork, freeze and thaw each other's groups, move between them and
# ignore signals meanwhile.  What happens in the VM, and what is right, is in
# guest-storm; the programs are eater.c.
#
# usage: storm.sh [SEED]   (default: a random one; it is printed)
# Environment: BUILDDIR    the build folder (default: .)
#              STORM_S     how long, in seconds (default: 300)
#              EATERS      how many programs (default: 200)
#              VM_KERNELS  Debian suites whose kernels are to be used (default: VM_SUITE)
#              VM_SUITE    the VM's Debian suite (default: this machine's, as the
#                          programs are linked with its libraries)
#              VM_TIMEOUT  seconds for each VM (default: STORM_S and 300 more)
#              OUT         a folder for the journal and the trace (default: not kept)
# Prints "ok - ..." and "not ok - ..." lines, and the sums last.  Exit status: 0
# when nothing failed, 77 when no VM can be run here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
seconds=${STORM_S:-300} skipped=0
limit=${VM_TIMEOUT:-$((seconds + 300))}
seed=${1:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-storm.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

no_vm() { # REASON
    if [ "${CI:-}" = true ]; then
        echo "not ok - a VM can be run here: $1" | tee -a "$tmp/log"
    else
        echo "skip - no VM can be run here: $1"
        skipped=$((skipped + 1))
    fi
}

# What is laid over the VM's root: the installation, with its unit where systemd
# looks for it whatever the prefix, and the tools of this test.
make_overlay() {
    mkdir -p "$tmp/overlay/vm-storm" "$tmp/overlay/etc/systemd/system" &&
        make -C "$builddir" --no-print-directory install DESTDIR="$tmp/overlay" &&
        make -C "$builddir" --no-print-directory tests/vm/eater &&
        find "$tmp/overlay" -name reckond.service -path '*/system/*' ! -path '*/etc/systemd/*' \
            -exec cp {} "$tmp/overlay/etc/systemd/system/" \; &&
        cp "$here/guest-storm" "$builddir/tests/vm/eater" "$tmp/overlay/vm-storm/"
}
if ! make_overlay >"$tmp/make.log" 2>&1; then
    cat "$tmp/make.log"
    echo "not ok - make install DESTDIR=... in $builddir"
    exit 1
fi

echo "# seed $seed"
: >"$tmp/log"
for name in ${VM_KERNELS:-$suite}; do
    if ! kernel=$("$here/vm-image" --suite "$name" 2>"$tmp/stderr"); then
        no_vm "$(tail -n1 "$tmp/stderr")"
        continue
    fi
    began=$(date +%s)
    {
        rc=0
        "$here/vm-run" --suite "$suite" --kernel "$kernel/kernel" --mem 1024 --timeout "$limit" \
            --overlay "$tmp/overlay" ${OUT:+--out "$OUT"} -- \
            /vm-storm/guest-storm "$seconds" "${EATERS:-200}" "$seed" 2>"$tmp/stderr" || rc=$?
        echo "$rc" >"$tmp/rc"
    } | tee -a "$tmp/log"
    cat "$tmp/stderr" >&2
    case $(cat "$tmp/rc") in
    0) echo "# VM with the kernel of $name: $(($(date +%s) - began)) s; the host's load: $(cat /proc/loadavg)" ;;
    125) no_vm "$(tail -n1 "$tmp/stderr")" ;;
    124) echo "not ok - the kernel of $name: all is done in time ($limit s)" | tee -a "$tmp/log" ;;
    *) echo "not ok - the kernel of $name: the VM lives to the end" | tee -a "$tmp/log" ;;
    esac
done

passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
echo "$passed passed, $failed failed, $skipped skipped (seed $seed)"
[ "$failed" = 0 ] || exit 1
[ "$skipped" = 0 ] || exit 77
