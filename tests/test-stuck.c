/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: when a survey is made and reported, and when a victim is chosen again. */
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

/* Started on a machine that is low: what it was like before is not known, and all that is used
 * counts, but for the pool of huge pages. */
static void test_a_start_when_memory_is_low(void **state)
{
	struct manager *m = test.m;

	m->sampler->domain.reading.total = 6 * GIB; /* without that pool */
	m->sampler->domain.reading.counters.anon = 0;
	m->sampler->domain.reading.counters.hugetlb = 2 * GIB;
	m->sampler->domain.reading.counters.shmem = m->sampler->domain.reading.counters.cached =
		5 * GIB;
	unowned_note_calm(m->selection, NOW);
	assert_int_equal(m->selection->stuck.best.available, 0);
	assert_int_equal(stuck_minimum(m->selection, &test.policy), 5 * GIB / 2);
	assert_int_equal(m->selection->stuck.unowned_growth, 0);
	assert_int_equal(stuck_min_victim(m->selection, &test.policy), 5 * GIB / 2);
	assert_int_equal(m->selection->stuck.unowned_growth, 5 * GIB);
}

/* The best of the last five minutes, or of the five before. */
static void test_the_best_time_is_remembered(void **state)
{
	struct manager *m = test.m;

	m->sampler->domain.reading.available = 6 * GIB;
	unowned_note_calm(m->selection, NOW);
	m->sampler->domain.reading.available = 5 * GIB;
	unowned_note_calm(m->selection, NOW + SEC);
	assert_int_equal(m->selection->stuck.best.available, 6 * GIB);
	m->sampler->domain.reading.available = 4 * GIB;
	unowned_note_calm(m->selection, NOW + 300 * SEC);
	assert_int_equal(m->selection->stuck.best.available, 4 * GIB);
	assert_int_equal(m->selection->stuck.best_earlier.available, 6 * GIB);
	m->sampler->domain.reading.available = 7 * GIB;
	unowned_note_calm(m->selection, NOW + 301 * SEC);
	assert_int_equal(m->selection->stuck.best.available, 7 * GIB);
}

/* In watch it is made where it will be needed, and not again and again. */
static void test_a_survey_in_time(void **state)
{
	struct manager *m = test.m;

	m->selection->stuck.asked_at = NOW - 100 * SEC;
	stuck_watch(m->selection, NOW);
	assert_int_equal(test.n_asked, 0); /* processes have it all */
	fill_tmpfs();
	stuck_watch(m->selection, NOW + SEC / 10);
	assert_int_equal(test.n_asked, 0); /* checked a moment ago */
	stuck_watch(m->selection, NOW + SEC);
	assert_int_equal(test.n_asked, 1);
	stuck_watch(m->selection, NOW + 4 * SEC); /* waits for it */
	assert_int_equal(test.n_asked, 1);
	test.is_finished = true;
	stuck_watch(m->selection, NOW + 5 * SEC);
	assert_true(m->selection->stuck.has_survey);
	assert_int_equal(test.n_asked, 2);
	test.is_finished = true; /* it has taken long: a hundredth of the time is for surveys */
	test.survey.took_usec = 30 * USEC_PER_MSEC;
	stuck_watch(m->selection, NOW + 8 * SEC - 1);
	assert_int_equal(test.n_asked, 2);
	stuck_watch(m->selection, NOW + 8 * SEC + SEC / 2);
	assert_int_equal(test.n_asked, 3);
	m->sampler->domain.reading.available = 2 * GIB;
	test.is_finished = true;
	stuck_watch(m->selection, NOW + 13 * SEC);
	assert_int_equal(test.n_asked, 3); /* not low any more */

	m->selection->stuck.since = NOW; /* while stuck as well */
	m->sampler->domain.reading.available = GIB;
	stuck_watch(m->selection, NOW + 19 * SEC);
	assert_int_equal(test.n_asked, 4);
}

/* No older than half as old again as it becomes in watch. */
static void test_a_survey_is_fresh_until_the_next_one(void **state)
{
	static const struct {
		unsigned took_ms;
		usec_t fresh_ms;
	} rows[] = {
		{ 0, 3000 }, { 20, 3000 }, { 40, 6000 }, { 100, 15000 }, { 500, 15000 },
	};
	struct stuck *s = &test.m->selection->stuck;

	s->surveyed_at = NOW;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t end = NOW + rows[i].fresh_ms * USEC_PER_MSEC;

		s->has_survey = true;
		s->surveyed.took_usec = rows[i].took_ms * USEC_PER_MSEC;
		assert_true(stuck_has_fresh_survey(s, end - 1));
		assert_false(stuck_has_fresh_survey(s, end));
		s->has_survey = false;
		assert_false(stuck_has_fresh_survey(s, NOW));
	}
}

/* Mappings are read as well, on a thread that may hang: then the other survey is taken. */
static void test_a_survey_of_mappings_is_preferred(void **state)
{
	static const struct {
		const char *label;
		bool hangs;
		usec_t plain_at, deep_at, now; /* after it was asked */
		const char *taken;	       /* NULL: none yet */
		usec_t cpu_time;	       /* of the one of mappings, until now */
	} rows[] = {
		{ "both", false, 10, 20, 20, "deep" },
		{ "the other one first", false, 10, 20, 10, NULL },
		{ "this one first", false, 20, 10, 10, "deep" },
		{ "late", false, 10, 300000, 199999, NULL, 199999 },
		{ "too late", false, 10, 300000, 200000, "plain", 200000 },
		{ "it is starved", false, 10, 900000, 799999, NULL, 199999 },
		{ "for too long", false, 10, 900000, 800000, "plain", 0 },
		{ "both are late", false, 250000, 240000, 240000, "deep" },
		{ "it hangs since an earlier one", true, 10, 10, 10, "plain" },
	};
	struct selection *sel = test.m->selection;
	struct stuck *s = &sel->stuck;

	fill_tmpfs();
	strcpy(test.survey.memfds.comm, "plain");
	strcpy(test.deep.survey.memfds.comm, "deep");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t began = NOW + i * 10 * SEC, now = began + rows[i].now;

		print_message("%s\n", rows[i].label);
		s->is_waiting = s->has_survey = test.is_finished = test.deep.is_finished = false;
		test.deep.hangs = rows[i].hangs;
		test.deep.cpu_time = rows[i].cpu_time;
		test.n_asked = 0;
		stuck_watch(sel, began);
		assert_int_equal(test.n_asked, 1);
		/* A quarter of what has been added. */
		assert_int_equal(test.deep.least_untouched, 5 * GIB / 4);
		test.is_finished = rows[i].now >= rows[i].plain_at;
		test.deep.is_finished = rows[i].now >= rows[i].deep_at;
		s->watched_at = 0;
		stuck_watch(sel, now);
		assert_int_equal(s->has_survey, rows[i].taken != NULL);
		if (rows[i].taken)
			assert_string_equal(s->surveyed.memfds.comm, rows[i].taken);
	}
}

/* With many mappings it takes longer than it is waited for; but not one that has hung. */
static void test_a_survey_of_mappings_that_is_late_is_another(void **state)
{
	static const struct {
		usec_t deep_at; /* after it was asked */
		bool is_taken;
	} rows[] = { { 300000, true }, { 1999999, true }, { 2000000, false }, { 30 * SEC, false } };
	struct selection *sel = test.m->selection;
	struct stuck *s = &sel->stuck;

	fill_tmpfs();
	strcpy(test.survey.memfds.comm, "plain");
	strcpy(test.deep.survey.memfds.comm, "deep");
	test.deep.hangs = false;
	test.deep.cpu_time = SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t began = NOW + i * 100 * SEC;

		s->is_waiting = false;
		s->surveyed.took_usec = 0;
		s->watched_at = test.n_asked = 0;
		stuck_watch(sel, began);
		assert_int_equal(test.n_asked, 1);
		test.is_finished = true;
		s->watched_at = 0;
		stuck_watch(sel, began + 200000);
		assert_string_equal(s->surveyed.memfds.comm, "plain");
		s->nominated_at = s->surveyed_at;
		s->surveyed.took_usec = SEC; /* the next one is not due */
		test.deep.is_finished = true;
		s->watched_at = 0;
		stuck_watch(sel, began + rows[i].deep_at);
		assert_string_equal(s->surveyed.memfds.comm, rows[i].is_taken ? "deep" : "plain");
		assert_int_equal(s->surveyed_at != s->nominated_at, rows[i].is_taken);
		assert_int_equal(s->surveyed_from, began);
	}
}

static void test_it_is_reported_once(void **state)
{
	struct manager *m = test.m;

	stuck_enter(m->selection, NOW);
	assert_false(stuck_has_report(m->selection, NOW));
	assert_int_equal(test.n_asked, 1);
	assert_false(stuck_has_report(m->selection, NOW + SEC));
	test.is_finished = true;
	add(7, "large", GIB);
	assert_true(stuck_has_report(m->selection, NOW + SEC));
	assert_true(m->selection->stuck.account.is_surveyed);
	assert_int_equal(m->selection->stuck.largest_pid, 7);
	assert_string_equal(m->selection->stuck.largest_comm, "large");
	assert_false(stuck_has_report(m->selection, NOW + 2 * SEC));
	assert_int_equal(test.n_asked, 1);
	assert_false(stuck_has_report(m->selection, NOW + 12 * SEC)); /* again */
	assert_int_equal(test.n_asked, 2);
	test.is_finished = true;
	assert_false(stuck_has_report(m->selection, NOW + 13 * SEC)); /* nothing has changed */
	assert_false(stuck_has_report(m->selection, NOW + 23 * SEC));
	fill_tmpfs();
	test.is_finished = true;
	assert_true(stuck_has_report(m->selection, NOW + 24 * SEC));
	assert_int_equal(m->selection->stuck.n_reports, 2);

	/* Over, and the same a minute later: that is new. */
	stuck_leave(m->selection);
	stuck_enter(m->selection, NOW + 100 * SEC);
	assert_int_equal(m->selection->stuck.reported_at, 0);
	assert_false(m->selection->stuck.has_survey);
}

/* A path through a file system that hangs: reported once without what it would show. */
static void test_a_survey_that_is_late(void **state)
{
	struct manager *m = test.m;

	stuck_enter(m->selection, NOW);
	assert_false(stuck_has_report(m->selection, NOW));
	assert_false(stuck_has_report(m->selection, NOW + SEC));
	assert_true(stuck_has_report(m->selection, NOW + 2 * SEC));
	assert_false(m->selection->stuck.account.is_surveyed);
	assert_int_equal(m->selection->stuck.largest_pid, 0); /* there is no process here */
	assert_false(stuck_has_report(m->selection, NOW + 3 * SEC));
	test.is_finished = true;
	(void)stuck_has_report(m->selection, NOW + 30 * SEC);
	assert_true(m->selection->stuck.has_survey);
}

static void test_without_a_thread(void **state)
{
	struct manager *m = test.m;

	stuck_done(m->selection);
	test.new_result = -EAGAIN;
	assert_int_equal(stuck_init(m->selection), -EAGAIN);
	fill_tmpfs();
	stuck_watch(m->selection, NOW);
	stuck_enter(m->selection, NOW);
	assert_true(stuck_has_report(m->selection, NOW));
	assert_false(m->selection->stuck.account.is_surveyed);
	assert_int_equal(m->selection->stuck.asked_at, NOW);
	assert_false(stuck_has_report(m->selection, NOW + SEC));
	victim_take(add(7, "small", MIB), 0, &m->selection->choice);
	assert_false(stuck_waits_before(m->selection, &m->in_flight->decision, NOW));
	assert_int_equal(test.n_asked, 0);
}

/* Every second, earlier when memory falls, and at once when a survey may name a process. */
static void test_when_a_victim_is_chosen_again(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	assert_true(stuck_is_to_choose(m->selection, NOW));
	s->minimum = 64 * MIB;
	stuck_enter(m->selection, NOW);
	assert_false(stuck_is_to_choose(m->selection, NOW + SEC / 2));
	assert_true(stuck_is_to_choose(m->selection, NOW + SEC));
	m->sampler->domain.reading.available -= 64 * MIB;
	assert_true(stuck_is_to_choose(m->selection, NOW + SEC / 2));
	assert_false(stuck_is_to_choose(m->selection, NOW + SEC / 20));
	s->has_survey = true;
	s->surveyed_at = NOW;
	assert_true(stuck_is_to_choose(m->selection, NOW + SEC / 20));
	s->nominated_at = NOW; /* it was used */
	assert_false(stuck_is_to_choose(m->selection, NOW + SEC / 20));
	s->nominated_at = 0;
	s->surveyed_at = NOW - 4 * SEC; /* too old */
	assert_false(stuck_is_to_choose(m->selection, NOW + SEC / 20));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_start_when_memory_is_low),
		TEST(test_the_best_time_is_remembered),
		TEST(test_a_survey_in_time),
		TEST(test_a_survey_is_fresh_until_the_next_one),
		TEST(test_a_survey_of_mappings_is_preferred),
		TEST(test_a_survey_of_mappings_that_is_late_is_another),
		TEST(test_it_is_reported_once),
		TEST(test_a_survey_that_is_late),
		TEST(test_without_a_thread),
		TEST(test_when_a_victim_is_chosen_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
