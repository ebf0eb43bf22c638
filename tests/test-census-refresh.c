/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: rounds that are taken in slices, over a /proc of our own making, and over the machine's
 * own.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"
#include "tests/census-fixture.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_set_policies_applies_new_rules(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct policy_set other;
	struct rule *rule;

	put_process(world, &browser);
	assert_null(sweep_and_find(world, 1, 1, false, 300)->protected_by);
	assert_int_equal(policy_set_init_defaults(&other), 0);
	rule = policy_set_rule(&other, RULE_PROTECT, "browsers");
	assert_int_equal(rule_set_comm(rule, "^browser$", NULL, 0), 0);
	census_set_policies(&world->census, &other);
	assert_int_equal(census_find(&world->census, 300)->compared_at,
			 0); /* its memory is known */
	assert_int_equal(census_find(&world->census, 300)->memory.anon, 600 * PAGE);
	p = sweep_and_find(world, 2, 2, false, 300);
	assert_string_equal(p->protected_by->name, "browsers");
	assert_int_not_equal(p->compared_at, 0);
	census_set_policies(&world->census, &world->policies);
	assert_null(census_find(&world->census, 300)); /* none with a rule of old */
	policy_set_done(&other);
}

static void test_sweep_remembers_growth(void **state)
{
	struct world *world = *state;
	const struct census_process *p = NULL;
	struct row row = browser;

	for (unsigned second = 1; second <= 20; second++) {
		row.resident = 1000 + second * 10;
		put_process(world, &row);
		p = sweep_and_find(world, second * USEC_PER_SEC, 1, false, 300);
		assert_true(proc_reclaimable(&p->memory) >= p->earlier_footprint);
	}
	/* One to two periods of 5 s, at 10 pages a second. */
	assert_in_range(proc_reclaimable(&p->memory) - p->earlier_footprint, 50 * PAGE, 100 * PAGE);
}

static void test_sweep_grows_with_the_machine(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	int r;

	for (int i = 0; i < 1200; i++) {
		row.pid = 1000 + i;
		put_process(world, &row);
	}
	assert_non_null(sweep_and_find(world, 1, 1, false, 2199));
	assert_int_equal(world->census.n_processes, 1200);
	/* The next one needs nothing new; nor do a few that start in an emergency. */
	for (int i = 0; i < 10; i++) {
		row.pid = 5000 + i;
		put_process(world, &row);
	}
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	r = census_sweep(&world->census, 2, 1, false);
	fail_malloc = false;
	assert_int_equal(r, 0);
	assert_non_null(census_find(&world->census, 5009));
	assert_int_equal(n_mallocs, 0);
}

static void test_interval_ages(void **state)
{
	struct world *world = *state;
	const struct census_process *p;
	struct interval interval;

	put_process(world, &browser);
	p = sweep_and_find(world, 1, 10 * MIB, false, 300);
	interval = census_interval(&world->census, p, 10 * MIB, 0);
	assert_int_equal(interval.lo, 0); /* all may be shared: that was not measured */
	assert_int_equal(interval.hi, 600 * PAGE + 8192);
	interval = census_interval(&world->census, p, 30 * MIB, 0);
	assert_int_equal(interval.lo, 0); /* it may have shrunk */
	assert_int_equal(interval.hi, 600 * PAGE + 8192 + 20 * MIB);
}

/* Largest first, as far as the time allows; then on from there. */
static void test_refresh_in_slices_largest_first(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	unsigned n_slices = 1;
	int r;

	row.shared = 0;
	for (int i = 0; i < 64; i++) {
		row.pid = 1000 + i, row.resident = (unsigned long)(i + 1) * 100;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 100, false), 0);
	for (int i = 0; i < 64; i++) {
		row.pid = 1000 + i, row.resident = (unsigned long)(i + 1) * 100 + 7;
		put_process(world, &row);
	}
	fake_clock_now = 0;
	r = census_refresh(&world->census, 2, 200, false, fake_clock, 40);
	assert_int_equal(r, 0);
	assert_true(census_round_is_under_way(&world->census));
	/* The largest is new, the smallest old. */
	assert_int_equal(census_find(&world->census, 1063)->memory.anon, 6407 * PAGE);
	assert_int_equal(census_find(&world->census, 1063)->read_at_allocated, 200);
	assert_int_equal(census_find(&world->census, 1000)->memory.anon, 100 * PAGE);
	assert_int_equal(world->census.oldest_allocated, 100);
	for (; r == 0; n_slices++) {
		fake_clock_now = 0;
		r = census_refresh(&world->census, 2, 200 + n_slices, false, fake_clock, 40);
	}
	assert_int_equal(r, 1);
	assert_true(n_slices > 3);
	assert_int_equal(census_find(&world->census, 1000)->memory.anon, 107 * PAGE);
	assert_int_equal(world->census.oldest_allocated, 200); /* when the round began */
	assert_int_equal(world->census.largest, 6407 * PAGE + 8192);
}

static void test_refresh_drops_what_has_exited(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (int i = 0; i < 8; i++) {
		row.pid = 1000 + i;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	remove_process(world, 1003);
	/* And one vanishes while the round has it still before it. */
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 2, false, fake_clock, 10), 0);
	remove_process(world, 1006);
	census_read_anew(&world->census, 1006, 2, 2);
	assert_null(census_find(&world->census, 1006));
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_null(census_find(&world->census, 1003));
	assert_int_equal(world->census.n_processes, 6);
	assert_int_equal(world->census.n_candidates, 6);
}

static void test_release_fds_closes_what_is_kept_open(void **state)
{
	struct world *world = *state;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_true(census_find(&world->census, 300)->kept_fd >= 0);
	census_release_fds(&world->census);
	assert_true(census_find(&world->census, 300)->kept_fd < 0);
}

/* After a rest much may have changed: the first round compares all processes. */
static void test_refresh_after_a_rest_compares_all(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	row.cgroup = "/moved", row.adj = 7;
	put_process(world, &row);
	census_release_fds(&world->census);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, NULL, 0), 1);
	assert_string_equal(census_cgroup_path(census_find(&world->census, 300)), "/moved");
	assert_int_equal(census_find(&world->census, 300)->oom_score_adj, 7);
}

static void test_unreadable_are_counted_once(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	put_process(world, &browser);
	put(world, 300, "status", "secret\n");
	row.pid = 301;
	put_process(world, &row);
	put(world, 301, "stat", "secret\n");
	for (usec_t i = 1; i <= 3; i++) {
		assert_int_equal(census_sweep(&world->census, i, i, false), 0);
		assert_int_equal(world->census.n_unreadable, 2);
		assert_int_equal(census_refresh(&world->census, i, i, false, NULL, 0), 1);
		assert_int_equal(world->census.n_unreadable, 2);
		assert_int_equal(census_catch_up(&world->census, i, i, false, NULL, 0), 1);
		assert_int_equal(world->census.n_unreadable, 2);
	}
	put_process(world, &browser);
	remove_process(world, 301);
	assert_int_equal(census_sweep(&world->census, 5, 5, false), 0);
	assert_int_equal(world->census.n_unreadable, 0);
	put(world, 300, "statm", "secret\n");
	assert_int_equal(census_sweep(&world->census, 6, 6, false), 0);
	remove_process(world, 300);
	assert_int_equal(census_refresh(&world->census, 7, 7, false, NULL, 0), 1);
	assert_int_equal(world->census.n_unreadable, 0);
}

static void test_catch_up_in_slices(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	last_pid(world, 1000);
	for (int pid = 301; pid <= 500; pid++) {
		row.pid = pid;
		put_process(world, &row);
	}
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_release_fds(&world->census);
	for (int pid = 501; pid <= 600; pid++) { /* new ones */
		row.pid = pid;
		put_process(world, &row);
	}
	remove_process(world, 400);
	row.pid = 401, row.start = 78; /* another process */
	put_process(world, &row);
	row.pid = 402, row.start = browser.start, row.resident = 1000, row.shared = 0;
	put_process(world, &row);
	last_pid(world, 1401);
	assert_true(catch_up(world) > 10);
	assert_int_equal(world->census.n_processes, 299);
	assert_null(census_find(&world->census, 400));
	assert_int_equal(census_find(&world->census, 401)->start_ticks, 78);
	assert_int_equal(census_find(&world->census, 402)->memory.anon, 1000 * PAGE);
	assert_int_equal(world->census.last_pid, 1401);

	/* Once more at once: from the kept files. */
	row.pid = 402, row.start = 79; /* the numbers have begun anew */
	put_process(world, &row);
	row.pid = 601;
	put_process(world, &row);
	last_pid(world, 402);
	catch_up(world);
	assert_int_equal(world->census.n_processes, 300);
	assert_int_equal(census_find(&world->census, 402)->start_ticks, 79);
}

/* The caller gets the present state, however often it asks. */
static void test_catch_up_compares_all(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	for (int i = 1; i <= 3; i++) {
		row.cgroup = i % 2 ? "/moved" : "/back", row.adj = i;
		for (row.pid = 300; row.pid < 400; row.pid++)
			put_process(world, &row);
		catch_up(world);
		for (row.pid = 300; row.pid < 400; row.pid++) {
			const struct census_process *p = census_find(&world->census, row.pid);

			assert_int_equal(p->oom_score_adj, i);
			assert_string_equal(census_cgroup_path(p), row.cgroup);
		}
	}
}

/* A round that watch has begun may compare no process. */
static void test_catch_up_does_not_continue_a_round(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	assert_int_equal(census_refresh(&world->census, 2, 2, false, count_ticks, 0), 0);
	row.adj = 7;
	for (row.pid = 300; row.pid < 400; row.pid++)
		put_process(world, &row);
	catch_up(world);
	for (row.pid = 300; row.pid < 400; row.pid++)
		assert_int_equal(census_find(&world->census, row.pid)->oom_score_adj, 7);
}

/* On a machine so slow, or so busy, that the time is always over. */
static void test_catch_up_gets_on_when_it_is_late(void **state)
{
	struct world *world = *state;
	struct row row = browser;
	unsigned n_slices = 1;
	int r;

	for (row.pid = 300; row.pid <= 500; row.pid++)
		put_process(world, &row);
	while ((r = census_catch_up(&world->census, 2, 2, false, count_ticks, 0)) == 0)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	assert_int_equal(world->census.n_processes, 201);
	row.pid = 402, row.resident = 1000, row.shared = 0;
	put_process(world, &row);
	for (n_slices = 1; (r = census_refresh(&world->census, 3, 3, false, count_ticks, 0)) == 0;)
		assert_true(n_slices++ < 1000);
	assert_int_equal(r, 1);
	assert_int_equal(census_find(&world->census, 402)->memory.anon, 1000 * PAGE);
}

/* A reload drops all results. */
static void test_catch_up_instead_of_a_sweep(void **state)
{
	struct world *world = *state;

	put_process(world, &browser);
	assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
	census_set_policies(&world->census, &world->policies);
	assert_int_equal(world->census.swept_at, 0);
	assert_int_equal(census_find(&world->census, 300)->compared_at, 0);
	catch_up(world);
	assert_int_not_equal(census_find(&world->census, 300)->compared_at, 0);
	assert_true(world->census.swept_at != 0);
}

static void test_catch_up_is_forgotten_in_calm(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid <= 500; row.pid++)
		put_process(world, &row);
	assert_int_equal(census_catch_up(&world->census, 1, 1, false, count_ticks, ticks + 1), 0);
	assert_true(world->census.listing_fd >= 0);
	census_release_fds(&world->census);
	assert_int_equal(world->census.listing_fd, -EBADF);
}

static void test_is_stale_by_what_was_allocated(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	row.resident = 400000, row.shared = 0; /* 1.5 GiB */
	put_process(world, &row);
	assert_int_equal(census_sweep(&world->census, 1, GIB, false), 0);
	assert_false(census_is_stale(&world->census, GIB + 100 * MIB));
	assert_true(census_is_stale(&world->census, GIB + 200 * MIB));
	remove_process(world, 300);
	assert_int_equal(census_sweep(&world->census, 1, GIB, false), 0);
	assert_false(census_is_stale(&world->census, GIB + 60 * MIB));
	assert_true(census_is_stale(&world->census, GIB + 65 * MIB));
}

static uint64_t count_below(const struct census_node *node, size_t *n_nodes)
{
	const struct census_node *child;
	uint64_t sum = 0;

	++*n_nodes;
	if (node->kind == CENSUS_PROCESS) {
		const struct proc_memory *memory = &((const struct census_process *)node)->memory;

		return memory->anon + memory->swap;
	}
	census_for_each_below(child, node)
		sum += count_below(child, n_nodes);
	assert_int_equal(sum, tally_sum(&((const struct census_branch *)node)->tally, TALLY_ANON));
	return sum;
}

/* The tree stays whole while processes start, exit, and move between groups that are made and
 * removed. */
static void test_tree_stays_exact(void **state)
{
	static const char *const paths[] = { "/", "/a", "/a/b", "/a/b/c", "/d", "/d/e/f/g" };
	struct world *world = *state;
	bool is_there[150] = { 0 };
	unsigned seed = 4711;

	print_message("seed %u\n", seed);
	for (int round = 0; round < 60; round++) {
		size_t n_nodes = 0;

		for (int i = 0; i < 150; i++) {
			struct row row = browser;

			if (rand_r(&seed) % 4 > 1)
				continue;
			row.pid = 1000 + i;
			row.cgroup = paths[(unsigned)rand_r(&seed) % ARRAY_SIZE(paths)];
			row.resident = 400 + (unsigned long)rand_r(&seed) % 100000;
			row.start = (unsigned)rand_r(&seed) % 2;
			if (rand_r(&seed) % 4 == 0 && is_there[i]) {
				remove_process(world, row.pid);
				is_there[i] = false;
			} else {
				put_process(world, &row);
				is_there[i] = true;
			}
		}
		if (round % 5 == 0)
			census_release_fds(&world->census); /* so that moves are noticed */
		if (round % 3 == 0)
			assert_int_equal(census_sweep(&world->census, 1, 1, false), 0);
		else
			assert_int_equal(census_refresh(&world->census, 1, 1, false, NULL, 0), 1);
		(void)count_below(&world->census.machine, &n_nodes);
		assert_int_equal(n_nodes, world->census.n_nodes);
	}
}

static void test_sweep_finds_us_on_this_machine(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct census_process *p;
	struct accuracy unknown = { .n_cpus = 2, .batch = 32 };
	struct policy_set policies;
	struct cgroup_fs cgroups;
	struct interval interval;
	struct census census;
	const size_t size = 32 * MIB;
	char *memory;

	unknown.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 1, size);
	assert_int_equal(policy_set_init_defaults(&policies), 0);
	assert_int_equal(cgroup_fs_open(proc_fd, &cgroups), 0);
	assert_int_equal(census_init(&census, proc_fd, &cgroups, &unknown, &policies), 0);
	assert_int_equal(census_sweep(&census, 1, 1, false), 0);
	p = census_find(&census, getpid());
	assert_non_null(p);
	assert_int_equal(p->uid, geteuid());
	assert_int_equal(p->ppid, getppid());
	assert_true(census.last_pid > 0);
	interval = census_interval(&census, p, 1, 0);
	assert_true(interval.hi >= size);
	assert_true(interval.lo < interval.hi);
	census_done(&census);
	cgroup_fs_done(&cgroups);
	policy_set_done(&policies);
	munmap(memory, size);
	close(proc_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_world(test_set_policies_applies_new_rules),
		on_world(test_sweep_remembers_growth),
		on_world(test_sweep_grows_with_the_machine),
		on_world(test_interval_ages),
		on_world(test_refresh_in_slices_largest_first),
		on_world(test_refresh_drops_what_has_exited),
		on_world(test_release_fds_closes_what_is_kept_open),
		on_world(test_refresh_after_a_rest_compares_all),
		on_world(test_unreadable_are_counted_once),
		on_world(test_catch_up_in_slices),
		on_world(test_catch_up_compares_all),
		on_world(test_catch_up_does_not_continue_a_round),
		on_world(test_catch_up_gets_on_when_it_is_late),
		on_world(test_catch_up_instead_of_a_sweep),
		on_world(test_catch_up_is_forgotten_in_calm),
		on_world(test_is_stale_by_what_was_allocated),
		on_world(test_tree_stays_exact),
		cmocka_unit_test(test_sweep_finds_us_on_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
