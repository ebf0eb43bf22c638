/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-round: re-reads the memory of all known processes in slices, largest first; see
 * census.h. */
#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"

/* The largest keep their file open in watch: three times as fast, and each pins a page in the
 * kernel. */
#define KEPT_FDS 256

/* Shared memory less than that is not looked for. */
#define SHARED_GROWN (1 * MIB)

/* Nor what is less resident by that, in swap. */
#define SWAPPED_MIN (1 * MIB)

/* A round is worth it after so much was allocated, at least; more where the largest is so large
 * that it would still stand out. */
#define STALE_MIN   (64 * MIB)
#define STALE_SHARE 8

/* 0 to 255, by size: exponent and two more bits. */
static unsigned size_class(const struct census_process *process)
{
	uint64_t size = proc_reclaimable(&process->memory) | 4;
	unsigned exponent = 63 - (unsigned)__builtin_clzll(size);

	return exponent << 2 | (unsigned)(size >> (exponent - 2) & 3);
}

/* The first of the order keep their fd, those of the others are closed. */
static void keep_fd(struct census *census, struct census_process *process, bool keep)
{
	if (keep == (process->kept_fd >= 0))
		return;
	if (keep) {
		process->kept_fd = census_open_file(census, process,
						    census->keeps_status ? "status" : "statm");
		if (process->kept_fd == -EMFILE || process->kept_fd == -ENFILE)
			census_keep_none(census);
		return;
	}
	closep(&process->kept_fd);
	process->kept_fd = -EBADF;
}

/* Another file of each process is read from now on. */
static void keep_other_fds(struct census *census, bool keeps_status)
{
	struct census_process *process;

	if (census->keeps_status == keeps_status)
		return;
	census_for_each(census, process)
		keep_fd(census, process, false);
	census->keeps_status = keeps_status;
}

/* A group is compared by a sum, in which what may be off would count for each process. */
static bool sums_matter(const struct census *census)
{
	for (size_t i = 0; i < census->policies->n_policies; i++)
		if (census->policies->policies[i].target == POLICY_TARGET_CGROUP)
			return true;
	return false;
}

/* Is swap in use, and statm not enough? */
static bool swap_has_moved(const struct census *census, bool with_swap)
{
	return with_swap && (census_swap_off(census) > CENSUS_SWAP_OFF_MAX || sums_matter(census));
}

/* All processes, largest first, by counting sort. */
static void start_round(struct census *census, usec_t now, uint64_t allocated, bool with_swap)
{
	size_t starts[257] = { 0 }, n = 0;
	struct census_process *process;

	census_for_each(census, process)
		if (!process->kthread) {
			starts[255 - size_class(process) + 1]++;
			n++;
		}
	for (unsigned i = 1; i < ARRAY_SIZE(starts); i++)
		starts[i] += starts[i - 1];
	for (size_t i = 0; (process = census_next(census, &i));)
		if (!process->kthread)
			census->order[starts[255 - size_class(process)]++] = (uint32_t)i;
	census->n_order = census->n_by_size = n;
	census->i_order = 0;
	census->compares = census->compares_next;
	census->compares_next = false;
	if (census->compares)
		census_begin_turns(census, now);
	census->round_allocated = allocated;
	census->with_swap = with_swap;
	/* The number of threads is part of the error, up to 6.1. */
	keep_other_fds(census, swap_has_moved(census, with_swap) ||
				       census->accuracy->regime == ACCURACY_PER_THREAD ||
				       census->accuracy->regime == ACCURACY_UNKNOWN);
	if (census->keeps_status)
		census_begin_statuses(census);
}

void census_stop_round(struct census *census)
{
	census->n_order = census->i_order = 0;
	census_reclaim_dropped(census);
}

static void end_round(struct census *census)
{
	census_stop_round(census);
	census_recompute_bounds(census, census->round_allocated);
}

/* Shared memory that it may have mapped since status was read last: worth another read. */
static bool has_more_shared(const struct census_process *process, uint64_t shared)
{
	const struct proc_memory *old = &process->memory;
	uint64_t file = sub_u64(old->shared, old->shmem);

	return sub_u64(shared, file) > old->shmem + SHARED_GROWN;
}

/* Where swap is in use, what is no longer resident may be there. */
static bool may_be_swapped(const struct census *census, const struct census_process *process,
			   uint64_t anon)
{
	return census->with_swap &&
	       (!process->status_is_new || add_u64(anon, SWAPPED_MIN) < process->memory.anon);
}

/* By statm alone, if that is sufficient. */
static bool reread_resident(struct census *census, struct census_process *process,
			    uint64_t allocated, usec_t now)
{
	struct proc_memory memory;
	unsigned code_pages;

	if (census->keeps_status || process->n_threads == 0 || process->error < 0 ||
	    !census_read_shares(census, process, &memory, &code_pages) ||
	    code_pages != process->code_pages || has_more_shared(process, memory.shared) ||
	    may_be_swapped(census, process, memory.anon))
		return false;
	census_set_resident(census, process, memory.anon, memory.shared, allocated, now);
	return true;
}

/* By status alone, likewise. */
static bool reread_all(struct census *census, struct census_process *process, uint64_t allocated,
		       usec_t now)
{
	struct census_status status = { 0 };
	unsigned code_pages = process->code_pages;

	return process->n_threads != 0 && process->error == 0 &&
	       census_read_by_status(census, process, &status, allocated, now) == 0 &&
	       process->code_pages == code_pages;
}

/* What is small is revalidated in turn only, and may have got another name, user or cgroup by the
 * time it grows: then it is to be known before a choice, not after it. */
static bool is_large_now(const struct census *census, const struct census_process *process,
			 uint64_t before, usec_t now)
{
	uint64_t size_min = census_large_min(census);

	return before < size_min && proc_reclaimable(&process->memory) >= size_min &&
	       census_since(process->compared_at, now) >= CENSUS_LARGEST_USEC;
}

static int reread_memory(struct census *census, struct census_process *process, usec_t now,
			 uint64_t allocated)
{
	struct census_sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.compares = census->compares,
	};
	unsigned code_pages = process->code_pages;

	if (!census->compares && (reread_resident(census, process, allocated, now) ||
				  reread_all(census, process, allocated, now)))
		return 0;
	/* Another size of code: another program. */
	sweep.anew = process->code_pages != code_pages;
	return census_read_process(&sweep, process->pid);
}

static int reread(struct census *census, size_t i, usec_t now, uint64_t allocated)
{
	struct census_process *process = census_at(census, census->order[i]);
	uint64_t before = proc_reclaimable(&process->memory);
	pid_t pid = process->pid;
	int r;

	if (pid == 0)
		return 0; /* dropped since the round began */
	keep_fd(census, process,
		!census->keeps_none &&
			i < (census->kept_fds_max > 0 ? census->kept_fds_max : KEPT_FDS));
	r = reread_memory(census, process, now, allocated);
	if (r < 0 || process->pid != pid || !is_large_now(census, process, before, now))
		return r;
	return census_revalidate(census, pid, now, allocated);
}

int census_refresh(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		   usec_t (*clock)(void), usec_t deadline)
{
	size_t began;
	int r;

	census_drop_gone(census);
	/* Those that were read before swap came into use, or before much was swapped, may have been
	 * swapped out since. */
	if (with_swap &&
	    (!census->with_swap || (!census->keeps_status && swap_has_moved(census, with_swap))))
		census_stop_round(census);
	if (!census_round_is_under_way(census))
		start_round(census, now, allocated, with_swap);
	began = census->i_order;
	while (census_round_is_under_way(census)) {
		/* The clock costs a fraction of a read.  It is asked after the first: on a machine
		 * where each slice begins too late, the round would never end. */
		if (clock && census->i_order != began && census->i_order % 4 == 0 &&
		    clock() >= deadline)
			return 0;
		r = reread(census, census->i_order++, now, allocated);
		if (r < 0)
			return r;
	}
	end_round(census);
	return 1;
}

bool census_is_stale(const struct census *census, uint64_t allocated)
{
	uint64_t growth = sub_u64(allocated, census->round_allocated);

	return growth > max_u64(STALE_MIN, census->largest / STALE_SHARE);
}

void census_release_fds(struct census *census)
{
	struct census_process *process;

	census_stop_round(census);
	census->compares_next = true;
	census->settled_before = 0;
	census_stop_catching_up(census);
	census_for_each(census, process)
		keep_fd(census, process, false);
	census_drop_gone(census);
	census_shrink(census);
}

void census_keep_none(struct census *census)
{
	struct census_process *process;

	census->keeps_none = true;
	census_for_each(census, process)
		keep_fd(census, process, false);
}
