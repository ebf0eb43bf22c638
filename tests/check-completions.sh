#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-completions.sh: what each shell offers after a beginning of a reckonctl command line: the
# commands and options that it has, and what they take.
#
# Environment: BUILDDIR, SRCDIR.  A shell that is not there is left out.
set -u

build=$(cd "${BUILDDIR:-.}" && pwd)

completions=$(cd "${SRCDIR:-$(dirname "$0")/..}" && pwd)/completions
tmp=$(mktemp -d "${TMPDIR:-/tmp}/check-completions.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" && touch mine.conf && mkdir folder || exit 1
# As --help has them.
commands=$("$build/reckonctl" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' | sort | paste -sd ' ')
options=$("$build/reckonctl" --help | sed -nE 's/^  (-[a-zA-Z], )?(--[a-z]+) .*/\2/p' | sort | paste -sd ' ')
failed=0
skip() { echo "skip - $*"; }

# SHELL LINE EXPECTED: with a function offer_SHELL, that prints what is offered after the line
offers() {
    local found
    found=$("offer_$1" "$2" | sed 's/^ *//; /^$/d' | sort | paste -sd ' ')
    # shellcheck disable=SC2053 # a pattern
    if [[ $found == $3 ]]; then
        echo "ok - $1: $2"
    else
        echo "not ok - $1: $2: '$found', expected '$3'"
        failed=1
    fi
}
check_shell() { # SHELL
    offers "$1" 'reckonctl ' "$commands"
    offers "$1" 'reckonctl --' "$options"
    offers "$1" 'reckonctl rel' reload
    offers "$1" 'reckonctl --json ex' explain
    offers "$1" 'reckonctl --conf' '--config*'
    offers "$1" 'reckonctl --f' --full
    offers "$1" "reckonctl explain $$" "$$*"
    offers "$1" 'reckonctl check min' mine.conf
    offers "$1" 'reckonctl --config min' mine.conf
    offers "$1" 'reckonctl --config mine.conf ru' rules
    offers "$1" 'reckonctl status ' ''
}

# The words as bash splits them: "=" is one of its own.
offer_bash() {
    bash --norc -c '
        . "$1"
        line=${2//=/ = }
        read -ra COMP_WORDS <<<"$line"
        [ "${line% }" = "$line" ] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _reckonctl
        [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$completions/reckonctl" "$1"
}
echo '# bash'
bash -n "$completions/reckonctl" || failed=1
check_shell bash
offers bash 'reckonctl --config=min' mine.conf
offers bash 'reckonctl --config=mine.conf ' "$commands"
offers bash 'reckonctl --subtree ' ''
offers bash 'reckonctl explain x' ''
offers bash 'reckonctl history -' '--full --json'
offers bash 'reckonctl status -' --json
offers bash 'reckonctl reload --' --json
offers bash 'reckonctl explain --' '--config --json --subtree'
offers bash 'reckonctl rules --' '--config --json'

offer_fish() {
    fish --no-config -c "source '$completions/reckonctl.fish'; complete -C '$1'" | cut -f 1
}
echo '# fish'
if command -v fish >/dev/null; then
    export HOME=$tmp XDG_CONFIG_HOME=$tmp XDG_DATA_HOME=$tmp
    fish --no-execute "$completions/reckonctl.fish" || failed=1
    check_shell fish
    offers fish 'reckonctl status --f' ''
    offers fish 'reckonctl history --f' --full
    offers fish 'reckonctl rules --sub' ''
else
    skip 'fish is not installed'
fi

# zsh has no way to ask: a shell on a pseudo-terminal gets the line and a tab, and lists, between two
# marks, what its completion adds (compadd's -O names the array).
cat >"$tmp/zshrc" <<'END'
PS1= PS2=
unsetopt zle_bracketed_paste prompt_cr prompt_sp 2>/dev/null
setopt no_beep
fpath=($completions $fpath)
autoload -U compinit && compinit -u -D
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' force-list always
compadd() {
    local -a added
    builtin compadd -O added "$@"
    # What only reads (-O, -A, -D) adds nothing.
    [[ ${@[1,(i)(-|--)]} == *-[a-zA-Z]#[OAD]( *|) ]] || print -rl -- "${added[@]}" >>$offered
    builtin compadd "$@"
}
finish() { print -n '' >$offered.done }
list() { zle complete-word; : >$offered.done }
zle -C complete-word complete-word _main_complete
zle -N list
bindkey '^I' list
: >$offered.ready
END
offer_zsh() {
    rm -f "$tmp"/offered*
    zsh -f -c '
        zmodload zsh/zpty
        zpty shell "completions='"'$completions'"' offered='"'$tmp/offered'"' TERM=dumb zsh -f -i"
        zpty -w shell "source $1/zshrc"
        for _ in {1..200}; do [[ -e $1/offered.ready ]] && break; zpty -rt shell x; sleep 0.05; done
        zpty -w -n shell "$2"$'"'\t'"'
        for _ in {1..200}; do [[ -e $1/offered.done ]] && break; zpty -rt shell x; sleep 0.05; done
        zpty -d shell' zsh "$tmp" "$1" >/dev/null 2>&1
    [ ! -e "$tmp/offered" ] || sort -u "$tmp/offered"
}
echo '# zsh'
if command -v zsh >/dev/null; then
    zsh -n "$completions/_reckonctl" || failed=1
    check_shell zsh
    offers zsh 'reckonctl explain x' ''
else
    skip 'zsh is not installed'
fi
exit $failed
