/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: when a survey of holders is asked for and waited for: in watch, before a kill and after
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/snapshot/census-tree.h"
#include "tests/stuck-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* In watch: where what no process maps has grown by an eighth, though others have grown more. */
static void test_a_survey_where_a_part_may_be_held(void **state)
{
	struct manager *m = test.m;

	m->sampler.domain.reading.available = 6 * GIB;
	m->sampler.domain.reading.counters.anon = 2 * GIB;
	m->sampler.domain.reading.counters.free = 6 * GIB;
	unowned_note_calm(&m->selection, NOW - 400 * SEC);
	m->sampler.domain.reading.available = m->sampler.domain.reading.counters.free = GIB;
	m->sampler.domain.reading.counters.anon = 6 * GIB + 10 * MIB;
	m->sampler.domain.reading.counters.shmem = m->sampler.domain.reading.counters.cached =
		990 * MIB;
	stuck_watch(&m->selection, NOW);
	assert_int_equal(test.n_asked, 0);
	m->sampler.domain.reading.counters.anon = 6 * GIB;
	m->sampler.domain.reading.counters.shmem = m->sampler.domain.reading.counters.cached = GIB;
	stuck_watch(&m->selection, NOW + SEC);
	assert_int_equal(test.n_asked, 1);
}

/* The last kill freed nothing of shared memory: that process, if it holds more than the chosen one.
 */
static void test_a_holder_is_taken_after_a_kill_in_vain(void **state)
{
	static const struct {
		const char *label;
		uint64_t freed, best; /* MiB */
		bool waits;
		pid_t taken; /* 8: what was chosen */
	} cases[] = {
		{ "in vain", 0, 100, true, 7 },
		{ "another one has more", 0, 4096, true, 8 },
		{ "it was freed", 3000, 100, false, 8 },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection.stuck;
	struct census_process *other;

	add(7, "holder", MIB);
	other = add(8, "other", MIB);
	m->sampler.domain.reading.counters.shmem = m->sampler.domain.reading.counters.cached =
		3 * GIB;
	test.survey.unmapped[0] =
		(struct where_holder){ .pid = 7, .comm = "holder", .bytes = 3 * GIB };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		usec_t now = NOW + i * 10 * SEC;

		print_message("%s\n", cases[i].label);
		m->in_flight.decision.memory.shmem = 3 * GIB;
		m->in_flight.decision.outcome = KILL_PROGRESS_GONE;
		m->in_flight.decision.finished_at = now;
		m->in_flight.decision.freed = cases[i].freed * MIB;
		test.n_asked = 0;
		assert_int_equal(
			stuck_waits_for_holder(&m->selection, &test.m->in_flight.decision, now),
			cases[i].waits);
		assert_int_equal(test.n_asked, cases[i].waits);
		assert_int_equal(stuck_waits_for_holder(&m->selection, &test.m->in_flight.decision,
							now + SEC / 10),
				 cases[i].waits);
		assert_int_equal(test.n_asked, cases[i].waits);
		test.is_finished = true;
		assert_false(stuck_waits_for_holder(&m->selection, &test.m->in_flight.decision,
						    now + SEC / 5));
		other->memory.anon = cases[i].best * MIB;
		victim_take(other, 0, &m->selection.choice);
		stuck_take_holder(&m->selection, &test.m->in_flight.decision, &reader,
				  now + SEC / 5);
		assert_int_equal(m->selection.choice.ranked[0].process->pid, cases[i].taken);
		s->has_survey = false;
	}
}

/* What was added is more than the chosen one frees, and none knows yet which process holds it. */
static void test_a_survey_is_waited_for_before_a_kill(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection.stuck;
	struct decision *last = &m->in_flight.decision;
	struct census_process *other = add(8, "other", MIB);

	m->sampler.domain.reading.available = 6 * GIB;
	m->sampler.domain.reading.counters.anon = 2 * GIB;
	m->sampler.domain.reading.counters.free = 6 * GIB;
	unowned_note_calm(&m->selection, NOW - 400 * SEC);
	m->sampler.domain.reading.available = m->sampler.domain.reading.counters.free = GIB;
	m->sampler.domain.reading.counters.anon = 5 * GIB;
	m->sampler.domain.reading.counters.shmem = m->sampler.domain.reading.counters.cached =
		2 * GIB;

	assert_false(stuck_waits_before(&m->selection, last, NOW)); /* none was chosen */
	other->memory.anon = 3 * GIB;
	victim_take(other, 0, &m->selection.choice);
	assert_false(stuck_waits_before(&m->selection, last, NOW));
	other->memory.anon = GIB;
	victim_take(other, 0, &m->selection.choice);
	m->selection.choice.as_one = VICTIM_AS_CGROUP;
	assert_false(stuck_waits_before(&m->selection, last, NOW));
	assert_int_equal(test.n_asked, 0);
	m->selection.choice.as_one = VICTIM_ALONE;
	assert_true(stuck_waits_before(&m->selection, last, NOW));
	assert_true(stuck_waits_before(&m->selection, last, NOW + SEC / 10));
	assert_int_equal(test.n_asked, 1);
	assert_true(stuck_waits_before(&m->selection, last, NOW + SEC / 3)); /* it is starved */
	test.cpu_time = SEC / 3;
	assert_false(stuck_waits_before(&m->selection, last, NOW + SEC / 3)); /* it is late */
	test.cpu_time = 0;
	test.is_finished = true;
	assert_false(stuck_waits_before(&m->selection, last, NOW + SEC / 2));
	/* What it has named was killed, and the memory is held still. */
	last->held = GIB;
	last->finished_at = NOW + SEC;
	assert_true(stuck_waits_before(&m->selection, last, NOW + SEC));
	assert_int_equal(test.n_asked, 2);
	/* It was mapped when the survey was made. */
	test.is_finished = true;
	assert_false(stuck_waits_before(&m->selection, last, NOW + 2 * SEC));
	s->grown_asked = 0;
	assert_true(stuck_waits_before(&m->selection, last, NOW + 2 * SEC));
	assert_true(stuck_waits_before(&m->selection, last, NOW + 2 * SEC));
	assert_int_equal(test.n_asked, 3);
}

/* The thread gets no CPU time: what it was asked for first is over when more was asked for. */
static void test_a_survey_that_is_over_late_is_of_its_own_time(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection.stuck;
	struct decision *last = &m->in_flight.decision;

	fill_tmpfs();
	stuck_watch(&m->selection, NOW);
	assert_int_equal(test.n_asked, 1);
	test.is_busy = true;
	last->memory.shmem = 3 * GIB;
	last->outcome = KILL_PROGRESS_GONE;
	last->finished_at = NOW + SEC;
	assert_true(stuck_waits_for_holder(&m->selection, last, NOW + SEC));
	test.is_busy = false;
	test.is_finished = true;
	/* It may name what has been killed. */
	assert_true(stuck_waits_for_holder(&m->selection, last, NOW + 11 * SEC / 10));
	assert_int_equal(s->surveyed_from, NOW);
	assert_int_equal(test.n_asked, 2);
	test.is_finished = true;
	assert_false(stuck_waits_for_holder(&m->selection, last, NOW + 12 * SEC / 10));
	assert_int_equal(s->surveyed_from, NOW + 11 * SEC / 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_survey_where_a_part_may_be_held),
		TEST(test_a_survey_is_waited_for_before_a_kill),
		TEST(test_a_survey_that_is_over_late_is_of_its_own_time),
		TEST(test_a_holder_is_taken_after_a_kill_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
