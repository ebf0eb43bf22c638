/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holders: the best of those that a survey names, in tables. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/select/holders.h"
#include "lib/snapshot/census-tree.h"
#include "tests/stuck-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* The pid of the best one; 0: there is none. */
static pid_t find(bool for_certain, uint64_t *ret_held)
{
	const struct census_process *best;

	*ret_held = 0;
	test.m->selection->stuck.surveyed_from = NOW - SEC;
	best = holders_find_best(test.m->selection, for_certain, &reader, NOW, ret_held);
	return best ? best->pid : 0;
}

static void set_shmem(uint64_t mib)
{
	struct memory_counters *c = &test.m->sampler->domain.reading.counters;

	c->shmem = c->cached = mib * MIB;
}

/* A row of a table, on a machine of its own with so much shared memory, MiB. */
static struct stuck *begin(void **state, const char *label, uint64_t shmem)
{
	print_message("%s\n", label);
	teardown(state);
	assert_int_equal(setup(state), 0);
	set_shmem(shmem);
	return &test.m->selection->stuck;
}

static struct where_holder holder_of(pid_t pid, uint64_t mib)
{
	return (struct where_holder){
		.pid = pid, .comm = "holder", .bytes = mib * MIB, .start_ticks = STARTED
	};
}

/* Its own, which was measured, counts with what it holds. */
static void test_the_best_of_several(void **state)
{
	static const struct {
		const char *label;
		struct {
			uint64_t held, own; /* MiB */
			bool is_unknown;    /* whether its own is shared */
		} holders[3];		    /* pid 7, and so on; 0: the end */
		uint64_t least;
		pid_t best;
	} rows[] = {
		{ "one", { { 300, 0 } }, 64, 7 },
		{ "the one that holds most", { { 300, 0 }, { 250, 0 } }, 64, 7 },
		{ "the second has more of its own", { { 300, 0 }, { 250, 51 } }, 64, 8 },
		{ "as much in all: the first", { { 300, 0 }, { 250, 50 } }, 64, 7 },
		{ "and the third more", { { 300, 0 }, { 250, 100 }, { 200, 200 } }, 64, 9 },
		{ "the second has most", { { 300, 0 }, { 250, 200 }, { 200, 200 } }, 64, 8 },
		{ "the second's own may be shared", { { 300, 0 }, { 250, 200, true } }, 64, 7 },
		{ "just enough", { { 300, 0 } }, 300, 7 },
		{ "too little", { { 300, 0 } }, 301, 0 },
		{ "the second is enough", { { 300, 0 }, { 250, 60 } }, 301, 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stuck *s;
		uint64_t held;

		s = begin(state, rows[i].label, 4096);
		s->minimum = 10 * GIB; /* where all of them hold less than half of what was added */
		s->holder_minimum = rows[i].least * MIB;
		for (unsigned k = 0; k < 3 && rows[i].holders[k].held > 0; k++) {
			struct proc_memory own = { .anon = rows[i].holders[k].own * MIB,
						   .is_measured = !rows[i].holders[k].is_unknown };
			pid_t pid = 7 + (pid_t)k;

			census_set_memory(&test.m->sampler->census, add(pid, "holder", 0), &own,
					  GIB, NOW);
			s->surveyed.unmapped[k] = holder_of(pid, rows[i].holders[k].held);
			s->held_growth += 2 * rows[i].holders[k].held * MIB;
		}
		assert_int_equal(find(false, &held), rows[i].best);
		if (rows[i].best != 0)
			assert_int_equal(held, rows[i].holders[rows[i].best - 7].held * MIB);
	}
}

static unsigned n_precise;
static int read_precisely(const struct census_process *process, struct victim_reading *ret,
			  void *userdata)
{
	n_precise++;
	*ret = (struct victim_reading){ .has_reclaimable = true, .reclaimable.alone = 100 * MIB };
	return 0;
}

/* It takes time. */
static void test_what_cannot_be_the_best_is_not_measured(void **state)
{
	const struct victim_reader reads = { .reread = reader.reread, .precise = read_precisely };
	struct stuck *s = &test.m->selection->stuck;
	uint64_t held;

	set_shmem(4096);
	for (pid_t pid = 7; pid <= 9; pid++) {
		add(pid, "holder", 100 * MIB);
		s->surveyed.unmapped[pid - 7] = holder_of(pid, pid == 9 ? 301 : 300);
	}
	n_precise = 0;
	assert_int_equal(holders_find_best(test.m->selection, false, &reads, NOW, &held)->pid, 9);
	assert_int_equal(n_precise, 1); /* the one that holds most is the first */
	assert_int_equal(held, 301 * MIB);
}

/* What it holds with others is freed with all of them; the others are relatives, or it is not. */
static void test_what_it_holds_alone_and_together(void **state)
{
	static const struct {
		const char *label;
		pid_t other; /* 8: a child; 9: a stranger; 6: its parent; 99: not known */
		uint64_t bytes, together, chosen; /* MiB */
		unsigned code_pages;
		pid_t best;
		uint64_t held;
		unsigned n_together;
	} rows[] = {
		{ "both", 8, 200, 300, 0, 5, 7, 500, 1 },
		{ "more than what was chosen", 8, 200, 300, 499, 5, 7, 500, 1 },
		{ "less", 8, 200, 300, 501, 5, 0, 0, 0 },
		{ "with its parent", 6, 200, 300, 0, 5, 7, 500, 1 },
		{ "a stranger: alone", 9, 200, 300, 0, 5, 7, 200, 0 },
		{ "both of an unknown program", 9, 200, 300, 0, 0, 7, 200, 0 },
		{ "the other is not known", 99, 200, 300, 0, 5, 7, 200, 0 },
		{ "nothing alone", 9, 0, 300, 0, 5, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *parent, *holder, *child, *stranger, *chosen;
		struct stuck *s;
		uint64_t held;

		s = begin(state, rows[i].label, 4096);
		s->holder_minimum = 64 * MIB;
		parent = add(6, "parent", 0);
		holder = add(7, "holder", 0);
		child = add(8, "child", 0);
		stranger = add(9, "stranger", 0);
		holder->ppid = 6;
		child->ppid = 7;
		holder->code_pages = rows[i].code_pages;
		parent->code_pages = child->code_pages = 1;
		stranger->code_pages = rows[i].code_pages == 0 ? 0 : 2;
		if (rows[i].chosen > 0) {
			chosen = add(10, "chosen", rows[i].chosen * MIB);
			victim_take(chosen, 0, &test.m->selection->choice);
		}
		s->surveyed.unmapped[0] = holder_of(7, rows[i].bytes);
		s->surveyed.unmapped[0].together = rows[i].together * MIB;
		s->surveyed.unmapped[0].others[0] = rows[i].other;
		s->surveyed.unmapped[0].n_others = 1;
		assert_int_equal(find(false, &held), rows[i].best);
		assert_int_equal(held, rows[i].held * MIB);
		if (rows[i].best != 0)
			assert_int_equal(s->n_together, rows[i].n_together);
	}
}

/* A child that was forked since the survey is killed with it, with those that are listed. */
static void test_a_young_child_beside_one_that_is_listed(void **state)
{
	struct stuck *s = &test.m->selection->stuck;
	uint64_t young = clock_ticks_before(0), held;

	set_shmem(4096);
	s->holder_minimum = 64 * MIB;
	for (pid_t pid = 7; pid <= 9; pid++) {
		struct census_process *process = add(pid, "holder", 0);

		process->code_pages = 5;
		process->ppid = pid == 7 ? 1 : 7;
		process->start_ticks = pid == 7 ? STARTED : young;
	}
	s->surveyed.unmapped[0] = holder_of(7, 200);
	s->surveyed.unmapped[0].together = 300 * MIB;
	s->surveyed.unmapped[0].others[0] = 8;
	s->surveyed.unmapped[0].n_others = 1;
	assert_int_equal(find(false, &held), 7);
	assert_int_equal(held, 500 * MIB);
	assert_int_equal(s->n_together, 2);
	assert_int_equal(s->together[1], 9);
	census_find(&test.m->sampler->census, 9)->is_gone = true;
	assert_int_equal(find(false, &held), 7);
	assert_int_equal(held, 500 * MIB);
	assert_int_equal(s->n_together, 1);
}

/* One that was started since the survey and has executed another program may have inherited it. */
static void test_what_was_started_since(void **state)
{
	static const struct {
		const char *label;
		pid_t parent; /* 7: the holder; 8: one that is killed with it; 9: a stranger */
		usec_t age;
		bool is_same_program, is_gone, is_heir;
	} rows[] = {
		{ "by the holder", 7, 0, false, false, true },
		{ "by one that is killed with it", 8, 0, false, false, true },
		{ "by one that it has started", 10, 0, false, false, true },
		{ "by another", 9, 0, false, false, false },
		{ "by none that is known", 99, 0, false, false, false },
		{ "before the survey", 7, 100 * SEC, false, false, false },
		{ "it has exited", 7, 0, false, true, false },
		{ "it has executed nothing: it is killed", 7, 0, true, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *holder, *process;
		struct stuck *s;
		uint64_t held;

		s = begin(state, rows[i].label, 4096);
		s->holder_minimum = 64 * MIB;
		for (pid_t pid = 7; pid <= 10; pid++) {
			process = add(pid, "holder", 0);
			process->code_pages = pid == 9 ? 2 : 5;
			process->ppid = pid == 10 ? 7 : 1;
		}
		holder = census_find(&test.m->sampler->census, 7);
		process = add(20, "exe", 0);
		process->ppid = rows[i].parent;
		process->code_pages = rows[i].is_same_program ? 5 : 3;
		process->start_ticks = clock_ticks_before(rows[i].age);
		process->is_gone = rows[i].is_gone;
		s->surveyed.unmapped[0] = holder_of(7, 200);
		s->surveyed.unmapped[0].together = 300 * MIB;
		s->surveyed.unmapped[0].others[0] = 8;
		s->surveyed.unmapped[0].n_others = 1;
		assert_int_equal(find(false, &held), 7);
		assert_int_equal(s->n_together, rows[i].is_same_program ? 2 : 1);
		assert_int_equal(holders_have_heirs(test.m->selection, holder, NOW),
				 rows[i].is_heir);
	}
}

/* They would be more than one kill takes. */
static void test_too_many_children(void **state)
{
	struct stuck *s = &test.m->selection->stuck;
	uint64_t held;

	set_shmem(4096);
	s->holder_minimum = 64 * MIB;
	add(7, "holder", 0)->code_pages = 5;
	for (unsigned i = 0; i <= HELD_OTHERS_MAX; i++) {
		struct census_process *process = add(1000 + (pid_t)i, "holder", 0);

		process->code_pages = 5;
		process->ppid = 7;
		process->start_ticks = clock_ticks_before(0);
		s->surveyed.unmapped[0] = holder_of(7, 200);
		if (i % 100 == 0 || i >= HELD_OTHERS_MAX - 1)
			assert_int_equal(find(false, &held), i < HELD_OTHERS_MAX ? 7 : 0);
	}
}

/* What may be mapped by others is not freed for certain; and no more is than there is. */
static void test_what_is_freed_for_certain(void **state)
{
	static const struct {
		const char *label;
		uint64_t unmeasured, shmem, swap, minimum; /* MiB */
		bool for_certain;			   /* (it has 100 of its own) */
		uint64_t held;				   /* of 400; 0: it is not taken */
	} rows[] = {
		{ "all of it", 0, 4096, 0, 0, true, 400 },
		{ "a part may be mapped", 100, 4096, 0, 0, true, 300 },
		{ "it may be, if there is none else", 100, 4096, 0, 0, false, 400 },
		{ "there is no more", 0, 350, 0, 0, true, 350 },
		{ "some is in swap", 0, 350, 20, 0, true, 370 },
		{ "all may be mapped", 400, 4096, 0, 0, true, 0 },
		/* Others than holders have to free more. */
		{ "a large minimum for others", 0, 4096, 0, 1000, true, 400 },
		{ "which is its own, as it may be mapped", 100, 4096, 0, 1000, true, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters *c;
		struct stuck *s;
		uint64_t held;

		s = begin(state, rows[i].label, rows[i].shmem);
		c = &test.m->sampler->domain.reading.counters;
		c->anon = c->total - c->free - c->cached;
		c->swap_total = GIB;
		c->swap_free = GIB - rows[i].swap * MIB;
		s->holder_minimum = 64 * MIB;
		s->minimum = max_u64(rows[i].minimum, 64) * MIB;
		census_set_memory(&test.m->sampler->census, add(7, "holder", 0),
				  &(struct proc_memory){ .anon = 100 * MIB, .is_measured = true },
				  GIB, NOW);
		s->surveyed.unmapped[0] = holder_of(7, 400);
		s->surveyed.unmapped[0].unmeasured = rows[i].unmeasured * MIB;
		assert_int_equal(find(rows[i].for_certain, &held), rows[i].held > 0 ? 7 : 0);
		assert_int_equal(held, rows[i].held * MIB);
	}
}

/* The holder of a survey has exited; processes of its name have been started since. */
static void test_which_one_is_its_successor(void **state)
{
	static const struct {
		const char *label;
		unsigned n;    /* with pids from 100 on */
		pid_t alive;   /* 0: all */
		bool is_there; /* the holder, which is protected */
		bool is_other; /* protected: the successor */
		int reread_result;
		pid_t best;
		bool is_old;
	} rows[] = {
		{ "it was there before", 1, 0, false, false, 0, 0, true },
		{ "one", 1, 0, false, false, 0, 100 },
		{ "one of two", 2, 0, false, false, 0, 0 },
		{ "the other has exited", 2, 100, false, false, 0, 100 },
		{ "the first has", 2, 101, false, false, 0, 101 },
		{ "all have", 2, 99, false, false, 0, 0 },
		{ "many have", 64, 163, false, false, 0, 163 },
		{ "too many are to be read", 65, 164, false, false, 0, 0 },
		{ "it cannot be read", 1, 0, false, false, -EIO, 0 },
		{ "none can be read", 2, 0, false, false, -EIO, 0 },
		{ "the holder is there, and protected", 1, 0, true, false, 0, 0 },
		{ "its successor is protected", 1, 0, false, true, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stuck *s;
		uint64_t held;

		s = begin(state, rows[i].label, 4096);
		s->holder_minimum = 64 * MIB;
		for (unsigned k = 0; k < rows[i].n; k++)
			add(100 + (pid_t)k, "holder", 0)->start_ticks =
				clock_ticks_before(rows[i].is_old ? 100 * SEC : 0);
		if (rows[i].is_there)
			add(7, "holder", 0);
		test.protected_pid = rows[i].is_there ? 7 : rows[i].is_other ? 100 : 0;
		test.alive = rows[i].alive;
		test.reread_result = rows[i].reread_result;
		s->surveyed.unmapped[0] = holder_of(7, 400);
		assert_int_equal(find(false, &held), rows[i].best);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_best_of_several),
		TEST(test_what_cannot_be_the_best_is_not_measured),
		TEST(test_what_it_holds_alone_and_together),
		TEST(test_a_young_child_beside_one_that_is_listed),
		TEST(test_what_was_started_since),
		TEST(test_too_many_children),
		TEST(test_what_is_freed_for_certain),
		TEST(test_which_one_is_its_successor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
