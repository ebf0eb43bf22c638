/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot: the id of this boot.  What is kept over a restart and holds only for one boot (times of the
 * monotonic clock, pids, inodes of cgroups) is kept with its id.
 */
#pragma once

/* 32 hexadecimal digits, as journalctl --list-boots has it. */
#define BOOT_ID_SIZE 33

/* proc_fd: a proc file system.  0; -EBADMSG if it does not look like an id; -errno. */
int boot_read_id(int proc_fd, char ret[static BOOT_ID_SIZE]);
