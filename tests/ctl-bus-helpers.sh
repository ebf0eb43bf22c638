# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# ctl-bus-helpers.sh: what the tests of reckonctl with a bus share: a bus of their own, daemons on it,
# and a folder that is removed at the end.  Sourced; sets $failed, with which the caller ends.
# Environment: BUILDDIR, SRCDIR, FIXTURES.

build=$(cd "${BUILDDIR:-.}" && pwd)
source=$(cd "${SRCDIR:-$(dirname "$0")/..}" && pwd)
reckonctl=$build/reckonctl
fixture=${FIXTURES:-$source/tests/fixtures}/ctl/running.json
for tool in dbus-daemon jq; do
    command -v $tool >/dev/null || { echo "skip - $tool is not installed"; exit 77; }
done
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-ctl-bus.XXXXXX")
mount=$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
    /proc/self/mountinfo)
subtree=/reckonctl-bus-check-$$
made_subtree=no held='' mock='' bus='' failed=0
cleanup() {
    [ -z "$mock" ] || kill "$mock" 2>/dev/null
    [ -z "$held" ] || kill "$held" 2>/dev/null
    [ -z "$bus" ] || kill "$bus" 2>/dev/null
    wait 2>/dev/null
    [ "$made_subtree" = no ] || rmdir "$mount$subtree"
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
# shellcheck source=tests/ctl-helpers.sh
. "$source/tests/ctl-helpers.sh"
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$tmp/bus LC_ALL=C.UTF-8
export STATE_DIRECTORY=$tmp/state RUNTIME_DIRECTORY=$tmp/run # of the real daemon, and where reckonctl reads them
unset NO_COLOR COLUMNS NOTIFY_SOCKET

# FILE TEXT: until the text is in it
wait_for() {
    for _ in {1..200}; do
        ! grep -q -- "$2" "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    echo "not ok - no '$2' in $1" && exit 1
}
start_bus() {
    mkdir -p "$tmp/services"
    # A query must not start a service.
    cat >"$tmp/services/org.reckond1.service" <<END
[D-BUS Service]
Name=org.reckond1
Exec=/bin/touch $tmp/was-started
END
    cat >"$tmp/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=$tmp/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>$tmp/services</servicedir>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
END
    dbus-daemon --config-file="$tmp/bus.conf" --nofork --print-address=1 >"$tmp/bus.out" 2>&1 &
    bus=$!
    wait_for "$tmp/bus.out" unix:
    chmod 755 "$tmp" # for other users
}
stop_daemon() {
    [ -n "$mock" ] || return 0
    kill "$mock" && wait "$mock" 2>/dev/null
    mock=''
}
# [FILTER]: the daemon of the fixture, changed by the jq filter
serve() {
    stop_daemon
    jq "${1:-.}" "$fixture" >"$tmp/daemon.json" || exit 1
    : >"$tmp/daemon.out"
    "$build/tests/mock-reckond" "$tmp/daemon.json" >"$tmp/daemon.out" 2>&1 &
    mock=$!
    wait_for "$tmp/daemon.out" ready
}
# In what the last run printed there are no control characters.
is_harmless() { # NAME
    local problem=''
    ! LC_ALL=C grep -q '[[:cntrl:]]' "$tmp/out" || problem=' control characters'
    say "$1" "$problem"
}
out_is() { # NAME TEXT: the last run printed exactly this
    diff <(printf '%s\n' "$2") "$tmp/out" >"$tmp/diff" && say "$1" '' || say "$1" " $(cat "$tmp/diff")"
}

# reckonctl among the processes that it is to find, and none else: other tests run reckond, too.
cp "$(command -v sleep)" "$tmp/reckond"
cat >"$tmp/apart" <<END
#!/bin/sh
exec unshare --pid --fork --mount-proc sh -c 'case \$0 in
    runs) "$tmp/reckond" 100 & until grep -q reckond /proc/\$!/comm; do :; done; "$reckonctl" "\$@" ;;
    hidden) mount -t proc -o hidepid=2 proc /proc && setpriv --reuid=65534 --regid=65534 --clear-groups "$reckonctl" "\$@" ;;
    *) "$reckonctl" "\$@" ;;
    esac; exit \$?' "\$what" "\$@"
END
chmod 755 "$tmp/apart"
# none|runs|hidden: what of the daemon is to be seen; then as run
run_apart() {
    if ! unshare --pid --fork --mount-proc setpriv --reuid=65534 true 2>/dev/null; then
        skip "$2: not root, or no unshare(1) and setpriv(1)"
        return 1
    fi
    local reckonctl=$tmp/apart what=$1
    export what
    run "${@:2}"
}
# By run: whatever others do.
absent='reckond (is not running \(|is not on the bus \(|runs \(pid )'
