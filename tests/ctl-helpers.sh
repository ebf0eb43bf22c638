# shellcheck shell=bash disable=SC2154,SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# ctl-helpers.sh: shared functions of the tests of reckonctl: run it, check its output, report the result.
# Sourced; the caller sets $reckonctl and $tmp, and ends with $failed.

skip() { echo "skip - $*"; }
say() { # NAME PROBLEM: none is ok
    if [ -z "$2" ]; then
        echo "ok - $1"
        return
    fi
    printf 'not ok - %s:%s\n' "$1" "$2"
    printf 'standard output:\n%s\nstandard error:\n%s\n' "$(head -c 4000 "$tmp/out")" \
        "$(head -c 4000 "$tmp/err")" | cat -v | sed 's/^/    /'
    failed=1
}

# NAME STATUS [out|err PATTERN]... -- ARGUMENT...: reckonctl, its output and exit status
run() {
    local name=$1 expected=$2 problem='' status=0 patterns=()
    shift 2
    while [ "$1" != -- ]; do patterns+=("$1" "$2"); shift 2; done
    timeout -k 2 30 "$reckonctl" "${@:2}" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
    [ $status = "$expected" ] || problem+=" exit status $status, expected $expected;"
    set -- "${patterns[@]}"
    for (( ; $# > 0; )); do
        grep -qE -- "$2" "$tmp/$1" || problem+=" no '$2' in $1;"
        shift 2
    done
    say "$name" "$problem"
}

# FILTER: what jq finds in $tmp/out, or python3 where there is no jq.  A filter is a path such as
# .ranked[0].pid here, no more.
if command -v jq >/dev/null; then
    json() { jq -cs "if length == 1 then .[0] else error(\"not one\") end | $1" "$tmp/out" 2>&1; }
elif command -v python3 >/dev/null; then
    json() {
        python3 -c 'import json, re, sys
value = json.load(open(sys.argv[2], encoding="utf-8"))
for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", sys.argv[1]):
    value = value[name] if name else value[int(index)]
print(json.dumps(value, ensure_ascii=False, separators=(",", ":")))' "$1" "$tmp/out" 2>&1 | tail -n 1
    }
else
    json() { return 1; }
fi
# NAME [FILTER VALUE]...: in what the last run printed
finds() {
    local name=$1 problem='' found
    shift
    if ! json . >/dev/null; then
        command -v jq >/dev/null || command -v python3 >/dev/null || {
            skip "$name: neither jq nor python3"
            return
        }
        problem=' not JSON;'
    fi
    for (( ; $# > 0 && ${#problem} == 0; )); do
        found=$(json "$1")
        # shellcheck disable=SC2053 # a pattern
        [[ $found == $2 ]] || problem+=" $1 is $found, expected $2;"
        shift 2
    done
    say "$name" "$problem"
}
