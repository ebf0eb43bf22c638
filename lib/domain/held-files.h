/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held-files: files without a name that processes hold by descriptors, and of which no process maps
 * something.  What two processes hold is freed with the last of them alone: such a file counts for
 * neither.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HELD_FILES_MAX 4096

struct held_file {
	dev_t device;
	uint64_t inode;
	uint64_t unmapped; /* bytes that no process maps */
	pid_t pid;
	bool is_shared; /* another process holds it as well */
};

struct held_files {
	unsigned n;
	struct held_file files[HELD_FILES_MAX];
};

/* Process after process.  Is this file known?  If another process has it, it is shared then. */
bool held_files_note(struct held_files *files, dev_t device, uint64_t inode, pid_t pid);
/* One that is not known.  False: there are too many. */
bool held_files_add(struct held_files *files, const struct held_file *file);

struct held_sum {
	pid_t pid;
	uint64_t bytes; /* that it holds alone, and no process maps */
};

/* The n processes that hold most, largest first.  Returns how many there are. */
unsigned held_files_most(const struct held_files *files, struct held_sum *ret, unsigned n);
