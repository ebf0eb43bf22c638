/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/record/recorder.c: what is recorded of a kill after its signal, and when. */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record/recorder.h"
#include "tests/recorder-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_what_was_reclaimed_is_noted_in_time(void **state)
{
	const struct history_entry *e;

	kill_one(812, SIGKILL);
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_EXITED, 30 * MSEC);
	e = newest();
	assert_string_equal(e->outcome, "exited");
	assert_int_equal(e->exited_usec, 30 * MSEC + 100);
	assert_int_equal(e->reclaimed_bytes, 60 * MIB);
	assert_int_equal(e->reclaimed_100ms_bytes, UNKNOWN);
	assert_true(
		recorder_is_open(test.m->tick->recorder)); /* it has exited, but is not recorded */

	assert_int_equal(recorder_next(test.m->tick->recorder, SIGNALLED + 30 * MSEC), 70 * MSEC);
	sample(101 * MSEC, 62 * MIB);
	assert_int_equal(recorder_next(test.m->tick->recorder, SIGNALLED + 101 * MSEC), 399 * MSEC);
	sample(400 * MSEC, 10 * MIB); /* not yet */
	sample(500 * MSEC, 50 * MIB);
	assert_int_equal(recorder_next(test.m->tick->recorder, SIGNALLED + 3 * USEC_PER_SEC),
			 0); /* late */
	sample(1999 * MSEC, 10 * MIB);
	assert_true(recorder_is_open(test.m->tick->recorder));
	sample(2000 * MSEC, 40 * MIB);
	assert_false(recorder_is_open(test.m->tick->recorder));
	assert_int_equal(recorder_next(test.m->tick->recorder, SIGNALLED + 2000 * MSEC),
			 USEC_INFINITY);
	sample(2100 * MSEC, 0); /* no longer its business */

	e = newest();
	assert_int_equal(history_count(test.history), 1);
	assert_int_equal(e->reclaimed_100ms_bytes, 62 * MIB);
	assert_int_equal(e->reclaimed_500ms_bytes, 50 * MIB);
	assert_int_equal(e->reclaimed_2s_bytes, 40 * MIB);
	assert_int_equal(e->reclaimed_bytes, 40 * MIB);
	assert_int_equal(e->available_after_bytes, BEFORE + 40 * MIB);
	assert_int_equal(e->swap_free_after_bytes, 0);
}

/* It exits after its memory was reclaimed: that is what is kept, as long as it is its record. */
static void test_a_late_exit_is_recorded(void **state)
{
	kill_one(812, SIGKILL);
	recorder_exited(test.m->tick->recorder, 812); /* not over yet */
	assert_string_equal(newest()->outcome, "in-progress");
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_RECLAIMED, 30 * MSEC);
	recorder_exited(test.m->tick->recorder, 813);
	assert_string_equal(newest()->outcome, "reclaimed");
	recorder_exited(test.m->tick->recorder, 812);
	assert_string_equal(newest()->outcome, "exited");
	assert_int_equal(newest()->exited_usec, 30 * MSEC + 100);
	assert_int_equal(history_count(test.history), 1);

	kill_one(813, SIGKILL);
	end(KILL_PROGRESS_RECLAIMED, 30 * MSEC);
	kill_one(814, SIGKILL); /* closes the other */
	recorder_exited(test.m->tick->recorder, 813);
	assert_string_equal(newest()->outcome, "in-progress");
	assert_string_equal(history_get(test.history, 1)->outcome, "reclaimed");

	end(KILL_PROGRESS_UNKILLABLE, 30 * MSEC);
	recorder_exited(test.m->tick->recorder, 814);
	assert_string_equal(newest()->outcome, "unkillable");
}

static void test_swap_that_became_free_is_reclaimed_too(void **state)
{
	test.m->sampler->domain.reading.swap_free = 8 * MIB;
	kill_one(812, SIGKILL);
	test.m->sampler->domain.reading.swap_free = 12 * MIB;
	sample(100 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_EXITED, 100 * MSEC);
	assert_int_equal(newest()->reclaimed_100ms_bytes, 64 * MIB);
	assert_int_equal(newest()->swap_free_before_bytes, 8 * MIB);
	assert_int_equal(newest()->swap_free_after_bytes, 12 * MIB);
	test.m->sampler->domain.reading.available = 0; /* less than before is nothing */
	test.m->sampler->domain.reading.swap_free = 0;
	recorder_sample(test.m->tick->recorder, SIGNALLED + 500 * MSEC);
	recorder_sample(test.m->tick->recorder, SIGNALLED + 2000 * MSEC);
	assert_int_equal(newest()->reclaimed_500ms_bytes, 0);
}

static void test_a_late_sample_is_not_used(void **state)
{
	static const struct {
		usec_t at;
		bool is_100ms, is_500ms, is_2s;
	} cases[] = {
		{ 99 * MSEC, false, false, false },    { 100 * MSEC, true, false, false },
		{ 150 * MSEC, true, false, false },    { 151 * MSEC, false, false, false },
		{ 500 * MSEC, false, true, false },    { 750 * MSEC, false, true, false },
		{ 751 * MSEC, false, false, false },   { 2000 * MSEC, false, false, true },
		{ 3000 * MSEC, false, false, true },   { 3001 * MSEC, false, false, false },
		{ 60000 * MSEC, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.m->sampler->domain.reading.available = BEFORE;
		kill_one((pid_t)(100 + i), SIGKILL);
		sample(cases[i].at, MIB);
		end(KILL_PROGRESS_EXITED, cases[i].at);
		assert_int_equal(newest()->reclaimed_100ms_bytes,
				 cases[i].is_100ms ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_500ms_bytes,
				 cases[i].is_500ms ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_2s_bytes, cases[i].is_2s ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_bytes, MIB);
	}
}

static void test_the_next_victim_closes_the_record(void **state)
{
	const struct history_entry *first;

	kill_one(812, SIGKILL);
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_EXITED, 30 * MSEC);
	sample(120 * MSEC, 62 * MIB);
	choose(900, SIGNALLED + 120 * MSEC);
	assert_true(recorder_is_open(test.m->tick->recorder)); /* a choice is not yet a signal */
	assert_int_equal(newest()->pid, 812);
	signal_it(SIGKILL, SIGNALLED + 121 * MSEC);
	assert_int_equal(newest()->pid, 900);
	first = history_get(test.history, 1);
	assert_int_equal(first->pid, 812);
	assert_int_equal(first->reclaimed_100ms_bytes, 62 * MIB);
	assert_int_equal(first->reclaimed_500ms_bytes, UNKNOWN);
	assert_int_equal(first->reclaimed_2s_bytes, UNKNOWN);
	assert_int_equal(first->reclaimed_bytes, 62 * MIB);

	/* The second one's is against what was there when it was chosen. */
	sample(221 * MSEC, 100 * MIB);
	end(KILL_PROGRESS_EXITED, 221 * MSEC);
	assert_int_equal(newest()->reclaimed_100ms_bytes, 38 * MIB);
	assert_int_equal(history_count(test.history), 2);
}

static void test_time_counts_from_the_last_signal(void **state)
{
	const struct history_entry *e;

	kill_one(812, SIGTERM);
	assert_string_equal(newest()->signal, "SIGTERM");
	assert_int_equal(newest()->signal_usec, 92);
	assert_int_equal(newest()->escalated_usec, UNKNOWN);
	sample(100 * MSEC, 1 * MIB);
	sample(500 * MSEC, 2 * MIB);
	sample(2000 * MSEC, 3 * MIB);
	assert_true(recorder_is_open(test.m->tick->recorder)); /* its end is not known */
	assert_int_equal(recorder_next(test.m->tick->recorder, SIGNALLED + 2000 * MSEC),
			 USEC_INFINITY);
	signal_it(SIGKILL, SIGNALLED + 5000 * MSEC);
	e = newest();
	assert_true(e->escalated);
	assert_string_equal(e->signal, "SIGKILL");
	assert_int_equal(e->reclaimed_100ms_bytes, UNKNOWN);
	/* The first signal's time is kept, and what was done for it; SIGKILL has its own. */
	assert_int_equal(e->signal_usec, 92);
	assert_int_equal(e->escalated_usec, 5000 * MSEC + 92);
	assert_int_equal(e->open_usec, 90);
	sample(5100 * MSEC, 64 * MIB);
	end(KILL_PROGRESS_EXITED, 5100 * MSEC);
	sample(5500 * MSEC, 65 * MIB);
	sample(7000 * MSEC, 66 * MIB);
	e = newest();
	assert_int_equal(e->reclaimed_100ms_bytes, 64 * MIB);
	assert_int_equal(e->reclaimed_500ms_bytes, 65 * MIB);
	assert_int_equal(e->reclaimed_2s_bytes, 66 * MIB);
	assert_int_equal(history_count(test.history), 1);
}

static void test_what_takes_long_is_recorded_at_the_end(void **state)
{
	kill_one(812, SIGTERM);
	sample(100 * MSEC, 0);
	sample(500 * MSEC, 0);
	sample(2000 * MSEC, 0);
	sample(3200 * MSEC, 64 * MIB);
	test.m->in_flight->decision.kill.ineffective = true;
	end(KILL_PROGRESS_EXITED, 3200 * MSEC);
	assert_true(newest()->ineffective);
	assert_false(recorder_is_open(test.m->tick->recorder));
	assert_int_equal(newest()->reclaimed_2s_bytes, 0);
	assert_int_equal(newest()->reclaimed_bytes, 64 * MIB);
}

static void test_returned_is_the_shortest_time_for_nearly_all(void **state)
{
	uint64_t bytes;
	usec_t within;

	kill_one(812, SIGKILL);
	assert_false(recorder_reclaimed(test.m->tick->recorder, &bytes, &within));
	sample(10 * MSEC, 0);
	assert_false(recorder_reclaimed(test.m->tick->recorder, &bytes, &within));
	sample(20 * MSEC, 32 * MIB);
	sample(30 * MSEC, 60 * MIB);
	sample(100 * MSEC, 64 * MIB);
	sample(500 * MSEC, 5 * MIB);
	assert_true(recorder_reclaimed(test.m->tick->recorder, &bytes, &within));
	assert_int_equal(bytes, 60 * MIB);
	assert_int_equal(within, 30 * MSEC);
	end(KILL_PROGRESS_EXITED, 500 * MSEC);
	kill_one(900, SIGKILL);
	assert_false(recorder_reclaimed(test.m->tick->recorder, &bytes, &within));
}

static void test_refreezing_is_noted_where_there_was_something_to(void **state)
{
	test.m->in_flight->victim.thawed.n_levels = 2;
	kill_one(812, SIGKILL);
	assert_int_equal(newest()->thawed_levels, 2);
	test.m->in_flight->decision.kill.refrozen = 2;
	end(KILL_PROGRESS_EXITED, MSEC);
	assert_int_equal(newest()->refrozen, 2);

	kill_one(813, SIGKILL); /* still exiting: it will be later */
	end(KILL_PROGRESS_UNKILLABLE, MSEC);
	assert_int_equal(newest()->refrozen, HISTORY_UNKNOWN_I32);

	test.m->in_flight->victim.thawed.n_levels = 0;
	kill_one(814, SIGKILL);
	end(KILL_PROGRESS_EXITED, MSEC);
	assert_int_equal(newest()->thawed_levels, 0);
	assert_int_equal(newest()->refrozen, HISTORY_UNKNOWN_I32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_manager(test_what_was_reclaimed_is_noted_in_time),
		with_manager(test_a_late_exit_is_recorded),
		with_manager(test_swap_that_became_free_is_reclaimed_too),
		with_manager(test_a_late_sample_is_not_used),
		with_manager(test_the_next_victim_closes_the_record),
		with_manager(test_time_counts_from_the_last_signal),
		with_manager(test_what_takes_long_is_recorded_at_the_end),
		with_manager(test_returned_is_the_shortest_time_for_nearly_all),
		with_manager(test_refreezing_is_noted_where_there_was_something_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
