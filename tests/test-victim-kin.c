/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-victim-kin: how much is read to tell relatives apart where there are thousands. */
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_WORKERS  5000
#define WORKER_MIB 8
#define FIRST_PID  300
/* Two files for each of 256 pairs, and those of the processes that are measured. */
#define READS_MAX (2 * 256 + 200)

static unsigned n_stats;

int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret);
int __wrap_proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	n_stats++;
	*ret = (struct proc_stat){ .start_ticks = 1000, .stack_start = 7 };
	return 0;
}

/* All but a quarter is shared with the others. */
static int read_share(const struct census_process *process, struct victim_reading *ret,
		      void *userdata)
{
	struct proc_memory memory = { .anon = process->memory.anon };

	(void)userdata;
	*ret = (struct victim_reading){
		.memory = memory,
		.has_reclaimable = true,
		.reclaimable = { .full = memory,
				 .anon = memory.anon / 4,
				 .alone = memory.anon / 4 },
	};
	return 0;
}

static void add(struct census *census, pid_t pid, uint64_t bytes)
{
	struct census_process *process = census_add(census, pid, 1000);
	const struct proc_memory memory = { .anon = bytes };

	assert_non_null(process);
	process->state = 'S';
	process->n_threads = 1;
	process->session = 100;
	process->ppid = 100;
	process->code_pages = 9;
	assert_int_equal(census_attach(census, process, "/workers"), 0);
	census_update_eligibility(census, process);
	census_set_memory(census, process, &memory, 0, USEC_PER_SEC);
}

/* So much was allocated since that each of them may be the largest. */
static void test_reads_of_a_large_family_are_bounded(void **state)
{
	static char everything[] = "/";
	static const struct {
		uint64_t min_victim; /* MiB */
		unsigned reads_max;
	} rows[] = {
		{ 0, READS_MAX }, { WORKER_MIB + 1, READS_MAX - 2 * 256 }, /* none is worth it */
	};
	const struct victim_reader reader = { .precise = read_share };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy_set policies = { .subtree = everything };
		struct victim_result result = { 0 };
		const struct victim_request request = {
			.allocated = 10 * GIB,
			.min_victim = rows[i].min_victim * MIB,
			.now = 2 * USEC_PER_SEC,
		};
		struct census census;

		assert_int_equal(census_init(&census, -1, NULL, &exact_accuracy, &policies), 0);
		for (unsigned k = 0; k < N_WORKERS; k++)
			add(&census, (pid_t)(FIRST_PID + k), WORKER_MIB * MIB);
		assert_int_equal(victim_reserve(&result, &census), 0);
		n_stats = 0;
		victim_choose(&census, &request, &reader, &result);
		print_message("%u files are read\n", n_stats);
		assert_true(result.n_reads > 0);
		assert_in_range(n_stats, 0, rows[i].reads_max);
		victim_done(&result);
		census_done(&census);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_of_a_large_family_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
