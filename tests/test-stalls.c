/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stalls: when the machine's pressure counts: walks over the cgroups are wrapped, and time is the
 * test's.  The walk itself is tested by test-stall-walk.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/log/log.h"
#include "daemon/watch/stalls.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define START (1000 * USEC_PER_SEC)

static struct {
	struct manager *m;
	struct policy policy;
	usec_t now;
	int result; /* of a walk */
	bool has_limited;
	unsigned n_walks, n_clears;
} test;

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	return test.now;
}

int __wrap_stall_walk(struct stall *stall, usec_t (*get_time)(void), usec_t until_usec);
int __wrap_stall_walk(struct stall *stall, usec_t (*get_time)(void), usec_t until_usec)
{
	test.n_walks++;
	assert_true(until_usec > test.now);
	if (stall->n_levels == 0)
		stall->last_began_at = test.now;
	stall->n_levels = test.result == 0;
	stall->entries = test.result < 0 ? NULL : (struct stall_entry *)(void *)&test;
	if (test.result > 0) {
		stall->verdict = (struct stall_verdict){
			.at = test.now,
			.machine = { .some = 6000, .full = 5000 },
			.unexplained = { .some = test.has_limited ? 100 : 6000,
					 .full = test.has_limited ? 100 : 5000 },
			.limited_share = { .some = 6000, .full = 5000 },
		};
		if (test.has_limited)
			strcpy(stall->verdict.limited, "/tenant");
	}
	return test.result;
}

void __wrap_stall_clear(struct stall *stall);
void __wrap_stall_clear(struct stall *stall)
{
	test.n_clears++;
	stall->entries = NULL;
	stall->n_levels = 0;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	test.m = manager_alloc();
	if (!test.m)
		return -1;
	test.now = START;
	test.policy.pressure_full = 1000;
	test.m->regime->state = REGIME_WATCH;
	test.m->machine->cgroups.v2_has_memory = true;
	test.m->sampler->domain.has_psi = true;
	log_set_target(LOG_TARGET_NULL);
	return 0;
}

static int teardown(void **state)
{
	free(test.m);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

static enum stalls_answer ask(void)
{
	return stalls_ask(test.m->sampler, &test.policy, test.now);
}

/* The machine stalled for all of the last second. */
static void stall_machine(void)
{
	struct psi_reading reading = { .some.total = 1, .full.total = 1 };

	psi_history_reset(&test.m->sampler->domain.psi);
	psi_history_add(&test.m->sampler->domain.psi, test.now - USEC_PER_SEC, &reading);
	reading.some.total += USEC_PER_SEC;
	psi_history_add(&test.m->sampler->domain.psi, test.now, &reading);
}

static void test_all_counts_where_cgroups_cannot_tell(void **state)
{
	test.m->machine->cgroups.v2_has_memory = false;
	assert_int_equal(ask(), STALLS_COUNT);
	stall_machine();
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 0);
	assert_int_equal(stalls_next(test.m->sampler), USEC_INFINITY);
}

static void test_a_verdict_that_is_fresh_answers(void **state)
{
	test.result = 1;
	test.has_limited = true;
	assert_int_equal(ask(), STALLS_EXPLAINED);
	assert_int_equal(test.n_walks, 1);
	assert_true(test.m->sampler->stalls.explained);
	assert_int_equal(test.m->sampler->stalls.n_ignored, 1);
	test.now += USEC_PER_SEC / 2;
	assert_int_equal(ask(), STALLS_EXPLAINED); /* by the same */
	assert_int_equal(test.n_walks, 1);

	test.now += USEC_PER_SEC;
	test.has_limited = false;
	assert_int_equal(ask(), STALLS_COUNT);
	assert_int_equal(test.n_walks, 2);
	assert_false(test.m->sampler->stalls.explained);
	assert_int_equal(test.m->sampler->stalls.n_ignored, 2);
}

/* A walk takes its time; a policy waits for it, but not for ever. */
static void test_a_verdict_is_waited_for(void **state)
{
	assert_int_equal(ask(), STALLS_UNKNOWN);
	assert_true(stalls_next(test.m->sampler) < 10 * USEC_PER_MSEC);
	test.now += USEC_PER_SEC;
	assert_int_equal(ask(), STALLS_UNKNOWN);
	test.now += USEC_PER_SEC / 2;
	assert_int_equal(ask(), STALLS_COUNT);
	assert_false(test.m->sampler->stalls.explained);
	/* The next question waits anew; then it is over. */
	test.now += 4 * USEC_PER_MSEC;
	assert_int_equal(ask(), STALLS_UNKNOWN);
	test.result = 1;
	test.has_limited = true;
	test.now += 4 * USEC_PER_MSEC;
	assert_int_equal(ask(), STALLS_EXPLAINED);
	assert_int_equal(stalls_next(test.m->sampler), USEC_INFINITY);
}

static void test_two_walks_are_not_close_to_each_other(void **state)
{
	test.result = 1;
	(void)ask();
	test.m->sampler->stalls.walk.verdict.at = 0;
	test.now += STALL_WINDOW_USEC - 1;
	assert_int_equal(ask(), STALLS_UNKNOWN);
	assert_int_equal(test.n_walks, 1);
	test.now++;
	assert_int_equal(ask(), STALLS_COUNT);
	assert_int_equal(test.n_walks, 2);
}

/* No pressure of cgroups in this kernel: all counts from then on.  What is short for now is tried
 * again. */
static void test_walks_that_fail(void **state)
{
	test.result = -EMFILE;
	assert_int_equal(ask(), STALLS_UNKNOWN);
	assert_false(test.m->sampler->stalls.unusable);
	test.now += STALL_WINDOW_USEC;
	test.result = -EOPNOTSUPP;
	assert_int_equal(ask(), STALLS_COUNT);
	assert_true(test.m->sampler->stalls.unusable);
	assert_int_equal(test.n_walks, 2);
	test.now += 10 * USEC_PER_SEC;
	assert_int_equal(ask(), STALLS_COUNT);
	stall_machine();
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 2);
}

static void test_walks_are_kept_up_while_there_is_pressure(void **state)
{
	struct stalls *s = &test.m->sampler->stalls;

	test.result = 1;
	stalls_sample(test.m->sampler, test.now); /* none yet */
	assert_int_equal(test.n_walks, 0);
	stall_machine();
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 1);
	stalls_sample(test.m->sampler, test.now); /* not due */
	assert_int_equal(test.n_walks, 1);
	test.now += stall_period(&s->walk);
	psi_history_reset(&test.m->sampler->domain.psi); /* held for a while */
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 2);
	s->walk.n_levels = 1; /* under way: each sample continues it */
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 3);

	test.m->regime->state = REGIME_KILLING;
	test.now += stall_period(&s->walk);
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 3);
	test.m->regime->state = REGIME_WATCH;

	s->explained = s->reported = true;
	s->asked_at = 1;
	test.now += 20 * USEC_PER_SEC;
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_clears, 1);
	assert_false(s->explained || s->reported);
	assert_int_equal(stalls_next(test.m->sampler), USEC_INFINITY);
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_clears, 1);
	/* Without PSI there is nothing that begins it. */
	test.m->sampler->domain.has_psi = false;
	stall_machine();
	stalls_sample(test.m->sampler, test.now);
	assert_int_equal(test.n_walks, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_counts_where_cgroups_cannot_tell),
		TEST(test_a_verdict_that_is_fresh_answers),
		TEST(test_a_verdict_is_waited_for),
		TEST(test_two_walks_are_not_close_to_each_other),
		TEST(test_walks_that_fail),
		TEST(test_walks_are_kept_up_while_there_is_pressure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
