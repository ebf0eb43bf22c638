/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-victim-cgroup: a cgroup counts for what its processes hold together, shared pages once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_MEMBERS_MAX 40
#define MEMBER_MIB    200

static const struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";

struct row {
	const char *what;
	unsigned n_members;   /* of MEMBER_MIB each */
	unsigned fair_mib;    /* of each */
	unsigned leak_mib;    /* in another cgroup, its own */
	bool is_measured;     /* in watch; else the choice has to */
	bool is_unreadable;   /* no share can be measured */
	bool are_strangers;   /* each is of another program, so that none stands for another */
	unsigned machine_mib; /* that it has in all; 0: not known */
	bool expects_leak;
	unsigned estimate_mib; /* of the best; 0: not compared */
};

struct machine {
	const struct row *row;
	struct policy_set policies;
	struct census census;
	struct census_process *members[N_MEMBERS_MAX], *leak;
	unsigned n_reads;
};

static bool is_member(const struct machine *machine, const struct census_process *process)
{
	return process != machine->leak;
}

static int read_share(const struct census_process *process, struct victim_reading *ret,
		      void *userdata)
{
	struct machine *machine = userdata;
	uint64_t mapped = proc_mapped(&process->memory);
	uint64_t fair = is_member(machine, process) ? machine->row->fair_mib * MIB : mapped;

	machine->n_reads++;
	if (machine->row->is_unreadable)
		return -EACCES;
	*ret = (struct victim_reading){
		.memory = { .anon = mapped },
		.has_reclaimable = true,
		.reclaimable = { .anon = fair,
				 .alone = sub_u64(2 * fair, mapped),
				 .rss_anon = mapped,
				 .full = { .anon = mapped } },
	};
	return 0;
}

static int reread(struct census *census, struct census_process *process, void *userdata)
{
	struct proc_memory memory = process->memory;

	(void)userdata;
	census_set_memory(census, process, &memory, 0, USEC_PER_SEC);
	return 0;
}

static struct census_process *add(struct machine *machine, pid_t pid, const char *cgroup,
				  unsigned mib, unsigned program)
{
	struct census_process *process = census_add(&machine->census, pid, 1000);
	struct proc_memory memory = { .anon = mib * MIB };

	assert_non_null(process);
	process->state = 'S';
	process->n_threads = 1;
	process->session = 100;
	process->ppid = 100;
	process->code_pages = program;
	assert_int_equal(census_attach(&machine->census, process, cgroup), 0);
	census_update_eligibility(&machine->census, process);
	census_set_memory(&machine->census, process, &memory, 0, USEC_PER_SEC);
	return process;
}

static void measure(struct machine *machine, const struct victim_request *request,
		    struct census_process *process)
{
	struct victim_reading reading;

	assert_int_equal(read_share(process, &reading, machine), 0);
	process->is_unit = victim_apply_share(&machine->census, process, request, &reading);
	process->alone = (float)reading.reclaimable.alone;
	process->fair_share = (float)reclaimable_total(&reading.reclaimable);
	census_set_memory(&machine->census, process, &reading.memory, 0, USEC_PER_SEC);
}

static void machine_init(struct machine *machine, const struct row *row,
			 const struct victim_request *request)
{
	*machine = (struct machine){ .row = row, .policies.subtree = everything };
	assert_int_equal(census_init(&machine->census, -1, NULL, &exact, &machine->policies), 0);
	machine->leak = add(machine, 200, "/leak", row->leak_mib, 7);
	for (unsigned i = 0; i < row->n_members; i++)
		machine->members[i] = add(machine, (pid_t)(300 + i), "/group", MEMBER_MIB,
					  row->are_strangers ? 20 + i : 9);
	for (unsigned i = 0; row->is_measured && i < row->n_members; i++)
		measure(machine, request, machine->members[i]);
	if (row->machine_mib > 0) {
		machine->census.totals.is_known = true;
		machine->census.totals.anon = row->machine_mib * MIB;
	}
}

static void test_counts_what_is_shared_once(void **state)
{
	static const struct row rows[] = {
		{ "a server of 20, measured", 20, 10, 300, .is_measured = true,
		  .expects_leak = true, .estimate_mib = 300 },
		{ "it has more than the leak", 20, 20, 300, .is_measured = true,
		  .estimate_mib = 400 },
		{ "a server of 20", 20, 10, 300, .expects_leak = true, .estimate_mib = 300 },
		{ "of 20, more than the leak", 20, 20, 300, .estimate_mib = 400 },
		{ "of 40, of which none is measured", 40, 5, 300, .expects_leak = true },
		{ "they share nothing", 20, 200, 300, .estimate_mib = 4000 },
		{ "nor do strangers", 4, 200, 700, .are_strangers = true, .estimate_mib = 800 },
		{ "strangers that share", 4, 50, 300, .are_strangers = true, .expects_leak = true },
		{ "one that shares with another cgroup", 1, 100, 150, .expects_leak = true },
		{ "no more than the machine has", 20, 200, 300, .is_unreadable = true,
		  .machine_mib = 900, .estimate_mib = 900 + CENSUS_SLACK / MIB },
	};
	const struct victim_reader reader = { .precise = read_share, .reread = reread };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct victim_request request = { .target = POLICY_TARGET_CGROUP,
							.now = USEC_PER_SEC };
		struct victim_result result = { 0 };
		struct victim_reader of_row = reader;
		struct machine machine;
		const char *path;

		machine_init(&machine, &rows[i], &request);
		of_row.userdata = &machine;
		machine.n_reads = 0;
		assert_int_equal(victim_reserve(&result, &machine.census), 0);
		victim_choose(&machine.census, &request, &of_row, &result);
		if (result.n_ranked == 0 || !result.ranked[0].cgroup)
			fail_msg("%s: no cgroup was chosen", rows[i].what);
		path = result.ranked[0].cgroup->path;
		if (strcmp(path, rows[i].expects_leak ? "/leak" : "/group") != 0)
			fail_msg("%s: %s was chosen, of %llu MiB", rows[i].what, path,
				 (unsigned long long)(result.ranked[0].estimate / MIB));
		if (rows[i].estimate_mib > 0 &&
		    result.ranked[0].estimate / MIB != rows[i].estimate_mib)
			fail_msg("%s: %llu MiB", rows[i].what,
				 (unsigned long long)(result.ranked[0].estimate / MIB));
		assert_true(machine.n_reads <= VICTIM_MAX_READS);
		victim_done(&result);
		census_done(&machine.census);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_what_is_shared_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
