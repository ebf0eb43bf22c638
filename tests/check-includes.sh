#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-includes.sh: no #include runs against the order of the folders, headers include each other in
# no circle, and only what makes and runs the whole daemon knows all of it.
#
# Environment: SRCDIR.
set -u

: "${SRCDIR:=.}"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-includes.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
failed=0

# FOLDER RANK: a file includes what is in its own folder, or has a lower rank.  Folders of the same
# rank do not know of each other.
ranks='lib/base 0
lib/sys 1
lib/history 1
lib/config 2
lib/kill 2
lib/snapshot 3
lib/select 4
lib/domain 4
lib/explain 5
daemon/log 6
daemon/base 7
daemon/watch 8
daemon/select 9
daemon/kill 10
daemon/record 11
daemon/tick 12
daemon/bus 12
daemon 13
ctl 6'

# What is still allowed though it is not right: FILE INCLUDED.
allowed=''

# FOLDER...: "FILE INCLUDED" for each #include of a file of ours
list_includes() {
    (cd "$1" && find "${@:2}" -name '*.[ch]' -exec grep -H '^#include "' {} +) |
        sed -n 's/^\([^:]*\):#include "\([^"]*\)".*/\1 \2/p' | sort
}

# Reads such lines: those that are against the order.
find_upward() {
    awk -v ranks="$ranks" '
        BEGIN {
            n = split(ranks, line, "\n")
            for (i = 1; i <= n; i++) {
                split(line[i], part, " ")
                rank[part[1]] = part[2]
            }
        }
        function folder(path) { sub("/[^/]*$", "", path); return path }
        {
            from = folder($1); to = folder($2)
            if (!(from in rank) || !(to in rank) || (from != to && rank[to] >= rank[from]))
                print
        }'
}

# Reads such lines: headers that include themselves, by way of others or not.
find_circles() {
    grep '\.h .*\.h$' | tsort 2>&1 >/dev/null | sed -n 's/^tsort: \([^ ]*\.h\)$/\1/p'
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

# First: would it be seen?
sees() { [ "$(printf '%s\n' "${@:3}" | "$1" | wc -l)" = "$2" ]; }
check sees find_upward 1 'lib/base/a.c lib/sys/b.h' 'an include upwards would be seen'
check sees find_upward 1 'lib/sys/a.c lib/history/b.h' 'one beside it would be seen'
check sees find_upward 1 'lib/other/a.c lib/base/b.h' 'a folder that has no rank would be seen'
check sees find_upward 0 'lib/sys/a.c lib/base/b.h' 'lib/sys/a.c lib/sys/a.h' 'downwards is allowed'
check sees find_circles 3 'a.h b.h' 'b.h c.h' 'c.h a.h' 'a circle would be seen'
check sees find_circles 0 'a.h b.h' 'b.h c.h' 'a.h c.h' 'two ways to a header are allowed'

list_includes "$SRCDIR" lib daemon ctl >"$tmp/includes"
check [ "$(wc -l <"$tmp/includes")" -gt 500 ] 'the files are read'
find_upward <"$tmp/includes" | grep -vxF "${allowed:-none}" >"$tmp/upward"
check [ ! -s "$tmp/upward" ] 'no include is against the order of the folders'
cat "$tmp/upward"
find_circles <"$tmp/includes" >"$tmp/circles"
check [ ! -s "$tmp/circles" ] 'headers include each other in no circle'
cat "$tmp/circles"
grep ' daemon/manager\.h$' <"$tmp/includes" | sort >"$tmp/whole"
check [ "$(sed 's/ .*//' "$tmp/whole" | tr '\n' ' ')" = 'daemon/main.c daemon/manager.c ' ] \
    'only main knows the whole daemon'
cat "$tmp/whole"
exit $failed
