#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# smoke.sh: reckond, as its own service, against real memory exhaustion in a
# 1 GiB VM: without swap, with swap on a disk, with swap on zram.  What happens
# in the VM, and what is right, is in guest-smoke.
#
# usage: smoke.sh   (or: make check-vm)
# Environment: BUILDDIR    the build folder (default: .)
#              DAEMONS     reckond (default), none, earlyoom, nohang, systemd-oomd:
#                          one or more, each in turn in the same VM
#              SWAPS       some of: none disk zram (default: all)
#              SCENARIOS   some of: leak tail stubborn group (default: all without swap, leak with)
#              TRIALS      how often (default: 1)
#              VM_SUITE    the VM's Debian suite (default: this machine's, as the
#                          programs are linked with its libraries)
#              LIMIT_S     seconds after which a program that was not killed is terminated (default: 60)
#              VM_TIMEOUT  seconds for each VM (default: 240)
# Prints "ok - ...", "not ok - ..." and "skip - ..." lines, and the sums last.  Exit status: 0
# when nothing failed, 77 when no VM can be run here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
began=$(date +%s) no_vm=''
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-smoke.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

# What is laid over the VM's root: the installation, with its unit where systemd
# looks for it whatever the prefix, and the tools of this test.
make_overlay() {
    mkdir -p "$tmp/overlay/vm-smoke" "$tmp/overlay/etc/systemd/system" &&
        make -C "$builddir" --no-print-directory install DESTDIR="$tmp/overlay" &&
        make -C "$builddir" --no-print-directory tests/vm/hog tests/vm/probe &&
        find "$tmp/overlay" -name reckond.service -path '*/system/*' ! -path '*/etc/systemd/*' \
            -exec cp {} "$tmp/overlay/etc/systemd/system/" \; &&
        cp "$here/guest-smoke" "$builddir/tests/vm/hog" "$builddir/tests/vm/probe" "$tmp/trials" \
            "$tmp/overlay/vm-smoke/"
}

# Run in the VM: all trials of all daemons with this kind of swap.
cat >"$tmp/trials" <<'TRIALS'
#!/bin/sh
# usage: trials N "DAEMON..." SWAP SCENARIO...
trials=$1 daemons=$2
shift 2
while [ "$trials" -gt 0 ]; do
    for daemon in $daemons; do
        /vm-smoke/guest-smoke "$daemon" "$@" || echo "not ok - guest-smoke $daemon $* (status $?)"
    done
    trials=$((trials - 1))
done
TRIALS
chmod +x "$tmp/trials"

if ! make_overlay >"$tmp/make.log" 2>&1; then
    cat "$tmp/make.log"
    echo "not ok - make install DESTDIR=... in $builddir"
    exit 1
fi
for swap in ${SWAPS:-none disk zram}; do
    case $swap in
    none) scenarios='leak tail stubborn group' options='' ;;
    disk) scenarios=leak options='--swap 512M' ;;
    zram) scenarios=leak options='--zram 512M' ;;
    *) echo "smoke.sh: unknown kind of swap '$swap'" >&2; exit 64 ;;
    esac
    # shellcheck disable=SC2086  # lists of words
    set -- $options --suite "$suite" --mem 1024 --timeout "${VM_TIMEOUT:-240}" --overlay "$tmp/overlay" -- \
        /usr/bin/env LIMIT_S="${LIMIT_S:-60}" /vm-smoke/trials "${TRIALS:-1}" "${DAEMONS:-reckond}" "$swap" ${SCENARIOS:-$scenarios}
    vm_began=$(date +%s)
    { rc=0; "$here/vm-run" "$@" 2>"$tmp/stderr" || rc=$?; echo "$rc" >"$tmp/rc"; } | tee -a "$tmp/log"
    cat "$tmp/stderr" >&2
    case $(cat "$tmp/rc") in
    0) echo "# VM with swap $swap: $(($(date +%s) - vm_began)) s; the host's load: $(cat /proc/loadavg)" ;;
    125)
        no_vm="no VM can be run here: $(tail -n1 "$tmp/stderr")"
        if [ "${CI:-}" = true ]; then
            echo "not ok - $no_vm" | tee -a "$tmp/log"
        else
            echo "skip - $no_vm" | tee -a "$tmp/log"
        fi
        break
        ;;
    124) echo "not ok - swap $swap: all is done in time (${VM_TIMEOUT:-240} s)" | tee -a "$tmp/log" ;;
    *) echo "not ok - swap $swap: the VM lives to the end" | tee -a "$tmp/log" ;;
    esac
done

passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
skipped=$(grep -c '^skip - ' "$tmp/log" || :)
echo "# $(($(date +%s) - began)) s in all"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ -z "$no_vm" ] || { echo "$no_vm"; exit 77; } # the reason last, for scripts/test
