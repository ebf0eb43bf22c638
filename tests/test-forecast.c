/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/domain/forecast.c: histories, and what is made of them under the built-in policies.
 */
#include <string.h>

#include "lib/domain/forecast.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Lines of the built-in policies then: warn 1500 and 250 MiB, terminate 1000 and 100, kill 500 and
 * 50. */
#define TOTAL	   (10000 * MIB)
#define SWAP_TOTAL (1000 * MIB)

struct sample {
	unsigned msec;
	unsigned available, swap; /* MiB */
};

static struct memory_reading reading(const struct sample *sample, bool has_swap)
{
	return (struct memory_reading){
		.total = TOTAL,
		.available = sample->available * MIB,
		.swap_total = has_swap ? SWAP_TOTAL : 0,
		.swap_free = has_swap ? sample->swap * MIB : 0,
	};
}

static const struct {
	const char *name;
	struct sample samples[6]; /* to the first at 0 ms */
	bool has_swap;
	const char *policy; /* NULL: none */
	usec_t usec;
} cases_of_next_follows_the_rate[] = {
	{ "one reading is no trend", { { 1, 2000, 1000 } }, false, "warn", USEC_INFINITY },
	{ "nor is less than two seconds",
	  { { 1, 2000, 0 }, { 1000, 1900, 0 } },
	  false,
	  "warn",
	  USEC_INFINITY },
	{ "100 MiB/s, 300 to go",
	  { { 1, 2000, 0 }, { 1001, 1900, 0 }, { 2001, 1800, 0 } },
	  false,
	  "warn",
	  3 * USEC_PER_SEC },
	{ "what was before the last two seconds does not count",
	  { { 1, 9000, 0 }, { 1001, 8000, 0 }, { 3001, 1800, 0 }, { 5001, 1600, 0 } },
	  false,
	  "warn",
	  USEC_PER_SEC },
	{ "seldom read: of as long as it takes",
	  { { 1, 2000, 0 }, { 10001, 1900, 0 } },
	  false,
	  "warn",
	  40 * USEC_PER_SEC },
	{ "past the first line the second is next",
	  { { 1, 1400, 0 }, { 2001, 1200, 0 } },
	  false,
	  "terminate",
	  2 * USEC_PER_SEC },
	{ "it rises: the nearest, and when is not known",
	  { { 1, 1200, 0 }, { 2001, 1800, 0 } },
	  false,
	  "warn",
	  USEC_INFINITY },
	{ "too slow to be foreseen",
	  { { 1, 2001, 0 }, { 20001, 2000, 0 } },
	  false,
	  "warn",
	  USEC_INFINITY },
	{ "all lines are crossed",
	  { { 1, 900, 0 }, { 2001, 400, 0 } },
	  false,
	  NULL,
	  USEC_INFINITY },
	{ "with swap, both have to be used up: 800 MiB to go",
	  { { 1, 2000, 900 }, { 2001, 1800, 750 } },
	  true,
	  "warn",
	  (usec_t)(800 * MIB * 2 * USEC_PER_SEC / (350 * MIB)) },
	{ "memory is below all thresholds, swap falls: 200 left",
	  { { 1, 400, 350 }, { 2001, 400, 300 } },
	  true,
	  "warn",
	  2 * USEC_PER_SEC },
	{ "what swap takes from memory is no trend",
	  { { 1, 1800, 900 }, { 2001, 2000, 700 } },
	  true,
	  "warn",
	  USEC_INFINITY },
};

static void test_next_follows_the_rate(void **state)
{
	struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases_of_next_follows_the_rate); i++) {
		struct forecast forecast = { 0 };
		struct memory_reading memory = { 0 };
		struct forecast_next next;

		for (size_t j = 0; j < ARRAY_SIZE(cases_of_next_follows_the_rate[i].samples); j++) {
			const struct sample *sample = &cases_of_next_follows_the_rate[i].samples[j];

			if (sample->msec == 0)
				break;
			memory = reading(sample, cases_of_next_follows_the_rate[i].has_swap);
			forecast_add(&forecast, sample->msec * USEC_PER_MSEC, &memory);
		}
		forecast_next(&forecast, &set, &memory, &next);
		if ((next.policy == NULL) != (cases_of_next_follows_the_rate[i].policy == NULL) ||
		    (next.policy &&
		     strcmp(next.policy->name, cases_of_next_follows_the_rate[i].policy) != 0) ||
		    next.usec != cases_of_next_follows_the_rate[i].usec)
			fail_msg("%s: %s in %llu us", cases_of_next_follows_the_rate[i].name,
				 next.policy ? next.policy->name : "none",
				 (unsigned long long)next.usec);
	}
	policy_set_done(&set);
}

static void test_next_leaves_out_pressure(void **state)
{
	struct policy policies[] = {
		{ .name = (char *)"stalls",
		  .action = POLICY_ACTION_KILL,
		  .pressure_full = 100,
		  .memory_available = { .set = true, .permyriad = 9000 } },
		{ .name = (char *)"nothing",
		  .memory_available = { .set = true, .permyriad = 5000 } },
		{ .name = (char *)"memory",
		  .action = POLICY_ACTION_KILL,
		  .memory_available = { .set = true, .is_size = true, .bytes = 100 * MIB } },
	};
	struct policy_set set = { .policies = policies, .n_policies = ARRAY_SIZE(policies) };
	struct memory_reading memory = reading(&(struct sample){ 0, 9500, 0 }, false);
	struct forecast forecast = { 0 };
	struct forecast_next next;

	forecast_add(&forecast, USEC_PER_SEC, &memory);
	forecast_next(&forecast, &set, &memory, &next);
	assert_ptr_equal(next.policy, &policies[2]);
	set.n_policies = 2;
	forecast_next(&forecast, &set, &memory, &next);
	assert_null(next.policy);
}

static void test_add_keeps_samples_apart(void **state)
{
	struct memory_reading memory = reading(&(struct sample){ 0, 5000, 0 }, false);
	struct forecast forecast = { 0 };

	/* As often as in watch: the history must not shrink to the last few milliseconds. */
	for (usec_t now = 0; now < 10 * USEC_PER_SEC; now += 20 * USEC_PER_MSEC)
		forecast_add(&forecast, now, &memory);
	assert_int_equal(forecast.n_samples, FORECAST_SAMPLES);
	assert_true(forecast.samples[(forecast.head + FORECAST_SAMPLES - 1) % FORECAST_SAMPLES].at -
			    forecast.samples[forecast.head].at >=
		    FORECAST_WINDOW_USEC);
	/* The clock of a machine that was resumed from an image. */
	forecast_add(&forecast, USEC_PER_SEC, &memory);
	assert_int_equal(forecast.n_samples, 1);
}

static void test_reset_forgets_the_rate(void **state)
{
	static const struct sample samples[] = { { 1, 2000, 0 },
						 { 1001, 1900, 0 },
						 { 2001, 1800, 0 } };
	struct forecast forecast = { 0 };
	struct memory_reading memory = { 0 };
	struct forecast_next next;
	struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		memory = reading(&samples[i], false);
		forecast_add(&forecast, samples[i].msec * USEC_PER_MSEC, &memory);
	}
	forecast_next(&forecast, &set, &memory, &next);
	assert_true(next.usec != USEC_INFINITY);
	forecast_reset(&forecast);
	forecast_next(&forecast, &set, &memory, &next);
	assert_true(next.usec == USEC_INFINITY);
	assert_string_equal(next.policy->name, "warn");
	policy_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_follows_the_rate),
		cmocka_unit_test(test_next_leaves_out_pressure),
		cmocka_unit_test(test_add_keeps_samples_apart),
		cmocka_unit_test(test_reset_forgets_the_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
