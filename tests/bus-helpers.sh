# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# bus-helpers.sh: what the tests of the bus share: a bus of our own, with our policy file, reckond on
# it in a subtree of its own, and clients.  Sourced; leaves with 77 (SKIP) where that cannot be.
# Environment: BUILDDIR, SRCDIR.
name=$(basename "$0" .sh)
build=$(cd "${BUILDDIR:-.}" && pwd)
source=$(cd "${SRCDIR:-$(dirname "$0")/..}" && pwd)
for tool in dbus-daemon busctl jq; do
    command -v $tool >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
subtree=/$name-$$
if [ "$(id -u)" != 0 ] || [ -z "$mount" ] || ! mkdir "$mount$subtree" 2>/dev/null; then
    echo "SKIP: this needs root and a cgroup2 mount"
    exit 77
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")
chmod 755 "$tmp" # for other users
daemon='' bus='' pids=() rival='' made_slice='' failed=0
unset NOTIFY_SOCKET STATE_DIRECTORY RUNTIME_DIRECTORY
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$tmp/socket LC_ALL=C.UTF-8

end() { # SIGNAL PID...: those that are ours still
    local pid
    for pid in "${@:2}"; do
        [ "$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null)" != $$ ] || kill -"$1" "$pid"
    done
}
cleanup() {
    end TERM "${pids[@]}"
    end KILL $daemon $bus "${pids[@]}"
    wait 2>/dev/null
    for group in "$mount$subtree"/*/; do [ ! -d "$group" ] || rmdir "$group"; done
    rmdir "$mount$subtree"
    [ -z "$rival" ] || rmdir "$rival"
    [ -z "$made_slice" ] || rmdir "$made_slice"
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

skip() { echo "skip - $*"; }
check() { # CONDITION NAME
    if eval "$1"; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        { [ ! -s "$tmp/out" ] || head -c 2000 "$tmp/out"; tail -n 20 "$tmp/log"; } | sed 's/^/#   /'
        failed=1
    fi
}
wait_for() { # CONDITION [SECONDS]
    local i
    for ((i = 0; i < ${2:-10} * 20; i++)); do
        eval "$1" && return
        sleep 0.05
    done
    return 1
}

#
# The bus, and reckond on it
#
# As /usr/share/dbus-1/system.conf, but for where it is.
write_bus_conf() { # EXTRA-POLICY
    cat >"$tmp/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=$tmp/socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
  </policy>
  <include>$source/dbus/org.reckond1.conf</include>
  $1
</busconfig>
END
}
start_bus() {
    rm -f "$tmp/socket"
    dbus-daemon --config-file="$tmp/bus.conf" --nofork --nosyslog >"$tmp/bus.log" 2>&1 &
    bus=$!
    wait_for "[ -S '$tmp/socket' ]" || { echo "not ok - no bus"; cat "$tmp/bus.log"; exit 1; }
}
stop_bus() {
    kill "$bus" && wait "$bus" 2>/dev/null
    bus=''
}
start() { # ARGUMENT...
    : >"$tmp/log"
    "$build/reckond" --config "$tmp/conf" --subtree "$subtree" "$@" 2>"$tmp/log" &
    daemon=$!
    wait_for "grep -q ^Ready '$tmp/log'" || { echo "not ok - not ready"; cat "$tmp/log"; exit 1; }
}
stop() { # sets status
    kill -TERM "$daemon"
    wait "$daemon"
    # shellcheck disable=SC2034 # in the conditions that check() evaluates
    status=$?
    daemon=''
}
is_alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
# A process that holds so many MiB, in the subtree; sets held.  (A move to another cgroup is noticed
# some seconds later, but a process that is queried is read at once.)
hold() { # MIB [PERL]
    : >"$tmp/ready"
    perl -e 'open F, ">$ARGV[1]/cgroup.procs"; print F "$$\n"; close F;'"${2:-}"'
        $0 = "hold"; $x = "x" x ($ARGV[0] << 20); $| = 1; print "ready\n"; sleep 1000' \
        "$1" "$mount$subtree" >"$tmp/ready" &
    held=$!
    pids+=("$held")
    wait_for "[ -s '$tmp/ready' ]"
    [ -z "$daemon" ] || call Explain u "$held"
}

#
# Clients
#
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
manager=(org.reckond1 /org/reckond1 org.reckond1.Manager)
log_control=(org.reckond1 /org/freedesktop/LogControl1 org.freedesktop.LogControl1)
# Each: standard output and error in $tmp/out; the exit status.
has_gdbus() { command -v gdbus >/dev/null; }
level() { busctl --system -j get-property "${log_control[@]}" "$1" | jq -r .data; } # PROPERTY of LogControl1
call() { timeout 20 busctl --system -j call "${manager[@]}" "$@" >"$tmp/out" 2>&1; }
call_as_nobody() { timeout 20 "${nobody[@]}" busctl --system call "${manager[@]}" "$@" >"$tmp/out" 2>&1; }
get() { timeout 20 busctl --system -j get-property "${manager[@]}" "$1" 2>&1 | jq -c .data; }
answer() { jq -c "$1" "$tmp/out"; } # FILTER
# All rows, which come in pages, as an array of objects without the types of their members.
list() { # METHOD
    local n=0
    : >"$tmp/rows"
    while call "$1" uu $n 0 && jq -c '.data[0][] | map_values(.data)' "$tmp/out" >>"$tmp/rows" &&
        [ "$(wc -l <"$tmp/rows")" -gt $n ]; do
        n=$(wc -l <"$tmp/rows")
    done
    jq -cs . "$tmp/rows" >"$tmp/out"
}
is_there() { busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus \
    NameHasOwner s org.reckond1 2>/dev/null | grep -q true; }

# No policy that kills, and always in watch.
quiet_conf() {
    printf '[Daemon]\nWatchBelow=100%%\n'
    printf '[Policy %s]\nAction=none\n' warn terminate kill stall thrash
}
