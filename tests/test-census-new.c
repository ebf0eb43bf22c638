/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: processes that are new, and what changes in those that are known, over a /proc of our
 * own making.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
	int r = census_find_new(&world->census, 3 * USEC_PER_SEC, 777);

	if (r > 0)
		r = census_list(&world->census, 3 * USEC_PER_SEC, 777, false, NULL, 0) > 0 ? 0 : -1;
	assert_int_equal(r, 0);
}

static void test_find_new_by_the_pids_assigned_since(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	/* Not assigned since, as far as is known: not searched for. */
	row.pid = 400;
	put_process(world, &row);
	find_new(world);
	assert_null(census_find(&world->census, 400));

	row.pid = 510;
	put_process(world, &row);
	last_pid(world, 520);
	find_new(world);
	assert_non_null(census_find(&world->census, 510));
	assert_int_equal(census_find(&world->census, 510)->read_at_allocated, 777);
	assert_null(census_find(&world->census, 400));
	assert_int_equal(world->census.n_processes, 2);
}

/* The last pid of lxcfs -l is the host's: it may be far beyond those here, and stand still. */
static void test_find_new_does_not_trust_a_loadavg_that_is_mounted_over(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	assert_int_equal(mkdirat(world->proc_fd, "self", 0755), 0);
	put(world, 0, "self/mountinfo",
	    "2 1 0:61 /proc/loadavg /proc/loadavg rw,nosuid - fuse.lxcfs lxcfs rw\n");
	last_pid(world, 812345);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.pid = 400;
	put_process(world, &row);
	find_new(world);
	assert_non_null(census_find(&world->census, 400));
	row.pid = 401;
	put_process(world, &row);
	last_pid(world, 812346);
	find_new(world);
	assert_non_null(census_find(&world->census, 401));
	row.start = 999; /* any number may be given out again meanwhile */
	put_process(world, &row);
	find_new(world);
	assert_int_equal(census_find(&world->census, 401)->start_ticks, 999);
}

static void test_find_new_tells_threads_from_processes(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.pid = 501;
	put_process(world, &row);
	put(world, 501, "status", "Name:\tx\nTgid:\t300\nPid:\t501\nUid:\t1\t1\t1\t1\n");
	last_pid(world, 501);
	find_new(world);
	assert_null(census_find(&world->census, 501));
}

/* A number is given out before its process can be seen. */
static void test_find_new_reads_twice(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 500);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	last_pid(world, 501);
	find_new(world);
	assert_null(census_find(&world->census, 501));
	row.pid = 501;
	put_process(world, &row);
	find_new(world); /* no new pid since */
	assert_non_null(census_find(&world->census, 501));
}

static void test_find_new_knows_a_reused_pid(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 299);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.start = 999, row.uid = 5;
	put_process(world, &row);
	last_pid(world, 300);
	find_new(world);
	assert_int_equal(census_find(&world->census, 300)->start_ticks, 999);
	assert_int_equal(census_find(&world->census, 300)->uid, 5);
}

static void test_find_new_lists_all_when_many_came_or_pids_wrapped(void **state)
{
	static const struct {
		int before, after;
	} cases[] = { { 500, 5000 }, { 30000, 310 } };
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct row row = browser;

		put_process(world, &browser);
		last_pid(world, cases[i].before);
		assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
		row.pid = 306;
		put_process(world, &row);
		remove_process(world, 300); /* a listing shows what has exited, too */
		last_pid(world, cases[i].after);
		find_new(world);
		assert_non_null(census_find(&world->census, 306));
		assert_null(census_find(&world->census, 300));
		remove_process(world, 306);
	}
}

/* Samples as in watch, from one time (after the sweep at 0) to another. */
static void sample_until(struct world *world, usec_t from, usec_t to)
{
	for (usec_t now = from; now <= to; now += 50 * USEC_PER_MSEC)
		assert_int_equal(census_find_new(&world->census, now, 1), 0);
}

/* 300 large ones and 300 small ones; those with an even pid are adjusted. */
static void put_crowd(const struct world *world, int adj)
{
	struct row row = browser;

	for (row.pid = 1000; row.pid < 1600; row.pid++) {
		row.resident = row.pid < 1300 ? 100000 : 1000;
		row.adj = row.pid % 2 ? 0 : adj;
		put_process(world, &row);
	}
}

static size_t count_adjusted(const struct world *world, int adj)
{
	const struct census_process *process;
	size_t n = 0;

	census_for_each(&world->census, process)
		n += process->oom_score_adj == adj;
	return n;
}

static void test_find_new_compares_those_that_are_known(void **state)
{
	struct world *world = *state;
	const usec_t begin = 100 * USEC_PER_SEC;

	put_crowd(world, 0);
	assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, begin, 1, false, NULL, 0), 1);
	put_crowd(world, 9);
	sample_until(world, begin, begin + CENSUS_LARGEST_USEC / 2);
	assert_in_range(count_adjusted(world, 9), 0, 20);
	/* The largest, in any of their orders, and few others. */
	sample_until(world, begin + CENSUS_LARGEST_USEC, begin + CENSUS_LARGEST_USEC * 3 / 2);
	assert_in_range(count_adjusted(world, 9), CENSUS_LARGEST / 2, CENSUS_LARGEST / 2 + 60);
	put_crowd(world, 8);
	sample_until(world, begin + CENSUS_LARGEST_USEC * 2,
		     begin + CENSUS_LARGEST_USEC * 2 + CENSUS_ALL_USEC);
	assert_int_equal(count_adjusted(world, 8), 300);

	/* The next one of the round exits. */
	for (int pid = 1000; pid < 1500; pid++) {
		remove_process(world, pid);
		census_read_anew(&world->census, pid, begin, 1);
		if (pid % 50 == 0)
			sample_until(world, begin + (usec_t)pid * USEC_PER_SEC,
				     begin + (usec_t)pid * USEC_PER_SEC + USEC_PER_SEC);
	}
	assert_int_equal(world->census.n_processes, 100);
}

/* 50 processes, the first one of another size. */
static void put_small_ones(const struct world *world, unsigned first_pages, unsigned pages, int adj)
{
	struct row row = browser;

	for (row.pid = 1000; row.pid < 1050; row.pid++) {
		row.resident = row.pid == 1000 ? first_pages : pages;
		row.adj = adj;
		put_process(world, &row);
	}
}

/* What is far from being chosen is compared in its turn only. */
static void test_the_small_are_compared_in_turn(void **state)
{
	static const struct {
		unsigned first_pages, pages;
		size_t n_soon, n_soon_max;
	} rows[] = {
		{ 100000, 1000, 1, 10 },   /* beside a large one */
		{ 150, 150, 0, 10 },	   /* where all are small */
		{ 100000, 50000, 50, 50 }, /* not small */
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t begin = (100 + i * 1000) * USEC_PER_SEC;
		size_t n;

		put_small_ones(world, rows[i].first_pages, rows[i].pages, 0);
		assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
		assert_int_equal(census_refresh(&world->census, begin, 1, false, NULL, 0), 1);
		put_small_ones(world, rows[i].first_pages, rows[i].pages, 9);
		sample_until(world, begin + CENSUS_LARGEST_USEC,
			     begin + CENSUS_LARGEST_USEC * 3 / 2);
		n = count_adjusted(world, 9);
		if (n < rows[i].n_soon || n > rows[i].n_soon_max)
			fail_msg("row %zu: %zu", i, n);
		sample_until(world, begin + CENSUS_ALL_USEC, begin + CENSUS_ALL_USEC * 2);
		assert_int_equal(count_adjusted(world, 9), 50);
	}
}

/* Not those that were compared a moment ago, nor those that are still small. */
static void test_a_small_one_that_has_grown_is_compared_in_the_round(void **state)
{
	static const struct {
		usec_t after;
		unsigned pages;
		size_t n;
	} rows[] = { { 0, 100000, 0 },
		     { 2 * CENSUS_LARGEST_USEC, 100000, 1 },
		     { 2 * CENSUS_LARGEST_USEC, 500, 0 } };
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t begin = (100 + i * 1000) * USEC_PER_SEC;

		put_small_ones(world, 450, 450, 0);
		assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
		assert_int_equal(census_refresh(&world->census, begin, 1, false, NULL, 0), 1);
		put_small_ones(world, rows[i].pages, 450, 9);
		assert_int_equal(
			census_refresh(&world->census, begin + rows[i].after, 1, false, NULL, 0),
			1);
		assert_int_equal(count_adjusted(world, 9), rows[i].n);
	}
}

/* Gradually, those that have started. */
static void test_find_new_compares_the_young_soon(void **state)
{
	static const usec_t at[] = { 500 * USEC_PER_MSEC, 3 * USEC_PER_SEC, 15 * USEC_PER_SEC };
	const usec_t begin = 100 * USEC_PER_SEC;
	struct world *world = *state;
	struct row row = browser;
	usec_t from = begin + 50 * USEC_PER_MSEC;

	last_pid(world, 300);
	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, begin, 1, false), 0);
	sample_until(world, begin, begin);
	row.pid = 400;
	put_process(world, &row);
	last_pid(world, 400);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		sample_until(world, from, from + 100 * USEC_PER_MSEC);
		world->census.in_turn_at = UINT64_MAX / 2; /* no process's turn comes by itself */
		row.adj = 5 + (int)i;
		put_process(world, &row);
		sample_until(world, from + 150 * USEC_PER_MSEC, begin + at[i]);
		assert_int_equal(census_find(&world->census, 400)->oom_score_adj, row.adj);
		from = begin + at[i];
	}
}

static void test_compare_sees_another_user(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	char path[128];

	put_process(world, &browser);
	snprintf(path, sizeof(path), "%s/300", world->path);
	if (geteuid() != 0) { /* or may, where it runs as that user by chance */
		print_message("SKIP: only root may give files away\n");
		skip();
	}
	assert_int_equal(chown(path, browser.uid, (gid_t)-1), 0);
	catch_up(world);
	assert_int_equal(census_find(&world->census, 300)->uid, browser.uid);
	row.uid = 1001;
	put_process(world, &row);
	assert_int_equal(chown(path, row.uid, (gid_t)-1), 0);
	catch_up(world);
	assert_int_equal(census_find(&world->census, 300)->uid, 1001);
}

/* And where it was, no process is left: its bucket there is freed, the next may be at the same
 * address. */
static void test_compare_matches_the_rules_after_a_move(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	struct rule *rule;

	rule = policy_set_rule(&world->policies, RULE_PROTECT, "moved");
	rule->cgroup = strdup("/moved");
	census_set_policies(&world->census, &world->policies);
	put_process(world, &browser);
	catch_up(world);
	assert_null(census_find(&world->census, 300)->protected_by);
	row.cgroup = "/moved";
	put_process(world, &row);
	catch_up(world);
	assert_ptr_equal(census_find(&world->census, 300)->protected_by, rule);
	assert_int_equal(world->census.n_candidates, 0);
}

/* No more files can be opened: all that is known stands. */
static void test_want_does_not_lose_any(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct rlimit limit, none;
	int r, fd;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 100, false), 0);
	fd = dup(world->proc_fd);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)fd, .rlim_max = limit.rlim_max };
	world->census.compares_next = true;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = census_refresh(&world->census, 2, GIB, false, NULL, 0);
	census_read_anew(&world->census, 300, 2, GIB);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, 1);
	p = census_find(&world->census, 300);
	assert_non_null(p);
	assert_string_equal(p->comm, "browser");
	assert_int_equal(p->memory.anon, 600 * PAGE);
	assert_int_equal(p->read_at_allocated, 100);
	assert_int_equal(world->census.n_candidates, 1);
	assert_int_equal(world->census.n_unreadable, 0);
	/* A sum with this in it is as old; a round is over all the same. */
	assert_int_equal(world->census.oldest_allocated, 100);
	assert_false(census_is_stale(&world->census, GIB));
}

/* It lives, for all that is known, but will not be chosen before it can be read again. */
static void test_what_becomes_unreadable_is_known_still(void **state)
{
	static const struct {
		const char *file;
		bool is_candidate;
	} cases[] = {
		{ "stat", false },
		{ "status", false }, /* its memory is in it */
		{ "cgroup", true },
		{ "oom_score_adj", true },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_process(world, &browser);
		catch_up(world);
		assert_int_equal(world->census.n_candidates, 1);
		assert_int_equal(world->census.n_unreadable, 0);
		put(world, 300, cases[i].file, "secret\n");
		catch_up(world);
		census_read_anew(&world->census, 300, 2, 2);
		assert_int_equal(world->census.n_candidates, cases[i].is_candidate);
		assert_int_equal(world->census.n_unreadable, !cases[i].is_candidate);
		assert_int_equal(census_find(&world->census, 300)->memory.anon, 600 * PAGE);
		assert_string_equal(census_find(&world->census, 300)->comm, "browser");
	}
	put_process(world, &browser);
	put(world, 300, "stat", "secret\n");
	catch_up(world);
	put_process(world, &browser);
	assert_int_equal(census_refresh(&world->census, 3, 3, false, NULL, 0), 1);
	assert_int_equal(world->census.n_candidates, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_find_new_by_the_pids_assigned_since),
		on_world(test_find_new_does_not_trust_a_loadavg_that_is_mounted_over),
		on_world(test_find_new_tells_threads_from_processes),
		on_world(test_find_new_reads_twice),
		on_world(test_find_new_knows_a_reused_pid),
		on_world(test_find_new_lists_all_when_many_came_or_pids_wrapped),
		on_world(test_find_new_compares_those_that_are_known),
		on_world(test_the_small_are_compared_in_turn),
		on_world(test_a_small_one_that_has_grown_is_compared_in_the_round),
		on_world(test_find_new_compares_the_young_soon),
		on_world(test_compare_sees_another_user),
		on_world(test_compare_matches_the_rules_after_a_move),
		on_world(test_want_does_not_lose_any),
		on_world(test_what_becomes_unreadable_is_known_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
