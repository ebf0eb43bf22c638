/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* family: finds relatives by program, ancestor, session and stack address. */
#include "lib/select/family.h"

/* Generations of processes that fork and do not exec. */
#define DEPTH_MAX 16

static bool is_same_program(const struct census_process *a, const struct census_process *b)
{
	return !a->kthread && !b->kthread && a->code_pages != 0 && a->code_pages == b->code_pages;
}

static const struct census_process *find_oldest(const struct census *census,
						const struct census_process *process)
{
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const struct census_process *parent = census_find(census, process->ppid);

		/* A parent is never younger; a pid may have been reused. */
		if (!parent || parent == process || !is_same_program(parent, process) ||
		    parent->start_ticks > process->start_ticks)
			break;
		process = parent;
	}
	return process;
}

static bool is_of(const struct census *census, const struct census_process *oldest,
		  const struct census_process *other)
{
	const struct census_process *other_oldest;

	if (!is_same_program(oldest, other))
		return false;
	other_oldest = find_oldest(census, other);
	if (other_oldest == oldest)
		return true;
	if (other_oldest->session != oldest->session)
		return false;
	/* 0: it was begun outside of the pid namespace; then their present parents count. */
	return oldest->session != 0 || other_oldest->ppid == oldest->ppid;
}

/* 0: not known. */
static uint64_t read_stack_start(const struct census *census, const struct census_process *process)
{
	struct proc_stat stat;

	if (proc_read_stat(census->proc_fd, process->pid, &stat) != 0 ||
	    stat.start_ticks != process->start_ticks)
		return 0;
	return stat.stack_start;
}

void family_init(struct family *family, const struct census *census,
		 const struct census_process *process, unsigned n_reads)
{
	*family = (struct family){
		.census = census,
		.process = process,
		.oldest = find_oldest(census, process),
		.stack_start = read_stack_start(census, process),
		.n_reads_left = n_reads,
	};
}

static bool may_have(const struct family *family, const struct census_process *other)
{
	return other != family->process && is_of(family->census, family->oldest, other);
}

/* Another user's (a server's workers) is a relative only if that is certain. */
static bool has_its_stack(struct family *family, const struct census_process *other)
{
	uint64_t stack_start = 0;

	if (family->stack_start != 0 && family->n_reads_left > 0) {
		family->n_reads_left--;
		stack_start = read_stack_start(family->census, other);
	}
	if (stack_start == 0)
		return other->uid == family->process->uid &&
		       (family->oldest->session != 0 ||
			find_oldest(family->census, other) == family->oldest);
	return stack_start == family->stack_start;
}

bool family_has(struct family *family, const struct census_process *other)
{
	return may_have(family, other) && has_its_stack(family, other);
}

bool family_has_both(const struct census *census, const struct census_process *a,
		     const struct census_process *b)
{
	struct family family;

	if (a == b || !is_same_program(a, b))
		return false;
	family_init(&family, census, a, 1);
	return family_has(&family, b);
}

bool family_may_have_both(const struct census *census, const struct census_process *a,
			  const struct census_process *b)
{
	struct family family = { .census = census, .process = a };

	if (a == b || !is_same_program(a, b))
		return false;
	family.oldest = find_oldest(census, a);
	return family_has(&family, b);
}

bool family_descends(const struct census *census, const struct census_process *process,
		     const struct census_process *ancestor)
{
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const struct census_process *parent = census_find(census, process->ppid);

		if (!parent || parent == process || parent->start_ticks > process->start_ticks)
			return false;
		if (parent == ancestor)
			return true;
		process = parent;
	}
	return false;
}

unsigned family_count(const struct census *census, const struct census_process *process,
		      bool (*counts)(const struct census_process *process, void *userdata),
		      void *userdata)
{
	const struct census_process *other;
	struct family family;
	unsigned n = 0;

	family_init(&family, census, process, FAMILY_READS);
	census_for_each(census, other)
		if (may_have(&family, other) && counts(other, userdata) &&
		    has_its_stack(&family, other))
			n++;
	return n;
}

/* It counts for what is its own and half of what is common. */
uint64_t family_common(const struct proc_memory *memory, uint64_t alone)
{
	return min_u64(sub_u64(proc_mapped(memory), alone),
		       2 * sub_u64(proc_reclaimable(memory), alone));
}
