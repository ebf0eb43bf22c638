/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/select/sharers.c: which processes are compared, of a census made by hand and a
 * /proc of files.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/select/sharers.h"
#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"
#include "tests/remove-entry.h"
#include "tests/sharers-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define VICTIM	     100
#define FIRST	     101
#define VICTIM_BYTES (512 * MIB)
#define CODE	     7

static struct {
	char path[64];
	struct policy_set policies;
	struct census census;
	struct census_process *victim;
	uint64_t allocated;
	struct sharers sharers;

	/* What was compared, and the results: 0 but for these. */
	unsigned n_calls;
	unsigned n_late; /* the first calls get no answer */
	pid_t asked_by;
	pid_t asked[SHARERS_COMPARED_MAX];
	unsigned n_asked;
	pid_t same_from, same_to; /* these are the same */
	pid_t odd;		  /* this one answers odd_answer */
	int odd_answer;
	const char *then_stat; /* after that the victim is like that */
} test;

static void write_stat(const char *directory, pid_t pid, const char *rest)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", test.path, directory);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/stat", test.path, directory);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d (hog) %s\n", pid, rest);
	fclose(f);
}

/* state, ppid, pgrp, session, tty, tpgid, flags, ... n_threads, 0, start */
#define ALIVE	"S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 1000 0"
#define EXITING "R 1 1 1 0 -1 4194308 0 0 0 0 0 0 0 0 20 0 1 0 1000 0"
#define ZOMBIE	"Z 1 1 1 0 -1 4194316 0 0 0 0 0 0 0 0 20 0 2 0 1000 0"

static struct census_process *add(pid_t pid, uint64_t bytes, unsigned code_pages)
{
	struct census_process *process = census_add(&test.census, pid, 1000);

	assert_non_null(process);
	process->ppid = 1;
	process->n_threads = 1;
	process->code_pages = code_pages;
	assert_int_equal(census_attach(&test.census, process, "/"), 0);
	census_set_memory(&test.census, process, &(struct proc_memory){ .anon = bytes },
			  test.allocated, 1);
	return process;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	strcpy(test.path, "/tmp/test-sharers-XXXXXX");
	if (!mkdtemp(test.path))
		return -1;
	test.policies.subtree = everything;
	test.allocated = GIB;
	if (census_init(&test.census, open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL,
			&exact_accuracy, &test.policies) < 0)
		return -1;
	test.victim = add(VICTIM, VICTIM_BYTES, CODE);
	test.victim->ppid = 50;
	write_stat("100", VICTIM, ALIVE);
	return 0;
}

static int teardown(void **state)
{
	close(test.census.proc_fd);
	census_done(&test.census);
	return nftw(test.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void fake_compare(pid_t tid, const pid_t *tids, unsigned n, int *ret, void *userdata)
{
	test.n_calls++;
	test.asked_by = tid;
	for (unsigned i = 0; i < n; i++) {
		test.asked[test.n_asked++] = tids[i];
		ret[i] = tids[i] >= test.same_from && tids[i] <= test.same_to;
		if (tids[i] == test.odd)
			ret[i] = test.odd_answer;
		if (test.n_calls <= test.n_late)
			ret[i] = -ETIMEDOUT;
	}
	if (test.then_stat) {
		fail_malloc = false;
		write_stat("100", VICTIM, test.then_stat);
	}
}

static void find(void)
{
	test.n_asked = test.n_calls = n_mallocs = 0;
	fail_malloc = true;
	sharers_find(&test.census, test.victim, &test.victim->memory, test.allocated, fake_compare,
		     NULL, &test.sharers);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

static bool was_asked(pid_t pid)
{
	for (unsigned i = 0; i < test.n_asked; i++)
		if (test.asked[i] == pid)
			return true;
	return false;
}

static bool was_found(pid_t pid)
{
	for (unsigned i = 0; i < test.sharers.n; i++)
		if (test.sharers.items[i]->pid == pid)
			return true;
	return false;
}

static void test_find_compares_none_if_none_has_as_much(void **state)
{
	add(FIRST, VICTIM_BYTES - 4096, CODE);
	test.same_to = 1000;
	find();
	assert_int_equal(test.n_calls, 0);
	assert_int_equal(test.sharers.n, 0);
	assert_int_equal(test.sharers.n_more, 0);
	assert_int_equal(test.sharers.error, 0);
}

/* clang-format off */
static const struct {
	const char *name;
	uint64_t bytes;
	unsigned code_pages;
	uint64_t grown; /* what the machine allocated since */
	bool with_swap, kthread;
	bool asked;
} ask_cases[] = {
	{ "the same",                 VICTIM_BYTES,        CODE,     0,     0, 0, true },
	{ "a page less",              VICTIM_BYTES - 4096, CODE,     0,     0, 0, false },
	{ "a page less, by then",     VICTIM_BYTES - 4096, CODE,     4096,  0, 0, true },
	{ "far less, but long ago",   MIB,                 CODE,     GIB,   0, 0, true },
	{ "more",                     2 * VICTIM_BYTES,    CODE,     0,     0, 0, true },
	{ "another program",          VICTIM_BYTES,        CODE + 1, 0,     0, 0, false },
	{ "unknown program",          VICTIM_BYTES,        0,        0,     0, 0, true },
	{ "code not read of late",    VICTIM_BYTES,        CODE + 1, 0,     1, 0, true },
	{ "a thread of the kernel's", VICTIM_BYTES,        CODE,     0,     0, 1, false },
};
/* clang-format on */

static void test_find_compares_what_may_have_the_memory(void **state)
{
	struct census_process *other = add(FIRST, VICTIM_BYTES, CODE);

	for (size_t i = 0; i < ARRAY_SIZE(ask_cases); i++) {
		test.allocated = GIB;
		census_set_memory(&test.census, other, &(struct proc_memory){ ask_cases[i].bytes },
				  test.allocated, 1);
		test.allocated += ask_cases[i].grown;
		other->code_pages = ask_cases[i].code_pages;
		other->kthread = ask_cases[i].kthread;
		test.census.with_swap = ask_cases[i].with_swap;
		find();
		if (was_asked(FIRST) != ask_cases[i].asked)
			fail_msg("%s", ask_cases[i].name);
	}
}

/* They take no place among those that are compared, relatives or not. */
static void test_find_leaves_zombies_out(void **state)
{
	for (pid_t pid = FIRST; pid < FIRST + SHARERS_COMPARED_MAX + 10; pid++) {
		struct census_process *zombie = add(pid, VICTIM_BYTES, CODE);

		zombie->state = 'Z';
		zombie->ppid = VICTIM;
	}
	add(900, VICTIM_BYTES, CODE);
	test.same_from = test.same_to = 900;
	find();
	assert_int_equal(test.n_asked, 1);
	assert_true(was_found(900));
	assert_int_equal(test.sharers.n_more, 0);
	/* a leader that has exited before its threads is none */
	add(901, VICTIM_BYTES, CODE)->state = 'Z';
	census_find(&test.census, 901)->n_threads = 3;
	find();
	assert_int_equal(test.n_asked, 2);
}

static void test_find_takes_those_that_are_the_same(void **state)
{
	for (pid_t pid = FIRST; pid < FIRST + 5; pid++)
		add(pid, VICTIM_BYTES, CODE);
	test.same_from = FIRST + 1;
	test.same_to = FIRST + 2;
	find();
	assert_int_equal(test.n_calls, 1);
	assert_int_equal(test.asked_by, VICTIM);
	assert_int_equal(test.n_asked, 5);
	assert_int_equal(test.sharers.n, 2);
	assert_true(was_found(FIRST + 1) && was_found(FIRST + 2));
	assert_int_equal(test.sharers.error, 0);
}

static const struct {
	int answer, error;
} answer_cases[] = {
	{ -EPERM, -EPERM },   { -ENOSYS, -ENOSYS }, { -ETIMEDOUT, -ETIMEDOUT },
	{ -EACCES, -EACCES }, { -EINTR, -EINTR },   { -ESRCH, 0 }, /* exited: no longer a sharer */
};

static void test_find_reports_what_is_not_known_and_takes_the_others(void **state)
{
	for (pid_t pid = FIRST; pid < FIRST + 3; pid++)
		add(pid, VICTIM_BYTES, CODE);
	test.same_from = FIRST;
	test.same_to = FIRST + 2;
	test.odd = FIRST + 1;
	for (size_t i = 0; i < ARRAY_SIZE(answer_cases); i++) {
		test.odd_answer = answer_cases[i].answer;
		find();
		assert_int_equal(test.sharers.n, 2);
		assert_false(was_found(FIRST + 1));
		assert_int_equal(test.sharers.error, answer_cases[i].error);
		assert_int_equal(test.sharers.n_more, answer_cases[i].error == -ETIMEDOUT);
	}
}

/* A relative is asked about again; another process is not: it is seldom the same. */
static void test_find_asks_again_about_relatives(void **state)
{
	static const struct {
		pid_t ppid;
		unsigned n_late, n_calls, n_found;
		int error;
	} cases[] = {
		{ VICTIM, 0, 1, 2, 0 },
		{ VICTIM, 2, 3, 2, 0 },
		{ VICTIM, 9, SHARERS_TRIES, 0, -ETIMEDOUT },
		{ 70, 2, 1, 0, -ETIMEDOUT },
	};

	add(FIRST, VICTIM_BYTES, CODE);
	add(FIRST + 1, VICTIM_BYTES, CODE);
	test.same_from = FIRST;
	test.same_to = FIRST + 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		census_find(&test.census, FIRST)->ppid = cases[i].ppid;
		census_find(&test.census, FIRST + 1)->ppid = cases[i].ppid;
		test.n_late = cases[i].n_late;
		find();
		assert_int_equal(test.n_calls, cases[i].n_calls);
		assert_int_equal(test.sharers.n, cases[i].n_found);
		assert_int_equal(test.sharers.error, cases[i].error);
	}
}

static void test_find_counts_those_beyond_the_bound(void **state)
{
	for (pid_t pid = FIRST; pid < FIRST + SHARERS_MAX + 3; pid++)
		add(pid, VICTIM_BYTES, CODE);
	test.same_to = 1000;
	find();
	assert_int_equal(test.sharers.n, SHARERS_MAX);
	assert_int_equal(test.sharers.n_more, 3);
}

/* Of a thousand that look alike the parent, the children and the siblings are surely compared,
 * wherever in the census they are. */
static void test_find_compares_relatives_first(void **state)
{
	static const pid_t related[] = { FIRST, FIRST + 500, FIRST + 998, FIRST + 999 };

	for (pid_t pid = FIRST; pid < FIRST + 1000; pid++)
		add(pid, VICTIM_BYTES, CODE);
	census_find(&test.census, FIRST)->ppid = VICTIM;
	census_find(&test.census, FIRST + 500)->ppid = VICTIM;
	census_find(&test.census, FIRST + 998)->ppid = 50;
	test.victim->ppid = 50;
	add(50, VICTIM_BYTES, CODE);
	census_find(&test.census, FIRST + 999)->ppid = VICTIM;
	find();
	assert_int_equal(test.n_asked, SHARERS_COMPARED_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(related); i++)
		assert_true(was_asked(related[i]));
	assert_true(was_asked(50));
	assert_int_equal(test.sharers.n_more, 1001 - SHARERS_COMPARED_MAX);
	for (unsigned i = 0; i < test.n_asked; i++)
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(test.asked[i], test.asked[j]);

	/* more relatives than can be compared */
	for (pid_t pid = FIRST; pid < FIRST + 1000; pid++)
		census_find(&test.census, pid)->ppid = VICTIM;
	find();
	assert_int_equal(test.n_asked, SHARERS_COMPARED_MAX);
	assert_int_equal(test.sharers.n_more, 1001 - SHARERS_COMPARED_MAX);
}

/* Whoever has no memory any more compares equal to all others that have none. */
static void test_find_trusts_no_comparison_with_one_that_exits(void **state)
{
	add(FIRST, VICTIM_BYTES, CODE);
	test.same_to = 1000;
	test.then_stat = EXITING;
	find();
	assert_int_equal(test.n_calls, 1);
	assert_int_equal(test.sharers.n, 0);
	assert_int_equal(test.sharers.error, -ESRCH);

	write_stat("100", VICTIM, ALIVE);
	test.then_stat = ZOMBIE;
	find();
	assert_int_equal(test.sharers.n, 0);
	assert_int_equal(test.sharers.error, -ESRCH);

	test.victim->pid = 99; /* which is not there */
	find();
	assert_int_equal(test.sharers.n, 0);
	assert_int_equal(test.sharers.error, -ESRCH);
	test.victim->pid = VICTIM;
}

/* A leader that has exited has no memory; its threads have. */
static void test_find_compares_living_threads(void **state)
{
	struct census_process *other = add(FIRST, VICTIM_BYTES, CODE);

	write_stat("100", VICTIM, ZOMBIE);
	write_stat("100/task", VICTIM, ZOMBIE);
	write_stat("100/task/100", VICTIM, ZOMBIE);
	write_stat("100/task/110", 110, ALIVE);
	write_stat("110", 110, ALIVE);
	write_stat("101", FIRST, ZOMBIE);
	write_stat("101/task", FIRST, ZOMBIE);
	write_stat("101/task/101", FIRST, ZOMBIE);
	write_stat("101/task/120", 120, ALIVE);
	other->state = 'Z';
	other->n_threads = 2;
	test.same_from = test.same_to = 120;
	find();
	assert_int_equal(test.asked_by, 110);
	assert_int_equal(test.n_asked, 1);
	assert_int_equal(test.asked[0], 120);
	assert_int_equal(test.sharers.n, 1);
	assert_true(was_found(FIRST));
	assert_int_equal(test.sharers.error, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_find_compares_none_if_none_has_as_much),
		TEST(test_find_compares_what_may_have_the_memory),
		TEST(test_find_leaves_zombies_out),
		TEST(test_find_takes_those_that_are_the_same),
		TEST(test_find_reports_what_is_not_known_and_takes_the_others),
		TEST(test_find_counts_those_beyond_the_bound),
		TEST(test_find_compares_relatives_first),
		TEST(test_find_trusts_no_comparison_with_one_that_exits),
		TEST(test_find_compares_living_threads),
		TEST(test_find_asks_again_about_relatives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
