/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: when a survey of holders is asked for and waited for: in watch, before a kill and after
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
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

	m->sampler->domain.reading.available = 6 * GIB;
	m->sampler->domain.reading.counters.anon = 2 * GIB;
	m->sampler->domain.reading.counters.free = 6 * GIB;
	unowned_note_calm(m->selection, NOW - 400 * SEC);
	m->sampler->domain.reading.available = m->sampler->domain.reading.counters.free = GIB;
	m->sampler->domain.reading.counters.anon = 6 * GIB + 10 * MIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		990 * MIB;
	stuck_watch(m->selection, NOW);
	assert_int_equal(test.n_asked, 0);
	m->sampler->domain.reading.counters.anon = 6 * GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		GIB;
	stuck_watch(m->selection, NOW + SEC);
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
		enum victim_as_one as_one;
	} cases[] = {
		{ "in vain", 0, 100, true, 7 },
		{ "many small ones were chosen", 0, 100, true, 7, VICTIM_AS_CGROUP },
		{ "another one has more", 0, 4096, true, 8 },
		{ "it was freed", 3000, 100, false, 8 },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *other;

	add(7, "holder", MIB);
	other = add(8, "other", MIB);
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	test.survey.unmapped[0] = (struct where_holder){
		.pid = 7, .comm = "holder", .bytes = 3 * GIB, .start_ticks = STARTED
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		usec_t now = NOW + i * 10 * SEC;

		print_message("%s\n", cases[i].label);
		m->in_flight->decision.memory.shmem = 3 * GIB;
		m->in_flight->decision.kill.outcome = KILL_PROGRESS_EXITED;
		m->in_flight->decision.kill.finished_at = now;
		m->in_flight->decision.kill.freed = cases[i].freed * MIB;
		test.n_asked = 0;
		assert_int_equal(
			stuck_waits_for_holder(m->selection, &test.m->in_flight->decision, now),
			cases[i].waits);
		assert_int_equal(test.n_asked, cases[i].waits);
		assert_int_equal(stuck_waits_for_holder(m->selection, &test.m->in_flight->decision,
							now + SEC / 10),
				 cases[i].waits);
		assert_int_equal(test.n_asked, cases[i].waits);
		test.is_finished = true;
		assert_false(stuck_waits_for_holder(m->selection, &test.m->in_flight->decision,
						    now + SEC / 5));
		other->memory.anon = cases[i].best * MIB;
		victim_take(other, 0, &m->selection->choice);
		m->selection->choice.as_one = cases[i].as_one;
		s->missing = 0;
		stuck_take_holder(m->selection, &test.m->in_flight->decision, &reader,
				  now + SEC / 5);
		assert_int_equal(s->missing, cases[i].taken == 7 ? 3 * GIB : 0);
		assert_int_equal(m->selection->choice.ranked[0].process->pid, cases[i].taken);
		s->has_survey = false;
	}
}

/* None holds it by descriptors: a process may have touched it since it was read. */
static void test_all_are_read_again_after_a_kill_in_vain(void **state)
{
	struct manager *m = test.m;
	struct decision *last = &m->in_flight->decision;
	struct census_process *other = add(8, "other", 40 * MIB);

	add(9, "gone", 0);
	test.alive = 8;
	m->sampler->domain.reading.counters.shmem = 3 * GIB;
	last->memory.shmem = 3 * GIB;
	last->kill.outcome = KILL_PROGRESS_EXITED;
	last->kill.finished_at = NOW;
	assert_true(stuck_waits_for_holder(m->selection, last, NOW));
	test.is_finished = true;
	assert_false(stuck_waits_for_holder(m->selection, last, NOW + SEC / 10));
	victim_take(other, 0, &m->selection->choice);
	assert_true(stuck_take_holder(m->selection, last, &reader, NOW + SEC / 10));
	assert_int_equal(test.n_rereads, 2);
	assert_true(census_find(&m->sampler->census, 9)->is_gone);
	assert_false(other->is_gone);
	/* Once. */
	assert_false(stuck_take_holder(m->selection, last, &reader, NOW + SEC / 5));
	assert_int_equal(test.n_rereads, 2);
	assert_int_equal(m->selection->choice.ranked[0].process->pid, 8);
}

/* Of shared memory: what of it was swapped out meanwhile, or is locked, is there still. */
static void test_a_kill_in_vain_beside_others(void **state)
{
	static const struct {
		const char *label;
		struct {
			uint64_t shmem, mlocked, swap; /* MiB, of 8192 of swap */
		} before, now;
		bool waits;
	} cases[] = {
		{ "it is there", { 3000, 0, 0 }, { 3000, 0, 0 }, true },
		{ "it was freed", { 3000, 0, 0 }, { 0, 0, 0 }, false },
		{ "it was swapped out", { 3000, 0, 0 }, { 1000, 0, 2000 }, true },
		{ "it was locked, and freed", { 1000, 3000, 0 }, { 1000, 0, 0 }, false },
		{ "it was in swap", { 0, 0, 3000 }, { 0, 0, 0 }, false },
		{ "beside more of others", { 4000, 3500, 3200 }, { 4000, 3500, 3200 }, true },
		{ "and it was freed", { 4000, 3500, 3200 }, { 4000, 500, 3200 }, false },
	};
	struct decision *last = &test.m->in_flight->decision;

	last->memory.shmem = 3000 * MIB;
	last->kill.outcome = KILL_PROGRESS_EXITED;
	last->kill.freed = 3000 * MIB; /* by others */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_counters *now = &test.m->sampler->domain.reading.counters;

		print_message("%s\n", cases[i].label);
		last->kill.finished_at = NOW + i * 100 * SEC;
		last->before.counters = (struct memory_counters){
			.shmem = cases[i].before.shmem * MIB,
			.mlocked = cases[i].before.mlocked * MIB,
			.swap_total = 8 * GIB,
			.swap_free = 8 * GIB - cases[i].before.swap * MIB,
		};
		*now = (struct memory_counters){
			.shmem = cases[i].now.shmem * MIB,
			.mlocked = cases[i].now.mlocked * MIB,
			.swap_total = 8 * GIB,
			.swap_free = 8 * GIB - cases[i].now.swap * MIB,
		};
		assert_int_equal(
			stuck_waits_for_holder(test.m->selection, last, last->kill.finished_at),
			cases[i].waits);
		/* One that was asked for is waited for, also if the last one is of this moment. */
		test.m->selection->stuck.has_survey = true;
		test.m->selection->stuck.surveyed_at = last->kill.finished_at;
		assert_int_equal(
			stuck_waits_for_holder(test.m->selection, last, last->kill.finished_at),
			cases[i].waits);
	}
}

/* In watch: what none holds explains it, or may be held by descriptors, or is in swap. */
static void test_what_a_survey_is_made_for(void **state)
{
	static const struct {
		const char *label;
		uint64_t available, shmem, swap; /* MiB, now; of 2000 available, and no swap used */
		bool asks;
	} rows[] = {
		{ "processes have it all", 1000, 0, 0, false },
		{ "a small tmpfs explains it", 1450, 600, 0, true },
		{ "it is less", 1500, 500, 0, false },
		{ "a part that may be held", 500, 1024, 0, true },
		{ "less than that", 500, 1023, 0, false },
		{ "much is in swap", 1000, 0, 1024, true },
		{ "less is", 1000, 0, 1023, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_reading *r;

		print_message("%s\n", rows[i].label);
		teardown(state);
		assert_int_equal(setup(state), 0);
		r = &test.m->sampler->domain.reading;
		for (unsigned now = 0; now < 2; now++) {
			uint64_t used = now ? rows[i].swap * MIB : 0;

			r->available = r->counters.free = (now ? rows[i].available : 2000) * MIB;
			r->swap_total = r->counters.swap_total = 4 * GIB;
			r->swap_free = r->counters.swap_free = 4 * GIB - used;
			r->counters.shmem = r->counters.cached = now ? rows[i].shmem * MIB : 0;
			r->counters.anon = r->total - r->available - r->counters.cached;
			if (!now)
				unowned_note_calm(test.m->selection, NOW - 400 * SEC);
		}
		stuck_watch(test.m->selection, NOW);
		assert_int_equal(test.n_asked, rows[i].asks);
	}
}

static void test_how_often_a_survey_is_made_in_watch(void **state)
{
	struct stuck *s = &test.m->selection->stuck;

	fill_tmpfs();
	s->asked_at = NOW;
	s->watched_at = NOW + 2 * SEC - 1 - SEC / 5;
	stuck_watch(test.m->selection, NOW + 2 * SEC - 1);
	assert_int_equal(s->watched_at, NOW + 2 * SEC - 1); /* it was looked at */
	assert_int_equal(test.n_asked, 0);
	s->watched_at = 0;
	stuck_watch(test.m->selection, NOW + 2 * SEC);
	assert_int_equal(test.n_asked, 1);
}

/* It is not looked at again. */
static void test_a_survey_that_names_none(void **state)
{
	struct stuck *s = &test.m->selection->stuck;

	s->has_survey = true;
	s->surveyed_at = NOW;
	stuck_take_holder(test.m->selection, &test.m->in_flight->decision, &reader, NOW);
	assert_int_equal(s->nominated_at, NOW);
	assert_int_equal(test.m->selection->choice.n_ranked, 0);
}

/* It has started one since that may have inherited what it holds: it is surveyed again, once. */
static void test_a_holder_that_has_started_others_since(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct decision *last = &m->in_flight->decision;
	struct census_process *heir;

	fill_tmpfs();
	add(7, "holder", MIB);
	heir = add(8, "exe", MIB);
	heir->ppid = 7;
	heir->code_pages = 3;
	heir->start_ticks = clock_ticks_before(0);
	test.survey.unmapped[0] = (struct where_holder){
		.pid = 7, .comm = "holder", .bytes = 3 * GIB, .start_ticks = STARTED
	};
	s->surveyed = test.survey;
	s->has_survey = true;
	s->asked_at = s->surveyed_from = s->surveyed_at = NOW - SEC;
	assert_true(stuck_take_holder(m->selection, last, &reader, NOW));
	assert_int_equal(test.n_asked, 1);
	assert_true(stuck_is_waited_for(m->selection, NOW + SEC / 10));
	assert_int_equal(m->selection->choice.n_ranked, 0);
	/* It has inherited it: both are killed. */
	test.survey.unmapped[0].bytes = 0;
	test.survey.unmapped[0].together = 3 * GIB;
	test.survey.unmapped[0].others[0] = 8;
	test.survey.unmapped[0].n_others = 1;
	test.is_finished = true;
	assert_false(stuck_is_waited_for(m->selection, NOW + SEC / 5));
	assert_false(stuck_take_holder(m->selection, last, &reader, NOW + SEC / 5));
	assert_int_equal(m->selection->choice.n_ranked, 1);
	assert_int_equal(m->selection->choice.ranked[0].process->pid, 7);
	assert_int_equal(s->n_together, 1);
	assert_int_equal(s->together[0], 8);
	/* One that starts others all the time is not waited for all the time. */
	m->selection->choice.n_ranked = s->nominated_at = 0;
	add(9, "exe", MIB)->ppid = 7;
	census_find(&m->sampler->census, 9)->start_ticks = clock_ticks_before(0);
	assert_false(stuck_take_holder(m->selection, last, &reader, NOW + SEC / 2));
	assert_int_equal(m->selection->choice.n_ranked, 1);
	assert_int_equal(test.n_asked, 1);
	m->selection->choice.n_ranked = s->nominated_at = 0;
	s->surveyed_at = NOW + 2 * SEC;
	assert_true(stuck_take_holder(m->selection, last, &reader, NOW + 2 * SEC));
	assert_int_equal(test.n_asked, 2);
}

/* What was added is more than the chosen one frees, and none knows yet which process holds it. */
static void be_low_by_shmem(struct manager *m)
{
	m->sampler->domain.reading.available = 6 * GIB;
	m->sampler->domain.reading.counters.anon = 2 * GIB;
	m->sampler->domain.reading.counters.free = 6 * GIB;
	unowned_note_calm(m->selection, NOW - 400 * SEC);
	m->sampler->domain.reading.available = m->sampler->domain.reading.counters.free = GIB;
	m->sampler->domain.reading.counters.anon = 5 * GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		2 * GIB;
}

/* The last one is. */
static void expect_which_choices_wait(struct manager *m, const struct decision *last,
				      struct census_process *other)
{
	assert_false(stuck_waits_before(m->selection, last, NOW)); /* none was chosen */
	other->memory.anon = 3 * GIB;
	victim_take(other, 0, &m->selection->choice);
	assert_false(stuck_waits_before(m->selection, last, NOW));
	other->memory.anon = GIB;
	victim_take(other, 0, &m->selection->choice);
	m->selection->choice.as_one = VICTIM_AS_CGROUP;
	assert_false(stuck_waits_before(m->selection, last, NOW));
	assert_int_equal(test.n_asked, 0);
	m->selection->choice.as_one = VICTIM_ALONE;
	m->selection->choice.is_reluctant = true;
	assert_false(stuck_waits_before(m->selection, last, NOW));
	m->selection->choice.is_reluctant = false;
	m->selection->request.rank_by = POLICY_RANK_BY_SWAP;
	assert_false(stuck_waits_before(m->selection, last, NOW));
	m->selection->request.rank_by = POLICY_RANK_BY_FOOTPRINT;
	assert_int_equal(test.n_asked, 0);
	assert_true(stuck_waits_before(m->selection, last, NOW));
}

static void test_a_survey_is_waited_for_before_a_kill(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct decision *last = &m->in_flight->decision;

	be_low_by_shmem(m);
	expect_which_choices_wait(m, last, add(8, "other", MIB));
	assert_true(stuck_waits_before(m->selection, last, NOW + SEC / 10));
	assert_int_equal(test.n_asked, 1);
	/* Meanwhile no other choice is made. */
	assert_true(stuck_is_waited_for(m->selection, NOW + SEC / 10));
	assert_true(stuck_waits_before(m->selection, last, NOW + SEC / 3)); /* it is starved */
	assert_true(stuck_is_waited_for(m->selection, NOW + SEC / 3));
	test.cpu_time = SEC / 3;
	assert_false(stuck_is_waited_for(m->selection, NOW + SEC / 3));
	assert_false(stuck_waits_before(m->selection, last, NOW + SEC / 3)); /* it is late */
	test.cpu_time = 0;
	test.is_finished = true;
	assert_false(stuck_waits_before(m->selection, last, NOW + SEC / 2));
	/* What it has named was killed while it was made, and the memory is held still. */
	last->kill.finished_at = NOW + SEC / 4;
	assert_false(stuck_waits_before(m->selection, last, NOW + SEC)); /* it was another */
	last->held = GIB;
	assert_true(stuck_waits_before(m->selection, last, NOW + SEC));
	assert_int_equal(test.n_asked, 2);
	/* It was mapped when the survey was made. */
	test.is_finished = true;
	assert_false(stuck_waits_before(m->selection, last, NOW + 2 * SEC));
	assert_false(stuck_is_waited_for(m->selection, NOW + 2 * SEC));
	s->grown_asked = 0;
	assert_true(stuck_waits_before(m->selection, last, NOW + 2 * SEC));
	assert_true(stuck_waits_before(m->selection, last, NOW + 2 * SEC));
	assert_int_equal(test.n_asked, 3);
	test.is_finished = true;
	assert_false(stuck_is_waited_for(m->selection, NOW + 2 * SEC));
	/* What goes up and down asks for no more of them than one in a pause. */
	s->grown_asked = 0;
	assert_false(stuck_waits_before(m->selection, last, NOW + 2 * SEC + SEC / 2));
	assert_int_equal(test.n_asked, 3);
	/* One that no choice has asked for is not waited for. */
	s->is_waiting = true;
	s->asked_at = NOW + 3 * SEC;
	assert_false(stuck_is_waited_for(m->selection, NOW + 3 * SEC));
}

/* The thread gets no CPU time: what it was asked for first is over when more was asked for. */
static void test_a_survey_that_is_over_late_is_of_its_own_time(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct decision *last = &m->in_flight->decision;

	fill_tmpfs();
	stuck_watch(m->selection, NOW);
	assert_int_equal(test.n_asked, 1);
	test.is_busy = true;
	last->memory.shmem = 3 * GIB;
	last->kill.outcome = KILL_PROGRESS_EXITED;
	last->kill.finished_at = NOW + SEC;
	assert_true(stuck_waits_for_holder(m->selection, last, NOW + SEC));
	test.is_busy = false;
	test.is_finished = true;
	/* It may name what has been killed. */
	assert_true(stuck_waits_for_holder(m->selection, last, NOW + 11 * SEC / 10));
	assert_int_equal(s->surveyed_from, NOW);
	assert_int_equal(test.n_asked, 2);
	test.is_finished = true;
	assert_false(stuck_waits_for_holder(m->selection, last, NOW + 12 * SEC / 10));
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
		TEST(test_all_are_read_again_after_a_kill_in_vain),
		TEST(test_a_kill_in_vain_beside_others),
		TEST(test_what_a_survey_is_made_for),
		TEST(test_how_often_a_survey_is_made_in_watch),
		TEST(test_a_survey_that_names_none),
		TEST(test_a_holder_that_has_started_others_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
