/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge: what a sample comes to, by the policies and by whether stalls count.  The answer to that
 * is the test's (stalls_ask() is wrapped, test-stalls.c tests it); what a policy holds on is tested
 * by test-policy-holds.c.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/watch/judge.h"
#include "daemon/watch/stalls.h"
#include "tests/manager-parts.h"
#include "tests/policy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOW (1000 * USEC_PER_SEC)

enum { BY_LEVEL, BY_PRESSURE, N_POLICIES };

static struct {
	struct manager *m;
	struct policy policies[N_POLICIES];
	enum stalls_answer answer;
	unsigned n_asked;
} test;

enum stalls_answer __wrap_stalls_ask(struct sampler *s, const struct policy *policy, usec_t now);
enum stalls_answer __wrap_stalls_ask(struct sampler *s, const struct policy *policy, usec_t now)
{
	test.n_asked++;
	assert_ptr_equal(s, test.m->sampler);
	assert_ptr_equal(policy, &test.policies[BY_PRESSURE]);
	assert_true(now == NOW);
	return test.answer;
}

/* 4% are available: one policy terminates for that, the other kills for stalls besides. */
static int setup(void **state)
{
	const struct policy_set none = { 0 };
	struct domain *domain;

	memset(&test, 0, sizeof(test));
	test.m = manager_alloc();
	if (!test.m)
		return -1;
	test.policies[BY_LEVEL] = (struct policy){
		.name = (char *)(uintptr_t) "level",
		.action = POLICY_ACTION_TERMINATE,
		.memory_available = { .set = true, .permyriad = 500 },
	};
	test.policies[BY_PRESSURE] = test.policies[BY_LEVEL];
	test.policies[BY_PRESSURE].name = (char *)(uintptr_t) "pressure";
	test.policies[BY_PRESSURE].action = POLICY_ACTION_KILL;
	test.policies[BY_PRESSURE].pressure_full = 1000;
	test.m->config->policies.policies = test.policies;
	test.m->config->policies.n_policies = N_POLICIES;
	domain = &test.m->sampler->domain;
	domain->reading = reading_of(TOTAL / 25, 0, 0);
	domain->has_psi = true;
	stall(&domain->psi, NOW, 10 * USEC_PER_SEC, 90, 90);
	reclaim(&domain->reclaim, NOW, 100000, 0);
	return domain_change_policies(domain, &none, &test.m->config->policies);
}

static int teardown(void **state)
{
	domain_done(&test.m->sampler->domain);
	free(test.m);
	return 0;
}

static enum report_event judge(const char **ret_policy)
{
	struct policy_judgement judgement;
	enum report_event event = judge_policies(test.m->sampler, NOW, &judgement);

	*ret_policy = judgement.policy ? judgement.policy->name : "(none)";
	return event;
}

static void test_the_reading_is_the_last_sample(void **state)
{
	struct sampler *s = test.m->sampler;
	struct policy_reading reading;

	s->domain.unswappable = MIB;
	s->stalls.explained = true;
	test.m->machine->accuracy.page_size = 4096;
	reading = judge_reading(s);
	assert_ptr_equal(reading.memory, &s->domain.reading);
	assert_ptr_equal(reading.psi, &s->domain.psi);
	assert_ptr_equal(reading.reclaim, &s->domain.reclaim);
	assert_true(reading.stalls_are_explained);
	assert_int_equal(reading.unswappable, MIB);
	assert_int_equal(reading.page_size, 4096);
	s->domain.has_psi = false;
	assert_null(judge_reading(s).psi);
}

/* Only a policy with pressure conditions needs to know whether stalls count. */
static void test_a_level_is_followed_without_asking(void **state)
{
	const char *policy;

	test.m->sampler->domain.has_psi = false;
	assert_int_equal(judge(&policy), REPORT_NOTHING);
	assert_string_equal(policy, "level");
	test.m->sampler->domain.reading.available = TOTAL;
	assert_int_equal(judge(&policy), REPORT_NOTHING);
	assert_string_equal(policy, "(none)");
	assert_int_equal(test.n_asked, 0);
}

/* Where they do not count, the policies are judged again without them. */
static void test_what_stalls_come_to(void **state)
{
	static const struct {
		enum stalls_answer answer;
		bool was_explained, was_reported;
		const char *policy;
		enum report_event event;
	} rows[] = {
		{ STALLS_COUNT, false, false, "pressure", REPORT_NOTHING },
		/* the verdict before: it is asked for anew */
		{ STALLS_COUNT, true, true, "pressure", REPORT_NOTHING },
		{ STALLS_UNKNOWN, false, false, "level", REPORT_NOTHING },
		{ STALLS_EXPLAINED, false, false, "level", REPORT_CGROUP_LIMIT },
		{ STALLS_EXPLAINED, true, true, "level", REPORT_NOTHING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stalls *stalls = &test.m->sampler->stalls;
		const struct policy *asked_for =
			rows[i].answer == STALLS_COUNT ? NULL : &test.policies[BY_PRESSURE];
		const char *policy;

		test.answer = rows[i].answer;
		test.n_asked = 0;
		*stalls = (struct stalls){ .explained = rows[i].was_explained,
					   .reported = rows[i].was_reported };
		assert_int_equal(judge(&policy), rows[i].event);
		assert_string_equal(policy, rows[i].policy);
		assert_int_equal(test.n_asked, 1);
		assert_ptr_equal(stalls->policy, asked_for);
	}
}

/* Of warnings nothing is killed; and how long a policy has to hold does not matter. */
static void test_which_samples_are_about_to_kill(void **state)
{
	static const struct {
		enum policy_action level, pressure;
		bool is_explained, is_enough, kills;
	} rows[] = {
		{ POLICY_ACTION_WARN, POLICY_ACTION_WARN, false, false, false },
		{ POLICY_ACTION_NONE, POLICY_ACTION_WARN, false, false, false },
		{ POLICY_ACTION_TERMINATE, POLICY_ACTION_WARN, false, false, true },
		{ POLICY_ACTION_KILL, POLICY_ACTION_NONE, false, false, true },
		{ POLICY_ACTION_WARN, POLICY_ACTION_KILL, false, false, true },
		{ POLICY_ACTION_WARN, POLICY_ACTION_KILL, true, false, false },
		{ POLICY_ACTION_KILL, POLICY_ACTION_KILL, false, true, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sampler *s = test.m->sampler;

		test.policies[BY_LEVEL].action = rows[i].level;
		test.policies[BY_LEVEL].for_usec = USEC_PER_SEC;
		test.policies[BY_PRESSURE].action = rows[i].pressure;
		s->stalls.explained = rows[i].is_explained;
		s->domain.reading.available = rows[i].is_enough ? TOTAL : TOTAL / 25;
		if (judge_kills(s) != rows[i].kills)
			fail_msg("row %zu", i);
	}
	assert_int_equal(test.n_asked, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_reading_is_the_last_sample),
		TEST(test_a_level_is_followed_without_asking),
		TEST(test_what_stalls_come_to),
		TEST(test_which_samples_are_about_to_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
