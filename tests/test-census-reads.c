/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census: what is not read, as it is known: over a /proc of our own making. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"
#include "tests/census-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void find_new(struct world *world)
{
	assert_int_equal(census_find_new(&world->census, 3 * USEC_PER_SEC, 777), 0);
}

static void sample_until(struct world *world, usec_t from, usec_t to)
{
	for (usec_t now = from; now <= to; now += 50 * USEC_PER_MSEC)
		assert_int_equal(census_find_new(&world->census, now, 1), 0);
}

/* How often the file was opened since. */
static unsigned count_opened(int inotify_fd)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n = read(inotify_fd, buf, sizeof(buf));
	unsigned n_opened = 0;

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(buf + at);

		n_opened += (event->mask & IN_OPEN) != 0;
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return n_opened;
}

/* It is the longest of the files, and has all that is wanted of it: whether it is a process, its
 * user and its memory. */
static void test_status_is_read_once(void **state)
{
	struct world *world = *state;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct row row = browser;
	char path[128];

	last_pid(world, 500);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.pid = 501;
	row.uid = 1000;
	put_process(world, &row);
	last_pid(world, 501);
	snprintf(path, sizeof(path), "%s/501/status", world->path);
	/* (Two events that are the same are one, if nothing is between them.) */
	assert_true(inotify_add_watch(fd, path, IN_OPEN | IN_CLOSE) >= 0);
	for (int i = 0; i < 2; i++) { /* and once more: it may just have been made */
		find_new(world);
		assert_int_equal(count_opened(fd), 1);
		assert_int_equal(census_find(&world->census, 501)->uid, 1000);
		assert_int_equal(census_find(&world->census, 501)->memory.swap, row.swap_kib * KIB);
	}
	assert_int_equal(census_revalidate(&world->census, 501, 4 * USEC_PER_SEC, 777), 0);
	assert_int_equal(count_opened(fd), 1);
	census_drop(&world->census, census_find(&world->census, 501));
	assert_int_equal(census_sweep(&world->census, 5 * USEC_PER_SEC, 777, false), 0);
	assert_int_equal(count_opened(fd), 1);
	assert_int_equal(census_find(&world->census, 501)->uid, 1000);
	close(fd);
}

/* Not those that had been there for long when a listing found them, by the newest of them. */
static void test_the_old_of_a_listing_are_not_young(void **state)
{
	static const struct {
		unsigned long long start;
		bool is_compared;
	} rows[] = { { 90000, false }, { 99200, false }, { 99400, true }, { 100000, true } };
	const usec_t begin = 100 * USEC_PER_SEC;
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 300);
	assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
	sample_until(world, begin, begin);
	census_release_fds(&world->census); /* calm */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		row.pid = 400 + (int)i;
		row.start = rows[i].start;
		put_process(world, &row);
	}
	last_pid(world, 410);
	assert_int_equal(census_list(&world->census, begin, 1, false, NULL, 0), 1);
	assert_int_equal(census_refresh(&world->census, begin, 1, false, NULL, 0), 1);
	sample_until(world, begin + 20 * USEC_PER_MSEC, begin + 40 * USEC_PER_MSEC);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		put(world, 400 + (int)i, "oom_score_adj", "7\n");
	world->census.in_turn_at = UINT64_MAX / 2;
	sample_until(world, begin + 60 * USEC_PER_MSEC, begin + 900 * USEC_PER_MSEC);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(census_find(&world->census, 400 + (int)i)->oom_score_adj == 7,
				 rows[i].is_compared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_status_is_read_once),
		on_world(test_the_old_of_a_listing_are_not_young),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
