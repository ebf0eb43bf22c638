/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census: what is swapped out, over a /proc of our own making. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/snapshot/census-tree.h"
#include "tests/census-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* What swap has done, in pages, as /proc/vmstat and /proc/meminfo have it. */
static void set_swapped(struct world *world, uint64_t moved, uint64_t cached)
{
	const struct memory_counters counters = {
		.anon = GIB,
		.swap_total = GIB,
		.swap_cached = cached * PAGE,
		.events = { .swapped_out = moved, .has_zswap = true },
	};

	census_set_totals(&world->census, &counters);
}

static void test_swap_off_is_what_was_swapped(void **state)
{
	static const uint64_t lag = 2 * UINT64_C(125) * 2 * PAGE; /* of two CPUs */
	static const struct {
		const char *label;
		struct census_totals then, now;
		uint64_t off;
	} rows[] = {
		{ "nothing was",
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  lag },
		{ "some was, and some was in both, or is",
		  { .knows_swapped = true, .swapped = 7 * MIB, .swap_cached = MIB },
		  { .knows_swapped = true, .swapped = 9 * MIB, .swap_cached = 4 * MIB },
		  lag + 7 * MIB },
		{ "it was not counted then",
		  { .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  UINT64_MAX },
		{ "it is not counted now",
		  { .knows_swapped = true },
		  { .swapped = 0 },
		  UINT64_MAX },
		{ "the counter has begun anew",
		  { .knows_swapped = true, .swapped = 7 * MIB },
		  { .knows_swapped = true, .swapped = 6 * MIB },
		  UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct census census = {
			.accuracy = &exact_accuracy,
			.status_totals = rows[i].then,
			.totals = rows[i].now,
		};

		if (census_swap_off(&census) != rows[i].off)
			fail_msg("%s: %llu", rows[i].label,
				 (unsigned long long)census_swap_off(&census));
	}
}

/* A process whose swap has changed with nothing to be seen of that in statm: was status read? */
static void test_round_with_swap_reads_status_if_that_has_moved(void **state)
{
	static const struct {
		const char *label;
		uint64_t moved, cached; /* MiB, since the sweep */
		unsigned long resident; /* pages less than before */
		bool is_known, is_by_cgroup, reads_status;
	} rows[] = {
		{ "nothing was swapped", 0, 0, 0, true, false, false },
		{ "little was", 10, 10, 200, true, false, false },
		{ "much was", 40, 0, 0, true, false, true },
		{ "much may be mapped again", 0, 40, 0, true, false, true },
		{ "this one is less resident", 0, 0, 300, true, false, true },
		{ "it is not known", 0, 0, 0, false, false, true },
		{ "cgroups are compared", 0, 0, 0, true, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = *state;
		const struct census_process *p;
		struct row row = browser;

		put_process(world, &row);
		if (rows[i].is_by_cgroup)
			world->policies.policies[0].target = POLICY_TARGET_CGROUP;
		if (rows[i].is_known)
			set_swapped(world, 1000, 0);
		assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
		if (rows[i].is_known)
			set_swapped(world, 1000 + rows[i].moved * MIB / PAGE,
				    rows[i].cached * MIB / PAGE);
		row.swap_kib = 800;
		row.resident -= rows[i].resident;
		put_process(world, &row);
		assert_int_equal(census_refresh(&world->census, 2, 1, true, NULL, 0), 1);
		p = census_find(&world->census, 300);
		if (p->memory.swap != (rows[i].reads_status ? 800 : 8) * KIB)
			fail_msg("%s: %llu", rows[i].label, (unsigned long long)p->memory.swap);
		assert_int_equal(p->memory.anon, (row.resident - row.shared) * PAGE);
		/* Either way it is where it may be. */
		assert_true(census_interval(&world->census, p, 1, 1).hi >=
			    proc_mapped(&p->memory) + 800 * KIB - p->memory.swap);
		teardown(state);
		setup(state);
	}
}

/* One that moves in the middle of a round: the round begins anew. */
static void test_round_begins_anew_if_swap_moves(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000, 0);
	assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 1, true, fake_clock, 10), 0);
	assert_false(world->census.keeps_status);
	row.swap_kib = 800;
	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000 + 40 * MIB / PAGE, 0);
	assert_int_equal(census_refresh(&world->census, 3, 1, true, NULL, 0), 1);
	assert_true(world->census.keeps_status);
	for (pid_t pid = 300; pid < 320; pid++)
		assert_int_equal(census_find(&world->census, pid)->memory.swap, 800 * KIB);
	/* And by statm again, once it moves no more. */
	assert_int_equal(census_refresh(&world->census, 4, 1, true, NULL, 0), 1);
	assert_false(world->census.keeps_status);
}

/* Of those that such a round has not come to, statm is not enough in the next one either. */
static void test_round_with_swap_reads_each_status_once(void **state)
{
	struct world *world = *state;
	struct row row = browser;

	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000, 0);
	assert_int_equal(census_sweep(&world->census, 1, 1, true), 0);
	row.swap_kib = 800;
	for (row.pid = 300; row.pid < 320; row.pid++)
		put_process(world, &row);
	set_swapped(world, 1000 + 40 * MIB / PAGE, 0);
	fake_clock_now = 0;
	assert_int_equal(census_refresh(&world->census, 2, 1, true, fake_clock, 10), 0);
	assert_true(world->census.keeps_status);
	census_stop_round(&world->census);
	assert_int_equal(census_refresh(&world->census, 3, 1, true, NULL, 0), 1);
	assert_false(world->census.keeps_status);
	for (pid_t pid = 300; pid < 320; pid++)
		assert_int_equal(census_find(&world->census, pid)->memory.swap, 800 * KIB);
}

/* All in pages; what is allocated in all and swapped in and out in all, and what is in both. */
struct swapping {
	struct row rows[20];
	uint64_t allocated, moved, cached[20];
};

static void let_swap(struct swapping *s, unsigned *seed, unsigned i)
{
	unsigned long most = rand_r(seed) % 8 == 0 ? 20000 : 200;
	unsigned long n = (unsigned long)rand_r(seed) % most, *swap = &s->rows[i].swap_kib;
	unsigned long *anon = &s->rows[i].resident;

	switch (rand_r(seed) % 5) {
	case 0: /* allocates */
		*anon += n;
		s->allocated += n;
		break;
	case 1: /* frees */
		*anon -= min_u64(n, *anon - 1);
		s->cached[i] = min_u64(s->cached[i], *anon);
		break;
	case 2: /* out, written */
		n = min_u64(n, *anon - 1 - min_u64(s->cached[i], *anon - 1));
		*anon -= n;
		*swap += 4 * n;
		s->moved += n;
		break;
	case 3: /* in; what was read stays in swap as well, every other time */
		n = min_u64(n, *swap / 4);
		*anon += n;
		*swap -= 4 * n;
		s->moved += n;
		s->allocated += n;
		s->cached[i] += n % 2 ? n : 0;
		break;
	case 4: /* out, as it is in swap still */
		n = min_u64(s->cached[i], *anon - 1);
		*anon -= n;
		*swap += 4 * n;
		s->cached[i] -= n;
		break;
	}
}

static void check_swapping(const struct world *world, const struct swapping *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->rows); i++) {
		const struct row *row = &s->rows[i];
		const struct census_process *p = census_find(&world->census, row->pid);
		uint64_t truth = row->resident * PAGE + row->swap_kib * KIB;
		struct interval interval =
			census_interval(&world->census, p, s->allocated * PAGE, 1);

		if (truth > interval.hi)
			fail_msg("%d: %llu is above %llu", row->pid, (unsigned long long)truth,
				 (unsigned long long)interval.hi);
	}
}

static void test_interval_holds_while_swapping(void **state)
{
	struct world *world = *state;
	struct swapping s = { .allocated = 1 };
	unsigned seed = 4711, n_by_statm = 0;

	print_message("seed %u\n", seed);
	for (unsigned i = 0; i < ARRAY_SIZE(s.rows); i++) {
		s.rows[i] = browser;
		s.rows[i].pid = 300 + (int)i;
		s.rows[i].shared = 0;
		put_process(world, &s.rows[i]);
	}
	set_swapped(world, 0, 0);
	assert_int_equal(census_sweep(&world->census, 1, PAGE, true), 0);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t cached = 0;

		for (unsigned n = (unsigned)rand_r(&seed) % 40; n > 0; n--)
			let_swap(&s, &seed, (unsigned)rand_r(&seed) % ARRAY_SIZE(s.rows));
		check_swapping(world, &s);
		for (unsigned i = 0; i < ARRAY_SIZE(s.rows); i++) {
			put_process(world, &s.rows[i]);
			cached += s.cached[i];
		}
		set_swapped(world, s.moved, cached);
		assert_int_equal(
			census_refresh(&world->census, 2, s.allocated * PAGE, true, NULL, 0), 1);
		n_by_statm += !world->census.keeps_status;
		check_swapping(world, &s);
	}
	print_message("%u of 300 by statm\n", n_by_statm);
	assert_in_range(n_by_statm, 50, 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_swap_off_is_what_was_swapped),
		on_world(test_round_with_swap_reads_status_if_that_has_moved),
		on_world(test_round_begins_anew_if_swap_moves),
		on_world(test_round_with_swap_reads_each_status_once),
		on_world(test_interval_holds_while_swapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
