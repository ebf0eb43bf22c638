/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/base/quota.c: what one sender gets, what all get, and that a flood leaves enough for
 * others. */
#include <stdio.h>

#include "lib/base/quota.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define ANSWER (48 * KIB)
#define ERROR  256

static struct quota quota;

static const char *name_of(unsigned i)
{
	static char name[32];

	snprintf(name, sizeof(name), ":1.%u", i);
	return name;
}

/* Sends one call; what is answered is charged.  The bytes that were sent. */
static uint64_t ask(const char *sender, uint64_t bytes, usec_t now)
{
	switch (quota_ask(&quota, sender, now)) {
	case QUOTA_GRANTED:
		quota_charge(&quota, sender, bytes, now);
		return bytes;
	case QUOTA_REFUSED:
		quota_charge_error(&quota, sender, ERROR, now);
		return ERROR;
	case QUOTA_IGNORED:
		break;
	}
	return 0;
}

static void test_one_sender_has_its_own_and_the_common_allowance(void **state)
{
	uint64_t sent = 0, most = QUOTA_SENDER_BYTES + QUOTA_ALL_BYTES;

	(void)state;
	quota_init(&quota, 0);
	while (quota_ask(&quota, "a", 0) == QUOTA_GRANTED)
		sent += ask("a", ANSWER, 0);
	assert_in_range(sent, most, most + ANSWER);
	/* another one has its own still */
	assert_int_equal(quota_left(&quota, "b", 0), QUOTA_SENDER_BYTES);
	assert_int_equal(quota_ask(&quota, "b", 0), QUOTA_GRANTED);
}

static void test_refusals_are_recorded_too(void **state)
{
	unsigned n_refused = 0;

	(void)state;
	quota_init(&quota, 0);
	while (quota_ask(&quota, "a", 0) == QUOTA_GRANTED)
		(void)ask("a", ANSWER, 0);
	for (unsigned i = 0; i < 1000; i++)
		n_refused += ask("a", ANSWER, 0) == ERROR;
	assert_int_equal(n_refused, QUOTA_ERROR_BYTES / ERROR);
	assert_int_equal(quota_ask(&quota, "a", 0), QUOTA_IGNORED);
}

static void test_allowances_fill_again_up_to_their_size(void **state)
{
	(void)state;
	quota_init(&quota, 0);
	quota_charge(&quota, "a", QUOTA_SENDER_BYTES, 0);
	assert_int_equal(quota_left(&quota, "a", 0), 0);
	/* less than a byte at a time is not lost */
	for (usec_t now = 0; now <= USEC_PER_SEC; now += 100)
		(void)quota_left(&quota, "a", now);
	assert_in_range(quota_left(&quota, "a", USEC_PER_SEC), QUOTA_SENDER_BYTES_PER_SEC * 9 / 10,
			QUOTA_SENDER_BYTES_PER_SEC);
	assert_int_equal(quota_left(&quota, "a", 1000000 * USEC_PER_SEC), QUOTA_SENDER_BYTES);
	assert_int_equal(quota_left(&quota, "a", USEC_INFINITY), QUOTA_SENDER_BYTES);
}

/* Ten minutes of clients that call all the time and never read: what piles up in the bus, and what
 * a new client gets then. */
static void test_a_flood_is_bounded_and_a_newcomer_is_served(void **state)
{
	static const unsigned floods[] = { 4, 50, 250, 2000 };

	(void)state;
	for (size_t f = 0; f < sizeof(floods) / sizeof(floods[0]); f++) {
		uint64_t sent = 0, first_minute = 0, most;
		usec_t now = 0;

		quota_init(&quota, 0);
		for (unsigned step = 0; step < 60000; step++, now += 10 * USEC_PER_MSEC) {
			if (step == 6000)
				first_minute = sent;
			sent += ask(name_of(step % floods[f]), ANSWER, now);
			sent += ask(name_of((step * 7 + 1) % floods[f]), ANSWER, now);
		}
		most = floods[f] * (QUOTA_SENDER_BYTES + ANSWER) + QUOTA_ALL_BYTES +
		       60 * (QUOTA_ALL_BYTES_PER_SEC +
			     floods[f] * (QUOTA_SENDER_BYTES_PER_SEC + QUOTA_ERROR_BYTES_PER_SEC));
		assert_true(first_minute <= most);
		if (floods[f] <= 250) /* as many connections as a user may have */
			assert_true(first_minute < 127 * MIB);
		assert_true(sent < 10 * most);
		if (floods[f] > 250)
			continue;
		assert_int_equal(quota_ask(&quota, "newcomer", now), QUOTA_GRANTED);
		assert_int_equal(quota_left(&quota, "newcomer", now), QUOTA_SENDER_BYTES);
	}
}

/* When 250 senders have used up theirs, all but a few of the next ones have an allowance of their
 * own. */
static void test_each_has_an_allowance_of_its_own(void **state)
{
	unsigned n_without = 0;

	(void)state;
	quota_init(&quota, 0);
	for (unsigned i = 0; i < 250; i++)
		quota_charge(&quota, name_of(i), 2 * QUOTA_SENDER_BYTES, 0);
	for (unsigned i = 250; i < 500; i++) {
		n_without += quota_left(&quota, name_of(i), 0) < (int64_t)QUOTA_SENDER_BYTES;
		quota_charge(&quota, name_of(i), 0, 0);
	}
	assert_in_range(n_without, 0, 8);
}

/* To use ever new names gains nothing. */
static void test_new_names_gain_nothing(void **state)
{
	uint64_t sent = 0;

	(void)state;
	quota_init(&quota, 0);
	for (unsigned i = 0; i < 100000; i++)
		sent += quota_ask(&quota, name_of(i), 0) == QUOTA_GRANTED
				? ask(name_of(i), ANSWER, 0)
				: 0;
	assert_true(sent <= QUOTA_SETS * QUOTA_WAYS * (QUOTA_SENDER_BYTES + ANSWER) +
				    QUOTA_ALL_BYTES + ANSWER);
}

/* One that has overdrawn its allowance is remembered before one that has it still. */
static void test_an_overdrawn_sender_is_remembered(void **state)
{
	unsigned n_forgotten = 0;

	(void)state;
	quota_init(&quota, 0);
	quota.common.bytes = 0;
	for (unsigned i = 0; i < 100; i++)
		quota_charge(&quota, name_of(i), 2 * QUOTA_SENDER_BYTES, 0);
	for (unsigned i = 1000; i < 3000; i++)
		(void)quota_left(&quota, name_of(i), 0);
	for (unsigned i = 0; i < 100; i++)
		n_forgotten += quota_left(&quota, name_of(i), 0) > 0;
	assert_int_equal(n_forgotten, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_sender_has_its_own_and_the_common_allowance),
		cmocka_unit_test(test_refusals_are_recorded_too),
		cmocka_unit_test(test_allowances_fill_again_up_to_their_size),
		cmocka_unit_test(test_a_flood_is_bounded_and_a_newcomer_is_served),
		cmocka_unit_test(test_each_has_an_allowance_of_its_own),
		cmocka_unit_test(test_new_names_gain_nothing),
		cmocka_unit_test(test_an_overdrawn_sender_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
