#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-layers.sh: lib/ is mechanism and decisions: it knows nothing of systemd, does not log, does
# not exit and does not read the clock.  Seen from outside: which symbols libreckon.a imports.  And
# daemon/bus/ leaves it to the sampler to read memory and processes, between ticks.
#
# Environment: BUILDDIR, NM, CC.
set -u

: "${NM:=nm}" "${CC:=cc}" "${BUILDDIR:=.}"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-layers.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
failed=0

# What is not for lib/, and the symbols by which it would be seen, as an extended regular
# expression.  What prints to a stream of the caller's (fprintf) is no logging.
rules=(
    'it knows nothing of systemd: sd_.*'
    'it does not log: stdout|stderr|(__)?v?printf(_chk)?|puts|putchar|perror|(__)?v?syslog(_chk)?|openlog|psignal|vwarnx?|warnx?|error(_at_line)?'
    'it does not exit: exit|_exit|_Exit|quick_exit|abort|verrx?|errx?'
    'time is an argument: clock_gettime|clock|time|times|gettimeofday|timespec_get'
)
# ARCHIVE-MEMBER SYMBOL: exceptions, each with its reason.
exceptions='
accuracy _exit
kill-ops clock_gettime
kill-reap clock_gettime
precise clock_gettime
'
# accuracy: a child of its own must exit without returning.
# kill-ops, kill-reap: when a step was over; how long a reap took, measured on the reaper's thread.
# precise: a deadline is met by a wait with an end, which is a point in time.

# ARCHIVE: a line for each symbol that does not belong there.
find_violations() {
    local member symbol rule
    # (a line is "ARCHIVE[MEMBER.o]: SYMBOL U ...")
    "$NM" -A -P -u "$1" 2>/dev/null | sed -nE 's/^.*\[([^]]*)\.o\]: ([^ @]+).*/\1 \2/p' |
        while read -r member symbol; do
            grep -qxF "${member#libreckon_a-} $symbol" <<<"$exceptions" && continue
            for rule in "${rules[@]}"; do
                [[ ! $symbol =~ ^(${rule#*: })$ ]] || echo "    $member.o: $symbol: ${rule%%: *}"
            done
        done
}

# ARCHIVE: what daemon/bus/ calls that is the sampler's.
find_violations_of_bus() {
    "$NM" -A -P -u "$1" 2>/dev/null | sed -nE 's/^.*\[(libdaemon_a-)?(bus[^]]*)\.o\]: ([^ @]+).*/    \2.o: \3/p' |
        grep -E ': (memory_sample.*|census_(sweep|list|refresh|catch_up|find_new|read_anew|set_.*|release_fds|keep_none)|victim_reserve)$'
}

# TRUE-OR-FALSE-COMMAND... NAME
check() {
    local name=${*: -1}
    if "${@:1:$#-1}"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        failed=1
    fi
}

# First: would it be seen?  An archive with one of each kind, and one with what is allowed.
# MEMBER C-TEXT: how many violations
count_in() {
    rm -f "$tmp/own.a"
    echo "$2" >"$tmp/$1.c"
    "$CC" -w -O0 -c "$tmp/$1.c" -o "$tmp/$1.o" && ar cr "$tmp/own.a" "$tmp/$1.o" || return
    find_violations "$tmp/own.a" | wc -l
}
sees() { [ "$(count_in "$2" "$3")" = "$1" ]; }
declare='#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
int sd_notify(int, const char *);
'
check sees 1 own "$declare void f(void) { sd_notify(0, 0); }" 'sd_notify() would be seen'
check sees 1 own "$declare void f(char *s) { fputs(s, stderr); }" 'a line on stderr would be seen'
check sees 1 own "$declare void f(int i) { printf(\"%d\", i); }" 'printf() would be seen'
check sees 1 own "$declare void f(char *s) { syslog(1, s); }" 'syslog() would be seen'
check sees 2 own "$declare void f(int i) { i ? abort() : exit(1); }" 'abort() and exit() would be seen'
check sees 1 own "$declare long f(void) { return time(0); }" 'time() would be seen'
check sees 1 own "$declare void f(void) { _exit(1); }" '_exit() would be seen'
check sees 0 accuracy "$declare void f(void) { _exit(1); }" '_exit() in accuracy.o is allowed'
check sees 0 own "$declare void f(FILE *s, char *t) { fprintf(s, t); snprintf(t, 1, t); }" \
    'printing to a stream or a buffer of the caller is allowed'

count_in bus-own 'int memory_sample(void), census_find(void); int f(void) { return memory_sample() + census_find(); }' >"$tmp/n"
check [ "$(find_violations_of_bus "$tmp/own.a" | wc -l)" = 1 ] 'a reading of memory by the bus would be seen'

archive=$BUILDDIR/libreckon.a
check [ "$("$NM" -A -P -u "$archive" 2>/dev/null | wc -l)" -gt 100 ] "nm reads $archive"
violations=$(find_violations "$archive")
check [ -z "$violations" ] 'libreckon.a imports nothing that is not for lib/'
[ -z "$violations" ] || echo "$violations"
archive=$BUILDDIR/libdaemon.a
check [ "$("$NM" -A -P -u "$archive" 2>/dev/null | grep -c '\[.*bus-answer\.o\]')" -gt 10 ] "nm reads $archive"
violations=$(find_violations_of_bus "$archive")
check [ -z "$violations" ] 'the bus reads neither memory nor processes but by the sampler'
[ -z "$violations" ] || echo "$violations"
exit $failed
