/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: kinds that were killed without effect are skipped where there is another. */
#include <stddef.h>
#include <stdint.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Four processes, each in a cgroup of its own, and what is known against them. */
struct known {
	uint64_t sizes[4]; /* MiB; 0: not there */
	bool consecutive[4], of_kind[4];
	pid_t victim;
	pid_t skipped; /* 0: none */
	enum backoff_verdict skipped_for;
	bool spends; /* what is known of a kind */
};

static void know(struct machine *machine, const struct known *known, struct backoff *backoff)
{
	machine_init(machine, ARRAY_SIZE(known->sizes));
	for (size_t i = 0; i < machine->n; i++) {
		struct census_process *process = machine->processes[i];
		struct backoff_seen seen = {
			.pid = process->pid,
			.start_ticks = process->start_ticks,
		};
		char path[] = "/n";

		path[1] = (char)('0' + i);
		assert_int_equal(census_attach(&machine->census, process, path), 0);
		census_update_eligibility(&machine->census, process);
		set(machine, i, known->sizes[i] * MIB, known->sizes[i] * MIB);
		if (known->sizes[i] == 0)
			set_adj(machine, i, -1000);
		if (known->consecutive[i])
			backoff_add(backoff, BACKOFF_UNKILLABLE, &seen, 0);
		if (known->of_kind[i])
			backoff_add_kind(backoff,
					 &(struct backoff_subject){ .comm = "", .cgroup = path }, 1,
					 0, 999 * USEC_PER_SEC);
	}
}

static const struct known skipped_rows[] = {
	{ { 800, 200 }, { 0 }, { 0 }, 100, 0 },
	/* Never in two consecutive choices, be the other as small as it may; but rather
	 * than no victim. */
	{ { 800, 200 }, { true }, { 0 }, 101, 100, BACKOFF_CONSECUTIVE, false },
	{ { 800, 1 }, { true }, { 0 }, 101, 100, BACKOFF_CONSECUTIVE, false },
	{ { 800 }, { true }, { 0 }, 100, 0 },
	/* An ineffective kind: for an eighth of it, not for less. */
	{ { 800, 200 }, { 0 }, { true }, 101, 100, BACKOFF_SIMILAR, true },
	{ { 800, 100 }, { 0 }, { true }, 101, 100, BACKOFF_SIMILAR, true },
	{ { 800, 99 }, { 0 }, { true }, 100, 0 },
	{ { 800 }, { 0 }, { true }, 100, 0 },
	/* All are of it: as if nothing were known. */
	{ { 800, 700 }, { 0 }, { true, true }, 100, 0 },
	/* It would not have been its turn. */
	{ { 800, 700 }, { 0 }, { false, true }, 100, 0 },
	/* The larger of two kinds is what counts. */
	{ { 800, 700, 90 }, { 0 }, { true, true }, 100, 0 },
	{ { 800, 700, 100 }, { 0 }, { true, true }, 102, 100, BACKOFF_SIMILAR, true },
	/* The one that failed last is after all others, of whatever kind. */
	{ { 800, 700 }, { true }, { false, true }, 101, 100, BACKOFF_CONSECUTIVE, false },
	{ { 800, 700, 90 }, { true }, { false, true }, 102, 100, BACKOFF_CONSECUTIVE, true },
	{ { 700, 800, 100 }, { true }, { false, true }, 102, 101, BACKOFF_SIMILAR, true },
	{ { 800, 700, 80 }, { true }, { false, true }, 101, 100, BACKOFF_CONSECUTIVE, false },
};

static void test_choose_skips_if_there_is_another(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(skipped_rows); i++) {
		struct backoff backoff = { 0 };
		struct machine machine;
		struct victim_request request = {
			.now = 1000 * USEC_PER_SEC,
			.backoff = &backoff,
		};
		pid_t skipped;

		know(&machine, &skipped_rows[i], &backoff);
		for (int target = 0; target < 2; target++) { /* a cgroup each: the same for both */
			request.target = target ? POLICY_TARGET_CGROUP : POLICY_TARGET_PROCESS;
			choose_for(&machine, &request);
			assert_true(result.n_ranked > 0);
			if (target) {
				assert_int_equal(result.ranked[0].cgroup->path[1],
						 '0' + skipped_rows[i].victim - FIRST_PID);
				continue;
			}
			skipped = result.skipped.node ? result.skipped.process->pid : 0;
			if (result.ranked[0].process->pid != skipped_rows[i].victim ||
			    skipped != skipped_rows[i].skipped)
				fail_msg("row %zu: %d, not %d", i, result.ranked[0].process->pid,
					 skipped);
			assert_int_equal(result.skipped_for, skipped_rows[i].skipped_for);
			assert_int_equal(result.skipped_kinds != 0, skipped_rows[i].spends);
		}
		machine_done(&machine);
	}
}

static void test_choose_passes_over_each_kind_once(void **state)
{
	static const struct known known = { { 800, 700, 600, 500 }, { 0 }, { true, true } };
	struct backoff backoff = { 0 };
	struct victim_request request = { .now = 1000 * USEC_PER_SEC, .backoff = &backoff };
	struct machine machine;

	know(&machine, &known, &backoff);
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, 102);
	backoff_spend(&backoff, result.skipped_kinds); /* both were in front of it */
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, 100);
	assert_null(result.skipped.node);
	machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_skips_if_there_is_another),
		cmocka_unit_test(test_choose_passes_over_each_kind_once),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
