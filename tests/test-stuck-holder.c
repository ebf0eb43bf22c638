/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: which process is taken for the one that holds memory by descriptors. */
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

/* What it names is killed only if it still is what was surveyed, and may be. */
static void test_a_holder_is_taken_if_it_still_is_one(void **state)
{
	static const struct {
		pid_t pid; /* by the survey, as the next */
		uint64_t started;
		uint64_t minimum;
		usec_t age;
		int reread;
		enum eligibility exclusion;
		bool is_taken;
	} cases[] = {
		{ 7, STARTED, 64 * MIB, SEC, 0, ELIGIBILITY_ELIGIBLE, true },
		{ 7, STARTED + 1, 64 * MIB, SEC, 0, ELIGIBILITY_ELIGIBLE, false },
		{ 7, 0, 64 * MIB, SEC, 0, ELIGIBILITY_ELIGIBLE, false }, /* not known */
		{ 8, STARTED, 64 * MIB, SEC, 0, ELIGIBILITY_ELIGIBLE, false },
		{ 7, STARTED, 4 * GIB, SEC, 0, ELIGIBILITY_ELIGIBLE, false },
		{ 7, STARTED, 64 * MIB, 4 * SEC, 0, ELIGIBILITY_ELIGIBLE, false },
		{ 7, STARTED, 64 * MIB, SEC, -ESRCH, ELIGIBILITY_ELIGIBLE, false },
		{ 7, STARTED, 64 * MIB, SEC, 0, ELIGIBILITY_PROTECTED, false },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	add(7, "renamed", MIB); /* since */
	s->surveyed_from = NOW - SEC;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		s->has_survey = true;
		s->surveyed_at = NOW - cases[i].age;
		s->nominated_at = 0;
		s->minimum = cases[i].minimum;
		s->surveyed =
			(struct where_survey){ .memfds = { .pid = cases[i].pid,
							   .comm = "holder",
							   .bytes = 3 * GIB,
							   .unmeasured = 3 * GIB,
							   .start_ticks = cases[i].started } };
		test.reread_result = cases[i].reread;
		test.exclusion = cases[i].exclusion;
		m->selection->choice.n_ranked = 0;
		stuck_take_holder(m->selection, &test.m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].is_taken);
		if (cases[i].is_taken) {
			assert_int_equal(m->selection->choice.ranked[0].process->pid, 7);
			assert_int_equal(m->selection->choice.ranked[0].held, 3 * GIB);
			m->selection->choice.n_ranked = 0;
			stuck_take_holder(m->selection, &test.m->in_flight->decision, &reader,
					  NOW); /* once by each survey */
			assert_int_equal(m->selection->choice.n_ranked, 0);
		}
	}
}

/* One that holds more than it may not be killed. */
static void test_a_holder_is_taken_after_one_that_is_protected(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	add(6, "vault", MIB);
	add(7, "holder", MIB);
	test.protected_pid = 6;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		5 * GIB;
	s->has_survey = true;
	s->surveyed_at = NOW - SEC;
	s->holder_minimum = GIB;
	s->surveyed =
		(struct where_survey){ .unmapped = {
					       { 6, "vault", 3 * GIB, .start_ticks = STARTED },
					       { 9, "gone", 5 * GIB / 2, .start_ticks = STARTED },
					       { 7, "holder", 2 * GIB, .start_ticks = STARTED },
				       } };
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
	assert_int_equal(m->selection->choice.n_ranked, 1);
	assert_int_equal(m->selection->choice.ranked[0].process->pid, 7);
	assert_int_equal(m->selection->choice.ranked[0].held, 2 * GIB);
	m->selection->choice.n_ranked = 0;
	s->nominated_at = 0;
	s->holder_minimum = 2 * GIB + 1;
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
	assert_int_equal(m->selection->choice.n_ranked, 0);

	/* Others have filled memory: it would have to be as large as any victim. */
	s->nominated_at = 0;
	s->minimum = 10 * GIB;
	s->holder_minimum = GIB;
	s->held_growth = 20 * GIB;
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
	assert_int_equal(m->selection->choice.n_ranked, 0);
	s->nominated_at = 0;
	s->held_growth = 15 * GIB;
	stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
	assert_int_equal(m->selection->choice.n_ranked, 1);
}

/* A process that forks and exits all the time. */
static void test_the_successor_of_a_holder_is_taken(void **state)
{
	const uint64_t young = UINT64_MAX / 2;
	static const struct {
		const char *label;
		const char *comm;
		uid_t uid;
		uint64_t start;
		uint64_t mapped; /* GiB of 3, by another process: not held by it any more */
		unsigned n;	 /* such processes */
		pid_t protected_pid;
		uint64_t held; /* GiB; 0: it is not taken */
	} cases[] = {
		{ "started since", "holder", 5, 1, 0, 1, 0, 3 },
		{ "a part of it was freed", "holder", 5, 1, 1, 1, 0, 2 },
		{ "it was there before", "holder", 5, 0, 0, 1, 0, 0 },
		{ "another's", "holder", 6, 1, 0, 1, 0, 0 },
		{ "of another name", "other", 5, 1, 0, 1, 0, 0 },
		{ "one of two", "holder", 5, 1, 0, 2, 0, 0 },
		{ "it is protected", "holder", 5, 1, 0, 1, 8, 0 },
	};
	struct census_process *found[2] = { add(8, "", MIB), add(9, "", MIB) };
	struct census_process *mapper = add(10, "mapper", MIB);
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	s->holder_minimum = GIB;
	s->has_survey = true;
	s->surveyed_from = s->surveyed_at = NOW - SEC;
	s->surveyed = (struct where_survey){ .unmapped = { { 7, "holder", 3 * GIB, .uid = 5 } } };
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].label);
		mapper->memory.shmem = cases[i].mapped * GIB;
		for (unsigned k = 0; k < 2; k++) {
			strcpy(found[k]->comm, k < cases[i].n ? cases[i].comm : "");
			found[k]->uid = cases[i].uid;
			found[k]->start_ticks = cases[i].start * young;
		}
		test.protected_pid = cases[i].protected_pid;
		s->nominated_at = 0;
		m->selection->choice.n_ranked = 0;
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].held > 0);
		if (cases[i].held > 0)
			assert_int_equal(m->selection->choice.ranked[0].held, cases[i].held * GIB);
	}
}

/* It may be known at the next sample. */
static void test_a_survey_is_looked_at_four_times(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	s->holder_minimum = GIB;
	test.survey = (struct where_survey){ .unmapped = { { 7, "holder", 3 * GIB, .uid = 5 } } };
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	for (unsigned n_late = 1; n_late < 6; n_late++) {
		struct census_process *found;

		s->is_waiting = test.is_finished = true;
		for (unsigned i = 0; i < n_late; i++) {
			m->selection->choice.n_ranked = 0;
			stuck_take_holder(m->selection, &m->in_flight->decision, &reader,
					  NOW + n_late * SEC);
			assert_int_equal(m->selection->choice.n_ranked, 0);
		}
		found = add((pid_t)(100 + n_late), "holder", MIB);
		found->uid = 5;
		found->start_ticks = UINT64_MAX / 2;
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader,
				  NOW + n_late * SEC);
		assert_int_equal(m->selection->choice.n_ranked, n_late < 4);
		found->is_gone = true;
	}
}

/* What was forked since the survey is not in it, and holds the same. */
static void test_a_holder_is_taken_with_children_younger_than_the_survey(void **state)
{
	const uint64_t young = UINT64_MAX / 2, old = 1000;
	static const struct {
		const char *label;
		uint64_t start;
		pid_t protected_pid;
		unsigned code_pages; /* of the child */
		bool is_listed, is_taken, is_together;
	} cases[] = {
		{ "forked since", young, 0, 9, false, true, true },
		{ "it is in the survey", young, 0, 9, true, true, true },
		{ "forked before", old, 0, 9, false, true, false },
		{ "it has executed another program", young, 0, 8, false, true, false },
		{ "it is protected", young, 8, 9, false, false, false },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *holder = add(7, "holder", MIB), *child = add(8, "child", MIB);

	holder->code_pages = 9;
	child->ppid = 7;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	s->holder_minimum = GIB;
	s->heirs_at = NOW; /* it was surveyed again: test-stuck-survey */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].label);
		child->start_ticks = cases[i].start;
		child->code_pages = cases[i].code_pages;
		test.protected_pid = cases[i].protected_pid;
		s->has_survey = true;
		s->surveyed_from = s->surveyed_at = NOW - SEC;
		s->nominated_at = 0;
		s->surveyed = (struct where_survey){ .unmapped = { { 7, "holder", 3 * GIB,
								     .start_ticks = STARTED } } };
		s->surveyed.unmapped[0].n_others = cases[i].is_listed;
		s->surveyed.unmapped[0].others[0] = 8;
		m->selection->choice.n_ranked = 0;
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].is_taken);
		if (cases[i].is_taken) {
			assert_int_equal(m->selection->choice.ranked[0].held, 3 * GIB);
			assert_int_equal(s->n_together, cases[i].is_together);
			assert_true(!cases[i].is_together || s->together[0] == 8);
		}
	}
}

/* What a relative holds as well is freed if both are killed. */
static void test_a_holder_is_taken_with_its_relatives(void **state)
{
	static const struct {
		const char *label;
		pid_t protected_pid;
		unsigned code_pages; /* of the other, as the next */
		pid_t ppid;
		bool is_taken;
		uid_t uid;
	} cases[] = {
		{ "a daemon of its program", 0, 9, 1, true },
		{ "another user's", 0, 9, 1, false, 5 },
		{ "a parent and its child", 0, 9, 7, true },
		{ "a child that has executed another program", 0, 8, 7, true },
		{ "a process that it has passed the descriptor to", 0, 8, 1, false },
		{ "the child is protected", 8, 9, 7, false },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *holder = add(7, "holder", MIB), *other = add(8, "child", MIB);

	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		3 * GIB;
	holder->code_pages = 9;
	s->holder_minimum = GIB;
	s->surveyed_from = NOW - SEC;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].label);
		other->ppid = cases[i].ppid;
		other->code_pages = cases[i].code_pages;
		other->session = 8;
		other->uid = cases[i].uid;
		test.protected_pid = cases[i].protected_pid;
		s->has_survey = true;
		s->surveyed_at = NOW - SEC;
		s->nominated_at = 0;
		s->surveyed = (struct where_survey){ .unmapped = { {
							     .pid = 7,
							     .comm = "holder",
							     .together = 2 * GIB,
							     .others = { 8 },
							     .n_others = 1,
							     .start_ticks = STARTED,
						     } } };
		m->selection->choice.n_ranked = s->n_together = 0;
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].is_taken);
		assert_int_equal(s->n_together, cases[i].is_taken);
		if (!cases[i].is_taken)
			continue;
		assert_int_equal(m->selection->choice.ranked[0].held, 2 * GIB);
		assert_int_equal(s->together[0], 8);
	}
}

/* Another user has sent it most of what it holds. */
static void test_what_others_have_sent_is_the_last_resort(void **state)
{
	static const struct {
		const char *label;
		uint64_t foreign; /* MiB of 400 */
		uid_t creator, parent;
		uint64_t best; /* MiB; 0: none was chosen */
		pid_t taken;   /* 0: none */
	} cases[] = {
		{ "its own", 0, 0, 0, 300, 7 },
		{ "another's", 400, 6, 0, 300, 8 },
		{ "another's, and no other is worth it", 400, 6, 0, 0, 7 },
		{ "most of it is its own", 80, 6, 0, 300, 7 },
		{ "half of it", 200, 6, 0, 300, 8 },
		{ "that user has started it", 400, 6, 6, 300, 7 },
	};
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *holder = add(7, "holder", 0), *other = add(8, "other", MIB);
	struct census_process *parent = add(5, "parent", MIB);

	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		400 * MIB;
	holder->ppid = 5;
	holder->uid = 9;
	s->holder_minimum = 64 * MIB;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].label);
		parent->uid = cases[i].parent;
		other->memory.anon = cases[i].best * MIB;
		victim_take(other, 0, &m->selection->choice);
		m->selection->choice.n_ranked = cases[i].best > 0;
		s->has_survey = true;
		s->surveyed_at = NOW - SEC;
		s->nominated_at = 0;
		s->surveyed = (struct where_survey){ .unmapped[0] = {
							     .pid = 7,
							     .comm = "holder",
							     .start_ticks = STARTED,
							     .bytes = 400 * MIB,
							     .foreign = cases[i].foreign * MIB,
							     .creator = cases[i].creator,
						     } };
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.n_ranked, cases[i].taken != 0);
		assert_int_equal(m->selection->choice.ranked[0].process->pid, cases[i].taken);
	}
}

static const struct {
	const char *label;
	uint64_t own, held, unmeasured, shmem, best; /* MiB */
	bool is_measured, as_cgroup;
	float weight;
	pid_t taken; /* 8: what was chosen */
	unsigned n_rereads;
} holders_that_are_taken[] = {
	{ "both together", 200, 400, 0, 500, 500, true, false, 1, 7, 1 },
	{ "as much", 200, 300, 0, 500, 500, true, false, 1, 8, 0 },
	{ "less", 200, 400, 0, 500, 700, true, false, 1, 8, 0 },
	{ "its own may be shared", 200, 400, 0, 500, 500, false, false, 1, 8, 1 },
	{ "held alone is more", 200, 400, 0, 500, 300, false, false, 1, 7, 1 },
	{ "it was freed meanwhile", 200, 400, 0, 100, 500, true, false, 1, 8, 0 },
	{ "what it holds may be mapped", 200, 400, 400, 500, 500, true, false, 1, 8, 1 },
	{ "it is avoided", 200, 400, 0, 500, 500, true, false, 0.5F, 8, 0 },
	{ "many small ones were chosen", 200, 400, 0, 500, 100, true, true, 1, 8, 0 },
};

/* What was chosen is compared with a holder and all that it has. */
static void test_a_holder_is_taken_if_it_is_larger_than_the_chosen(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *holder = add(7, "holder", 0), *other = add(8, "other", MIB);

	s->holder_minimum = 64 * MIB;
	for (size_t i = 0; i < ARRAY_SIZE(holders_that_are_taken); i++) {
		struct proc_memory own = { .anon = holders_that_are_taken[i].own * MIB,
					   .is_measured = holders_that_are_taken[i].is_measured };
		const struct where_holder held = {
			.pid = 7,
			.comm = "holder",
			.bytes = holders_that_are_taken[i].held * MIB,
			.unmeasured = holders_that_are_taken[i].unmeasured * MIB,
			.start_ticks = STARTED,
		};

		print_message("%s\n", holders_that_are_taken[i].label);
		m->sampler->domain.reading.counters.shmem =
			m->sampler->domain.reading.counters.cached =
				holders_that_are_taken[i].shmem * MIB;
		census_forget_shares(&m->sampler->census);
		census_set_memory(&m->sampler->census, holder, &own, GIB, NOW);
		holder->weight = holders_that_are_taken[i].weight;
		other->memory.anon = holders_that_are_taken[i].best * MIB;
		victim_take(other, 0, &m->selection->choice);
		m->selection->choice.as_one =
			holders_that_are_taken[i].as_cgroup ? VICTIM_AS_CGROUP : VICTIM_ALONE;
		m->selection->choice.n_respawned = 2;
		s->has_survey = true;
		s->surveyed_at = NOW - SEC;
		s->nominated_at = 0;
		s->surveyed = (struct where_survey){ 0 };
		if (holders_that_are_taken[i].unmeasured == 0)
			s->surveyed.unmapped[0] = held;
		else
			s->surveyed.memfds = held;
		test.n_rereads = 0;
		stuck_take_holder(m->selection, &m->in_flight->decision, &reader, NOW);
		assert_int_equal(m->selection->choice.ranked[0].process->pid,
				 holders_that_are_taken[i].taken);
		/* It was the other one that was started again. */
		assert_int_equal(m->selection->choice.n_respawned,
				 holders_that_are_taken[i].taken == 7 ? 0 : 2);
		/* What cannot be larger by what is known is not read. */
		assert_int_equal(test.n_rereads, holders_that_are_taken[i].n_rereads);
		/* What was not used is there for the next choice. */
		assert_int_equal(s->nominated_at,
				 holders_that_are_taken[i].taken == 7 ? NOW - SEC : 0);
	}
}

static unsigned n_precise;
static int read_result;
static bool shows_share;
static int read_precisely(const struct census_process *process, struct victim_reading *ret,
			  void *userdata)
{
	n_precise++;
	*ret = (struct victim_reading){
		.has_reclaimable = shows_share,
		.reclaimable.alone = 200 * MIB,
	};
	return read_result;
}

/* They count with those of the choice. */
static void test_reads_for_holders_are_bounded(void **state)
{
	const struct victim_reader reads = { .reread = reader.reread, .precise = read_precisely };
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;
	struct census_process *other = add(8, "other", 500 * MIB);

	add(7, "holder", 200 * MIB);
	s->holder_minimum = 64 * MIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		500 * MIB;
	for (unsigned i = 0; i < 4; i++) {
		unsigned n_reads = i == 0 ? VICTIM_MAX_READS : VICTIM_MAX_READS - 1;
		bool may_read = n_reads < VICTIM_MAX_READS;

		/* What is not read is held alone: less than the other has. */
		read_result = i == 2 ? VICTIM_READ_LATE : 0;
		shows_share = i != 3;
		n_precise = 0;
		s->nominated_at = 0;
		victim_take(other, 0, &m->selection->choice);
		m->selection->choice.n_reads = n_reads;
		s->has_survey = true;
		s->surveyed_at = NOW - SEC;
		s->surveyed = (struct where_survey){
			.unmapped[0] = { .pid = 7,
					 .comm = "holder",
					 .bytes = 400 * MIB,
					 .start_ticks = STARTED },
		};
		stuck_take_holder(m->selection, &m->in_flight->decision, &reads, NOW);
		assert_int_equal(n_precise, may_read);
		assert_int_equal(m->selection->choice.n_reads, VICTIM_MAX_READS);
		assert_int_equal(m->selection->choice.ranked[0].process->pid, i == 1 ? 7 : 8);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_holder_is_taken_if_it_still_is_one),
		TEST(test_a_holder_is_taken_after_one_that_is_protected),
		TEST(test_a_holder_is_taken_with_its_relatives),
		TEST(test_the_successor_of_a_holder_is_taken),
		TEST(test_a_survey_is_looked_at_four_times),
		TEST(test_a_holder_is_taken_with_children_younger_than_the_survey),
		TEST(test_what_others_have_sent_is_the_last_resort),
		TEST(test_a_holder_is_taken_if_it_is_larger_than_the_chosen),
		TEST(test_reads_for_holders_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
