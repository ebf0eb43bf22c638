/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* share-bound: what may be shared where it was not measured, in a table. */
#include "lib/select/share-bound.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOT_KNOWN UINT64_MAX

static uint64_t mib(uint64_t n)
{
	return n == NOT_KNOWN ? n : n * MIB;
}

static const struct {
	const char *label;
	uint64_t anon, swap, shmem; /* MiB, as the next two lines */
	uint64_t relatives, refused, machine, seen;
	unsigned n_alike;
	uint64_t shared, kept;
	bool is_exact, is_unit;
} rows_of_bound[] = {
	{ "no relative", 400, 0, 0, 0, 0, NOT_KNOWN, 0, 0, 0, 0, true, false },
	{ "no relative, all in swap", 0, 400, 0, 0, 0, NOT_KNOWN, 0, 0, 0, 0, true, false },
	{ "a small relative", 400, 0, 0, 20, 0, NOT_KNOWN, 0, 0, 20, 0, true, false },
	{ "a child that saves", 400, 0, 0, 400, 0, 416, 400, 1, 400, 200, false, true },
	{ "it is larger", 400, 0, 0, 500, 0, 416, 400, 1, 400, 200, false, true },
	{ "the machine's figures are not known", 400, 0, 0, 400, 0, NOT_KNOWN, 0, 1, 400, 200,
	  false, false },
	{ "half of it has been written to", 400, 0, 0, 400, 0, 400, 200, 1, 400, 200, false, true },
	{ "more of it", 400, 0, 0, 400, 0, 400, 199, 1, 400, 200, false, false },
	{ "its parent is protected", 400, 0, 0, 400, 400, 416, 400, 0, 400, 400, false, false },
	{ "a small one is protected", 400, 0, 0, 410, 10, 416, 400, 1, 400, 205, false, false },
	{ "the machine has all of it", 400, 0, 0, 400, 0, 10, 0, 1, 10, 0, true, false },
	{ "the machine has half of it", 400, 0, 0, 400, 0, 200, 184, 1, 200, 100, false, false },
	{ "in swap, which the machine does not tell", 40, 400, 0, 440, 0, 0, 0, 1, 400, 200, false,
	  false },
	{ "workers that have grown alike", 100, 0, 0, 700, 0, 336, 320, 7, 100, 50, false, false },
	{ "workers that share all", 100, 0, 0, 700, 0, 716, 700, 7, 100, 50, false, true },
	{ "twenty of 20 MiB", 400, 0, 0, 400, 0, NOT_KNOWN, 400, 0, 400, 200, false, false },
	{ "small ones", 20, 0, 0, 400, 0, NOT_KNOWN, 400, 20, 20, 10, false, false },
	{ "most is its own", 400, 0, 0, 100, 0, NOT_KNOWN, 100, 0, 100, 50, false, false },
	{ "shared memory, of none that is known", 40, 0, 400, 0, 0, 0, 400, 0, 400, 200, false,
	  false },
	{ "shared memory, with a relative", 40, 0, 400, 40, 0, 0, 400, 1, 400, 200, false, true },
	{ "little shared memory", 400, 0, 20, 0, 0, 0, 0, 0, 20, 0, true, false },
	{ "as many as are killed at once", 512, 0, 0, 261632, 0, NOT_KNOWN, 261632, 511, 512, 256,
	  false, true },
	{ "one more", 513, 0, 0, 262656, 0, NOT_KNOWN, 262656, 512, 513, 512, false, false },
	{ "nothing", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, true, false },
};

static void test_bound(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_bound); i++) {
		const struct share_facts facts = {
			.memory = { .anon = mib(rows_of_bound[i].anon),
				    .swap = mib(rows_of_bound[i].swap),
				    .shmem = mib(rows_of_bound[i].shmem) },
			.relatives = mib(rows_of_bound[i].relatives),
			.refused = mib(rows_of_bound[i].refused),
			.n_alike = rows_of_bound[i].n_alike,
			.machine = mib(rows_of_bound[i].machine),
			.seen = mib(rows_of_bound[i].seen),
		};
		struct share_bound bound;

		print_message("%s\n", rows_of_bound[i].label);
		share_bound(&facts, &bound);
		assert_int_equal(bound.shared, mib(rows_of_bound[i].shared));
		assert_int_equal(bound.kept, mib(rows_of_bound[i].kept));
		assert_int_equal(bound.is_exact, rows_of_bound[i].is_exact);
		assert_int_equal(bound.is_unit, rows_of_bound[i].is_unit);
	}
}

static void test_bound_of_the_machine(void **state)
{
	static const struct {
		uint64_t mapped, off, of_machine, expected;
	} rows[] = {
		{ 1000, 0, 1000, 0 },
		{ 1000, 0, 600, 400 },
		{ 1000, 16, 1000, 16 },
		{ 1000, 16, 1060, 16 },	       /* some processes are not known */
		{ 1000, 16, 1100, NOT_KNOWN }, /* many are not */
		{ NOT_KNOWN, 0, 1000, NOT_KNOWN - 1000 },
		{ 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(share_bound_of_machine(rows[i].mapped, rows[i].off,
						   rows[i].of_machine) == rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_of_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
