/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: what is kept and forgotten when it begins, when it is surveyed, chosen and reported
 * again, in tables. */
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

/* Of earlier times. */
static void test_what_is_known_when_it_begins(void **state)
{
	static const struct {
		const char *label;
		usec_t since, surveyed_at, nominated_at, reported_at; /* before now; 0: never */
		bool is_waiting, has_survey;
		bool keeps_survey, asks_anew, keeps_report;
	} rows[] = {
		{ "nothing", 0, 0, 0, 0, false, false, false, true, true },
		{ "a survey", 0, 2 * SEC, 0, 0, false, true, true, false, true },
		{ "one that is old", 0, 3 * SEC, 0, 0, false, true, false, true, true },
		{ "what it named was killed", 0, 2 * SEC, 2 * SEC, 0, false, true, false, true,
		  true },
		{ "one before that was used", 0, 2 * SEC, 9 * SEC, 0, false, true, true, false,
		  true },
		{ "one is under way", 0, 0, 0, 0, true, false, false, false, true },
		{ "the old one, and one is under way", 0, 3 * SEC, 0, 0, true, true, false, false,
		  true },
		{ "a report", 0, 0, 0, 60 * SEC - 1, false, false, false, true, true },
		{ "one that is old", 0, 0, 0, 60 * SEC, false, false, false, true, false },
		{ "it has begun", SEC, 3 * SEC, 0, 60 * SEC, false, true, true, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stuck *s = &test.m->selection->stuck;
		usec_t reported_at = rows[i].reported_at == 0 ? 0 : NOW - rows[i].reported_at;

		print_message("%s\n", rows[i].label);
		s->since = rows[i].since == 0 ? 0 : NOW - rows[i].since;
		s->has_survey = rows[i].has_survey;
		s->surveyed_at = rows[i].surveyed_at == 0 ? 0 : NOW - rows[i].surveyed_at;
		s->nominated_at = rows[i].nominated_at == 0 ? 1 : NOW - rows[i].nominated_at;
		s->reported_at = reported_at;
		s->is_waiting = rows[i].is_waiting;
		s->is_new = false;
		s->asked_at = NOW - 4 * SEC;
		stuck_enter(test.m->selection, NOW);
		assert_int_equal(s->since, rows[i].since == 0 ? NOW : NOW - rows[i].since);
		assert_int_equal(s->chosen_at, NOW);
		assert_int_equal(s->has_survey, rows[i].keeps_survey);
		assert_int_equal(s->is_new, rows[i].keeps_survey && rows[i].since == 0);
		assert_int_equal(s->asked_at, rows[i].asks_anew ? 0 : NOW - 4 * SEC);
		assert_int_equal(s->reported_at, rows[i].keeps_report ? reported_at : 0);
	}
}

static void test_when_it_is_chosen_again(void **state)
{
	static const struct {
		const char *label;
		usec_t since, chosen;	/* before now */
		uint64_t minimum, fall; /* MiB */
		bool expected;
	} rows[] = {
		{ "not stuck", 0, 0, 64, 0, true },
		{ "a second ago", SEC, SEC, 64, 0, true },
		{ "less", SEC, SEC - 1, 64, 0, false },
		{ "memory has fallen by a victim", SEC, SEC - 1, 64, 64, true },
		{ "by less", SEC, SEC - 1, 64, 63, false },
		{ "any is worth it, and it has not fallen", SEC, SEC - 1, 0, 0, false },
		{ "it has", SEC, SEC - 1, 0, 1, true },
		{ "it has just been chosen", SEC, 1, 0, 1, false },
	};
	struct stuck *s = &test.m->selection->stuck;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].label);
		s->since = rows[i].since == 0 ? 0 : NOW - rows[i].since;
		s->chosen_at = NOW - rows[i].chosen;
		s->minimum = rows[i].minimum * MIB;
		s->available_then = test.m->sampler->domain.reading.available + rows[i].fall * MIB;
		assert_int_equal(stuck_is_to_choose(test.m->selection, NOW), rows[i].expected);
	}
}

/* The reads of a choice may show that more is needed. */
static void test_when_a_victim_has_to_free_more(void **state)
{
	static const struct {
		const char *label;
		unsigned n_ranked;
		enum victim_as_one as_one;
		uint64_t bytes; /* MiB */
		bool expected;
	} rows[] = {
		{ "none", 0, VICTIM_ALONE, 0, false },
		{ "enough", 1, VICTIM_ALONE, 64, false },
		{ "too little", 1, VICTIM_ALONE, 63, true },
		{ "of several", 3, VICTIM_ALONE, 63, true },
		{ "with others", 1, VICTIM_AS_SIBLINGS, 63, false },
	};
	struct victim_result *choice = &test.m->selection->choice;

	test.m->config->policies.min_victim =
		(struct policy_threshold){ .set = true, .is_size = true, .bytes = 64 * MIB };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].label);
		choice->n_ranked = rows[i].n_ranked;
		choice->as_one = rows[i].as_one;
		choice->ranked[0].memory = (struct proc_memory){ .anon = rows[i].bytes * MIB };
		assert_int_equal(stuck_has_more(test.m->selection, &test.policy), rows[i].expected);
	}
}

static void test_the_largest_process_is_told(void **state)
{
	struct stuck *s = &test.m->selection->stuck;
	char text[128];

	add(7, "small", MIB);
	add(8, "large", 3 * GIB);
	add(9, "medium", 2 * GIB);
	test.exclusion = ELIGIBILITY_PROTECTED;
	stuck_enter(test.m->selection, NOW);
	assert_false(stuck_has_report(test.m->selection, NOW));
	test.is_finished = true;
	assert_true(stuck_has_report(test.m->selection, NOW + SEC));
	assert_int_equal(s->largest_pid, 8);
	assert_int_equal(s->largest_bytes, 3 * GIB);
	assert_int_equal(s->largest_why, ELIGIBILITY_PROTECTED);
	assert_non_null(strstr(stuck_largest_text(s, text, sizeof(text)), "large (pid 8, 3"));
	s->largest_why = ELIGIBILITY_ELIGIBLE;
	assert_string_equal(stuck_largest_why(s), "too small to be worth a kill");
	s->largest_pid = 0;
	assert_string_equal(stuck_largest_text(s, text, sizeof(text)), "");
}

static void test_a_survey_of_mappings_is_taken_once(void **state)
{
	struct selection *sel = test.m->selection;
	struct stuck *s = &sel->stuck;

	fill_tmpfs();
	test.deep.hangs = false;
	test.is_finished = test.deep.is_finished = true; /* of an earlier time */
	stuck_watch(sel, NOW);
	assert_false(test.is_finished || test.deep.is_finished);
	assert_true(s->is_waiting && s->is_deep);
	test.deep.is_finished = true;
	test.deep.survey.took_usec = 7;
	test.deep.survey.unmapped[0].bytes = GIB;
	stuck_watch(sel, NOW + SEC / 2);
	assert_false(s->is_waiting || s->is_deep);
	/* Both threads have worked for it. */
	assert_int_equal(s->surveyed.took_usec, 14);
	/* What is held is no more of no process: of 5 GiB, and one that is in no figure. */
	assert_int_equal(s->held_now.unowned, 5 * GIB);
}

static void test_without_a_thread_for_mappings(void **state)
{
	struct stuck *s = &test.m->selection->stuck;

	fill_tmpfs();
	s->deep = NULL;
	stuck_watch(test.m->selection, NOW);
	assert_int_equal(test.n_asked, 1);
	assert_false(s->is_deep);
	test.is_finished = true;
	stuck_watch(test.m->selection, NOW + SEC);
	assert_true(s->has_survey);
}

/* While it is stuck the figures are read again. */
static void test_when_it_is_surveyed_again(void **state)
{
	static const struct {
		const char *label;
		usec_t asked; /* before now; 0: never */
		bool is_waiting, has_survey, is_reported, is_new;
		bool asks, reports;
	} rows[] = {
		{ "at first", 0, false, false, false, false, true, false },
		{ "a survey that was there", 5 * SEC, false, true, false, true, false, true },
		{ "it was reported", 5 * SEC, false, true, true, false, false, false },
		{ "ten seconds ago", 10 * SEC, false, true, true, false, true, false },
		{ "under way", SEC, true, false, false, false, false, false },
		{ "late: without it", 2 * SEC, true, false, false, false, false, true },
		{ "once", 2 * SEC, true, false, true, false, false, false },
		{ "late, and an earlier one is there", 20 * SEC, true, true, false, false, false,
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stuck *s;

		print_message("%s\n", rows[i].label);
		teardown(state);
		assert_int_equal(setup(state), 0);
		s = &test.m->selection->stuck;
		s->since = NOW - 30 * SEC;
		s->asked_at = rows[i].asked == 0 ? 0 : NOW - rows[i].asked;
		s->is_waiting = rows[i].is_waiting;
		s->has_survey = rows[i].has_survey;
		s->surveyed_at = NOW - 5 * SEC;
		s->is_new = rows[i].is_new;
		s->reported_at = rows[i].is_reported ? NOW - 5 * SEC : 0;
		assert_int_equal(stuck_has_report(test.m->selection, NOW), rows[i].reports);
		assert_int_equal(test.n_asked, rows[i].asks);
		assert_int_equal(s->reported_at, rows[i].reports ? NOW : s->reported_at);
		assert_int_equal(s->n_reports, rows[i].reports);
		assert_false(s->is_new);
	}
}

/* What is new is new at the next sample. */
static void test_it_is_reported_later(void **state)
{
	struct stuck *s = &test.m->selection->stuck;

	stuck_enter(test.m->selection, NOW);
	stuck_report_later(test.m->selection, NOW);
	assert_false(s->is_new);
	test.is_finished = true;
	for (unsigned i = 1; i <= 2; i++) {
		stuck_report_later(test.m->selection, NOW + i * SEC);
		assert_true(s->is_new);
	}
	assert_int_equal(s->n_reports, 0);
	assert_true(stuck_has_report(test.m->selection, NOW + 3 * SEC));
	stuck_leave(test.m->selection);
	assert_int_equal(s->since, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_known_when_it_begins),
		TEST(test_when_it_is_chosen_again),
		TEST(test_when_a_victim_has_to_free_more),
		TEST(test_the_largest_process_is_told),
		TEST(test_a_survey_of_mappings_is_taken_once),
		TEST(test_without_a_thread_for_mappings),
		TEST(test_when_it_is_surveyed_again),
		TEST(test_it_is_reported_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
