/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kinship: which processes may have been started for one purpose.
 *
 * Of one program many may be started that have nothing to do with each other, and so may many
 * programs in one session; not at once.  So where the names may differ, those that are young are
 * compared alone, and only if they are many and go on being started.
 */
#pragma once

#include <stdbool.h>

struct census_process;

/* Compared one after the other: which belong together must not depend on their order.  The last one
 * only where no other applies. */
enum kinship {
	KINSHIP_BY_PARENT,
	KINSHIP_BY_SESSION,
	KINSHIP_BY_PROGRAM, /* and parent, whatever the names: a storm of children */
	KINSHIP_BY_START, /* and session and cgroup, whatever the programs: the tests of a suite */
	_KINSHIP_MAX,
};

/* Pure; a process is its own kin. */
bool kinship_has(enum kinship kinship, const struct census_process *a,
		 const struct census_process *b);

/* Of young processes of a storm alone? */
bool kinship_is_of_storms(enum kinship kinship);

/* The same for all that are kin. */
unsigned kinship_hash(enum kinship kinship, const struct census_process *process);
