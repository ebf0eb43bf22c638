#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# package.sh: the Debian package in a VM of each suite: built for it, installed, used, upgraded,
# purged.  What happens in the VM, and what is right, is in guest-package.
#
# usage: package.sh   (or: make check-vm-all)
# Environment: BUILDDIR    where the packages are kept, in package-SUITE/ (default: .); they are
#                          built again when the sources change
#              VM_SUITE    Debian suites (default: bookworm trixie)
#              VM_TIMEOUT  seconds for each VM (default: 1200)
# Prints "ok - ...", "not ok - ..." and "skip - ..." lines, and the sums last.  Exit status: 0
# when nothing failed, 77 when something cannot be had here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
limit=${VM_TIMEOUT:-1200} skipped=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-package.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

cannot() { # WHAT REASON
    if [ "${CI:-}" = true ]; then
        echo "not ok - $1: $2" | tee -a "$tmp/log"
    else
        echo "skip - $1: $2"
        skipped=$((skipped + 1))
    fi
}

# What is laid over the VM's root: the package, the same with a higher version, and the test.
make_overlay() { # DEB
    rm -rf "$tmp/overlay" "$tmp/newer"
    mkdir -p "$tmp/overlay/vm-package" &&
        cp "$1" "$tmp/overlay/vm-package/reckond.deb" &&
        dpkg-deb -R "$1" "$tmp/newer" &&
        sed -i 's/^Version: .*/&+newer/' "$tmp/newer/DEBIAN/control" &&
        dpkg-deb --root-owner-group -b "$tmp/newer" "$tmp/overlay/vm-package/newer.deb" >"$tmp/stderr" &&
        cp "$here/guest-package" "$tmp/overlay/vm-package/"
}

: >"$tmp/log"
for suite in ${VM_SUITE:-bookworm trixie}; do
    began=$(date +%s) rc=0
    deb=$("$here/../../scripts/package" --suite "$suite" --out "$builddir/package-$suite" \
        --if-changed 2>"$tmp/stderr") || rc=$?
    case $rc in
    0) echo "# the package for $suite: $(($(date +%s) - began)) s" ;;
    77) cannot "$suite: the package is built" "$(tail -n1 "$tmp/stderr")"; continue ;;
    *) cat "$tmp/stderr"; echo "not ok - $suite: the package is built" | tee -a "$tmp/log"; continue ;;
    esac
    make_overlay "$(echo "$deb" | tail -n1)" || { cat "$tmp/stderr"; exit 1; }
    began=$(date +%s)
    {
        rc=0
        "$here/vm-run" --suite "$suite" --mem 1024 --timeout "$limit" --overlay "$tmp/overlay" -- \
            /vm-package/guest-package /vm-package/reckond.deb /vm-package/newer.deb 2>"$tmp/stderr" || rc=$?
        echo "$rc" >"$tmp/rc"
    } | sed -u "s/^\(not ok\|ok\) - /&$suite: /" | tee -a "$tmp/log"
    cat "$tmp/stderr" >&2
    case $(cat "$tmp/rc") in
    0) echo "# VM of $suite: $(($(date +%s) - began)) s" ;;
    125) cannot "$suite: a VM can be run here" "$(tail -n1 "$tmp/stderr")" ;;
    124) echo "not ok - $suite: all is done in time ($limit s)" | tee -a "$tmp/log" ;;
    *) echo "not ok - $suite: the VM lives to the end" | tee -a "$tmp/log" ;;
    esac
done

passed=$(grep -c '^ok - ' "$tmp/log" || :)
failed=$(grep -c '^not ok - ' "$tmp/log" || :)
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$skipped" = 0 ] || exit 77
