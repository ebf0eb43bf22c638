#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-hostile.sh: what a user can put in reckond's way: names of processes and cgroups (line ends, escapes,
# what is not UTF-8, what turns the direction of writing, formats), in the log, the history, JSON, on the
# bus and on a terminal; and in place of its configuration, state and runtime files: links, FIFOs, devices,
# directories, files of others.
#
# Anything but root, a cgroup2 mount, dbus-daemon, busctl and jq is SKIP (77).
# Environment: BUILDDIR, SRCDIR.
set -uo pipefail
# shellcheck source=tests/bus-helpers.sh
. "${SRCDIR:-$(dirname "$0")/..}/tests/bus-helpers.sh"

write_bus_conf ''
start_bus
mkdir "$tmp/state"
export STATE_DIRECTORY=$tmp/state
history=$tmp/state/history.json

#
# Names
#
# A comm of 15 bytes at most.
names=($'a\nForged: b' $'\e[2J\e]0;x\a' $'\xff\xfe\xc3' $'\xe2\x80\xaegnp.exe' $'a\rb\tc\vd' '%n%n%s%99999d' '"},{"pid":1,"' '<0>a\\u0000' "\$(id)\`id\`;'" $'\xc2\x9b31m' ' ' $'\x7f\x01\x02')
# And of cgroups, which have no line end and no '/'.
groups=($'\e[31mx' $'\xff\xfe' $'\xe2\x80\xaex' '%n%s' '"}' ' (deleted)' '<0>x' $'\xc2\x85x' 'a b' 'x..y' '\x2d' '*')
# Bytes that no line of a log or of a terminal may have: control characters, those of C1, and U+202A to U+202E and
# U+2066 to U+2069.
is_harmless() { # FILE
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]' "$1" &&
        iconv -f UTF-8 -t UTF-8 "$1" >/dev/null 2>&1
}
for name in "${names[@]:0:5}" "${groups[@]:0:3}"; do # would it be seen?
    printf '%s\n' "$name" >"$tmp/out"
    check "! is_harmless '$tmp/out' || [[ \$name == a* ]]" 'what is not harmless is seen'
done
printf 'h\xc3\xa9 %s\n' '%n\' >"$tmp/out"
check "is_harmless '$tmp/out'" 'and what is harmless'
quiet_conf >"$tmp/conf"
start
wait_for is_there 20
for i in "${!names[@]}"; do
    group=$subtree/${groups[$i]}
    mkdir "$mount$group"
    : >"$tmp/ready"
    perl -e 'open F, ">/proc/self/comm"; print F $ARGV[1]; close F; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' \
        $((32 + i)) "${names[$i]}" >"$tmp/ready" &
    pids+=("$!")
    wait_for "[ -s '$tmp/ready' ]"
    echo "$!" >"$mount$group/cgroup.procs"
    call Explain u "$!"
    # What may be shown as it is: the daemon's sentences; and what is for programs: valid JSON, valid UTF-8.
    answer '.data[0].Json.data | fromjson' >"$tmp/json" 2>&1
    check "[ \"\$(jq .process.pid '$tmp/json')\" = $! ] && iconv -f UTF-8 -t UTF-8 '$tmp/json' >/dev/null" "name $i: Explain"
    answer '.data[0].Reason.data' | jq -r . >"$tmp/out"
    check "is_harmless '$tmp/out'" 'its sentence is harmless'
    for command in "explain $!" explain status; do
        # shellcheck disable=SC2086
        "$build/reckonctl" $command >"$tmp/out" 2>&1
        check "is_harmless '$tmp/out'" "reckonctl ${command%% *} is harmless"
    done
done
busctl --system -j call "${manager[@]}" ListCgroups uu 0 0 >"$tmp/json"
check "jq . '$tmp/json' >/dev/null && iconv -f UTF-8 -t UTF-8 '$tmp/json' >/dev/null" 'ListCgroups is valid'
list ListCandidates
check "[ \"\$(answer length)\" = ${#names[@]} ]" 'ListCandidates has all of them'
check "answer 'map(.Cgroup)' | grep -qF '$subtree/ (deleted)'" 'a cgroup that is called \"(deleted)\" is there'
{ quiet_conf; printf '[Policy now]\nMemoryAvailable=100%%\nAction=kill\n'; } >"$tmp/conf"
call Reload
for pid in "${pids[@]}"; do wait_for "! is_alive $pid" 20; done
check "wait_for \"grep -q 'no process is worth killing' '$tmp/log'\" 20" 'all of them are killed'
check "is_harmless '$tmp/log' && ! grep -q '^Forged' '$tmp/log'" 'the log is harmless'
"$build/reckonctl" history 0 >"$tmp/out" 2>&1
check "is_harmless '$tmp/out' && [ \$(wc -l <'$tmp/out') -ge ${#names[@]} ]" 'reckonctl history is harmless'
"$build/reckonctl" --full history 0 >"$tmp/out" 2>&1
check "is_harmless '$tmp/out'" 'in full, too'
"$build/reckonctl" --json history 0 >"$tmp/json" 2>&1
check "[ \"\$(jq '[.entries[] | select(.kind == \"killed\")] | length' '$tmp/json')\" = ${#names[@]} ]" 'as JSON it is valid'
stop
check "jq -e '.entries | length >= ${#names[@]}' '$history' >/dev/null && iconv -f UTF-8 -t UTF-8 '$history' >/dev/null" 'the file is valid'
for group in "${groups[@]}"; do wait_for "rmdir '$mount$subtree/${group//\'/}' 2>/dev/null" 2; done
quiet_conf >"$tmp/conf"

#
# In place of the history
#
secret=$tmp/secret
reset_secret() { echo secret >"$secret"; chmod 600 "$secret"; }
starts() { # NAME: with what is there, within ten seconds
    start --dry-run
    check "grep -q ^Ready '$tmp/log'" "$1: it starts"
    stop
    check "[ \$status = 0 ] && [ \"\$(cat '$secret')\" = secret ]" "$1: and touches nothing else"
}
put() { # KIND FILE: of root's or of nobody's
    rm -rf "$2"
    case $1 in
    link) ln -s "$secret" "$2" ;;
    hardlink) ln "$secret" "$2" ;;
    dangling) ln -s "$tmp/nonexistent" "$2" ;;
    fifo) mkfifo "$2" ;;
    device) mknod "$2" c 1 5 ;; # /dev/zero
    full) mknod "$2" c 1 7 ;;
    directory) mkdir "$2" ;;
    socket) perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0]))' "$2" ;;
    foreign) echo '{"version":1,"entries":[]}' >"$2"; chown 65534 "$2"; chmod 666 "$2" ;;
    large) truncate -s 1T "$2" ;;
    esac
}
reset_secret
for kind in link hardlink dangling fifo device full directory socket foreign large; do
    put $kind "$history"
    starts "a $kind in place of the history"
    put $kind "$history.new"
    starts "a $kind in place of its new one"
    put $kind "$history.bad"
    put fifo "$history"
    starts "a $kind in place of the one that is set aside"
    rm -rf "$history" "$history.new" "$history.bad"
    check "[ ! -e '$tmp/nonexistent' ]" 'and nothing is made elsewhere'
done

#
# In place of what is thawed
#
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
    run=/dev/shm/check-hostile-$$
    mkdir "$run"
    export RUNTIME_DIRECTORY=$run
    starts_really() { # NAME: not a dry run, which does not use it
        start
        check "grep -q ^Ready '$tmp/log'" "$1: it starts"
        stop
        check "[ \$status = 0 ] && [ \"\$(cat '$secret')\" = secret ]" "$1: and touches nothing else"
    }
    secret=$run.secret # a hard link is within a file system
    reset_secret
    for kind in link hardlink dangling fifo device directory socket foreign large; do
        put $kind "$run/thawed"
        starts_really "a $kind in place of what is thawed"
        check "grep -qE '^(missing privilege|limitation): .*thawed' '$tmp/log' || [ $kind = large ]" 'which is reported'
    done
    rm -rf "$run" "$secret"
    unset RUNTIME_DIRECTORY
    secret=$tmp/secret
else
    skip 'in place of what is thawed: no tmpfs'
fi

#
# In place of the configuration
#
for kind in link dangling fifo device directory socket large; do
    mkdir "$tmp/conf.d"
    put $kind "$tmp/conf.d/50-hostile.conf"
    starts "a $kind in place of a drop-in"
    check "grep -q '^$tmp/conf.d/50-hostile.conf' '$tmp/log'" 'which is reported'
    rm -rf "$tmp/conf.d"
done
chown 65534 "$tmp/conf"
starts 'a configuration of another user'
check "grep -q \"^$tmp/conf: warning: user 65534 can change it\" '$tmp/log'" 'which is reported'
chown 0 "$tmp/conf"
chmod 666 "$tmp/conf"
starts 'a configuration that all may write'
check "grep -q \"^$tmp/conf: warning: every user can change it\" '$tmp/log'" 'which is reported'
exit $failed
