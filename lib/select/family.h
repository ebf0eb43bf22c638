/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * family: processes that descend from each other by fork(2) and have not called execve(2) since.
 *
 * They may share memory copy on write: a server with its workers, a database that saves itself.
 * How much they share is measured (reclaimable.h); this tells with which processes.  By what the
 * census knows: the same size of code, and the same ancestor among such processes; where that
 * ancestor has exited, the same session (in a pid namespace without one, the same parent now).  So
 * all processes that run one program in one session may seem to be of one family; therefore their
 * stat is read: after a fork(2) both stacks begin at one address, and execve(2) places the stack at
 * another.  Where that cannot be told (stat may not be read, addresses are not random), those of
 * one user are taken for relatives, if there is a session.
 */
#pragma once

#include "lib/snapshot/census.h"

struct family {
	const struct census *census;
	const struct census_process *process, *oldest;
	uint64_t stack_start;  /* 0: not known */
	unsigned n_reads_left; /* the stat of so many others may be read still: some 5 us each */
};

/* The stat of the process is read, and that of n_reads others at most. */
void family_init(struct family *family, const struct census *census,
		 const struct census_process *process, unsigned n_reads);

/* Is the other of the family of the process?  The process itself: no. */
bool family_has(struct family *family, const struct census_process *other);

/* The same for two. */
bool family_has_both(const struct census *census, const struct census_process *a,
		     const struct census_process *b);
/* Likewise, by what the census knows: nothing is read. */
bool family_may_have_both(const struct census *census, const struct census_process *a,
			  const struct census_process *b);

/* Was it started by the ancestor, or by one that was, and so on, whatever it has executed since? It
 * may have inherited descriptors.  Reads nothing. */
bool family_descends(const struct census *census, const struct census_process *process,
		     const struct census_process *ancestor);

/* What a process that is to be killed with its family (victim_apply_share()) has in common with it;
 * alone: what its death alone frees.  The rest of what is kept lies on a tmpfs or the like. */
uint64_t family_common(const struct proc_memory *memory, uint64_t alone);

/* The others of the family for which counts() is true.  Visits every process: 10 ns each; and reads
 * the stat of FAMILY_READS of those that count. */
#define FAMILY_READS 64
unsigned family_count(const struct census *census, const struct census_process *process,
		      bool (*counts)(const struct census_process *process, void *userdata),
		      void *userdata);
