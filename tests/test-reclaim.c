/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/vmstat.c and lib/sys/reclaim.c: the counters of a text and of this machine, and
 * their differences over a time of our own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaim.h"
#include "lib/sys/vmstat.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_parse_sums(void **state)
{
	struct vmstat_counters c;

	assert_int_equal(vmstat_parse("nr_free_pages 100000\n"
				      "workingset_refault_anon 11\n"
				      "workingset_refault_file 22\n"
				      "pswpin 33\npswpout 44\n"
				      "swpin_zero 1\nswpout_zero 2\n"
				      "zswpin 4\nzswpout 8\nzswpwb 1000\n"
				      "pgalloc_dma 1\npgalloc_dma32 2\npgalloc_normal 3\n"
				      "allocstall_dma32 5\nallocstall_movable 6\n"
				      "pgfree 77\n"
				      "pgsteal_kswapd 8\npgsteal_direct 9\npgsteal_anon 1000\n"
				      "pgscan_kswapd 10\npgscan_direct 20\n"
				      "pgscan_direct_throttle 1000\npgscan_file 1000\n"
				      "oom_kill 4\n",
				      &c),
			 0);
	assert_int_equal(c.allocated, 6);
	assert_int_equal(c.freed, 77);
	assert_int_equal(c.oom_kills, 4);
	assert_int_equal(c.scanned, 30);
	assert_int_equal(c.stolen, 17);
	assert_int_equal(c.stalled, 11);
	assert_int_equal(c.refaulted_anon, 11);
	assert_int_equal(c.refaulted_file, 22);
	assert_int_equal(c.swapped_in, 33);
	assert_int_equal(c.swapped_out, 44);
	assert_int_equal(c.swapped_within, 15);
	assert_true(c.has_zswap);
}

static void test_parse_takes_older_kernels(void **state)
{
	struct vmstat_counters c;

	assert_int_equal(vmstat_parse("pgalloc_normal 3\nworkingset_refault 9\n", &c), 0);
	assert_int_equal(c.refaulted_file, 9);
	assert_int_equal(c.scanned, 0);
	assert_false(c.has_zswap);
}

static void test_parse_refuses_other_texts(void **state)
{
	static const char *const texts[] = { "", "\n", "pgalloc_normal", "pgalloc_normal x",
					     "MemTotal: 1 kB\n" };
	struct vmstat_counters c;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(vmstat_parse(texts[i], &c), -EBADMSG);
}

static void test_read_this_machine(void **state)
{
	_cleanup_close_ int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	struct vmstat_counters c;

	assert_true(fd >= 0);
	assert_int_equal(vmstat_read_fd(fd, &c), 0);
	assert_true(c.freed > 0);
	assert_int_equal(vmstat_read_fd(-EBADF, &c), -EBADF);
}

/* Each step: n reclaimed, m of them refaulted. */
static void add(struct reclaim_history *h, usec_t *at, struct vmstat_counters *c, usec_t step,
		uint64_t n, uint64_t m)
{
	*at += step;
	c->scanned += n * 2;
	c->stolen += n;
	c->swapped_out += n - m;
	c->refaulted_anon += m;
	reclaim_history_add(h, *at, c, GIB / 100);
}

static void test_span_is_over_the_window(void **state)
{
	struct reclaim_history h = { 0 };
	struct vmstat_counters c = { .allocated = 1 };
	struct reclaim_span span;
	usec_t at = 0;

	assert_false(reclaim_over(&h, USEC_PER_SEC, &span));
	for (int i = 0; i < 4; i++)
		add(&h, &at, &c, RECLAIM_STEP_USEC, 1000, 0);
	assert_false(reclaim_over(&h, USEC_PER_SEC, &span));
	for (int i = 0; i < 4; i++)
		add(&h, &at, &c, RECLAIM_STEP_USEC, 1000, 500);
	assert_true(reclaim_over(&h, USEC_PER_SEC, &span));
	assert_int_equal(span.usec, USEC_PER_SEC);
	assert_int_equal(span.stolen, 4000);
	assert_int_equal(span.available_max, GIB / 100);
	assert_int_equal(span.refaulted, 2000);
	assert_int_equal(reclaim_refaulted_share(&span), 5000);
	assert_true(reclaim_over(&h, USEC_PER_SEC * 7 / 4, &span));
	assert_int_equal(span.stolen, 7000);
	assert_int_equal(span.refaulted, 2000);

	/* Closer samples replace the newest; a year of them is no more than the ring holds. */
	for (int i = 0; i < 5000; i++)
		add(&h, &at, &c, RECLAIM_STEP_USEC / 5, 100, 100);
	assert_true(reclaim_over(&h, 30 * USEC_PER_SEC, &span));
	assert_true(span.usec < 31 * USEC_PER_SEC);
	assert_int_equal(reclaim_refaulted_share(&span), PERMYRIAD);
	assert_false(reclaim_over(&h, 60 * USEC_PER_SEC, &span));

	/* Back in time, or another machine's counters: anew. */
	c.scanned = 0;
	reclaim_history_add(&h, at + USEC_PER_SEC, &c, 0);
	assert_false(reclaim_over(&h, USEC_PER_SEC / 4, &span));
}

/* A short history tells that it moved, but not that it did not. */
static void test_moved_over_a_window(void **state)
{
	static const struct {
		unsigned n_samples,
			moves_at; /* the sample before which pages were scanned; 0: none */
		enum reclaim_answer answer; /* over a second, which is the last five */
	} rows[] = {
		{ 0, 0, RECLAIM_UNKNOWN },   { 1, 0, RECLAIM_UNKNOWN },	  { 1, 1, RECLAIM_UNKNOWN },
		{ 2, 0, RECLAIM_UNKNOWN },   { 2, 2, RECLAIM_MOVED },	  { 4, 2, RECLAIM_MOVED },
		{ 4, 0, RECLAIM_UNKNOWN },   { 5, 0, RECLAIM_NOT_MOVED }, { 5, 2, RECLAIM_MOVED },
		{ 7, 2, RECLAIM_NOT_MOVED }, { 7, 7, RECLAIM_MOVED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reclaim_history h = { 0 };
		struct vmstat_counters c = { .allocated = 1 };
		usec_t at = USEC_PER_SEC;

		for (unsigned n = 1; n <= rows[i].n_samples; n++) {
			c.scanned += n == rows[i].moves_at;
			reclaim_history_add(&h, at, &c, GIB);
			at += RECLAIM_STEP_USEC;
		}
		if (reclaim_has_moved(&h, USEC_PER_SEC) != rows[i].answer)
			fail_msg("row %zu", i);
	}
}

static void test_share(void **state)
{
	static const struct {
		struct reclaim_span span;
		unsigned share;
		bool moved;
	} rows[] = {
		{ { 0 }, 0, false },
		{ { .refaulted = 900 }, 0, false }, /* read in again, with room for it */
		{ { .scanned = 5 }, 0, true },
		{ { .stalled = 5 }, 0, true },
		{ { .scanned = 10, .stolen = 1000, .refaulted = 130 }, 1300, true },
		{ { .scanned = 10, .stolen = 1000, .refaulted = 5000 }, PERMYRIAD, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(reclaim_refaulted_share(&rows[i].span), rows[i].share);
		assert_int_equal(reclaim_moved(&rows[i].span), rows[i].moved);
	}
}

/* On a machine of 1 GiB, over 3 s. */
#define PAGES (GIB / 4096)

static void test_swap_unused(void **state)
{
	static const struct {
		const char *what;
		struct reclaim_span span;
		bool unused;
	} rows[] = {
		{ "all but gone, and nothing is swapped out",
		  { 3000000, 4 * PAGES, 0, 100, 0, 2, 10 * MIB },
		  true },
		{ "not for long enough", { 2900000, 4 * PAGES, 0, 100, 0, 2, 10 * MIB }, false },
		{ "there is memory", { 3000000, 4 * PAGES, 0, 100, 0, 2, 30 * MIB }, false },
		{ "nothing is asked for", { 3000000, 0, 0, 0, 0, 2, 10 * MIB }, false },
		/* a leak in a virtual machine, before swapping began */
		{ "all was looked at once", { 3000000, PAGES, 0, 4500, 0, 20, 10 * MIB }, false },
		{ "it is swapped out", { 3000000, 4 * PAGES, 0, 100, 0, 2000, 10 * MIB }, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (reclaim_leaves_swap_unused(&rows[i].span, GIB, 4096) != rows[i].unused)
			fail_msg("%s", rows[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_sums),
		cmocka_unit_test(test_parse_takes_older_kernels),
		cmocka_unit_test(test_parse_refuses_other_texts),
		cmocka_unit_test(test_read_this_machine),
		cmocka_unit_test(test_span_is_over_the_window),
		cmocka_unit_test(test_moved_over_a_window),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_swap_unused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
