# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables of case-lib.sh
# Files of a tmpfs that seem to be deleted.

case_tmpfs_two_names() { # a mapped file of a tmpfs is deleted by one of its two names: it stays, a smaller leak dies
    expect dies=hog lives=mapper:1
    machine
    start_daemon
    start_full mapper "file=$case_run/file,420"
    ln "$case_run/file" "$case_run/other"
    rm "$case_run/file"
    start hog anon=600@60
    until_quiet
}
case_tmpfs_named_deleted() { # the name of one that was not deleted ends in " (deleted)"
    expect dies=hog lives=mapper:1
    machine
    start_daemon
    start_full mapper "file=$case_run/file (deleted),420"
    start hog anon=600@60
    until_quiet
}
