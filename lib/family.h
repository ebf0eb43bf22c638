/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * family: processes that came from each other by fork(2) and have not called execve(2) since.
 *
 * They may share memory copy on write: a server with its workers, a database that saves itself.
 * How much they share is measured (reclaimable.h); this tells with which processes.  By what the
 * census knows, no file is opened: the same user, the same size of code, and the same ancestor
 * among such processes; where that ancestor has exited, the same session.
 */
#pragma once

#include "lib/census.h"

/* Are they of one family?  Of two that are one process: no. */
bool family_has_both(const struct census *census, const struct census_process *a,
		     const struct census_process *b);

/* What a process that is to be killed with its family (victim_apply_share()) has in common with it;
 * alone: what its death alone frees.  The rest of what is kept lies on a tmpfs or the like. */
uint64_t family_common(const struct proc_memory *memory, uint64_t alone);

/* The others of the family for which counts() is true.  Looks at every process: 10 ns each. */
unsigned family_count(const struct census *census, const struct census_process *process,
		      bool (*counts)(const struct census_process *process, void *userdata),
		      void *userdata);
