/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder: is a process looked for that holds what a kill did not free?  In a table. */
#include "lib/domain/holder.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MS USEC_PER_MSEC

static void test_next(void **state)
{
	static const struct {
		const char *label;
		uint64_t anon, shmem, kept, freed; /* MiB */
		bool is_holder;
		usec_t ended, asked, surveyed, now; /* ms */
		enum holder_step expected;
	} rows[] = {
		{ "no kill", 0, 0, 0, 0, false, 0, 0, 0, 100, HOLDER_NONE },
		{ "it is not over", 1, 500, 0, 0, false, 0, 0, 0, 100, HOLDER_NONE },
		{ "in vain", 1, 500, 0, 2, false, 100, 0, 0, 110, HOLDER_ASK },
		{ "it was asked for before that", 1, 500, 0, 2, false, 100, 99, 0, 110,
		  HOLDER_ASK },
		{ "the survey is older", 1, 500, 0, 2, false, 100, 50, 60, 110, HOLDER_ASK },
		{ "asked for", 1, 500, 0, 2, false, 100, 110, 60, 120, HOLDER_WAIT },
		{ "until now", 1, 500, 0, 2, false, 100, 110, 60, 409, HOLDER_WAIT },
		{ "for long", 1, 500, 0, 2, false, 100, 110, 60, 410, HOLDER_NONE },
		{ "for longer", 1, 500, 0, 2, false, 100, 110, 60, 411, HOLDER_NONE },
		{ "surveyed", 1, 500, 0, 2, false, 100, 110, 130, 140, HOLDER_COMPARE },
		{ "surveyed at once", 1, 500, 0, 2, false, 100, 110, 110, 140, HOLDER_COMPARE },
		{ "surveyed late", 1, 500, 0, 2, false, 100, 110, 2000, 2100, HOLDER_COMPARE },
		{ "long ago", 1, 500, 0, 2, false, 100, 110, 130, 10100, HOLDER_NONE },
		{ "it was freed", 1, 500, 0, 499, false, 100, 0, 0, 110, HOLDER_NONE },
		{ "a quarter of it", 0, 500, 0, 125, false, 100, 0, 0, 110, HOLDER_NONE },
		{ "less", 0, 500, 0, 124, false, 100, 0, 0, 110, HOLDER_ASK },
		{ "most was anonymous", 300, 200, 0, 2, false, 100, 0, 0, 110, HOLDER_NONE },
		{ "half was anonymous", 250, 250, 0, 2, false, 100, 0, 0, 110, HOLDER_ASK },
		{ "just enough", 0, 16, 0, 0, false, 100, 0, 0, 110, HOLDER_ASK },
		{ "little", 1, 15, 0, 0, false, 100, 0, 0, 110, HOLDER_NONE },
		{ "most was to stay", 0, 500, 490, 0, false, 100, 0, 0, 110, HOLDER_NONE },
		{ "a holder, in vain", 1, 500, 0, 2, true, 100, 0, 0, 110, HOLDER_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct holder_facts facts = {
			.expected = { .anon = rows[i].anon * MIB,
				      .shmem = rows[i].shmem * MIB,
				      .kept = rows[i].kept * MIB },
			.is_holder = rows[i].is_holder,
			.freed = rows[i].freed * MIB,
			.finished_at = rows[i].ended * MS,
			.asked_at = rows[i].asked * MS,
			.surveyed_at = rows[i].surveyed * MS,
			.cpu_time = (rows[i].now - rows[i].asked) * MS,
			.now = rows[i].now * MS,
		};

		print_message("%s\n", rows[i].label);
		assert_int_equal(holder_next(&facts), rows[i].expected);
	}
}

/* Several processes may hold parts of what a killed one mapped. */
static void test_after_a_holder(void **state)
{
	static const struct {
		const char *label;
		uint64_t expected, freed, missing; /* MiB */
		uint64_t still_missing;
		enum holder_step next;
	} rows[] = {
		{ "it held half", 150, 149, 300, 151, HOLDER_ASK },
		{ "a quarter of what it held was freed", 160, 40, 300, 260, HOLDER_ASK },
		{ "just enough is missing", 150, 149, 165, 16, HOLDER_ASK },
		{ "it held all", 300, 299, 300, 1, HOLDER_NONE },
		{ "more was freed than was missing", 300, 400, 300, 0, HOLDER_NONE },
		{ "little is missing", 150, 149, 164, 15, HOLDER_NONE },
		{ "in vain: others hold the same", 150, 30, 300, 270, HOLDER_NONE },
		{ "nothing was known to be missing", 150, 149, 0, 0, HOLDER_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct holder_facts facts = {
			.expected = { .shmem = rows[i].expected * MIB },
			.is_holder = true,
			.freed = rows[i].freed * MIB,
			.missing = rows[i].missing * MIB,
			.finished_at = 100 * MS,
			.asked_at = 50 * MS,
			.now = 110 * MS,
		};

		print_message("%s\n", rows[i].label);
		assert_int_equal(holder_missing(&facts), rows[i].still_missing * MIB);
		assert_int_equal(holder_next(&facts), rows[i].next);
	}
}

/* What the victim was to leave to others is theirs. */
static void test_what_was_to_stay_is_not_missing(void **state)
{
	const struct holder_facts facts = {
		.expected = { .anon = 10 * MIB, .shmem = 500 * MIB, .kept = 490 * MIB },
		.freed = 5 * MIB,
	};

	assert_int_equal(holder_missing(&facts), 15 * MIB);
}

/* What others free and allocate meanwhile is not the victim's. */
static void test_beside_others(void **state)
{
	static const struct {
		const char *label;
		uint64_t freed, before, now; /* MiB */
		enum holder_step next;
	} rows[] = {
		{ "others free as much, and all shared memory is there", 900, 600, 600,
		  HOLDER_ASK },
		{ "others have added some to it", 900, 600, 700, HOLDER_ASK },
		{ "a little less than a quarter is gone", 900, 600, 476, HOLDER_ASK },
		{ "a quarter", 900, 600, 475, HOLDER_NONE },
		{ "all of it", 900, 600, 100, HOLDER_NONE },
		{ "it was gone from the figures, but nothing was freed", 2, 600, 100, HOLDER_ASK },
		{ "not known", 900, 0, 0, HOLDER_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct holder_facts facts = {
			.expected = { .shmem = 500 * MIB },
			.freed = rows[i].freed * MIB,
			.shmem_before = rows[i].before * MIB,
			.shmem_now = rows[i].now * MIB,
			.finished_at = 100 * MS,
			.asked_at = 50 * MS,
			.now = 110 * MS,
		};

		print_message("%s\n", rows[i].label);
		assert_int_equal(holder_next(&facts), rows[i].next);
	}
}

static const struct {
	const char *label;
	uint64_t chosen, grown, added;	     /* MiB, of 1024; added: since a survey was asked for */
	usec_t asked, surveyed, killed, now; /* ms; surveyed: asked for then */
	bool is_fresh;
	usec_t regrown; /* ms */
	enum holder_step expected;
} rows_of_before[] = {
	{ "nothing is known yet", 90, 600, 600, 0, 0, 0, 10000, false, 0, HOLDER_ASK },
	{ "less than an eighth", 90, 127, 127, 0, 0, 0, 10000, false, 0, HOLDER_NONE },
	{ "an eighth", 90, 128, 128, 0, 0, 0, 10000, false, 0, HOLDER_ASK },
	{ "the chosen one frees as much", 600, 600, 600, 0, 0, 0, 10000, false, 0, HOLDER_NONE },
	{ "a little less", 599, 600, 600, 0, 0, 0, 10000, false, 0, HOLDER_ASK },
	{ "asked for", 90, 600, 0, 9900, 0, 0, 10199, false, 0, HOLDER_WAIT },
	{ "it is late", 90, 600, 0, 9900, 0, 0, 10200, false, 0, HOLDER_NONE },
	{ "it is late, and more has been added", 90, 600, 300, 9900, 0, 0, 10200, false, 0,
	  HOLDER_NONE },
	{ "it hangs: before the pause is over", 90, 600, 0, 8001, 0, 0, 10000, false, 0,
	  HOLDER_NONE },
	{ "it hangs: after the pause", 90, 600, 0, 8000, 0, 0, 10000, false, 0, HOLDER_ASK },
	{ "likewise, while the last is fresh", 90, 600, 0, 8000, 7000, 0, 10000, true, 0,
	  HOLDER_ASK },
	{ "surveyed", 90, 600, 0, 9900, 9900, 0, 10000, true, 0, HOLDER_NONE },
	{ "and it is fresh after the pause", 90, 600, 0, 7000, 7000, 0, 10000, true, 0,
	  HOLDER_NONE },
	{ "less than an eighth since", 90, 600, 127, 9900, 9900, 0, 10000, true, 0, HOLDER_NONE },
	{ "an eighth since", 90, 600, 128, 9900, 9900, 0, 10000, true, 0, HOLDER_ASK_AGAIN },
	{ "it was asked for that already", 90, 600, 128, 9900, 9900, 0, 10000, true, 8001,
	  HOLDER_NONE },
	{ "a pause ago", 90, 600, 128, 9900, 9900, 0, 10000, true, 8000, HOLDER_ASK_AGAIN },
	{ "a survey that is not fresh", 90, 600, 0, 6900, 6900, 0, 10000, false, 0, HOLDER_ASK },
	{ "nor is the pause over", 90, 600, 0, 9000, 9000, 0, 10000, false, 0, HOLDER_NONE },
	{ "it was killed before the survey", 90, 600, 0, 9900, 9900, 9900, 10000, true, 0,
	  HOLDER_NONE },
	{ "it was killed since the survey was asked for", 90, 600, 0, 9900, 9900, 9901, 10000, true,
	  0, HOLDER_ASK },
	{ "it was killed since, and the survey is late", 90, 600, 0, 9000, 8000, 9500, 10000, true,
	  0, HOLDER_NONE },
	{ "it was killed since, asked for", 90, 600, 0, 9900, 9000, 9800, 10000, true, 0,
	  HOLDER_WAIT },
};

/* Memory is low, and one process was chosen: is it to be found out first what others hold? */
static void test_before(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_before); i++) {
		const struct holder_doubt doubt = {
			.chosen = rows_of_before[i].chosen * MIB,
			.grown = rows_of_before[i].grown * MIB,
			.grown_asked = (rows_of_before[i].grown - rows_of_before[i].added) * MIB,
			.memory = GIB,
			.asked_at = rows_of_before[i].asked * MS,
			.is_under_way = rows_of_before[i].asked > rows_of_before[i].surveyed,
			.surveyed_from = rows_of_before[i].surveyed * MS,
			.is_fresh = rows_of_before[i].is_fresh,
			.cpu_time = (rows_of_before[i].now - rows_of_before[i].asked) * MS,
			.killed_at = rows_of_before[i].killed * MS,
			.pause = 2000 * MS,
			.regrown_at = rows_of_before[i].regrown * MS,
			.now = rows_of_before[i].now * MS,
		};

		print_message("%s\n", rows_of_before[i].label);
		assert_int_equal(holder_before(&doubt), rows_of_before[i].expected);
	}
}

/* A thread that gets little CPU time, as memory is low. */
static void test_a_starved_survey_is_waited_for(void **state)
{
	static const struct {
		usec_t cpu_time, waited; /* ms */
		bool is_waited_for;
	} rows[] = {
		{ 299, 299, true }, { 300, 300, false }, { 299, 999, true },
		{ 0, 999, true },   { 0, 1000, false },	 { 299, 1000, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct holder_facts facts = {
			.expected = { .shmem = 500 * MIB },
			.finished_at = 900 * MS,
			.asked_at = 1000 * MS,
			.cpu_time = rows[i].cpu_time * MS,
			.now = (1000 + rows[i].waited) * MS,
		};
		const struct holder_doubt doubt = {
			.grown = GIB,
			.memory = GIB,
			.asked_at = 1000 * MS,
			.is_under_way = true,
			.cpu_time = rows[i].cpu_time * MS,
			.pause = 2000 * MS,
			.now = (1000 + rows[i].waited) * MS,
		};
		enum holder_step expected = rows[i].is_waited_for ? HOLDER_WAIT : HOLDER_NONE;

		print_message("row %zu\n", i);
		assert_int_equal(holder_next(&facts), expected);
		assert_int_equal(holder_before(&doubt), expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_others),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_before),
		cmocka_unit_test(test_a_starved_survey_is_waited_for),
		cmocka_unit_test(test_after_a_holder),
		cmocka_unit_test(test_what_was_to_stay_is_not_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
