/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: when a process is killed for files in flight to it. */
#include <string.h>

#include "lib/snapshot/census-tree.h"
#include "tests/stuck-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A survey that is over at that time, and was asked for then. */
static void survey_at(struct manager *m, usec_t now)
{
	struct stuck *s = &m->selection->stuck;

	s->is_waiting = test.is_finished = true;
	s->asked_at = s->began_at = now;
	s->nominated_at = 0;
	m->selection->choice.n_ranked = 0;
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, now);
}

static void set_receivers(uint64_t tmpfs, pid_t pid, unsigned n)
{
	test.survey = (struct where_survey){ .tmpfs_bytes = tmpfs, .n_receivers = n };
	for (unsigned i = 0; i < n; i++) {
		test.survey.receivers[i] = (struct where_receiver){ .pid = pid + (pid_t)i,
								    .comm = "receiver",
								    .n_files = 1,
								    .uid = 1000,
								    .start_ticks = 1000 + i };
	}
}

static struct census_process *add_receiver(pid_t pid)
{
	struct census_process *process = add(pid, "receiver", MIB);

	process->uid = 1000;
	process->start_ticks = 1000 + (uint64_t)(pid - 7);
	return process;
}

static void test_a_receiver_is_the_last_resort(void **state)
{
	static const struct {
		const char *label;
		uint64_t shmem, tmpfs; /* GiB */
		uint64_t minimum;
		usec_t after; /* of the second survey, ms */
		uid_t uid;
		pid_t protected_pid;
		unsigned n_receivers;
		pid_t ppid; /* of the second one */
		bool is_partial, has_more, has_other_holders, is_taken;
	} cases[] = {
		{ "all of it", 3, 0, 1, 1000, 1000, 0, 1, 0, .is_taken = true },
		{ "not for long", 3, 0, 1, 999, 1000, 0, 1, 0 },
		{ "a tmpfs explains it", 3, 3, 1, 1000, 1000, 0, 1, 0 },
		{ "less than a victim has to free", 3, 0, 4, 1000, 1000, 0, 1, 0 },
		{ "less than an eighth of memory", 1, 1, 0, 1000, 1000, 0, 1, 0 },
		{ "a service", 3, 0, 1, 1000, 999, 0, 1, 0 },
		{ "it is protected", 3, 0, 1, 1000, 1000, 7, 1, 0 },
		{ "it and its child", 3, 0, 1, 1000, 1000, 0, 2, 7, .is_taken = true },
		{ "it and another of its program", 3, 0, 1, 1000, 1000, 0, 2, 1 },
		{ "the survey was cut", 3, 0, 1, 1000, 1000, 0, 1, 0, .is_partial = true },
		{ "there are more", 3, 0, 1, 1000, 1000, 0, 1, 0, .has_more = true },
		{ "graphics or io_uring", 3, 0, 1, 1000, 1000, 0, 1, 0, .has_other_holders = true },
		{ "none", 3, 0, 1, 1000, 1000, 0, 0, 0 },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *receiver = add_receiver(7), *other = add_receiver(8);

	receiver->session = 7;
	other->session = 8;
	receiver->code_pages = other->code_pages = 9;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		usec_t now = NOW + i * 100 * SEC;

		print_message("%s\n", cases[i].label);
		m->sampler->domain.reading.counters.shmem =
			m->sampler->domain.reading.counters.cached = cases[i].shmem * GIB;
		receiver->uid = cases[i].uid;
		other->ppid = cases[i].ppid;
		test.protected_pid = cases[i].protected_pid;
		s->minimum = cases[i].minimum * GIB;
		s->receiver.pid = 0;
		s->receiver.taken_at = 0;
		set_receivers(cases[i].tmpfs * GIB, 7, cases[i].n_receivers);
		test.survey.is_partial = cases[i].is_partial;
		test.survey.has_more_receivers = cases[i].has_more;
		test.survey.has_other_holders = cases[i].has_other_holders;
		survey_at(m, now);
		assert_int_equal(m->selection->choice.n_ranked, 0);
		survey_at(m, now + cases[i].after * USEC_PER_MSEC);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].is_taken);
		if (!cases[i].is_taken)
			continue;
		assert_int_equal(m->selection->choice.ranked[0].process->pid, 7);
		assert_int_equal(m->selection->choice.ranked[0].held, 3 * GIB);
		assert_int_equal(s->n_together, cases[i].n_receivers - 1);
	}
}

/* Others have them for a moment: that is not the same one for long. */
static void test_another_receiver_begins_anew(void **state)
{
	struct manager *m = test.m;

	add_receiver(7);
	add_receiver(8);
	m->selection->stuck.minimum = GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	for (unsigned i = 0; i < 8; i++) {
		set_receivers(0, 7, i % 4 < 3 ? 1 : 0);
		if (i % 2 == 1)
			test.survey.receivers[0].start_ticks++; /* of the same pid */
		survey_at(m, NOW + i * SEC);
		assert_int_equal(m->selection->choice.n_ranked, 0);
	}
}

/* Something else has filled memory: then no other is killed for that. */
static void test_no_receiver_is_killed_after_one_in_vain(void **state)
{
	struct manager *m = test.m;
	struct decision *last = &m->in_flight->decision;

	add_receiver(7);
	m->selection->stuck.minimum = GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	set_receivers(0, 7, 1);
	survey_at(m, NOW);
	survey_at(m, NOW + SEC);
	assert_int_equal(m->selection->choice.n_ranked, 1);
	last->held = last->memory.shmem = 3 * GIB;
	last->kill.freed = GIB / 2;
	survey_at(m, NOW + 30 * SEC);
	assert_int_equal(m->selection->choice.n_ranked, 0);
	last->kill.freed = GIB;
	survey_at(m, NOW + 31 * SEC);
	assert_int_equal(m->selection->choice.n_ranked, 1);
	last->kill.freed = 0;
	survey_at(m, NOW + 60 * SEC);
	assert_int_equal(m->selection->choice.n_ranked, 0);
	survey_at(m, NOW + 700 * SEC);
	assert_int_equal(m->selection->choice.n_ranked, 1);
}

static void test_what_was_chosen_is_killed_first(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *other = add(9, "other", 64 * MIB);

	add_receiver(7);
	s->minimum = MIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	set_receivers(0, 7, 1);
	survey_at(m, NOW);
	s->is_waiting = test.is_finished = true;
	s->asked_at = s->began_at = NOW + SEC;
	victim_take(other, 0, &m->selection->choice);
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW + SEC);
	assert_int_equal(m->selection->choice.ranked[0].process->pid, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_receiver_is_the_last_resort),
		TEST(test_another_receiver_begins_anew),
		TEST(test_no_receiver_is_killed_after_one_in_vain),
		TEST(test_what_was_chosen_is_killed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
