#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tally-cost.sh: the instructions of each phase of bench/tally-cost, as callgrind counts them.
# usage: tally-cost.sh PROGRAM [PROCESSES [CGROUPS]]
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
valgrind --quiet --tool=callgrind --callgrind-out-file="$tmp/out" "$@"
callgrind_annotate --inclusive=yes --threshold=100 --auto=no "$tmp/out" | tr -d , |
	sed -n 's/^ *\([0-9]*\) .*:\(phase_[a-z_]*\).*/\2 \1/p' | sort
