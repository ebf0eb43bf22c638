/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held-files: files without a name that processes hold by descriptors, and of which no process maps
 * something.  What several processes hold is freed with the last of them: it counts for the first
 * one, together with these others, or for none if there are more than HELD_OTHERS_MAX (as many as
 * one kill takes) or HELD_LINKS_MAX in all.  Where there are more than HELD_FILES_MAX files, the
 * small ones of a process are added up.  Whether others hold them as well is not known then, if
 * those hold any that were made in the same time, by their inodes.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HELD_FILES_MAX	4096
#define HELD_OTHERS_MAX 511
#define HELD_LINKS_MAX	16384

struct held_file {
	dev_t device;
	uint64_t inode;
	uint64_t unmapped; /* bytes that no process maps */
	pid_t pid;
	unsigned first, last; /* link of those that hold it as well, in their order; from 1 */
	unsigned n_others;
	bool is_crowded; /* more do */
	/* Of those bytes: what another user has created, but for root, and passed to this process.
	 */
	uint64_t foreign;
	uid_t creator;
	/* Of a sum: the inodes, and what others may hold as well, or was counted twice. */
	uint64_t least_inode, most_inode, unsure;
};

struct held_link {
	pid_t pid;
	unsigned next; /* 0: it is the last */
};

struct held_files {
	unsigned n;
	struct held_file files[HELD_FILES_MAX]; /* with inode 0: the sum of small ones */
	uint64_t least;				/* smaller ones are added up */
	unsigned n_links;
	struct held_link links[HELD_LINKS_MAX];
};

void held_files_clear(struct held_files *files);

/* Process after process.  Is this file known?  If another process has it, that is noted. */
bool held_files_note(struct held_files *files, dev_t device, uint64_t inode, pid_t pid);
/* One that is not known; unsure: that is not sure. */
void held_files_add(struct held_files *files, const struct held_file *file);

struct held_sum {
	pid_t pid;
	uint64_t bytes;	   /* that it holds alone, and no process maps */
	uint64_t unsure;   /* of these: that others may hold as well */
	uint64_t together; /* likewise, that it holds with these others */
	uint64_t foreign;  /* of both: what another user has created, but for root */
	uid_t creator;	   /* of most of that */
	pid_t others[HELD_OTHERS_MAX];
	unsigned n_others;
};

/* The n processes that hold most, largest first.  Returns how many there are. */
unsigned held_files_most(struct held_files *files, struct held_sum *ret, unsigned n);
