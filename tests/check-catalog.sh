#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-catalog.sh: what the journal's catalog explains is what the daemon logs: the MESSAGE_IDs of
# daemon/log/message-ids.h, the catalog and reckond(8) are the same, each is used, the catalog names
# only fields that the daemon sends, and systemd's own compiler takes it.  And the man pages have all
# names of the table of an event (lib/history/history.c), in the journal, on the bus and in JSON.
#
# Environment: SRCDIR (default: .).
# shellcheck disable=SC2034 # in the conditions that check() evaluates
set -u

srcdir=${SRCDIR:-.}
catalog=$srcdir/systemd/reckond.catalog
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-catalog.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
failed=0

check() { # CONDITION NAME
    if eval "$1"; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        failed=1
    fi
}

sed -nE 's/^#define (MESSAGE_ID_[A-Z_]+)[[:space:]]+"([0-9a-f]{32})"$/\2 \1/p' \
    "$srcdir/daemon/log/message-ids.h" | sort >"$tmp/ids"
cut -d' ' -f1 "$tmp/ids" >"$tmp/code"
sed -nE 's/^-- ([0-9a-f]{32})$/\1/p' "$catalog" | sort >"$tmp/catalog"
grep -oE '[0-9a-f]{32}' "$srcdir/man/reckond.8" | sort -u >"$tmp/man"
check '[ "$(wc -l <"$tmp/ids")" = "$(grep -c "#define" "$srcdir/daemon/log/message-ids.h")" ]' \
    'each MESSAGE_ID has 32 digits'
check '[ -s "$tmp/code" ] && [ -z "$(uniq -d "$tmp/code")" ]' 'no MESSAGE_ID is there twice'
check 'diff "$tmp/code" "$tmp/catalog"' 'the catalog explains each, and no other'
for header in Subject Defined-By Documentation; do
    check '[ "$(grep -c "^$header: ." "$catalog")" = "$(wc -l <"$tmp/code")" ]' "each with its $header"
done
check 'diff "$tmp/code" "$tmp/man"' 'reckond(8) lists each, and no other'
while read -r _ name; do
    check 'grep -qw "$name" "$srcdir"/daemon/*/*.c' "$name is used"
done <"$tmp/ids"

# The table: NAME BUS-NAME JOURNAL-FIELD, or NULL.  A row: "PRIVATE(pid, U32, "Pid", "RECKOND_..."),".
sed -nE 's/^\t(ENTRY|PRIVATE|RANKED)\((\w+),\s+\w+,\s+"(\w+)"(,\s+"?(\w+)"?)?\),$/\2 \3 \5/p
    s/^\tJOURNAL\((\w+),\s+\w+,\s+"(\w+)"\),$/NULL NULL \2/p' \
    "$srcdir/lib/history/history.c" >"$tmp/table"
check '[ "$(wc -l <"$tmp/table")" = "$(grep -cE "^.[A-Z]+\([a-z_0-9]+,.*\),$" "$srcdir/lib/history/history.c")" ]' \
    'each row of the table of an event is read'
# PAGE, of which one section: its names, one in each line.
names_of() { sed -n "/^\.S[sh] $2/,/^\.S[sh] /{/^\.\(It \)*Va /p}" "$srcdir/man/$1" | tr -s ' ,' '\n'; }
# COLUMN PAGE SECTION
is_documented() {
    names_of "$2" "$3" | sort -u >"$tmp/documented"
    cut -d' ' -f"$1" "$tmp/table" | grep -vx 'NULL\|' | sort -u | comm -23 - "$tmp/documented" |
        tee "$tmp/missing" | sed 's/^/not documented: /'
    [ ! -s "$tmp/missing" ]
}
check 'is_documented 1 reckonctl.1 JSON' 'reckonctl(1) has each JSON member of an event'
check 'is_documented 2 org.reckond1.5 Entries' 'org.reckond1(5) has each D-Bus member'
check 'is_documented 1 reckond.8 "DECISION HISTORY"' 'and reckond(8), of the file of the history'
check 'is_documented 3 reckond.8 JOURNAL' 'reckond(8) has each journal field'
sent=$(cut -d' ' -f3 "$tmp/table" | grep '^RECKOND_' | sort)
check '[ "$(grep -oE "RECKOND_[A-Z0-9_]+" "$srcdir/man/reckond.8" | sort -u)" = "$sent" ]' \
    'and no other'
# A name that the table does not have would not be seen above.
check '! grep -nE "\"RECKOND_[A-Z0-9_]+=" "$srcdir"/daemon/*/*.c' 'all journal fields are from the table'

# Only an entry about a victim has fields of its own.
named=$(grep -oE '@[A-Z0-9_]+@' "$catalog" | tr -d @ | sort -u)
check '[ -n "$named" ] && [ -z "$(comm -13 <(echo "$sent") <(echo "$named"))" ]' \
    'the catalog names only fields that are sent'
for name in STUCK LOW_MEMORY PRIVILEGE LIMITATION CONFIG_REFUSED DEGRADED CONFLICT; do
    id=$(sed -n "s/ MESSAGE_ID_$name\$//p" "$tmp/ids")
    check '! awk -v id="$id" "/^-- / { here = \$2 == id } here" "$catalog" | grep @' \
        "$name has no victim to name"
done

if command -v journalctl >/dev/null; then
    mkdir -p "$tmp/root/usr/lib/systemd/catalog" "$tmp/root/var/lib/systemd/catalog"
    cp "$catalog" "$tmp/root/usr/lib/systemd/catalog/"
    journalctl --root="$tmp/root" --update-catalog >"$tmp/said" 2>&1
    check '[ ! -s "$tmp/said" ]' 'journalctl compiles it and has nothing to say'
    cat "$tmp/said"
    journalctl --root="$tmp/root" --list-catalog 2>&1 | grep -E '^[0-9a-f]{32} reckond: .' |
        cut -d' ' -f1 >"$tmp/listed"
    check 'diff "$tmp/code" "$tmp/listed"' 'and lists each, with a subject'
else
    echo 'skip - journalctl compiles it: there is no journalctl here'
fi
exit $failed
