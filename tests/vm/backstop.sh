#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# backstop.sh: reckond's own service in a VM, grown by a library that is preloaded and takes memory: it
# stops short of MemoryMax=, and is started again within seconds.  What happens in the VM is in
# guest-backstop.
#
# usage: backstop.sh
# Environment: BUILDDIR    the build folder (default: .)
#              CC          by which the library is built (default: cc)
#              VM_SUITE    the VM's Debian suite (default: this machine's)
#              VM_TIMEOUT  seconds for the VM (default: 300)
# Prints "ok - ..." and "not ok - ..." lines.  Exit status: 0 when nothing failed, 77 when no VM can be
# run here (which is a failure if CI=true).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${BUILDDIR:-.}" && pwd)
suite=${VM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm-backstop.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

cat >"$tmp/balloon.c" <<'END'
/* Takes BALLOON MiB four seconds after the start, on a thread of its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *grow(void *unused)
{
	int mib = atoi(getenv("BALLOON"));

	(void)unused;
	sleep(4);
	for (int i = 0; i < mib; i++) {
		void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			dprintf(2, "balloon: refused at %d MiB\n", i);
			return NULL;
		}
		memset(p, 1, 1 << 20);
	}
	dprintf(2, "balloon: full\n");
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_t thread;

	if (getenv("BALLOON"))
		pthread_create(&thread, NULL, grow, NULL);
}
END
make_overlay() {
    mkdir -p "$tmp/overlay/vm-backstop" "$tmp/overlay/etc/systemd/system" &&
        "${CC:-cc}" -shared -fPIC -pthread -o "$tmp/overlay/vm-backstop/balloon.so" "$tmp/balloon.c" &&
        make -C "$builddir" --no-print-directory install DESTDIR="$tmp/overlay" &&
        find "$tmp/overlay" -name reckond.service -path '*/system/*' ! -path '*/etc/systemd/*' \
            -exec cp {} "$tmp/overlay/etc/systemd/system/" \; &&
        cp "$here/guest-backstop" "$tmp/overlay/vm-backstop/"
}
if ! make_overlay >"$tmp/make.log" 2>&1; then
    cat "$tmp/make.log"
    echo "not ok - make install DESTDIR=... in $builddir"
    exit 1
fi
rc=0
"$here/vm-run" --suite "$suite" --mem 1024 --timeout "${VM_TIMEOUT:-300}" --overlay "$tmp/overlay" -- \
    /vm-backstop/guest-backstop 2>"$tmp/stderr" >"$tmp/log" || rc=$?
cat "$tmp/log"
cat "$tmp/stderr" >&2
if [ $rc = 125 ] && [ "${CI:-}" != true ]; then
    echo "skip - no VM can be run here: $(tail -n1 "$tmp/stderr")"
    exit 77
fi
[ $rc = 0 ] || echo "not ok - the VM lives to the end ($rc)"
[ $rc = 0 ] && ! grep -q '^not ok' "$tmp/log"
