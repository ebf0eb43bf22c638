#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# cpus.sh: does reckond take the larger of two processes where the kernel's
# counters say otherwise?  In VMs with many CPUs, on a kernel that splits them by
# thread (6.1) and on one that splits them by CPU (6.12).  What happens in the VM,
# and what is right, is in guest-cpus.
#
# usage: cpus.sh   (or: make check-vm-all)
# Environment: BUILDDIR    the build folder (default: .)
#              VM_KERNELS  Debian suites whose kernels are to be used (default: bookworm trixie)
#              VM_SUITE    the VM's Debian suite (default: this machine's, as the
#                          programs are linked with its libraries)
#              VM_CPUS     CPUs of the VM (default: 64; with fewer less can be hidden)
#              VM_TIMEOUT  seconds for each VM (default: 1200)
# Prints "ok - ..." and "not ok - ..." lines, and the sums last.  Exit status: 0
# when nothing failed, 77 when no VM can be run here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
cpus=${VM_CPUS:-64} limit=${VM_TIMEOUT:-1200} skipped=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-cpus.XXXXXX")
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

# What is laid over the VM's root: the programs, where PATH finds them whatever the prefix.
mkdir -p "$tmp/overlay/vm-cpus" "$tmp/overlay/usr/local/bin"
if ! make -C "$builddir" --no-print-directory reckond reckonctl tests/vm/hide >"$tmp/make.log" 2>&1 ||
    ! cp "$builddir/reckond" "$builddir/reckonctl" "$tmp/overlay/usr/local/bin/" ||
    ! cp "$here/guest-cpus" "$builddir/tests/vm/hide" "$tmp/overlay/vm-cpus/"; then
    cat "$tmp/make.log"
    echo "not ok - the programs are made in $builddir"
    exit 1
fi
: >"$tmp/log"
for name in ${VM_KERNELS:-bookworm trixie}; do
    if ! kernel=$("$here/vm-image" --suite "$name" 2>"$tmp/stderr"); then
        no_vm "$(tail -n1 "$tmp/stderr")"
        continue
    fi
    began=$(date +%s)
    {
        rc=0
        "$here/vm-run" --suite "$suite" --kernel "$kernel/kernel" --smp "$cpus" --mem 1024 --timeout "$limit" \
            --overlay "$tmp/overlay" -- /vm-cpus/guest-cpus 2>"$tmp/stderr" || rc=$?
        echo "$rc" >"$tmp/rc"
    } | tee -a "$tmp/log"
    cat "$tmp/stderr" >&2
    case $(cat "$tmp/rc") in
    0) echo "# VM with the kernel of $name, $cpus CPUs: $(($(date +%s) - began)) s" ;;
    125) no_vm "$(tail -n1 "$tmp/stderr")" ;;
    124) echo "not ok - the kernel of $name: all is done in time ($limit s)" | tee -a "$tmp/log" ;;
    *) echo "not ok - the kernel of $name: the VM lives to the end" | tee -a "$tmp/log" ;;
    esac
done

passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$skipped" = 0 ] || exit 77
