/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * executable: the owner and name of the file that a process runs.
 *
 * Read where a rule asks for it, which few do, and never in a choice.  Nothing is asked of the file
 * system that holds the file: a user's FUSE server could delay the answer for ever, or claim that
 * the file is root's.  So attributes are taken as the kernel has them cached (AT_STATX_DONT_SYNC),
 * and a file counts as the system's only on the device where the executable of process 1, or of
 * this program, is.  What a user can mount (FUSE, an image, a stick) is another device.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct executable {
	bool known;	   /* false: it may not be read, or there is none */
	bool is_roots;	   /* a regular file of root's that only root may write */
	bool is_of_system; /* on the device of the system */
	char name[16];	   /* as much of its file name as a comm can have */
};

/* Never blocks, allocates nothing. */
void executable_read(int proc_fd, pid_t pid, struct executable *ret);

struct policy_set;
struct rule_subject;
struct rule_verdict;

/* policy_apply_rules(), which reads the executable of the process if a rule asks for it. */
void executable_apply_rules(const struct policy_set *set, int proc_fd, pid_t pid,
			    const struct rule_subject *subject, struct rule_verdict *ret);
