/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory-reconcile: figures that contradict each other; see memory.h.
 *
 * Everything here is an inequality that holds for every kernel.
 */
#include "lib/sys/memory.h"

/* Computed below zero by its source: lxcfs did, with SwapFree. */
#define NEGATIVE_FROM ((uint64_t)1 << 63)

/* Above the sum by less than this share of MemTotal: no contradiction, but a race. */
#define RACE_SHARE 32

const char *memory_doubt_to_string(enum memory_doubt doubt)
{
	switch (doubt) {
	case MEMORY_DOUBT_ORIGIN:
		return "/proc/meminfo is not the kernel's own, as in a container: free lists, "
		       "ZFS ARC, huge pages and slab of the host do not count";
	case MEMORY_DOUBT_AVAILABLE:
		return "/proc/meminfo contradicts itself: MemAvailable is more than free memory, "
		       "file cache and reclaimable slab together; shmem does not count";
	case MEMORY_DOUBT_SWAP:
		return "/proc/meminfo contradicts itself: SwapFree is more than SwapTotal";
	case MEMORY_DOUBT_EVENTS:
		return "there is no /proc/vmstat: how much was allocated since processes were read "
		       "is not known, nor what is reclaimed";
	}
	return "";
}

static uint64_t sum(const uint64_t *numbers, size_t n)
{
	uint64_t all = 0;

	for (size_t i = 0; i < n; i++)
		all = add_u64(all, numbers[i]);
	return all;
}

/*
 * What a kernel counts once each is no more than MemTotal together; where that is exceeded by half,
 * some of it is another machine's.  ARC is partly slab.
 */
static bool exceeds_total(const struct memory_counters *c)
{
	uint64_t kernel[] = { c->slab, c->percpu, c->page_tables, c->kernel_stack };
	uint64_t all[] = { c->free,    c->free_listed,
			   c->anon,    c->cached,
			   c->buffers, max_u64(sum(kernel, ARRAY_SIZE(kernel)), c->arc_size),
			   c->hugetlb };

	return sum(all, ARRAY_SIZE(all)) > add_u64(c->total, c->total / 2) ||
	       c->slab_unreclaimable > c->total;
}

/* What lxcfs passes on from the host's meminfo, or what is only in the host's other files. */
static void forget_host(struct memory_counters *c)
{
	c->free_listed = c->hugetlb = c->percpu = 0;
	c->page_tables = c->kernel_stack = c->kernel_reclaimable = 0;
	c->slab = c->slab_reclaimable;
	c->slab_unreclaimable = 0;
	c->arc_size = c->arc_min = 0;
	/* AnonPages too; the LRU lists are the container's. */
	c->anon = sub_u64(add_u64(c->active_anon, c->inactive_anon), c->shmem);
}

static void clear_negative(uint64_t *number)
{
	if (*number >= NEGATIVE_FROM)
		*number = 0;
}

static bool reconcile_swap(struct memory_counters *c)
{
	if (c->swap_total >= NEGATIVE_FROM)
		c->swap_total = 0;
	if (c->swap_free <= c->swap_total)
		return false;
	c->swap_free = c->swap_free >= NEGATIVE_FROM ? 0 : c->swap_total;
	return true;
}

/*
 * As si_mem_available() (mm/show_mem.c) adds it up, before it takes off anything: where
 * MemAvailable is more, shmem was taken for cache (lxcfs takes all of memory.stat's "cache"). Where
 * not even that explains it, the parts are missing or of another source, and MemAvailable is kept.
 */
static bool reconcile_available(struct memory_counters *c)
{
	uint64_t on_lists = add_u64(c->active_file, c->inactive_file);
	uint64_t cache = add_u64(c->cached, c->buffers);
	uint64_t slab = max_u64(c->slab_reclaimable, c->kernel_reclaimable);
	uint64_t other = add_u64(c->free, slab);
	uint64_t most = add_u64(other, max_u64(on_lists, sub_u64(cache, c->shmem)));
	uint64_t taken_for_cache = add_u64(other, cache);
	uint64_t excess = sub_u64(c->available, most);

	if (excess > 0 && c->available <= taken_for_cache)
		c->available = most;
	return excess > c->total / RACE_SHARE;
}

unsigned memory_reconcile(struct memory_counters *c)
{
	unsigned doubts = 0;

	clear_negative(&c->free);
	clear_negative(&c->available);
	if (c->virtualised || exceeds_total(c)) {
		c->virtualised = true;
		doubts |= MEMORY_DOUBT_ORIGIN;
		forget_host(c);
	}
	if (reconcile_swap(c))
		doubts |= MEMORY_DOUBT_SWAP;
	if (reconcile_available(c))
		doubts |= MEMORY_DOUBT_AVAILABLE;
	return doubts;
}
