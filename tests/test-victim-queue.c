/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: jobs of a queue are killed one by one, the workers of a server as one. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/select/victim-group.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOW	  (100 * USEC_PER_SEC)
#define TICKS_NOW 10000
enum { N = 7, N_KILLS = STREAK_REPLACED + 1 };

/* Children of 7, of which the first n_old were there before the first kill; the last process is the
 * bystander. */
static void make_jobs(struct machine *machine, size_t n_old, const char *cgroup)
{
	machine_init(machine, N + 1);
	for (size_t i = 0; i <= N; i++) {
		struct census_process *process = machine->processes[i];

		set(machine, i, (i < N ? 110 : 48) * MIB, (i < N ? 110 : 48) * MIB);
		strcpy(process->comm, i < N ? "job" : "beside");
		process->ppid = i < N ? 7 : 1;
		process->uid = 1000;
		process->code_pages = 3;
		process->start_ticks = i < n_old ? TICKS_NOW - 2000 : TICKS_NOW - 100;
		assert_int_equal(
			census_attach(&machine->census, process, i < N ? cgroup : "/b.service"), 0);
		census_update_eligibility(&machine->census, process);
	}
}

/* Eight were there at the first kill, 20 s ago, when they had just been started; each of the four
 * that were killed but the first was started since. */
static void test_a_queue_is_told_from_a_server(void **state)
{
	static const struct {
		const char *name, *cgroup;
		size_t n_old; /* that are left of those */
		enum victim_as_one as_one;
		bool with_others; /* were killed with each */
	} rows[] = {
		{ "a server", "/a.slice", 7, VICTIM_AS_SIBLINGS },
		{ "one has exited by itself", "/a.slice", 6, VICTIM_AS_SIBLINGS },
		{ "two have, while four were killed", "/a.slice", 5, VICTIM_ALONE },
		{ "likewise, and others with each", "/a.slice", 5, VICTIM_AS_SIBLINGS, true },
		{ "a service", "/a.service", 7, VICTIM_AS_CGROUP },
		{ "a queue in a unit of its own", "/a.service", 5, VICTIM_ALONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct streak streak;
		struct machine machine;
		struct victim_request request;

		print_message("%s\n", rows[i].name);
		memset(&streak, 0, sizeof(streak));
		make_jobs(&machine, rows[i].n_old, rows[i].cgroup);
		request = request_at(&machine, NOW, TICKS_NOW);
		request.streak = &streak;
		for (unsigned j = 0; j < N_KILLS; j++)
			streak_add(&streak,
				   &(struct streak_subject){
					   .cgroup = rows[i].cgroup,
					   .comm = "job",
					   .ppid = 7,
					   .uid = 1000,
					   .age = (j == 0 ? 9 : 3) * USEC_PER_SEC,
					   .n_alike = rows[i].with_others ? 0 : 8,
				   },
				   NOW - (20 - 4 * j) * USEC_PER_SEC);
		choose_for(&machine, &request);
		assert_true(result.n_ranked > 0);
		assert_string_equal(result.ranked[0].process->comm, "job");
		assert_int_equal(result.as_one, rows[i].as_one);
		if (rows[i].as_one == VICTIM_ALONE)
			assert_false(result.is_replaced);
		machine_done(&machine);
	}
}

static void test_those_that_are_alike(void **state)
{
	struct machine machine;
	struct census_process *const *p = machine.processes;

	(void)state;
	make_jobs(&machine, 0, "/a.slice");
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N);
	assert_int_equal(victim_count_alike(&machine.census, p[N]), 1);
	strcpy(p[1]->comm, "n1"); /* a fork that has a name of its own */
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N);
	p[1]->code_pages = 4;
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N - 1);
	p[2]->state = 'Z';
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N - 2);
	p[3]->ppid = 8;
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N - 3);
	p[0]->session = p[3]->session = 5;
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N - 2);
	p[4]->is_gone = true;
	assert_int_equal(victim_count_alike(&machine.census, p[0]), N - 3);
	machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_queue_is_told_from_a_server, teardown),
		cmocka_unit_test_teardown(test_those_that_are_alike, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
