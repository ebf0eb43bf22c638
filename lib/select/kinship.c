/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinship: compares names, parents, sessions, programs and cgroups. */
#include "lib/select/kinship.h"

#include <string.h>

#include "lib/select/victim-group.h"
#include "lib/snapshot/census.h"

static bool is_of_session(const struct census_process *a, const struct census_process *b)
{
	return a->session != 0 && a->session == b->session;
}

/* A session leader is what others are started by. */
static bool is_leader(const struct census_process *process)
{
	return process->pid == process->session;
}

bool kinship_has(enum kinship kinship, const struct census_process *a,
		 const struct census_process *b)
{
	if (a->uid != b->uid || a->kthread || b->kthread)
		return false;
	switch (kinship) {
	case KINSHIP_BY_PARENT:
		return a->ppid == b->ppid && strcmp(a->comm, b->comm) == 0;
	case KINSHIP_BY_SESSION:
		return is_of_session(a, b) && strcmp(a->comm, b->comm) == 0;
	case KINSHIP_BY_PROGRAM:
		return a->ppid == b->ppid && a->code_pages != 0 && a->code_pages == b->code_pages;
	case KINSHIP_BY_START:
		return a == b || (is_of_session(a, b) && !is_leader(a) && !is_leader(b) &&
				  census_cgroup_of(a) == census_cgroup_of(b));
	case _KINSHIP_MAX:
		break;
	}
	return false;
}

bool kinship_is_of_storms(enum kinship kinship)
{
	return kinship >= KINSHIP_BY_PROGRAM;
}

unsigned kinship_hash(enum kinship kinship, const struct census_process *process)
{
	const unsigned parent = (unsigned)process->ppid * 31U;
	const unsigned session = (unsigned)process->session * 31U;

	switch (kinship) {
	case KINSHIP_BY_PARENT:
		return parent + (unsigned char)process->comm[0];
	case KINSHIP_BY_SESSION:
		return session + (unsigned char)process->comm[0];
	case KINSHIP_BY_PROGRAM:
		return parent + process->code_pages;
	case KINSHIP_BY_START:
		return session;
	case _KINSHIP_MAX:
		break;
	}
	return 0;
}

bool victim_are_siblings(const struct census_process *a, const struct census_process *b)
{
	return kinship_has(KINSHIP_BY_PARENT, a, b) || kinship_has(KINSHIP_BY_SESSION, a, b);
}
