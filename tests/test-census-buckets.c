/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of the buckets that cgroups with many others below them have (lib/snapshot/census.c): they
 * are made and removed, what skips whole branches sees them, and to all others the tree is as if
 * there were none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#if HAS_ADDRESS_SANITIZER
enum { ROUNDS = 40 };
#else
enum { ROUNDS = 400 };
#endif

static char everything[] = "/";
static struct policy_set policies = { .subtree = everything };
static struct victim_result result;

static int setup(void **state)
{
	static struct census census;

	*state = &census;
	return census_init(&census, -1, NULL, &exact_accuracy, &policies);
}

static int teardown(void **state)
{
	census_done(*state);
	victim_done(&result);
	return 0;
}

static void read_as(struct census *census, struct census_process *process, uint64_t bytes,
		    uint64_t allocated)
{
	struct proc_memory memory = { .anon = bytes };

	census_set_memory(census, process, &memory, allocated, USEC_PER_SEC);
	census_put_memory(census, process, &memory, (uint64_t)process->pid % 5 * KIB);
}

static struct census_process *add(struct census *census, pid_t pid, const char *cgroup,
				  uint64_t bytes)
{
	struct census_process *process = census_add(census, pid, (uint64_t)pid);

	assert_non_null(process);
	process->state = 'S';
	process->n_threads = 1;
	assert_int_equal(census_attach(census, process, cgroup), 0);
	read_as(census, process, bytes, 0);
	return process;
}

/* In a cgroup of its own below `above`. */
static struct census_process *add_apart(struct census *census, pid_t pid, const char *above,
					uint64_t bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%d", above, pid);
	return add(census, pid, path, bytes);
}

static bool is_bucket(const struct census_node *node)
{
	return node->kind == CENSUS_BUCKET_OF || node->kind == CENSUS_BUCKET_OF_CGROUPS;
}

struct found {
	size_t n_nodes, n_cgroups, n_buckets; /* buckets of cgroups */
	uint64_t anon, other, error;
};

/* All that must hold for a node and what is below it; what there is is added to *found. */
static void check_below(const struct census_node *node, struct found *found)
{
	const struct census_branch *branch = (const struct census_branch *)node;
	struct found below = { 0 };
	const struct census_node *child;
	unsigned n_processes = 0, n_cgroups = 0, n_buckets = 0;

	found->n_nodes++;
	found->n_cgroups += node->kind == CENSUS_CGROUP;
	found->n_buckets += node->kind == CENSUS_BUCKET_OF_CGROUPS;
	if (node->kind == CENSUS_PROCESS) {
		found->anon += ((const struct census_process *)node)->memory.anon;
		found->other += ((const struct census_process *)node)->memory.pagetables;
		found->error += ((const struct census_process *)node)->counting_error;
		return;
	}
	census_for_each_below(child, node) {
		assert_true(child->kind > CENSUS_MACHINE);
		assert_false(is_bucket(node) && is_bucket(child));
		n_processes += child->kind == CENSUS_PROCESS;
		n_cgroups += child->kind == CENSUS_CGROUP;
		n_buckets += is_bucket(child);
		assert_true(child->reach_max <= node->reach_max);
		assert_true(child->weight_max <= node->weight_max);
		assert_true(child->estimate_max <= node->estimate_max);
		check_below(child, &below);
	}
	assert_int_equal(n_processes, branch->n_processes);
	assert_int_equal(n_cgroups, branch->n_cgroups);
	assert_int_equal(n_buckets, branch->n_buckets);
	assert_in_range(n_processes, 0, CENSUS_BUCKET);
	assert_in_range(n_cgroups, 0, CENSUS_BUCKET);
	if (node->kind != CENSUS_MACHINE)
		assert_true(n_processes + n_cgroups + n_buckets > 0);
	assert_true(tally_sum(&branch->tally, TALLY_ANON) == below.anon);
	assert_true(tally_sum(&branch->tally, TALLY_OTHER) == below.other);
	assert_true(census_error_of(node) == below.error);
	found->n_nodes += below.n_nodes;
	found->n_cgroups += below.n_cgroups;
	found->n_buckets += below.n_buckets;
	found->anon += below.anon;
	found->other += below.other;
	found->error += below.error;
}

/* As what does not skip sees it: no bucket of cgroups, and each cgroup below the one it names. */
static size_t count_through(const struct census_node *node)
{
	const char *path =
		node->kind == CENSUS_MACHINE ? "" : ((const struct census_cgroup *)node)->path;
	const struct census_node *child;
	size_t n = 0;

	census_for_each_child(child, node) {
		const struct census_cgroup *cgroup = (const struct census_cgroup *)child;

		assert_int_not_equal(child->kind, CENSUS_BUCKET_OF_CGROUPS);
		if (child->kind != CENSUS_CGROUP)
			continue;
		assert_ptr_equal(census_above(cgroup), node);
		assert_int_equal(strncmp(cgroup->path, path, strlen(path)), 0);
		assert_null(strchr(cgroup->path + strlen(path) + 1, '/'));
		n += 1 + count_through(child);
	}
	return n;
}

static struct found check(const struct census *census)
{
	struct found found = { 0 };

	check_below(&census->machine, &found);
	assert_int_equal(found.n_nodes, census->n_nodes);
	assert_int_equal(found.n_cgroups, census->paths.n);
	assert_int_equal(count_through(&census->machine), census->paths.n);
	return found;
}

static void test_buckets_are_made_for_many_and_removed_for_few(void **state)
{
	static const struct {
		unsigned n_before, n_dropped, n_buckets;
	} rows[] = {
		{ 1, 0, 0 },	 { 64, 0, 0 },	  { 65, 0, 1 },	     { 128, 0, 1 },
		{ 129, 0, 2 },	 { 640, 0, 9 },	  { 65, 32, 1 },     { 65, 33, 0 },
		{ 129, 64, 1 },	 { 65, 65, 0 },	  { 640, 500, 2 },   { 640, 600, 0 },
		{ 640, 640, 0 }, { 5000, 0, 78 }, { 5000, 4999, 0 },
	};
	static const char *const above[] = { "", "/a", "/a/b" };

	for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(above); i++) {
		struct census *census = *state;
		size_t k = i / ARRAY_SIZE(above);
		struct found found;

		for (unsigned n = 0; n < rows[k].n_before; n++)
			(void)add_apart(census, (pid_t)(100 + n), above[i % ARRAY_SIZE(above)],
					MIB);
		(void)check(census);
		for (unsigned n = 0; n < rows[k].n_dropped; n++)
			census_drop(census, census_find(census, (pid_t)(100 + n)));
		found = check(census);
		assert_int_equal(found.anon, (rows[k].n_before - rows[k].n_dropped) * MIB);
		if (found.n_buckets != rows[k].n_buckets)
			fail_msg("row %zu: %zu buckets", k, found.n_buckets);
		teardown(state);
		setup(state);
	}
}

/* Nothing is kept back on the way: the interval of the machine is as wide as the errors of its
 * processes and what was allocated since. */
static void test_interval_is_as_wide_as_the_errors(void **state)
{
	struct census *census = *state;
	struct interval interval;
	uint64_t sum = 0, error = 0;

	for (pid_t pid = 1; pid <= 640; pid++) {
		struct proc_memory memory = { .anon = pid * 4 * KIB,
					      .swap = 8 * KIB,
					      .shmem = 4 * KIB,
					      .pagetables = pid * KIB };

		census_put_memory(census, add_apart(census, pid, pid % 2 ? "/a/b/c" : "", MIB),
				  &memory, pid % 3 * KIB);
		sum += proc_mapped(&memory);
		error += pid % 3 * KIB;
	}
	assert_true(error > 0 && error < sum);
	census_recompute_bounds(census, 0);
	interval = census_node_interval(census, &census->machine, 0);
	assert_true(interval.lo == sum - error);
	assert_true(interval.hi == sum + error);
	interval = census_node_interval(census, &census->machine, MIB);
	assert_true(interval.lo == 0);
	assert_true(interval.hi == sum + error + MIB);
}

static const char *anywhere(unsigned *seed)
{
	static const char *const before[] = { "", "/a", "/a/b" }, *const after[] = { "", "/c",
										     "/d" };
	static char path[64];

	if (rand_r(seed) % 20 == 0)
		return "/a";
	snprintf(path, sizeof(path), "%s/%u%s", before[(unsigned)rand_r(seed) % ARRAY_SIZE(before)],
		 (unsigned)rand_r(seed) % 300,
		 rand_r(seed) % 4 ? "" : after[(unsigned)rand_r(seed) % ARRAY_SIZE(after)]);
	return path;
}

/* Cgroups appear, are removed, and are left by their processes. */
static void test_tree_stays_whole(void **state)
{
	enum { N = 600 };
	struct census *census = *state;
	unsigned seed = 4711;
	size_t n_most = 0;

	print_message("seed %u\n", seed);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned is_dropped = (unsigned)rand_r(&seed) % 100;
		struct found found;

		for (int i = 0; i < N / 2; i++) {
			pid_t pid = 1 + rand_r(&seed) % N;
			struct census_process *process = census_find(census, pid);

			if (process && (unsigned)rand_r(&seed) % 100 < is_dropped) {
				census_drop(census, process);
			} else if (process) {
				assert_int_equal(census_attach(census, process, anywhere(&seed)),
						 0);
				read_as(census, process, (uint64_t)rand_r(&seed) % GIB, 0);
			} else {
				(void)add(census, pid, anywhere(&seed), (uint64_t)rand_r(&seed));
			}
		}
		if (round % 3 == 0)
			census_recompute_bounds(census, 0);
		found = check(census);
		n_most = found.n_buckets > n_most ? found.n_buckets : n_most;
	}
	assert_true(n_most > 3);
	for (pid_t pid = 1; pid <= N; pid++)
		if (census_find(census, pid))
			census_drop(census, census_find(census, pid));
	assert_int_equal(check(census).n_nodes, 1);
	assert_int_equal(census->paths.n, 0);
}

#if FAIL_MALLOC_WORKS
static void test_no_memory_for_a_bucket(void **state)
{
	struct census *census = *state;
	struct census_process *process;

	for (pid_t pid = 1; pid <= 64; pid++)
		(void)add_apart(census, pid, "/a", MIB);
	process = census_add(census, 65, 65);
	for (unsigned allowed = 0; allowed < 2; allowed++) {
		fail_malloc = true;
		n_mallocs_allowed = allowed; /* the bucket, then the cgroup */
		assert_int_equal(census_attach(census, process, "/a/65"), -ENOMEM);
		fail_malloc = false;
		assert_int_equal(check(census).n_buckets, allowed);
	}
	assert_int_equal(census_attach(census, process, "/a/65"), 0);
	assert_int_equal(check(census).n_cgroups, 66);
}

#endif

/* What each of the processes has now, by pid. */
static uint64_t truth[10002];

static int read_truth(const struct census_process *process, struct victim_reading *ret,
		      void *userdata)
{
	*ret = (struct victim_reading){
		.memory.anon = truth[process->pid],
		.oom_score_adj = process->oom_score_adj,
	};
	return 0;
}

static int reread_truth(struct census *census, struct census_process *process, void *userdata)
{
	read_as(census, process, truth[process->pid], *(const uint64_t *)userdata);
	return 0;
}

static const struct victim_candidate *choose(struct census *census, enum policy_target target,
					     uint64_t allocated)
{
	struct victim_request request = {
		.target = target,
		.allocated = allocated,
		.total = 16 * GIB,
		.now = 1000 * USEC_PER_SEC,
		.self = 1 << 20,
	};
	struct victim_reader reader = { read_truth, reread_truth, &allocated };

	assert_int_equal(victim_reserve(&result, census), 0);
	victim_choose(census, &request, &reader, &result);
	assert_int_equal(result.n_ranked > 0, census->n_candidates > 0);
	assert_false(result.approximate);
	return &result.ranked[0];
}

/* Of its own processes. */
static uint64_t truth_of_cgroup(const struct census *census, const struct census_cgroup *cgroup)
{
	const struct census_process *process;
	uint64_t sum = 0;

	census_for_each(census, process)
		if (census_cgroup_of(process) == cgroup)
			sum += truth[process->pid];
	return sum;
}

static uint64_t best_of_cgroups(const struct census *census)
{
	const struct census_cgroup *cgroup;
	uint64_t best = 0;

	for (size_t i = 0; i < census->paths.n_lists; i++)
		for (cgroup = census->paths.lists[i]; cgroup; cgroup = cgroup->next_by_path)
			best = max_u64(best, truth_of_cgroup(census, cgroup));
	return best;
}

/* Some have grown since they were read. */
static void test_choice_is_that_of_brute_force(void **state)
{
	enum { FIRST = 2, N = 300 }; /* 1 is init */
	unsigned seed = 1789;
	size_t n_bucketd = 0;

	print_message("seed %u\n", seed);
	for (int round = 0; round < ROUNDS; round++) {
		struct census *census = *state;
		const struct victim_candidate *victim;
		uint64_t best = 0, score, allocated = 0;

		for (pid_t pid = FIRST; pid <= N; pid++) {
			uint64_t bytes = (uint64_t)rand_r(&seed) % (pid % 8 ? 64 * MIB : GIB);

			(void)add(census, pid, anywhere(&seed), bytes);
			truth[pid] = bytes;
		}
		for (int i = rand_r(&seed) % 60; i > 0; i--) {
			pid_t pid = FIRST + rand_r(&seed) % (N - FIRST + 1);
			uint64_t more = (uint64_t)rand_r(&seed) % (64 * MIB);

			if (!census_find(census, pid))
				continue;
			if (i % 4 == 0) {
				census_drop(census, census_find(census, pid));
				truth[pid] = 0;
				continue;
			}
			truth[pid] += more;
			allocated += more;
		}
		n_bucketd += check(census).n_buckets > 0;
		for (pid_t pid = FIRST; pid <= N; pid++)
			best = max_u64(best, truth[pid]);
		score = truth[choose(census, POLICY_TARGET_PROCESS, allocated)->process->pid];
		if (score < best - VICTIM_NEAR(best))
			fail_msg("round %d: %llu chosen, %llu was there", round,
				 (unsigned long long)score, (unsigned long long)best);
		victim = choose(census, POLICY_TARGET_CGROUP, allocated);
		assert_non_null(victim->cgroup);
		if (truth_of_cgroup(census, victim->cgroup) != best_of_cgroups(census))
			fail_msg("round %d: %s with %llu, %llu was there", round,
				 victim->cgroup->path,
				 (unsigned long long)truth_of_cgroup(census, victim->cgroup),
				 (unsigned long long)best_of_cgroups(census));
		teardown(state);
		setup(state);
	}
	assert_true(n_bucketd > ROUNDS / 2);
}

/* Two in each of 5,000: what a choice reads is a small part of that, wherever the largest is. */
static void test_choice_among_five_thousand(void **state)
{
	static const pid_t largest[] = { 2, 3, 4999, 5000, 9999, 10001 };
	struct census *census = *state;
	uint64_t allocated = 0;

	for (pid_t pid = 2; pid <= 10001; pid++) {
		char path[32];

		snprintf(path, sizeof(path), "/containers/%d", pid / 2);
		truth[pid] = 200 * KIB;
		(void)add(census, pid, path, truth[pid]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(largest); i++) {
		truth[largest[i]] = (i + 1) * 256 * MIB;
		read_as(census, census_find(census, largest[i]), truth[largest[i]], allocated);
		assert_int_equal(choose(census, POLICY_TARGET_PROCESS, allocated)->process->pid,
				 largest[i]);
		assert_in_range(result.n_visited, 1, 1000);
		assert_int_equal(census_cgroup_of(census_find(census, largest[i])) ==
					 choose(census, POLICY_TARGET_CGROUP, allocated)->cgroup,
				 true);
	}
	/* After so much was allocated that any of them may be the largest. */
	allocated = 4 * GIB;
	truth[7777] = 3 * GIB;
	assert_int_equal(choose(census, POLICY_TARGET_PROCESS, allocated)->process->pid, 7777);
	assert_int_equal(result.n_rereads, 10000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_buckets_are_made_for_many_and_removed_for_few),
		TEST(test_interval_is_as_wide_as_the_errors),
		TEST(test_tree_stays_whole),
#if FAIL_MALLOC_WORKS
		TEST(test_no_memory_for_a_bucket),
#endif
		TEST(test_choice_is_that_of_brute_force),
		TEST(test_choice_among_five_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
