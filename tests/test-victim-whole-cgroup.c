/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: which cgroup is chosen where the policy kills cgroups. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static char subtree_path[16];

/* What the hierarchy is for: one leak, and a thousand idle processes in fifty groups. */
static void test_choose_skips_whole_groups(void **state)
{
	struct victim_request request = { .rank_by = POLICY_RANK_BY_FOOTPRINT };
	struct proc_memory memory = { .anon = 200 * KIB };
	struct machine machine;
	char path[32];

	machine_init(&machine, 1);
	set(&machine, 0, 500 * MIB, 500 * MIB);
	for (int i = 0; i < 1000; i++) {
		struct census_process *process = census_add(&machine.census, 5000 + i, 1);

		snprintf(path, sizeof(path), "/b.slice/%d", i % 50);
		assert_non_null(process);
		census_attach(&machine.census, process, path);
		census_set_memory(&machine.census, process, &memory, 0, 1);
	}
	census_recompute_bounds(&machine.census, 0);
	request.allocated = 20 * MIB;
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, FIRST_PID);
	assert_int_equal(result.n_reads, 1);
	assert_true(result.n_visited < 10); /* two slices, and what is in the one */
	machine_done(&machine);
}

/* By the counters, so that the processes of few cgroups are added up; but what is listed is listed
 * by what is eligible, of which the counters know nothing. */
static void test_choose_adds_up_few_cgroups(void **state)
{
	enum { N = 60, WANTED = 4 };
	static const struct rule protection = { .kind = RULE_PROTECT };
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = WANTED };
	struct proc_memory mixed = { .anon = 10 * MIB, .swap = 20 * MIB, .shmem = 30 * MIB };
	struct machine machine;
	char path[32];

	machine_init(&machine, N);
	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/s.slice/%zu", i);
		census_attach(&machine.census, machine.processes[i], path);
		set(&machine, i, (10 + i) * MIB, (10 + i) * MIB);
	}
	/* The second largest by counters, with what is spared. */
	census_attach(&machine.census, machine.processes[0], "/s.slice/2");
	set(&machine, 0, 56 * MIB + MIB / 2, 56 * MIB + MIB / 2);
	machine.processes[0]->protected_by = &protection;
	census_update_eligibility(&machine.census, machine.processes[0]);
	mixed.pagetables = 67 * MIB - proc_mapped(&mixed);
	census_set_memory(&machine.census, machine.processes[57], &mixed, machine.allocated, 1);
	request.allocated = machine.allocated;
	census_recompute_bounds(&machine.census, machine.allocated);

	choose_for(&machine, &request);
	assert_int_equal(result.n_ranked, WANTED);
	for (unsigned i = 0; i < WANTED; i++) {
		snprintf(path, sizeof(path), "/s.slice/%u", N - 1 - i);
		assert_string_equal(result.ranked[i].cgroup->path, path);
		assert_int_equal(result.ranked[i].estimate, (69 - i) * MIB);
	}
	assert_in_range(result.n_summed, WANTED, N / 2);
	machine_done(&machine);
}

/* The root is not killed, what is in it is; a zombie keeps no cgroup alive; a rule about names says
 * nothing of a cgroup, though its pattern matches everything (and regexec(3) would allocate). */
static void test_choose_weighs_cgroups_by_cgroup_alone(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
	struct machine machine;
	struct rule *rule;

	machine_init(&machine, 4);
	rule = policy_set_rule(&machine.policies, RULE_PREFER, "all");
	assert_int_equal(rule_set_comm(rule, ".*", NULL, 0), 0);
	rule->weight = 100;
	rule = policy_set_rule(&machine.policies, RULE_PREFER, "y");
	rule->cgroup = strdup("/y");
	rule->weight = 3;
	census_attach(&machine.census, machine.processes[0], "/");
	set(&machine, 0, 900 * MIB, 900 * MIB);
	census_attach(&machine.census, machine.processes[1], "/x");
	set(&machine, 1, 100 * MIB, 100 * MIB);
	census_attach(&machine.census, machine.processes[2], "/y");
	set(&machine, 2, 50 * MIB, 50 * MIB);
	census_attach(&machine.census, machine.processes[3], "/y");
	set(&machine, 3, 0, 0);
	machine.processes[3]->state = 'Z';
	request.allocated = machine.allocated;

	choose_for(&machine, &request);
	assert_int_equal(result.n_ranked, 3);
	assert_null(result.ranked[0].cgroup);
	assert_int_equal(result.ranked[0].process->pid, FIRST_PID);
	assert_int_equal(result.ranked[0].estimate, 900 * MIB);
	assert_string_equal(result.ranked[1].cgroup->path, "/y");
	assert_int_equal(result.ranked[1].estimate, 150 * MIB);
	assert_string_equal(result.ranked[2].cgroup->path, "/x");
	assert_int_equal(result.ranked[2].estimate, 100 * MIB);
	machine_done(&machine);
	machine.policies.subtree = NULL; /* not on the heap */
	policy_set_done(&machine.policies);
}

/* Directly in the root or in the subtree: single processes beside the cgroups, which are never
 * killed as a whole, be there cgroups below or not. */
static void test_choose_takes_single_processes_of_a_top(void **state)
{
	static const struct {
		const char *subtree;
		struct {
			const char *cgroup;
			uint64_t mib;
			int adj;
		} processes[6];
		const char *victim; /* a cgroup; NULL: the first process */
		unsigned n_ranked;
	} rows[] = {
		{ "/", { { "/", 300, 0 }, { "/a", 100, 0 }, { "/b", 90, 0 } }, NULL, 3 },
		{ "/s", { { "/s", 300, 0 }, { "/s/a", 100, 0 }, { "/s/b", 90, 0 } }, NULL, 3 },
		/* each for itself */
		{ "/s", { { "/s", 90, 0 }, { "/s", 80, 0 }, { "/s/a", 100, 0 } }, "/s/a", 3 },
		{ "/s", { { "/s", 90, 0 }, { "/s/a", 50, 0 }, { "/s/a", 50, 0 } }, "/s/a", 2 },
		{ "/s", { { "/s", 110, 0 }, { "/s/a", 50, 0 }, { "/s/a", 50, 0 } }, NULL, 2 },
		/* without cgroups below */
		{ "/s", { { "/s", 90, 0 }, { "/s", 80, 0 } }, NULL, 2 },
		{ "/", { { "/", 90, 0 }, { "/", 80, 0 } }, NULL, 2 },
		/* as with Target=process: by its oom_score_adj, or not at all */
		{ "/s", { { "/s", 300, -800 }, { "/s/a", 100, 0 } }, "/s/a", 2 },
		{ "/s", { { "/s", 300, -1000 }, { "/s/a", 100, 0 } }, "/s/a", 1 },
		{ "/s", { { "/s", 300, -950 }, { "/s/a", 100, 0 } }, "/s/a", 1 },
		{ "/s", { { "/s", 300, -950 }, { "/s/a", 200, -950 } }, NULL, 2 },
		{ "/s", { { "/s", 100, 0 }, { "/s", 900, -1000 }, { "/s/a", 90, 0 } }, NULL, 2 },
		/* outside of the subtree */
		{ "/s", { { "/s/a", 10, 0 }, { "/", 300, 0 }, { "/sa", 90, 0 } }, "/s/a", 1 },
		{ "/s/t", { { "/s/t", 10, 0 }, { "/s", 300, 0 }, { "/s/u", 90, 0 } }, NULL, 1 },
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
		const char *cgroup, *victim = rows[i / 2].victim;
		struct machine machine;
		size_t n = 0;

		while (n < 6 && rows[i / 2].processes[n].cgroup)
			n++;
		machine_init(&machine, n);
		snprintf(subtree_path, sizeof(subtree_path), "%s", rows[i / 2].subtree);
		machine.policies.subtree = subtree_path;
		machine.with_rereads = i % 2;
		for (size_t k = 0; k < n; k++) {
			uint64_t bytes = rows[i / 2].processes[k].mib * MIB;

			census_attach(&machine.census, machine.processes[k],
				      rows[i / 2].processes[k].cgroup);
			set_adj(&machine, k, rows[i / 2].processes[k].adj);
			set(&machine, k, bytes, bytes);
		}
		choose_for(&machine, &request);
		cgroup = result.ranked[0].cgroup ? result.ranked[0].cgroup->path : NULL;
		if (result.n_ranked != rows[i / 2].n_ranked || !cgroup != !victim ||
		    (cgroup ? strcmp(cgroup, victim) != 0
			    : result.ranked[0].process->pid != FIRST_PID))
			fail_msg("row %zu: %s of %u", i / 2, cgroup ? cgroup : "a process",
				 result.n_ranked);
		machine_done(&machine);
	}
}

static void test_choose_takes_a_cgroup_that_is_preferred_beyond_measure(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
	uint64_t huge = 32 * 1024 * GIB;
	struct machine machine;

	machine_init(&machine, 2);
	for (int i = 0; i < 2; i++) {
		struct rule *rule = policy_set_rule(&machine.policies, RULE_PREFER, i ? "b" : "a");

		rule->cgroup = strdup("/x");
		rule->weight = 1000;
		census_attach(&machine.census, machine.processes[i], i ? "/y" : "/x");
		set(&machine, (size_t)i, huge, huge);
	}
	machine.with_rereads = true;
	for (machine.read_result = 0; machine.read_result >= -EACCES;
	     machine.read_result -= EACCES) { /* read anew, and as it was counted before */
		choose_for(&machine, &request);
		assert_int_equal(result.n_ranked, 2);
		assert_string_equal(result.ranked[0].cgroup->path, "/x");
		assert_true(result.ranked[0].estimate == UINT64_MAX);
		assert_true(result.ranked[1].estimate == huge);
	}
	machine_done(&machine);
	machine.policies.subtree = NULL; /* not on the heap */
	policy_set_done(&machine.policies);
}

static void test_choose_takes_a_whole_cgroup(void **state)
{
	static const struct rule rule = { .kind = RULE_PROTECT };
	struct victim_request request = { .target = POLICY_TARGET_CGROUP };
	struct machine machine;

	machine_init(&machine, 7);
	census_attach(&machine.census, machine.processes[0], "/x/one");
	set(&machine, 0, 100 * MIB, 100 * MIB);
	/* Together more than that one; their slice is not offered, it has groups below. */
	census_attach(&machine.census, machine.processes[1], "/x/two");
	set(&machine, 1, 60 * MIB, 60 * MIB);
	census_attach(&machine.census, machine.processes[2], "/x/two");
	set(&machine, 2, 60 * MIB, 60 * MIB);
	/* The largest, but one in it may not be killed. */
	census_attach(&machine.census, machine.processes[3], "/y");
	set(&machine, 3, 500 * MIB, 500 * MIB);
	census_attach(&machine.census, machine.processes[4], "/y");
	set(&machine, 4, MIB, MIB);
	set_adj(&machine, 4, -1000);
	/* One that a rule protects is spared, however much it has: it is the rest that counts. */
	census_attach(&machine.census, machine.processes[5], "/z");
	set(&machine, 5, 300 * MIB, 300 * MIB);
	machine.processes[5]->protected_by = &rule;
	census_update_eligibility(&machine.census, machine.processes[5]);
	census_attach(&machine.census, machine.processes[6], "/z");
	set(&machine, 6, 110 * MIB, 110 * MIB);

	choose_for(&machine, &request);
	assert_non_null(result.ranked[0].cgroup);
	assert_string_equal(result.ranked[0].cgroup->path, "/x/two");
	assert_int_equal(result.ranked[0].estimate, 120 * MIB);
	assert_false(result.approximate);

	set(&machine, 6, 130 * MIB, 130 * MIB);
	choose_for(&machine, &request);
	assert_string_equal(result.ranked[0].cgroup->path, "/z");
	assert_int_equal(result.ranked[0].estimate, 130 * MIB);
	assert_ptr_equal(victim_leader(&machine.census, &request, result.ranked[0].node),
			 machine.processes[6]);
	machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_skips_whole_groups),
		cmocka_unit_test(test_choose_takes_single_processes_of_a_top),
		cmocka_unit_test(test_choose_takes_a_cgroup_that_is_preferred_beyond_measure),
		cmocka_unit_test(test_choose_takes_a_whole_cgroup),
		cmocka_unit_test(test_choose_adds_up_few_cgroups),
		cmocka_unit_test(test_choose_weighs_cgroups_by_cgroup_alone),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
