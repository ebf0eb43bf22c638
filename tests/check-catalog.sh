#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-catalog.sh: what the journal's catalog explains is what the daemon logs: the MESSAGE_IDs of
# daemon/log/message-ids.h, the catalog and reckond(8) are the same, each is used, the catalog names
# only fields that the daemon sends, and systemd's own compiler takes it.
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

# Only an entry about a victim has fields of its own.
sent=$(grep -ohE '"RECKOND_[A-Z0-9_]+=' "$srcdir/daemon/record/report.c" | tr -d '"=' | sort -u)
named=$(grep -oE '@[A-Z0-9_]+@' "$catalog" | tr -d @ | sort -u)
check '[ -n "$named" ] && [ -z "$(comm -13 <(echo "$sent") <(echo "$named"))" ]' \
    'the catalog names only fields that are sent'
for name in STUCK LOW_MEMORY LIMIT CONFIG_REFUSED DEGRADED CONFLICT; do
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
