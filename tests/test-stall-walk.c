/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/domain/stall-walk.c, on trees of plain files: which cgroups are at a limit, what is
 * delegated, and how long a walk takes.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/stall.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define STRANGER ((uid_t)4711)

/* A tree of its own for each test. */
struct tree {
	char path[64];
	int fd;
	struct stall stall;
};

static usec_t now;

static usec_t walk_now(void)
{
	return now;
}

/* Each read of the clock takes a millisecond. */
static usec_t slow_clock(void)
{
	return now += USEC_PER_MSEC;
}

static void put(const struct tree *t, const char *cgroup, const char *file, const char *text)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", t->path, cgroup, file);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* How long some and all of it stalled so far, in ms. */
static void put_pressure(const struct tree *t, const char *cgroup, unsigned some, unsigned full)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "some avg10=0.00 avg60=0.00 avg300=0.00 total=%u\n"
		       "full avg10=0.00 avg60=0.00 avg300=0.00 total=%u\n",
		       some * 1000, full * 1000);
	put(t, cgroup, "memory.pressure", text);
}

static void make(const struct tree *t, const char *cgroup)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", t->path, cgroup);
	assert_int_equal(mkdir(path, 0755), 0);
	put_pressure(t, cgroup, 1, 1);
	put(t, cgroup, "memory.max", "max\n");
	put(t, cgroup, "memory.high", "max\n");
	put(t, cgroup, "memory.current", "1000\n");
	put(t, cgroup, "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
	put(t, cgroup, "memory.events.local", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
}

static void give_away(const struct tree *t, const char *cgroup)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", t->path, cgroup);
	assert_int_equal(chown(path, STRANGER, (gid_t)-1), 0);
}

static int set_up(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	strcpy(t->path, "/tmp/test-stall.XXXXXX");
	if (!mkdtemp(t->path))
		return -1;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stall_init(&t->stall, t->fd);
	put_pressure(t, ".", 1, 1);
	now = 100 * USEC_PER_SEC;
	*state = t;
	return t->fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct tree *t = *state;

	stall_clear(&t->stall);
	close(t->fd);
	(void)nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

static void walk(struct tree *t)
{
	assert_int_equal(stall_walk(&t->stall, walk_now, USEC_INFINITY), 1);
	assert_false(stall_is_walking(&t->stall));
}

static void test_walk_finds_the_limited(void **state)
{
	struct tree *t = *state;

	make(t, "system.slice");
	make(t, "system.slice/throttled");
	make(t, "system.slice/database");
	walk(t);
	assert_true(t->stall.verdict.at == 0); /* the first one only remembers */

	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "system.slice", 901, 801);
	put_pressure(t, "system.slice/throttled", 951, 851);
	put_pressure(t, "system.slice/database", 31, 21);
	put(t, "system.slice/throttled", "memory.high", "1000\n");
	walk(t);
	assert_true(t->stall.verdict.at == now);
	assert_int_equal(t->stall.verdict.unexplained.full, 200);
	assert_string_equal(t->stall.verdict.limited, "/system.slice/throttled");
	assert_int_equal(t->stall.verdict.limited_share.full, 8500);

	/* The same with no limit there. */
	now += USEC_PER_SEC;
	put_pressure(t, ".", 1801, 1601);
	put_pressure(t, "system.slice", 1801, 1601);
	put_pressure(t, "system.slice/throttled", 1901, 1701);
	put(t, "system.slice/throttled", "memory.high", "max\n");
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 8000);
	assert_string_equal(t->stall.verdict.limited, "");
}

static void test_walk_goes_by_the_limit_above(void **state)
{
	struct tree *t = *state;

	make(t, "kubepods.slice");
	make(t, "kubepods.slice/pod");
	put(t, "kubepods.slice", "memory.max", "1000\n");
	walk(t);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "kubepods.slice", 901, 801);
	put_pressure(t, "kubepods.slice/pod", 901, 801);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 0);
	assert_string_equal(t->stall.verdict.limited, "/kubepods.slice");
}

static void test_walk_leaves_out_what_did_not_stall(void **state)
{
	struct tree *t = *state;

	make(t, "idle");
	make(t, "idle/a");
	make(t, "idle/b");
	make(t, "busy");
	walk(t);
	assert_int_equal(t->stall.draft.n_read, 4);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 501, 401);
	put_pressure(t, "busy", 501, 401);
	walk(t);
	assert_int_equal(t->stall.verdict.n_read, 2);
	assert_int_equal(t->stall.verdict.unexplained.full, 4000);
}

static void test_walk_counts_one_that_is_new(void **state)
{
	struct tree *t = *state;

	make(t, "old");
	put(t, "old", "memory.max", "1000\n");
	walk(t);
	now += USEC_PER_SEC;
	make(t, "new");
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "old", 901, 801);
	put_pressure(t, "new", 700, 600);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 6000);
}

static void test_walk_counts_one_that_is_gone(void **state)
{
	struct tree *t = *state;

	make(t, "limited");
	put(t, "limited", "memory.max", "1000\n");
	walk(t);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "limited", 201, 101);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 7000);
}

/* user@4711.service with app.slice in it, and a service of the machine's. */
static void make_delegated(struct tree *t)
{
	make(t, "user");
	make(t, "user/app");
	make(t, "user/app/a");
	make(t, "user/app/b");
	make(t, "system");
	give_away(t, "user");
	walk(t);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "user", 901, 801);
	put_pressure(t, "user/app", 901, 801);
}

static void skip_unless_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("SKIP: only root can give a directory away\n");
	skip();
}

static void test_delegated_cannot_stall_the_machine(void **state)
{
	static const char *const events = "low 0\nhigh 3\nmax 0\noom 0\noom_kill 0\n";
	static const char *const tricks[] = {
		"throttled, and says so",     "throttled, but not at this moment",
		"its pressure is turned off", "it has been removed",
		"all have been removed",
	};

	skip_unless_root();
	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		struct tree *t;

		tear_down(state);
		assert_int_equal(set_up(state), 0);
		t = *state;
		make_delegated(t);
		put_pressure(t, "user/app/a", 901, 801);
		put(t, "user/app/a", "memory.events.local", events);
		put(t, "user/app/a", "memory.events", events);
		put(t, "user/app", "memory.events", events);
		if (i == 0)
			put(t, "user/app/a", "memory.high", "1000\n");
		if (i == 2)
			assert_int_equal(unlinkat(t->fd, "user/app/a/memory.pressure", 0), 0);
		if (i >= 3)
			assert_int_equal(renameat(t->fd, "user/app/a", t->fd, "a"), 0);
		if (i == 4)
			assert_int_equal(renameat(t->fd, "user/app/b", t->fd, "b"), 0);
		if (i >= 3)
			put_pressure(t, "a", 1, 1); /* out of the way */
		walk(t);
		if (!stall_explains(&t->stall.verdict, 0, 4000))
			fail_msg("%s: explained by nothing", tricks[i]);
		if (t->stall.verdict.unexplained.full > 100)
			fail_msg("%s: %u", tricks[i], t->stall.verdict.unexplained.full);
	}
}

static void test_delegated_cannot_hide_what_others_stall(void **state)
{
	struct tree *t = *state;

	skip_unless_root();
	make_delegated(t);
	put_pressure(t, "user/app/a", 901, 801);
	put(t, "user/app/a", "memory.high", "1000\n");
	put_pressure(t, "user/app/b", 501, 401);
	put_pressure(t, "system", 701, 601);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 6000);
}

static void test_delegated_counts_where_it_is_at_no_limit(void **state)
{
	struct tree *t = *state;

	skip_unless_root();
	make_delegated(t);
	put_pressure(t, "user/app/b", 901, 801);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 8000);
}

/* As many as its owner likes: the others are read all the same. */
static void test_delegated_has_an_end(void **state)
{
	struct tree *t = *state;
	char name[64];

	skip_unless_root();
	make(t, "user");
	for (int i = 0; i < STALL_DELEGATED_MAX + 500; i++) {
		(void)snprintf(name, sizeof(name), "user/%d", i);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		put_pressure(t, name, 5, 5);
	}
	make(t, "zz");
	give_away(t, "user");
	walk(t);
	assert_true(t->stall.draft.n_read <= STALL_DELEGATED_MAX + 2);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	put_pressure(t, "user", 901, 801);
	put_pressure(t, "zz", 801, 701);
	walk(t);
	assert_int_equal(t->stall.verdict.unexplained.full, 7000);
}

static void test_walk_is_taken_in_slices(void **state)
{
	struct tree *t = *state;
	unsigned n_slices = 1;
	char name[64];

	make(t, "many");
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "many/%d", i);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		put_pressure(t, name, 5, 5);
	}
	make(t, "other");
	while (stall_walk(&t->stall, slow_clock, now + 40 * USEC_PER_MSEC) == 0) {
		n_slices++;
		assert_true(n_slices < 100);
		/* Cgroups are made and removed meanwhile. */
		(void)snprintf(name, sizeof(name), "many/new-%u", n_slices);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
	}
	assert_true(n_slices > 5);
	assert_true(t->stall.draft.n_read >= 302);
	assert_int_equal(t->stall.n_entries, 303); /* the root too; each once */
	assert_true(stall_period(&t->stall) >= 100 * 300 * USEC_PER_MSEC);
}

static void test_walk_needs_a_root_with_pressure(void **state)
{
	struct tree *t = *state;

	assert_int_equal(unlinkat(t->fd, "memory.pressure", 0), 0);
	assert_int_equal(stall_walk(&t->stall, walk_now, USEC_INFINITY), -ENOENT);
	assert_false(stall_is_walking(&t->stall));
	assert_true(t->stall.verdict.at == 0);
}

static void test_walk_has_no_room(void **state)
{
	struct tree *t = *state;
	char name[64];

	t->stall.max_entries = 300;
	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		put_pressure(t, name, 5, 5);
	}
	walk(t);
	assert_int_equal(t->stall.n_entries, 300);
	now += USEC_PER_SEC;
	put_pressure(t, ".", 901, 801);
	walk(t);
	/* Of those that are not known nothing is reported; what is not explained counts. */
	assert_int_equal(t->stall.verdict.unexplained.full, 8000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_walk_finds_the_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_walk_goes_by_the_limit_above, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_walk_leaves_out_what_did_not_stall, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_walk_counts_one_that_is_new, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_walk_counts_one_that_is_gone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_delegated_cannot_stall_the_machine, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_delegated_cannot_hide_what_others_stall,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delegated_counts_where_it_is_at_no_limit,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delegated_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_walk_is_taken_in_slices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_walk_needs_a_root_with_pressure, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_walk_has_no_room, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
