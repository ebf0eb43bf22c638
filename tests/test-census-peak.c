/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of what is left of a peak of processes: when 10,000 have started and exited, the census has
 * what it had before, and finds those that remained.
 */
#include <malloc.h>
#include <stdio.h>

#include "lib/base/sanitizer.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_FEW  300
#define N_MANY 10000
#define FIRST  1000 /* pid of the first of many */
/* Two blocks of places, and what the allocator keeps of small pieces. */
#define LEFT_MAX (96 * KIB)

static struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
static struct policy_set policies = { .subtree = everything };

static uint64_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void add(struct census *census, pid_t pid)
{
	struct proc_memory memory = { .anon = (uint64_t)pid * KIB };
	struct census_process *process = census_add(census, pid, (uint64_t)pid);
	char cgroup[32];

	assert_non_null(process);
	snprintf(cgroup, sizeof(cgroup), "/a/%d", pid / 2);
	assert_int_equal(census_attach(census, process, cgroup), 0);
	census_set_memory(census, process, &memory, 0, 1);
	assert_int_equal(census_reserve(census), 0);
}

static void drop(struct census *census, pid_t pid)
{
	census_drop(census, census_find(census, pid));
}

static int setup(void **state)
{
	static struct census census;

	*state = &census;
	return census_init(&census, -1, NULL, &exact, &policies);
}

static int teardown(void **state)
{
	census_done(*state);
	return 0;
}

static void add_many(struct census *census)
{
	for (pid_t pid = FIRST; pid < FIRST + N_MANY; pid++)
		add(census, pid);
}

static void check_few(const struct census *census, pid_t from, pid_t to)
{
	struct census_process *process;
	size_t n = 0;

	census_for_each(census, process)
		n++;
	assert_int_equal(n, to - from + 1);
	assert_int_equal(census->n_processes, n);
	for (pid_t pid = from; pid <= to; pid++) {
		process = census_find(census, pid);
		assert_non_null(process);
		assert_int_equal(process->pid, pid);
		assert_int_equal(process->memory.anon, (uint64_t)pid * KIB);
	}
	assert_null(census_find(census, FIRST + N_MANY / 2));
}

static void test_what_a_peak_took_is_freed(void **state)
{
	struct census *census = *state;
	uint64_t before, peak, after;

#if HAS_SHADOW_MEMORY /* mallinfo2() is not its own */
	skip();
#endif
	for (pid_t pid = 1; pid <= N_FEW; pid++)
		add(census, pid);
	census_release_fds(census);
	before = allocated();
	for (unsigned i = 0; i < 3; i++) {
		add_many(census);
		peak = allocated();
		for (pid_t pid = FIRST; pid < FIRST + N_MANY; pid++)
			drop(census, pid);
		census_release_fds(census);
		after = allocated();
		check_few(census, 1, N_FEW);
		assert_true(peak > before + N_MANY * sizeof(struct census_process));
		if (after > before + LEFT_MAX)
			fail_msg("%llu bytes before, %llu at the peak, %llu after",
				 (unsigned long long)before, (unsigned long long)peak,
				 (unsigned long long)after);
	}
}

/* Those that remain are among the last that started: their blocks move up. */
static void test_those_that_remain_are_found(void **state)
{
	struct census *census = *state;
	pid_t from = FIRST + N_MANY - N_FEW;

	add_many(census);
	for (pid_t pid = FIRST; pid < from; pid++)
		drop(census, pid);
	census_release_fds(census);
	check_few(census, from, FIRST + N_MANY - 1);
	assert_true(census->n_blocks * 128 <= N_FEW + 3 * 128);
	/* And it grows again. */
	for (pid_t pid = 1; pid < FIRST; pid++)
		add(census, pid);
	for (pid_t pid = 1; pid < FIRST; pid++)
		assert_non_null(census_find(census, pid));
	for (pid_t pid = 1; pid < FIRST; pid++)
		drop(census, pid);
	check_few(census, from, FIRST + N_MANY - 1);
}

/* One in each block keeps it; none of them is lost. */
static void test_a_few_of_each_block_remain(void **state)
{
	struct census *census = *state;
	size_t n = 0;

	add_many(census);
	for (pid_t pid = FIRST; pid < FIRST + N_MANY; pid++)
		if (pid % 500 != 0)
			drop(census, pid);
	census_release_fds(census);
	for (pid_t pid = FIRST; pid < FIRST + N_MANY; pid += 500, n++)
		assert_non_null(census_find(census, pid));
	assert_int_equal(census->n_processes, n);
	assert_true(census->n_blocks <= n + 1);
	census_release_fds(census);
	assert_true(census->n_blocks <= n + 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_a_peak_took_is_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_those_that_remain_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_few_of_each_block_remain, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
