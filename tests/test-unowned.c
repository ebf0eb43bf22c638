/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unowned: what no process holds, on a census made by hand. */
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

static void set_policy(void)
{
	test.policy.memory_available = (struct policy_threshold){ .set = true, .permyriad = 500 };
}

static void test_what_no_process_holds_raises_the_minimum(void **state)
{
	struct manager *m = test.m;

	set_policy();
	assert_true(stuck_min_victim(m->selection, &test.policy) < 64 * MIB);
	fill_tmpfs();
	/* Killing what is small against that would be in vain. */
	assert_int_equal(stuck_min_victim(m->selection, &test.policy), 5 * GIB / 2);
	assert_int_equal(m->selection->stuck.unowned_growth, 5 * GIB);
	/* It is mapped by a process: that holds it. */
	add(7, "mapper", MIB)->memory.shmem = 5 * GIB;
	assert_true(stuck_min_victim(m->selection, &test.policy) < 64 * MIB);
	/* But by what was measured it remains when that is killed. */
	census_find(&m->sampler->census, 7)->memory.is_measured = true;
	census_find(&m->sampler->census, 7)->memory.kept = 5 * GIB;
	assert_int_equal(stuck_min_victim(m->selection, &test.policy), 5 * GIB / 2);
}

/* What statm adds for many small processes may be pages of files, and hides nothing where a survey
 * has read what it is. */
static void test_small_processes_hide_nothing(void **state)
{
	struct manager *m = test.m;
	struct stuck *s = &m->selection->stuck;

	set_policy();
	(void)stuck_min_victim(m->selection, &test.policy);
	fill_tmpfs();
	for (pid_t pid = 1; pid <= 300; pid++)
		add(pid, "small", MIB)->memory.shmem = 15 * MIB;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 0);

	s->has_survey = true;
	s->surveyed_at = m->sampler->sampled_at = NOW;
	s->surveyed.small_mapped_bytes = 100 * MIB;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 5 * GIB - 100 * MIB);
	add(301, "large", MIB)->memory.shmem = 200 * MIB;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 5 * GIB - 300 * MIB);
	add(302, "large, just", MIB)->memory.shmem = WHERE_MAPPED_SMALL;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 5 * GIB - 316 * MIB);

	s->surveyed.is_partial = true;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 0);
	s->surveyed.is_partial = false;
	m->sampler->sampled_at = NOW + 3 * SEC;
	(void)stuck_min_victim(m->selection, &test.policy);
	assert_int_equal(s->unowned_growth, 0);
}

static void read_machine(uint64_t available, uint64_t tmpfs)
{
	struct memory_reading *r = &test.m->sampler->domain.reading;

	r->available = r->counters.free = available;
	r->counters.shmem = r->counters.cached = tmpfs;
	r->counters.anon = r->counters.total - available - tmpfs;
	unowned_note(test.m->selection);
	if (available > 2 * GIB)
		unowned_note_calm(test.m->selection, NOW);
}

static uint64_t minimum(void)
{
	return stuck_min_victim(test.m->selection, &test.policy) / MIB;
}

/* A tmpfs has filled most of memory; after that, a process takes the rest. */
static void test_what_was_filled_before_does_not_shield_a_leak(void **state)
{
	const uint64_t left = GIB + 100 * MIB,
		       half = 3 * GIB - 50 * MIB; /* of what it has grown by */

	set_policy();
	read_machine(7 * GIB, 100 * MIB);
	for (uint64_t tmpfs = GIB; tmpfs <= 6 * GIB; tmpfs += GIB)
		read_machine(7 * GIB + 100 * MIB - tmpfs, tmpfs);
	assert_int_equal(minimum(), half / MIB);
	/* (A sixteenth of memory.)  A victim has to free most of what processes have taken. */
	read_machine(left - 511 * MIB, 6 * GIB);
	assert_int_equal(minimum(), half / MIB);
	read_machine(left - 512 * MIB, 6 * GIB);
	assert_int_equal(minimum(), 448);
	/* What comes and goes beside it changes nothing. */
	read_machine(left - 600 * MIB, 6 * GIB);
	read_machine(left - 300 * MIB, 6 * GIB - 300 * MIB);
	assert_int_equal(minimum(), 525);
	read_machine(left - 600 * MIB, 6 * GIB);
	assert_int_equal(minimum(), 525);
	/* It grows again, by a 64th: that is what takes the rest now. */
	read_machine(left - 728 * MIB, 6 * GIB + 128 * MIB);
	assert_int_equal(minimum(), (half + 64 * MIB) / MIB);
}

static void set_shmem(pid_t pid, uint64_t bytes, uint64_t kept)
{
	struct proc_memory *memory = &census_find(&test.m->sampler->census, pid)->memory;

	memory->shmem = bytes;
	memory->kept = kept;
	memory->is_measured = kept > 0;
}

/* It is no more shared memory of no process than anonymous memory is. */
static void test_nor_a_leak_of_shared_memory(void **state)
{
	const uint64_t left = GIB + 100 * MIB, half = 3 * GIB - 50 * MIB;

	set_policy();
	add(7, "leak", MIB);
	read_machine(7 * GIB, 100 * MIB);
	read_machine(left, 6 * GIB);
	assert_int_equal(minimum(), half / MIB);
	for (uint64_t leak = 64; leak < 512; leak += 64) {
		set_shmem(7, leak * MIB, 0);
		read_machine(left - leak * MIB, 6 * GIB + leak * MIB);
		assert_int_equal(minimum(), half / MIB);
	}
	set_shmem(7, 512 * MIB, 0);
	read_machine(left - 512 * MIB, 6 * GIB + 512 * MIB);
	assert_int_equal(minimum(), 448);
	/* It is known late that it has taken more: no more than a 64th of memory matters. */
	read_machine(left - 600 * MIB, 6 * GIB + 600 * MIB);
	set_shmem(7, 600 * MIB, 0);
	assert_int_equal(minimum(), 525);
}

/* A file of the tmpfs that it maps stays, as is known when it was measured. */
static void test_but_what_is_mapped_and_stays_shields(void **state)
{
	const uint64_t left = GIB + 100 * MIB, half = 3 * GIB - 50 * MIB;

	set_policy();
	add(7, "mapper", MIB);
	read_machine(7 * GIB, 100 * MIB);
	read_machine(left, 6 * GIB);
	set_shmem(7, 600 * MIB, 0);
	read_machine(left - 600 * MIB, 6 * GIB + 600 * MIB);
	assert_int_equal(minimum(), 525);
	set_shmem(7, 600 * MIB, 600 * MIB);
	assert_int_equal(minimum(), (half + 300 * MIB) / MIB);
	/* And many small ones that map a little are not read for it. */
	set_shmem(7, 0, 0);
	read_machine(left, 6 * GIB);
	for (pid_t pid = 1000; pid < 1060; pid++)
		add(pid, "small", MIB)->memory.shmem = 15 * MIB;
	read_machine(left, 6 * GIB);
	assert_int_equal(test.m->selection->stuck.mark.unowned, 6 * GIB);
}

static uint64_t holder_minimum(void)
{
	(void)minimum();
	return test.m->selection->stuck.holder_minimum / MIB;
}

static void survey(uint64_t held, uint64_t together)
{
	struct stuck *s = &test.m->selection->stuck;

	s->has_survey = true;
	s->surveyed_at = test.m->sampler->sampled_at = NOW;
	s->surveyed.unmapped[0].bytes = held / 2;
	s->surveyed.unmapped[0].together = together;
	s->surveyed.unmapped[WHERE_UNMAPPED_MAX - 1].bytes = held - held / 2;
	unowned_note_survey(test.m->selection);
}

/* What processes hold by descriptors is known at a survey alone. */
static void test_nor_a_leak_that_is_held_by_descriptors(void **state)
{
	const uint64_t left = GIB + 100 * MIB, before = 6 * GIB - 100 * MIB;
	const struct stuck *s = &test.m->selection->stuck;

	set_policy();
	read_machine(7 * GIB, 100 * MIB);
	read_machine(left, 6 * GIB);
	survey(0, 0);
	assert_int_equal(holder_minimum(), before / 16 / MIB);
	assert_int_equal(s->held_growth, before);
	read_machine(left - 511 * MIB, 6 * GIB + 511 * MIB);
	survey(400 * MIB, 111 * MIB);
	(void)minimum();
	assert_int_equal(s->held_growth, before + 511 * MIB);
	read_machine(left - 512 * MIB, 6 * GIB + 512 * MIB);
	survey(400 * MIB, 112 * MIB);
	(void)minimum();
	assert_int_equal(s->held_growth, 896 * MIB);
	assert_int_equal(holder_minimum(), 56);
	/* For others all counts. */
	assert_int_equal(minimum(), (before + 512 * MIB) / 2 / MIB);
	/* It is old. */
	test.m->sampler->sampled_at = NOW + 3 * SEC;
	(void)minimum();
	assert_int_equal(s->held_growth, before + 512 * MIB);
	/* The tmpfs has grown, and not what is held. */
	read_machine(left - 700 * MIB, 6 * GIB + 700 * MIB);
	survey(400 * MIB, 112 * MIB);
	(void)minimum();
	assert_int_equal(s->held_growth, before + 700 * MIB);
	/* It is no more than there is. */
	survey(20 * GIB, 0);
	assert_int_equal(s->held_now.unowned, 0);
	assert_int_equal(s->held_now.room, left - 700 * MIB);
}

static void test_the_mark_moves_ten_times_in_a_second(void **state)
{
	const struct stuck *s = &test.m->selection->stuck;

	test.m->sampler->sampled_at = NOW;
	read_machine(7 * GIB, 100 * MIB);
	assert_int_equal(s->mark.unowned, 100 * MIB);
	test.m->sampler->sampled_at = NOW + 99999;
	read_machine(6 * GIB, GIB);
	assert_int_equal(s->mark.unowned, 100 * MIB);
	test.m->sampler->sampled_at = NOW + 100000;
	read_machine(6 * GIB, GIB);
	assert_int_equal(s->mark.unowned, GIB);
}

/* Much of it was freed, and filled anew. */
static void test_what_was_freed_may_be_filled_again(void **state)
{
	set_policy();
	read_machine(7 * GIB, 100 * MIB);
	read_machine(GIB + 100 * MIB, 6 * GIB);
	read_machine(6 * GIB + 100 * MIB, GIB); /* freed */
	read_machine(GIB + 100 * MIB, 6 * GIB);
	assert_int_equal(minimum(), 3 * 1024 - 50);
	/* And what a process has taken meanwhile does not count as taken since. */
	read_machine(6 * GIB + 100 * MIB, GIB);
	read_machine(2 * GIB + 100 * MIB, GIB);
	read_machine(GIB + 100 * MIB, 2 * GIB);
	assert_int_equal(test.m->selection->stuck.mark.room, 3 * GIB + 100 * MIB);
}

/* Swapped out it is in no figure, and available memory is as before. */
static void test_what_is_swapped_out_was_not_taken_by_a_process(void **state)
{
	struct memory_reading *r = &test.m->sampler->domain.reading;

	set_policy();
	r->swap_total = r->swap_free = 2 * GIB;
	read_machine(7 * GIB, 100 * MIB);
	read_machine(GIB + 100 * MIB, 6 * GIB);
	r->swap_free = GIB;
	read_machine(GIB + 500 * MIB, 6 * GIB - 400 * MIB);
	assert_true(minimum() > 2048);
}

/* 4 of 6 GiB of swap are used, by a tmpfs of which 2 GiB are in memory, or by a process. */
static void test_what_of_a_tmpfs_is_swapped_out_is_held_by_no_process(void **state)
{
	static const struct {
		const char *label;
		uint64_t tmpfs, before, process; /* MiB: on it; in swap when most was available; of
						    a process */
		bool is_asked;
		uint64_t without, grown; /* without a survey, and with it */
	} rows[] = {
		{ "a tmpfs", 6144, 0, 0, true, 0, 6144 },
		{ "a process", 2048, 0, 4096, false, 0, 0 },
		{ "a quarter is of a process", 5120, 0, 1024, true, 0, 5120 },
		{ "nearly all of it is", 2744, 0, 3400, false, 0, 0 },
		{ "it was swapped out before", 6144, 4000, 0, false, 2048, 2144 },
		{ "most of it was", 6144, 3000, 0, true, 0, 3144 },
	};
	struct manager *m = test.m;
	struct selection *sel = m->selection;
	struct stuck *s = &sel->stuck;
	struct memory_reading *r = &m->sampler->domain.reading;
	struct census_process *process = add(7, "process", GIB), *child = add(8, "process", GIB);

	set_policy();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].label);
		s->has_survey = false;
		s->best = (struct worth_holdings){ 0 };
		r->swap_total = r->counters.swap_total = 6 * GIB;
		r->swap_free = r->counters.swap_free = 6 * GIB - rows[i].before * MIB;
		read_machine(3 * GIB, 0);
		r->swap_free = r->counters.swap_free = 2 * GIB;
		read_machine(GIB, 2 * GIB);
		process->memory.swap = child->memory.swap = rows[i].process / 2 * MIB;
		assert_int_equal(unowned_may_be_swapped(sel), rows[i].is_asked);
		(void)minimum();
		assert_int_equal(s->unowned_growth, rows[i].without * MIB);

		s->has_survey = true;
		s->surveyed_at = m->sampler->sampled_at = NOW;
		s->surveyed.tmpfs_bytes = rows[i].tmpfs * MIB;
		(void)minimum();
		assert_int_equal(s->unowned_growth, rows[i].grown * MIB);
	}
	/* What is in memory as well is not swapped out. */
	r->counters.swap_cached = 72 * MIB;
	assert_true(unowned_may_be_swapped(sel));
	r->counters.swap_cached = 73 * MIB;
	assert_false(unowned_may_be_swapped(sel));
	r->counters.swap_cached = 0;
	m->sampler->census.n_hidden = 1; /* they may have it */
	assert_false(unowned_may_be_swapped(sel));
	m->sampler->census.n_hidden = 0;
	m->sampler->census.n_unreadable = 1; /* as may these */
	assert_false(unowned_may_be_swapped(sel));
	m->sampler->census.n_unreadable = 0;
	assert_true(unowned_may_be_swapped(sel));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_no_process_holds_raises_the_minimum),
		TEST(test_small_processes_hide_nothing),
		TEST(test_what_was_filled_before_does_not_shield_a_leak),
		TEST(test_nor_a_leak_of_shared_memory),
		TEST(test_but_what_is_mapped_and_stays_shields),
		TEST(test_nor_a_leak_that_is_held_by_descriptors),
		TEST(test_the_mark_moves_ten_times_in_a_second),
		TEST(test_what_was_freed_may_be_filled_again),
		TEST(test_what_is_swapped_out_was_not_taken_by_a_process),
		TEST(test_what_of_a_tmpfs_is_swapped_out_is_held_by_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
