#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-cli.sh: reckond from outside: its command line, a configuration that is wrong, and machines
# that lack something.  Each time a clear line and the right exit status, and never a crash.
#
# No process is signalled: if the daemon runs at all, it is a dry run in the subtree of an empty cgroup.
# Environment: BUILDDIR.  Parts that need root, or a cgroup of their own, are skipped with the reason.
set -u

reckond=$(cd "${BUILDDIR:-.}" && pwd)/reckond
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-cli.XXXXXX")
cgroup='' pid='' failed=0
cleanup() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    [ -z "$cgroup" ] || rmdir "$cgroup"
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

skip() { echo "skip - $*"; }

# NAME EXPECTED-STATUS STATUS PATTERN...: what $tmp/out holds has for each pattern a line that matches
judge() {
    local name=$1 expected=$2 status=$3 pattern missing=''
    shift 3
    for pattern; do
        grep -qE -- "$pattern" "$tmp/out" || missing+=" '$pattern'"
    done
    if [ "$status" = "$expected" ] && [ -z "$missing" ]; then
        echo "ok - $name"
        return
    fi
    echo "not ok - $name: exit status $status (expected $expected), missing:${missing:- nothing}, output:"
    head -c 4000 "$tmp/out" | sed 's/^/    /'
    failed=1
}

# NAME STATUS PATTERN... -- COMMAND...: it exits by itself
exits() {
    local name=$1 expected=$2 patterns=() status=0
    shift 2
    while [ "$1" != -- ]; do patterns+=("$1"); shift; done
    timeout -k 2 30 "${@:2}" >"$tmp/out" 2>&1 </dev/null || status=$?
    judge "$name" "$expected" $status "${patterns[@]}"
}

# NAME PATTERN... -- COMMAND...: it becomes ready, and exits with 0 on SIGTERM.  The command is, or
# becomes by exec, reckond.
serves() {
    local name=$1 patterns=() status=0
    shift
    while [ "$1" != -- ]; do patterns+=("$1"); shift; done
    : >"$tmp/out" # here, lest the last one's be looked at
    "${@:2}" >"$tmp/out" 2>&1 </dev/null &
    pid=$!
    for _ in {1..200}; do
        ! grep -q '^Ready' "$tmp/out" && kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    kill -TERM $pid 2>/dev/null
    for _ in {1..100}; do
        [ -e /proc/$pid/exe ] && kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL $pid 2>/dev/null
    wait $pid || status=$?
    pid=''
    judge "$name" 0 $status '^Ready' "${patterns[@]}"
}

count_lines() { # NAME NUMBER: of lines in $tmp/out
    local n
    n=$(wc -l <"$tmp/out")
    [ "$n" = "$2" ] && echo "ok - $1" && return
    echo "not ok - $1: $n"
    failed=1
}

#
# The command line
#
exits '--help' 0 '^Usage: reckond' '--dry-run' 'Exit status' -- "$reckond" --help
exits '--version' 0 '^reckond [0-9]+\.[0-9]+' -- "$reckond" --version
exits '-h' 0 '^Usage: reckond' -- "$reckond" -h
exits '-V' 0 '^reckond [0-9]+\.[0-9]+' -- "$reckond" -V
# shellcheck disable=SC2016
exits 'a help that cannot be written' 1 -- sh -c 'exec "$1" --help >/dev/full' sh "$reckond"
exits 'an empty name of a file' 2 'needs the name of a file' -- "$reckond" --config= --check-config
exits 'a subtree that is no path, with --check-config' 2 "cgroup's path begins with" -- "$reckond" --check-config --subtree a
exits 'an unknown option' 2 "--frobnicate'?$" "--help'" -- "$reckond" --frobnicate
exits 'an option without its value' 2 'subtree' -- "$reckond" --subtree
exits 'an extra argument' 2 "unexpected argument 'now'" -- "$reckond" --dry-run now

#
# The configuration
#
conf=$tmp/reckond.conf
check_config() { # NAME STATUS PATTERN...
    exits "--check-config: $1" "${@:2}" -- "$reckond" --check-config --config "$conf"
}
printf '[Daemon]\nDryRun=yes\n' >"$conf"
check_config 'no error' 0
count_lines 'nothing is said about it' 0
cat >"$conf" <<'CONF'
[Nonsense]
[Daemon]
DryRun=perhaps
Frobnicate=yes
no equals sign
[Policy one]
MemoryAvailable=101%
Action=explode
For=5 parsecs
[Policy two
[Protect three]
Comm=(
[Avoid four]
Weight=heavy
CONF
check_config 'ten errors' 2 ':1: ' ':3: ' ':4: ' ':5: ' ':7: ' ':8: ' ':9: ' ':10: ' ':12: ' ':14: '
count_lines 'ten lines for ten errors' 10
head -c 100000 /dev/zero | tr '\0' x >"$conf"
check_config 'a line of 100,000 characters' 2 ':1: .*too long'
count_lines 'one line about it, and a short one' 1
head -c 20000 "$reckond" >"$conf"
check_config 'no text at all' 2 ':1: '
rm "$conf"
check_config 'a file that is not there' 2 'reckond.conf: .*No such file'
mkdir "$conf"
check_config 'a directory' 2 'reckond.conf: .*directory'
rmdir "$conf"
mkfifo "$conf"
check_config 'a pipe without a writer' 2 'reckond.conf: '
rm "$conf"

#
# Running
#
: >"$tmp/empty.conf"
run=("$reckond" --config "$tmp/empty.conf" --dry-run)
# A file that was named is to be there: the built-in defaults would be another configuration.
named=("$reckond" --dry-run --config "$conf")
for file in missing folder fifo dangling; do
    case $file in
    folder) mkdir "$conf" ;;
    fifo) mkfifo "$conf" ;;
    dangling) ln -s nonesuch "$conf" ;;
    esac
    exits "a named file that cannot be used: $file" 1 "^$conf: (cannot be read: No such file|is a directory|is a FIFO)" \
        '^Cannot start: the file that --config names' -- "${named[@]}"
    count_lines 'two lines about it' 2
    rm -rf "$conf"
done
exits 'a subtree that is not there' 1 '^Subtree /reckond/nonesuch: ' -- "${run[@]}" --subtree /reckond/nonesuch
exits 'a subtree that is no path' 2 "^reckond: --subtree 'user.slice': a cgroup's path begins with" -- "${run[@]}" --subtree user.slice
exits 'a subtree that climbs' 1 '^Subtree /a/\.\.: ' -- "${run[@]}" --subtree /a/..

# A cgroup of our own, in the hierarchy that reckond uses: v2, else the v1 freezer's.
mount=$(awk '{ type = $(NF - 2) }
    type == "cgroup2" && !v2 { v2 = $5 }
    type == "cgroup" && $NF ~ /(^|,)freezer(,|$)/ && !v1 { v1 = $5 }
    END { print v2 ? v2 : v1 }' /proc/self/mountinfo)
if [ -n "$mount" ] && mkdir "$mount/check-cli-$$" 2>/dev/null; then
    cgroup=$mount/check-cli-$$
    run+=(--subtree "/check-cli-$$")
    serves 'it starts, and exits on SIGTERM' '^memory: ' '^processes: [1-9]' -- "${run[@]}"
else
    skip "running in a subtree: a cgroup of its own cannot be made under ${mount:-no mount of cgroups}"
fi

# (A sanitizer's search for leaks needs /proc.)
hidden() { # COMMAND: reckond, after the command, in a mount namespace of its own
    printf '%s\0' env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0" \
        unshare --mount /bin/sh -c "$1"' && exec "$@"' sh
}
if ! unshare --mount mount -t tmpfs none /proc 2>/dev/null; then
    skip 'no /proc, no pressure, no cgroups: nothing can be mounted here (it needs root, CAP_SYS_ADMIN)'
else
    readarray -d '' no_proc < <(hidden 'mount -t tmpfs none /proc')
    exits 'no /proc' 1 '/proc' -- "${no_proc[@]}" "${run[@]}"

    readarray -d '' no_cgroups < <(hidden 'umount -l -a -t cgroup,cgroup2')
    if ! "${no_cgroups[@]}" true 2>/dev/null; then
        skip 'no cgroups: their mounts cannot be unmounted'
    else
        exits 'no cgroups, but a subtree' 1 '^Subtree /a: there are no cgroups' -- \
            "${no_cgroups[@]}" "$reckond" --config "$tmp/empty.conf" --dry-run --subtree /a
        serves 'no cgroups' '^cgroups: none' -- \
            "${no_cgroups[@]}" "$reckond" --config "$tmp/empty.conf" --dry-run
    fi

    readarray -d '' no_pressure < <(hidden 'mount -t tmpfs none /proc/pressure')
    if [ -z "$cgroup" ]; then
        skip 'no pressure: no cgroup to run in'
    elif [ ! -e /proc/pressure ]; then
        skip 'no pressure: this machine has none; the other runs were of this kind'
    else
        serves 'no pressure' '^pressure: no PSI' -- "${no_pressure[@]}" "${run[@]}"
    fi
fi

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
chmod 755 "$tmp"
cp "$reckond" "$tmp/reckond"
if [ -z "$cgroup" ]; then
    skip 'without privileges: no cgroup to run in'
elif ! "${nobody[@]}" test -x "$tmp/reckond" 2>/dev/null; then
    skip 'without privileges: needs root, and a temporary folder that others may enter'
else
    serves 'without privileges it says what it may not do' '^missing privilege: .*CAP_KILL' '^missing privilege: .*CAP_SYS_NICE' \
        '^missing privilege: .*oom_score_adj' '^To have these privileges, run reckond as root' -- "${nobody[@]}" "$tmp/reckond" "${run[@]:1}"
    # Beyond a low limit allocations would fail, at some time or other.
    serves 'with little memory that may be locked none is' '^missing privilege: own memory is not locked: Cannot allocate' \
        -- prlimit --memlock=64M:64M "${nobody[@]}" "$tmp/reckond" "${run[@]:1}"
fi
exit $failed
