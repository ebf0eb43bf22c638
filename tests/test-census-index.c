/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/snapshot/census-index.c and of the branches of lib/snapshot/census.c: places are
 * found again and used again, buckets are made and dropped, and what a branch counts is what is on
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_PIDS 2000

_Static_assert(sizeof(struct census_process) <= 240, "a process is not to take more");

static char everything[] = "/";
static struct policy_set policies = { .subtree = everything };

static int setup(void **state)
{
	static struct census census;

	*state = &census;
	return census_init(&census, -1, NULL, &exact_accuracy, &policies);
}

static int teardown(void **state)
{
	census_done(*state);
	return 0;
}

static struct census_process *add(struct census *census, pid_t pid, const char *cgroup)
{
	struct census_process *process = census_add(census, pid, (uint64_t)pid);
	struct proc_memory memory = { .anon = (uint64_t)pid * KIB, .swap = 3 * KIB };

	assert_non_null(process);
	assert_int_equal(census_attach(census, process, cgroup), 0);
	census_set_memory(census, process, &memory, 0, 1);
	return process;
}

static void test_each_process_is_found_until_it_is_dropped(void **state)
{
	static bool is_there[N_PIDS];
	struct census *census = *state;
	unsigned seed = 4711;

	memset(is_there, 0, sizeof(is_there));
	for (unsigned round = 0; round < 20000; round++) {
		pid_t pid = 1 + (pid_t)(rand_r(&seed) % (N_PIDS - 1)) * (round % 2 ? 1 : 1024) %
					(N_PIDS - 1);
		struct census_process *process = census_find(census, pid);

		assert_int_equal(process != NULL, is_there[pid]);
		if (process)
			census_drop(census, process);
		else
			assert_int_equal(add(census, pid, "/a")->pid, pid);
		is_there[pid] = !is_there[pid];
	}
	for (pid_t pid = 1; pid < N_PIDS; pid++)
		assert_int_equal(census_find(census, pid) != NULL, is_there[pid]);
	assert_null(census_find(census, 0));
	assert_null(census_find(census, -1));
}

static void test_all_are_visited_once_though_some_are_dropped(void **state)
{
	struct census *census = *state;
	struct census_process *process;
	bool seen[N_PIDS] = { 0 };
	size_t n = 0;

	for (pid_t pid = 1; pid <= 1000; pid++)
		(void)add(census, pid, "/a");
	census_for_each(census, process) {
		assert_false(seen[process->pid]);
		seen[process->pid] = true;
		n++;
		if (process->pid % 3 == 0)
			census_drop(census, process);
	}
	assert_int_equal(n, 1000);
	census_for_each(census, process)
		assert_int_not_equal(process->pid % 3, 0);
	assert_int_equal(census->n_processes, 667);
}

static void test_places_are_used_again(void **state)
{
	struct census *census = *state;
	size_t n_blocks;

	for (pid_t pid = 1; pid <= 500; pid++)
		(void)add(census, pid, "/a");
	n_blocks = census->n_blocks;
	for (pid_t pid = 1; pid <= 5000; pid++) {
		census_drop(census, census_find(census, pid));
		(void)add(census, pid + 500, "/a");
	}
	assert_int_equal(census->n_blocks, n_blocks);
}

/* Returns how many processes there are; how many buckets is added to *n_buckets. */
static size_t check_branch(const struct census_branch *branch, uint64_t *anon, unsigned *n_buckets)
{
	const struct census_node *child;
	size_t n = 0, n_here = 0;
	uint64_t sum = 0;

	*n_buckets += branch->node.kind == CENSUS_BUCKET_OF;
	census_for_each_child(child, &branch->node) {
		const struct census_process *process = (const struct census_process *)child;

		if (child->kind == CENSUS_PROCESS) {
			assert_ptr_equal(process->above, branch);
			sum += process->memory.anon + process->memory.swap;
			n_here++;
		} else {
			n += check_branch((const struct census_branch *)child, &sum, n_buckets);
		}
	}
	assert_int_equal(n_here, branch->n_processes);
	assert_in_range(n_here, 0, CENSUS_BUCKET);
	assert_int_equal(tally_sum(&branch->tally, TALLY_ANON), sum);
	*anon += sum;
	return n + n_here;
}

static void test_buckets_are_made_for_many_and_removed_for_few(void **state)
{
	static const struct {
		unsigned n_before, n_dropped, n_buckets;
	} rows[] = {
		{ 1, 0, 0 },   { 64, 0, 0 },	{ 65, 0, 1 },	 { 129, 0, 2 },
		{ 640, 0, 9 }, { 65, 34, 1 },	{ 129, 97, 2 },	 { 65, 33, 1 },
		{ 65, 64, 0 }, { 640, 639, 0 }, { 640, 640, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census *census = *state;
		unsigned n_buckets = 0;
		uint64_t anon = 0;
		size_t n;

		for (unsigned k = 0; k < rows[i].n_before; k++)
			(void)add(census, (pid_t)(100 + k), "/a");
		for (unsigned k = 0; k < rows[i].n_dropped; k++)
			census_drop(census, census_find(census, (pid_t)(100 + k)));
		n = check_branch(&census->root, &anon, &n_buckets);
		assert_int_equal(n, rows[i].n_before - rows[i].n_dropped);
		if (rows[i].n_dropped == 0 || rows[i].n_buckets == 0)
			assert_int_equal(n_buckets, rows[i].n_buckets);
		assert_int_equal(census->n_nodes, 1 + n + n_buckets + (n > 0));
		assert_int_equal(census->paths.n, n > 0);
		teardown(state);
		setup(state);
	}
}

static void test_cgroups_are_found_by_path(void **state)
{
	struct census *census = *state;
	char path[32];

	for (pid_t pid = 1; pid <= 1000; pid++) {
		snprintf(path, sizeof(path), "/a/%d", pid);
		(void)add(census, pid, path);
	}
	for (pid_t pid = 1; pid <= 1000; pid++) {
		snprintf(path, sizeof(path), "/a/%d", pid);
		assert_ptr_equal(census_paths_find(&census->paths, path, strlen(path)),
				 census_cgroup_of(census_find(census, pid)));
		assert_string_equal(census_cgroup_path(census_find(census, pid)), path);
	}
	assert_null(census_paths_find(&census->paths, "/a/1001", 7));
	assert_string_equal(census_paths_find(&census->paths, "/a/1001", 4)->path, "/a/1");
	assert_int_equal(census->paths.n, 1001);
	for (pid_t pid = 1; pid <= 1000; pid++)
		census_drop(census, census_find(census, pid));
	assert_int_equal(census->paths.n, 0);
	assert_null(census_paths_find(&census->paths, "/a", 2));
}

static void test_stamps_come_round(void **state)
{
	usec_t whole = (UINT64_C(1) << 32) * CENSUS_STAMP_USEC, day = 86400 * USEC_PER_SEC;
	static const usec_t ages[] = { 0, CENSUS_MEASURED_USEC, CENSUS_GROWTH_USEC };

	for (usec_t then = whole - 20 * USEC_PER_SEC; then < whole + 20 * USEC_PER_SEC;
	     then += CENSUS_STAMP_USEC)
		for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
			usec_t since = census_since(census_stamp(then), then + ages[i]);

			assert_in_range(since, sub_u64(ages[i], CENSUS_STAMP_USEC),
					ages[i] + CENSUS_STAMP_USEC);
			assert_int_not_equal(census_stamp(then), 0);
		}
	assert_in_range(census_since(census_stamp(5 * day), 205 * day), 199 * day, 201 * day);
}

static void test_a_kill_voids_shares(void **state)
{
	struct census *census = *state;
	struct census_process *process = add(census, 7, "/a");
	struct proc_memory memory = { .anon = MIB, .is_measured = true };

	census_set_memory(census, process, &memory, 0, USEC_PER_SEC);
	assert_true(census_share_is_current(census, process, USEC_PER_SEC));
	census_forget_shares(census);
	assert_false(census_share_is_current(census, process, USEC_PER_SEC));
	census_set_memory(census, process, &memory, 0, USEC_PER_SEC);
	assert_true(census_share_is_current(census, process, USEC_PER_SEC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_process_is_found_until_it_is_dropped,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_are_visited_once_though_some_are_dropped,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_places_are_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buckets_are_made_for_many_and_removed_for_few,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroups_are_found_by_path, setup, teardown),
		cmocka_unit_test(test_stamps_come_round),
		cmocka_unit_test_setup_teardown(test_a_kill_voids_shares, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
