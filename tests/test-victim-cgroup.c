/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-victim-cgroup: a cgroup counts for what its processes hold together, shared pages once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#define N_MEMBERS_MAX 40
#define MEMBER_MIB    200

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
	unsigned frees_mib; /* the best one; 0: not compared */
};

struct machine {
	const struct row *row;
	struct policy_set policies;
	struct census census;
	struct census_process *members[N_MEMBERS_MAX], *leak;
	unsigned n_reads;
	struct victim_result result;
};

static const struct victim_request request = { .target = POLICY_TARGET_CGROUP,
					       .now = USEC_PER_SEC };

static bool is_member(const struct machine *machine, const struct census_process *process)
{
	return process != machine->leak;
}

static int read_share(const struct census_process *process, struct victim_reading *ret,
		      void *userdata)
{
	struct machine *machine = userdata;
	uint64_t mapped = proc_mapped(&process->memory);
	uint64_t own = sub_u64(mapped, MEMBER_MIB * MIB); /* what it has more than the others */
	uint64_t fair = is_member(machine, process) ? machine->row->fair_mib * MIB + own : mapped;

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
	struct proc_memory memory = { .anon = process->memory.anon };

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

static void measure(struct machine *machine, struct census_process *process)
{
	struct victim_reading reading;

	assert_int_equal(read_share(process, &reading, machine), 0);
	process->is_unit = victim_apply_share(&machine->census, process, &request, &reading);
	process->alone = (float)reading.reclaimable.alone;
	process->fair_share = (float)reclaimable_total(&reading.reclaimable);
	census_set_memory(&machine->census, process, &reading.memory, 0, USEC_PER_SEC);
}

static void machine_init(struct machine *machine, const struct row *row)
{
	*machine = (struct machine){ .row = row, .policies.subtree = everything };
	assert_int_equal(
		census_init(&machine->census, -1, NULL, &exact_accuracy, &machine->policies), 0);
	machine->leak = add(machine, 200, "/leak", row->leak_mib, 7);
	for (unsigned i = 0; i < row->n_members; i++)
		machine->members[i] = add(machine, (pid_t)(300 + i), "/group", MEMBER_MIB,
					  row->are_strangers ? 20 + i : 9);
	for (unsigned i = 0; row->is_measured && i < row->n_members; i++)
		measure(machine, machine->members[i]);
	if (row->machine_mib > 0) {
		machine->census.totals.is_known = true;
		machine->census.totals.anon = row->machine_mib * MIB;
	}
	assert_int_equal(victim_reserve(&machine->result, &machine->census), 0);
}

static void machine_done(struct machine *machine)
{
	victim_done(&machine->result);
	census_done(&machine->census);
}

static void choose(struct machine *machine, const char *expected, unsigned frees_mib)
{
	const struct victim_reader reader = { .precise = read_share,
					      .reread = reread,
					      .userdata = machine };
	struct victim_result *result = &machine->result;
	unsigned long long mib;

	machine->n_reads = 0;
	victim_choose(&machine->census, &request, &reader, result);
	if (result->n_ranked == 0 || !result->ranked[0].cgroup)
		fail_msg("%s: no cgroup was chosen", machine->row->what);
	mib = proc_reclaimable(&result->ranked[0].memory) / MIB;
	if (strcmp(result->ranked[0].cgroup->path, expected) != 0)
		fail_msg("%s: %s was chosen, of %llu MiB", machine->row->what,
			 result->ranked[0].cgroup->path, mib);
	if (frees_mib > 0 && mib != frees_mib)
		fail_msg("%s: %llu MiB", machine->row->what, mib);
	assert_true(machine->n_reads <= VICTIM_MAX_READS);
}

static void test_counts_what_is_shared_once(void **state)
{
	static const struct row rows[] = {
		{ "a server of 20, measured", 20, 10, 300, .is_measured = true,
		  .expects_leak = true, .frees_mib = 300 },
		{ "it has more than the leak", 20, 20, 300, .is_measured = true, .frees_mib = 400 },
		{ "a server of 20", 20, 10, 300, .expects_leak = true, .frees_mib = 300 },
		{ "of 20, more than the leak", 20, 20, 300, .frees_mib = 400 },
		{ "of 40, of which none is measured", 40, 5, 300, .expects_leak = true },
		{ "they share nothing", 20, 200, 300, .frees_mib = 4000 },
		{ "nor do strangers", 4, 200, 700, .are_strangers = true, .frees_mib = 800 },
		{ "strangers that share", 4, 50, 300, .are_strangers = true, .expects_leak = true },
		{ "one that shares with another cgroup", 1, 100, 150, .expects_leak = true },
		{ "no more than the machine has", 20, 200, 300, .is_unreadable = true,
		  .machine_mib = 900, .frees_mib = 900 + CENSUS_SLACK / MIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine machine;

		machine_init(&machine, &rows[i]);
		choose(&machine, rows[i].expects_leak ? "/leak" : "/group", rows[i].frees_mib);
		machine_done(&machine);
	}
}

/* What was measured or assumed of a process holds for what it had then. */
static void test_one_that_grows_is_measured_again(void **state)
{
	static const struct row row = { "one grows", 20, 10, 300 };
	const struct proc_memory grown = { .anon = 700 * MIB };
	const unsigned assumed_and_measured[] = { 0, 19 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(assumed_and_measured); i++) {
		struct census_process *member;
		struct machine machine;

		machine_init(&machine, &row);
		member = machine.members[assumed_and_measured[i]];
		choose(&machine, "/leak", 300);
		assert_int_equal(member->fair_is_assumed, i == 0);
		census_set_memory(&machine.census, member, &grown, 0, USEC_PER_SEC);
		choose(&machine, "/group", 700);
		assert_ptr_equal(
			victim_leader(&machine.census, &request, machine.result.ranked[0].node),
			member);
		machine_done(&machine);
	}
}

/* One that was measured is compared with what is assumed of the others, not with all they map. */
static void test_leader_is_the_largest(void **state)
{
	static const struct row row = { "two", 2, 20, 30 };
	const struct proc_memory larger = { .anon = 300 * MIB };
	struct machine machine;

	(void)state;
	machine_init(&machine, &row);
	census_set_memory(&machine.census, machine.members[0], &larger, 0, USEC_PER_SEC);
	choose(&machine, "/group", 120 + 20);
	assert_ptr_equal(victim_leader(&machine.census, &request, machine.result.ranked[0].node),
			 machine.members[0]);
	machine_done(&machine);
}

/* Two that hold more than there is, as the figures are of another machine: the larger one still. */
static void test_order_does_not_depend_on_the_machine(void **state)
{
	static const struct row row = { "more than there is", 20, 200, 5000, .is_unreadable = true,
					.machine_mib = 900 };
	struct machine machine;

	(void)state;
	machine_init(&machine, &row);
	choose(&machine, "/leak", 900 + CENSUS_SLACK / MIB);
	machine_done(&machine);
}

/* More servers of 20 than can be measured in one choice: it is not over, and in those that follow
 * the others are measured. */
static void test_many_cgroups_are_measured_in_turn(void **state)
{
	enum { N_SERVERS = 20, N_WORKERS = 10, LEAK_MIB = 1000 };
	static const struct row row = { "many servers", 0, 20, LEAK_MIB };
	const struct victim_reader reader = { .precise = read_share, .reread = reread };
	struct victim_reader reads = reader;
	struct machine machine;
	unsigned n_choices = 0;
	char path[16];

	(void)state;
	machine_init(&machine, &row);
	reads.userdata = &machine;
	for (unsigned i = 0; i < N_SERVERS * N_WORKERS; i++) {
		snprintf(path, sizeof(path), "/%u", i / N_WORKERS);
		(void)add(&machine, (pid_t)(300 + i), path, MEMBER_MIB, 20 + i / N_WORKERS);
	}
	assert_int_equal(victim_reserve(&machine.result, &machine.census), 0);
	do {
		machine.n_reads = 0;
		victim_choose(&machine.census, &request, &reads, &machine.result);
		assert_true(machine.n_reads <= VICTIM_MAX_READS);
		assert_string_equal(machine.result.ranked[0].cgroup->path, "/leak");
		n_choices++;
	} while (machine.result.is_cut && n_choices < 10);
	assert_false(machine.result.approximate);
	assert_in_range(n_choices, 2, 5);
	machine_done(&machine);
}

/* What is beside it is not seen, by whatever. */
static void test_chooses_from_below_the_root(void **state)
{
	static const struct row row = { "a domain", 2, 200, 5000 };
	struct victim_request below = request;
	struct census_process *inner;
	struct machine machine;
	const struct victim_reader reader = { .precise = read_share,
					      .reread = reread,
					      .userdata = &machine };

	(void)state;
	machine_init(&machine, &row);
	inner = add(&machine, 250, "/group/inner", 300, 11);
	below.root = &census_cgroup_of(machine.members[0])->node;
	victim_choose(&machine.census, &below, &reader, &machine.result);
	assert_string_equal(machine.result.ranked[0].cgroup->path, "/group");
	below.target = POLICY_TARGET_PROCESS;
	victim_choose(&machine.census, &below, &reader, &machine.result);
	assert_ptr_equal(machine.result.ranked[0].process, inner);
	assert_int_equal(machine.result.n_candidates, 4); /* counts the machine */
	below.root = NULL;
	victim_choose(&machine.census, &below, &reader, &machine.result);
	assert_ptr_equal(machine.result.ranked[0].process, machine.leak);
	machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_what_is_shared_once),
		cmocka_unit_test(test_one_that_grows_is_measured_again),
		cmocka_unit_test(test_leader_is_the_largest),
		cmocka_unit_test(test_order_does_not_depend_on_the_machine),
		cmocka_unit_test(test_many_cgroups_are_measured_in_turn),
		cmocka_unit_test(test_chooses_from_below_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
