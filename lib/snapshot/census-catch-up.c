/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-catch-up: brings a census that was not updated in calm up to date in slices, on request,
 * without an emergency; see census.h.  First a listing, in which new processes are read, then a
 * round over all.
 */
#include <fcntl.h>

#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"

/* One fill of the buffer lists some 50 processes; were they all new, at 8 us each that is half a
 * millisecond. */
#define LISTING_SIZE 1280

/* At the end of the first listing: so much older than the newest process is no longer young
 * (census-compare.c), nor was it when it was read, in the listing. */
#define SETTLED_TICKS (7 * USEC_PER_SEC / USEC_PER_TICK)

struct visit {
	struct census *census;
	usec_t now;
	uint64_t allocated;
};

void census_stop_catching_up(struct census *census)
{
	closep(&census->listing_fd);
	census->listing_fd = -EBADF;
	census->listed = false;
}

static int on_listed(pid_t pid, void *userdata)
{
	const struct visit *visit = userdata;
	struct census *census = visit->census;
	pid_t after = census->lookup_from ? census->lookup_from : census->last_pid;

	return census_visit(census, pid, after, census->listing_last, visit->now, visit->allocated);
}

static int list(struct census *census, usec_t now, uint64_t allocated, usec_t (*clock)(void),
		usec_t deadline)
{
	struct visit visit = { .census = census, .now = now, .allocated = allocated };
	char buf[LISTING_SIZE] __attribute__((aligned(8)));
	bool end = false;

	if (census->listing_fd < 0) {
		census->listing_last = census_read_last_pid(census);
		census->listing_fd =
			openat(census->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (census->listing_fd < 0)
			return -errno;
		census->generation++;
		census_begin_listing(census);
	}
	while (!end) {
		int r = proc_list_part(census->listing_fd, buf, sizeof(buf), on_listed, &visit,
				       &end);

		if (r < 0)
			return r;
		if (clock && clock() >= deadline)
			break;
	}
	return end;
}

int census_list(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		usec_t (*clock)(void), usec_t deadline)
{
	int r;

	if (census->listing_fd < 0) {
		census_drop_gone(census);
		if (census->swept_at == 0)
			census_begin(census, allocated, with_swap);
	}
	r = list(census, now, allocated, clock, deadline);
	if (r <= 0)
		return r;
	closep(&census->listing_fd);
	census->listing_fd = -EBADF;
	/* Pids allocated just before may not have been seen: they are looked up once more by
	 * census_find_new(). */
	census->lookup_from = census->last_pid == census->listing_last ? 0 : census->last_pid;
	census->last_pid = census->listing_last;
	census_drop_unlisted(census);
	if (census->settled_before == 0)
		census->settled_before = sub_u64(census->newest_start, SETTLED_TICKS);
	r = census_reserve(census);
	if (r < 0)
		return r;
	if (census->swept_at == 0) { /* all were read and revalidated */
		census->compares_next = false;
		census_begin_turns(census, now);
		census_recompute_bounds(census, census->round_allocated);
		census->swept_at = now;
	}
	return 1;
}

int census_catch_up(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		    usec_t (*clock)(void), usec_t deadline)
{
	bool is_first = census->swept_at == 0;
	int r;

	if (!census->listed) {
		r = census_list(census, now, allocated, with_swap, clock, deadline);
		if (r <= 0)
			return r;
		if (is_first)
			return 1;
		census->listed = true;
		census_stop_round(census); /* it may not revalidate */
		census->compares_next = true;
	}
	r = census_refresh(census, now, allocated, with_swap, clock, deadline);
	if (r <= 0)
		return r;
	census_stop_catching_up(census);
	return 1;
}
