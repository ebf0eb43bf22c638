/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/select/family.c: which processes can share memory copy on write. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/select/family.h"
#include "lib/snapshot/census-tree.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PID   100
#define OTHER 101
#define START 1000

struct world {
	char path[32];
	int proc_fd;
	struct accuracy accuracy;
	struct policy_set policies;
	struct census census;
};

static int setup(void **state)
{
	static char everything[] = "/";
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;
	strcpy(world->path, "/tmp/test-family-XXXXXX");
	if (!mkdtemp(world->path))
		return -1;
	world->proc_fd = open(world->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (world->proc_fd < 0)
		return -1;
	world->policies.subtree = everything;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	for (pid_t pid = PID; pid <= OTHER; pid++) {
		char name[64];

		snprintf(name, sizeof(name), "%d/stat", pid);
		(void)unlinkat(world->proc_fd, name, 0);
		snprintf(name, sizeof(name), "%d", pid);
		(void)unlinkat(world->proc_fd, name, AT_REMOVEDIR);
	}
	close(world->proc_fd);
	rmdir(world->path);
	free(world);
	return 0;
}

/* 0: there is none. */
static void write_stat(struct world *world, pid_t pid, unsigned start, unsigned long long stack)
{
	char name[64], text[512];
	int fd, n;

	snprintf(name, sizeof(name), "%d", pid);
	(void)mkdirat(world->proc_fd, name, 0755);
	snprintf(name, sizeof(name), "%d/stat", pid);
	(void)unlinkat(world->proc_fd, name, 0);
	if (stack == 0)
		return;
	n = snprintf(text, sizeof(text),
		     "%d (x) S 1 %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 4096 1 "
		     "18446744073709551615 4194304 4198400 %llu 0 0\n",
		     pid, pid, pid, start, stack);
	fd = openat(world->proc_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
}

struct member {
	pid_t ppid, session;
	uid_t uid;
	unsigned code_pages;
	unsigned long long stack; /* where it begins; 0: not known */
	unsigned start;		  /* by stat; 0: as it is known */
};

static const struct census_process *add(struct world *world, pid_t pid, const struct member *m)
{
	struct census_process *process = census_add(&world->census, pid, START);

	assert_non_null(process);
	process->state = 'S';
	process->ppid = m->ppid;
	process->session = m->session;
	process->uid = m->uid;
	process->code_pages = m->code_pages;
	assert_int_equal(census_attach(&world->census, process, "/a.slice"), 0);
	write_stat(world, pid, m->start != 0 ? m->start : START, m->stack);
	return process;
}

static bool counts(const struct census_process *process, void *userdata)
{
	(void)process;
	(void)userdata;
	return true;
}

static const struct {
	const char *label;
	struct member a, b;
	bool expected;
} rows_of_relatives[] = {
	{ "a child", { 1, 7, 0, 9, 555 }, { PID, 7, 0, 9, 555 }, true },
	{ "a child in a session of its own", { 1, 7, 0, 9, 555 }, { PID, 8, 0, 9, 555 }, true },
	{ "a child of another user", { 1, 7, 0, 9, 555 }, { PID, 7, 33, 9, 555 }, true },
	{ "a child that has executed the program again",
	  { 1, 7, 0, 9, 555 },
	  { PID, 7, 0, 9, 556 },
	  false },
	{ "another program", { 1, 7, 0, 9, 555 }, { PID, 7, 0, 10, 555 }, false },
	{ "in a pid namespace without a session, the parent has exited",
	  { 1, 0, 0, 9, 555 },
	  { 1, 0, 0, 9, 555 },
	  true },
	{ "the same, executed again", { 1, 0, 0, 9, 555 }, { 1, 0, 0, 9, 556 }, false },
	{ "the same, nothing may be read", { 1, 0, 0, 9, 0 }, { 1, 0, 0, 9, 0 }, false },
	{ "the same, below different parents", { 1, 0, 0, 9, 555 }, { 2, 0, 0, 9, 555 }, false },
	{ "of one session, the parent has exited", { 1, 7, 0, 9, 555 }, { 1, 7, 0, 9, 555 }, true },
	{ "of one session, the program was started twice",
	  { 1, 7, 0, 9, 555 },
	  { 1, 7, 0, 9, 777 },
	  false },
	{ "of two sessions", { 1, 7, 0, 9, 555 }, { 1, 8, 0, 9, 555 }, false },
	{ "a stack is not known", { 1, 7, 0, 9, 555 }, { PID, 7, 0, 9, 0 }, true },
	{ "no stack is known", { 1, 7, 0, 9, 0 }, { PID, 7, 0, 9, 555 }, true },
	{ "a stack is not known, of another user",
	  { 1, 7, 0, 9, 555 },
	  { PID, 7, 33, 9, 0 },
	  false },
	{ "the pid is another's by now",
	  { 1, 7, 0, 9, 555 },
	  { PID, 7, 33, 9, 555, START + 1 },
	  false },
};

static void test_relatives(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows_of_relatives); i++) {
		const struct census_process *a, *b;
		struct family family;

		print_message("%s\n", rows_of_relatives[i].label);
		assert_int_equal(census_init(&world->census, world->proc_fd, NULL, &world->accuracy,
					     &world->policies),
				 0);
		a = add(world, PID, &rows_of_relatives[i].a);
		b = add(world, OTHER, &rows_of_relatives[i].b);
		assert_int_equal(family_has_both(&world->census, a, b),
				 rows_of_relatives[i].expected);
		assert_int_equal(family_has_both(&world->census, b, a),
				 rows_of_relatives[i].expected);
		assert_int_equal(family_count(&world->census, a, counts, NULL),
				 rows_of_relatives[i].expected);
		family_init(&family, &world->census, a, 1);
		assert_false(family_has(&family, a));
		assert_int_equal(family_has(&family, b), rows_of_relatives[i].expected);
		census_done(&world->census);
	}
}

/* Others of the same user count as relatives when no more may be examined. */
static void test_reads_are_limited(void **state)
{
	const struct member a = { 1, 7, 0, 9, 555 }, b = { 1, 7, 0, 9, 777 };
	struct world *world = *state;
	const struct census_process *first, *second;
	struct family family;

	assert_int_equal(census_init(&world->census, world->proc_fd, NULL, &world->accuracy,
				     &world->policies),
			 0);
	first = add(world, PID, &a);
	second = add(world, OTHER, &b);
	family_init(&family, &world->census, first, 1);
	assert_false(family_has(&family, second));
	assert_true(family_has(&family, second));
	census_done(&world->census);
}

/* Whatever programs they run; a pid may have been reused. */
static void test_descendants(void **state)
{
	static const struct {
		const char *label;
		pid_t parent, parent_of_parent;
		unsigned start; /* of PID */
		bool expected;
	} rows[] = {
		{ "a child", PID, 1, START, true },
		{ "a child of a child", OTHER + 2, PID, START, true },
		{ "of another process", OTHER + 2, 1, START, false },
		{ "its parent has exited", 1, 1, START, false },
		{ "its parent is younger", PID, 1, START + 1, false },
		{ "its own parent", OTHER + 1, 1, START, false },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *ancestor, *between, *process;

		print_message("%s\n", rows[i].label);
		assert_int_equal(census_init(&world->census, world->proc_fd, NULL, &world->accuracy,
					     &world->policies),
				 0);
		ancestor = census_add(&world->census, PID, rows[i].start);
		between = census_add(&world->census, OTHER + 2, START);
		process = census_add(&world->census, OTHER + 1, START);
		ancestor->code_pages = 9;
		between->ppid = rows[i].parent_of_parent;
		process->ppid = rows[i].parent;
		assert_int_equal(family_descends(&world->census, process, ancestor),
				 rows[i].expected);
		assert_false(family_descends(&world->census, ancestor, process));
		census_done(&world->census);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_relatives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reads_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descendants, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
