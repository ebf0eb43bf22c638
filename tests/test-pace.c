/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pace: how long until the next sample, beside what could be taken until then. */
#include <string.h>

#include "lib/domain/pace.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "lib/base/cleanup.h"

#define MSEC USEC_PER_MSEC

/* Rate, distance and what lies below the threshold, to delay. */
static void test_delay(void **state)
{
	static const struct {
		struct pace_distance distance;	 /* MiB */
		uint64_t memory_rate, swap_rate; /* MiB/s */
		usec_t sample_usec;
		usec_t delay;
	} rows[] = {
		/* from a standstill: what lies above and a quarter of what lies below, at 3 GiB/s
		 */
		{ { 0, 0, 800 }, 0, 0, 0, USEC_INFINITY }, /* reached: not by memory */
		{ { 41, 0, 819 }, 0, 0, 0, 79996 },
		{ { 1, 0, 819 }, 0, 0, 0, 66975 },
		{ { 5, 0, 102 }, 0, 0, 0, 9927 },
		{ { 1000, 0, 102 }, 0, 0, 0, 333820 },
		/* ... where samples cost much, a 1 / 256 of a CPU, at most 100 ms */
		{ { 5, 0, 102 }, 0, 0, 50, 12800 },
		{ { 5, 0, 102 }, 0, 0, 120, 30720 },
		{ { 5, 0, 102 }, 0, 0, 2000, 100000 },
		{ { 1000, 0, 102 }, 0, 0, 2000, 333820 },
		/* ... and swap has to be filled as well, at 1 GiB/s */
		{ { 0, 512, 102 }, 0, 0, 0, 508300 },
		{ { 0, 4, 102 }, 0, 0, 0, 12206 },
		/* a slow leak far from it is no reason to sample more often */
		{ { 800, 0, 819 }, 10, 0, 0, 327066 },
		/* as it comes near, it is: a quarter of what is left, whatever samples cost */
		{ { 41, 0, 819 }, 50, 0, 0, 79996 },
		{ { 20, 0, 819 }, 50, 0, 0, 73160 },
		{ { 2, 0, 819 }, 50, 0, 0, 10000 },
		{ { 2, 0, 819 }, 50, 0, 2000, 10000 },
		{ { 41, 0, 819 }, 1024, 0, 0, 10009 },
		/* memory that falls is not enough where swap does not */
		{ { 41, 512, 819 }, 1024, 0, 0, 566650 },
		{ { 41, 512, 819 }, 1024, 2048, 0, 62500 },
		{ { 0, 512, 50 }, 0, 2048, 0, 62500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct pace_distance distance = {
			.memory = rows[i].distance.memory * MIB,
			.swap = rows[i].distance.swap * MIB,
			.below = rows[i].distance.below * MIB,
		};
		const struct pace pace = {
			.memory_rate = rows[i].memory_rate * MIB,
			.swap_rate = rows[i].swap_rate * MIB,
			.sample_usec = rows[i].sample_usec,
		};
		usec_t delay = pace_delay(&pace, &distance);

		if (delay != rows[i].delay)
			fail_msg("row %zu: %llu", i, (unsigned long long)delay);
	}
}

static struct memory_reading reading_of(uint64_t total, unsigned permyriad)
{
	return (struct memory_reading){
		.total = total,
		.available = total / PERMYRIAD * permyriad,
	};
}

/* The bound: whatever begins right after a sample, at the fastest rate that is plausible, three
 * quarters of what lies below the threshold are left at the next; where samples are cheap. */
static void test_most_of_the_reserve_is_left(void **state)
{
	static const uint64_t totals[] = { 3 * GIB, 4 * GIB, 8 * GIB, 64 * GIB, 512 * GIB };
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++)
		for (unsigned permyriad = 3000; permyriad > 1000; permyriad -= 7) {
			struct memory_reading memory = reading_of(totals[i], permyriad);
			const struct policy_reading reading = { .memory = &memory };
			const struct pace pace = { .sample_usec = 50 };
			usec_t usec = pace_interval(&pace, &set, &reading);
			uint64_t lost = POLICY_FILL_BYTES_PER_SEC / USEC_PER_SEC * usec;
			uint64_t below = memory.total / 10;

			below = min_u64(below, 4 * GIB);
			if (lost > memory.available - below / 4 * 3 + MIB)
				fail_msg("%llu GiB, %u: %llu us",
					 (unsigned long long)(totals[i] / GIB), permyriad,
					 (unsigned long long)usec);
		}
}

/* Close to a threshold, where nothing moves: at most so many samples a second. */
static void test_a_standstill_is_cheap_at_any_distance(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (unsigned permyriad = 3000; permyriad > 0; permyriad--) {
		struct memory_reading memory = reading_of(8 * GIB, permyriad);
		const struct policy_reading reading = { .memory = &memory };
		const struct pace pace = { .sample_usec = 100 };
		usec_t usec = pace_interval(&pace, &set, &reading);

		if (permyriad > 1000 && usec < 66 * MSEC)
			fail_msg("%u: %llu us", permyriad, (unsigned long long)usec);
	}
}

/* How late the sample is that first sees the threshold reached; bytes are lost at a rate from a
 * time on. */
static uint64_t lost_when_seen(const struct policy_set *set, uint64_t total, uint64_t rate,
			       usec_t begins, usec_t sample_usec)
{
	struct memory_reading memory = reading_of(total, 1040);
	const struct policy_reading reading = { .memory = &memory };
	uint64_t threshold = min_u64(total / 10, 4 * GIB), available = threshold + total / 250;
	struct pace pace = { 0 };
	usec_t now = USEC_PER_SEC;

	begins += now;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t lost = (uint64_t)((__uint128_t)rate * sub_u64(now, begins) / USEC_PER_SEC);

		memory.available = sub_u64(available, lost);
		if (memory.available <= threshold)
			return threshold - memory.available;
		pace_add(&pace, now, &memory);
		pace_note_sample(&pace, sample_usec);
		now += pace_interval(&pace, set, &reading);
	}
	fail_msg("never");
	return 0;
}

/* Two loads: what leaks at a steady rate is seen in the moment in which it crosses; what begins
 * right beside the threshold is seen before a quarter of what is below it has been taken. */
static void test_a_leak_is_seen_in_time(void **state)
{
	static const struct {
		uint64_t total, rate;
		usec_t sample_usec;
		uint64_t lost; /* at most, below the threshold */
	} rows[] = {
		{ 8 * GIB, 10 * MIB, 100, 1 * MIB },
		{ 8 * GIB, 50 * MIB, 100, 1 * MIB },
		{ 8 * GIB, 200 * MIB, 100, 5 * MIB },
		{ 8 * GIB, 1 * GIB, 100, 205 * MIB },
		{ 8 * GIB, 3 * GIB, 100, 410 * MIB },
		{ 1 * GIB, 50 * MIB, 100, 2 * MIB },
		{ 1 * GIB, 200 * MIB, 100, 6 * MIB },
		{ 1 * GIB, 1600 * MIB, 100, 52 * MIB },
		/* emulated: a sample takes 2 ms */
		{ 1 * GIB, 40 * MIB, 2000, 4 * MIB },
		{ 1 * GIB, 200 * MIB, 2000, 21 * MIB },
		{ 64 * GIB, 3 * GIB, 100, 800 * MIB },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t worst = 0;

		for (usec_t begins = 0; begins < 400 * MSEC; begins += 1 * MSEC)
			worst = max_u64(worst, lost_when_seen(&set, rows[i].total, rows[i].rate,
							      begins, rows[i].sample_usec));
		if (worst > rows[i].lost)
			fail_msg("row %zu: %llu KiB", i, (unsigned long long)(worst / KIB));
	}
}

static void test_rate(void **state)
{
	static const struct {
		unsigned msec, available, swap; /* after the row before; MiB */
		unsigned memory_rate, swap_rate;
	} rows[] = {
		{ 0, 1000, 500, 0, 0 },	     { 100, 1000, 500, 0, 0 },	 { 100, 990, 500, 100, 0 },
		{ 100, 980, 490, 100, 100 }, { 100, 1100, 500, 90, 90 }, /* it fades */
		{ 9, 500, 0, 90, 90 },					 /* too soon to tell */
		{ 11, 1100, 500, 88, 88 },   { 500, 1100, 500, 44, 44 }, { 1000, 1100, 500, 0, 0 },
		{ 2000, 900, 500, 100, 0 },
	};
	struct pace pace = { 0 };
	usec_t now = USEC_PER_SEC;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_reading memory = {
			.available = rows[i].available * MIB,
			.swap_free = rows[i].swap * MIB,
		};

		now += rows[i].msec * MSEC;
		pace_add(&pace, now, &memory);
		if ((pace.memory_rate + MIB / 2) / MIB != rows[i].memory_rate ||
		    (pace.swap_rate + MIB / 2) / MIB != rows[i].swap_rate)
			fail_msg("row %zu: %llu, %llu", i,
				 (unsigned long long)(pace.memory_rate / KIB),
				 (unsigned long long)(pace.swap_rate / KIB));
	}
	pace_note_sample(&pace, 100);
	pace_reset(&pace);
	assert_int_equal(pace.memory_rate, 0);
	assert_int_equal(pace.sample_usec, 100);
}

/* Where nothing moves the levels alone are read; two loads beside each other. */
static void test_what_falls(void **state)
{
	static const struct {
		uint64_t available, swap_free, memory_rate, swap_rate; /* MiB, and per second */
		bool falls;
	} rows[] = {
		{ 800, 0, 0, 0, false },     /* no swap is not swap that falls */
		{ 800, 0, 40, 0, false },    /* 20 s */
		{ 799, 0, 40, 0, true },     /* less */
		{ 8000, 512, 40, 0, false }, /* far away */
		{ 8000, 512, 40, 26, true }, { 8000, 520, 40, 26, false },
		{ 8000, 0, 0, 26, true },    { 0, 0, 0, 0, true }, /* there is none */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct pace pace = {
			.available = rows[i].available * MIB,
			.swap_free = rows[i].swap_free * MIB,
			.memory_rate = rows[i].memory_rate * MIB,
			.swap_rate = rows[i].swap_rate * MIB,
		};

		if (pace_falls(&pace) != rows[i].falls)
			fail_msg("row %zu", i);
	}
}

static void test_light_samples(void **state)
{
	static const struct {
		const char *name;
		unsigned permyriad;
		uint64_t listed; /* MiB */
		usec_t since;
		uint64_t lost, swap_lost; /* MiB */
		bool may_be_light, is_quiet;
	} rows[] = {
		{ "nothing moves", 1100, 10, 100 * MSEC, 0, 0, true, true },
		{ "some of it moves", 1100, 10, 100 * MSEC, 64, 0, true, true },
		{ "it falls", 1100, 10, 100 * MSEC, 65, 0, true, false },
		{ "swap fills", 1100, 10, 100 * MSEC, 0, 65, true, false },
		{ "it crosses a threshold", 1001, 10, 100 * MSEC, 2, 0, true, false },
		{ "a policy holds", 999, 10, 100 * MSEC, 0, 0, false, false },
		{ "thrash would, if it thrashed", 1900, 10, 100 * MSEC, 0, 0, true, true },
		{ "too long ago", 1100, 10, 250 * MSEC, 0, 0, false, true },
		{ "much on the CPUs' lists", 1100, 120, 100 * MSEC, 0, 0, false, true },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_reading full = reading_of(8 * GIB, rows[i].permyriad), light;
		const struct policy_reading reading = { .memory = &full };

		/* what swap there is is all but full */
		full.swap_total = 4 * GIB;
		full.swap_free = 300 * MIB;
		full.counters.free_listed = rows[i].listed * MIB;
		light = full;
		light.available -= rows[i].lost * MIB;
		light.swap_free -= rows[i].swap_lost * MIB;
		if (pace_may_be_light(&set, &reading, rows[i].since) != rows[i].may_be_light ||
		    pace_is_quiet(&set, &reading, &light) != rows[i].is_quiet)
			fail_msg("%s", rows[i].name);
	}
}

/* Swap that may not be used is not waited for: neither for the next sample, nor for a full one. */
static void test_swap_that_is_no_help(void **state)
{
	struct memory_reading memory = reading_of(8 * GIB, 1040), crossed;
	struct policy_reading reading = { .memory = &memory };
	const struct pace pace = { .at = 1, .memory_rate = 500 * MIB };
	_cleanup_(policy_set_done) struct policy_set set;

	assert_int_equal(policy_set_init_defaults(&set), 0);
	memory.swap_total = memory.counters.swap_total = 4 * GIB;
	memory.swap_free = memory.counters.swap_free = 3 * GIB;
	crossed = memory;
	crossed.available = memory.total / 100;
	assert_true(pace_interval(&pace, &set, &reading) > 100 * MSEC);
	assert_true(pace_may_be_light(&set, &reading, 0));
	reading.unswappable = UINT64_MAX;
	assert_true(pace_interval(&pace, &set, &reading) < 20 * MSEC + 1);
	assert_true(pace_may_be_light(&set, &reading, 0));
	memory = crossed;
	assert_false(pace_may_be_light(&set, &reading, 0));
}

/* As long as a sample, where that is longer than a slice; and never so long that a sample is late.
 */
static void test_a_slice_is_as_long_as_a_sample(void **state)
{
	static const struct {
		usec_t sample_usec, spent, slice;
	} rows[] = {
		{ 0, 0, PACE_SLICE_USEC },
		{ 200, 300, PACE_SLICE_USEC },
		{ 0, 3000, 3000 },
		{ 4000, 20, 4000 },
		{ 4000, 4500, 4500 },
		{ 9000, 0, PACE_SLICE_SLOW_USEC },
		{ 0, USEC_PER_SEC, PACE_SLICE_SLOW_USEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pace pace = { .sample_usec = rows[i].sample_usec };

		assert_int_equal(pace_slice(&pace, rows[i].spent), rows[i].slice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_swap_that_is_no_help),
		cmocka_unit_test(test_most_of_the_reserve_is_left),
		cmocka_unit_test(test_a_standstill_is_cheap_at_any_distance),
		cmocka_unit_test(test_a_leak_is_seen_in_time),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_what_falls),
		cmocka_unit_test(test_light_samples),
		cmocka_unit_test(test_a_slice_is_as_long_as_a_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
