/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/kill/unit-mark.c, on an ordinary directory: its extended attributes are the same. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "lib/kill/unit-mark.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Never reached, unless it hangs. */
#define LONG (60 * USEC_PER_SEC)

struct world {
	char directory[64];
	int fd;
	struct unit_marker *marker;
};

static usec_t later(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000 + LONG;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	strcpy(world->directory, "unit-mark.XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	world->fd = open(world->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(world->fd, "a.slice", 0700), 0);
	assert_int_equal(mkdirat(world->fd, "a.slice/b.service", 0700), 0);
	assert_int_equal(mkdirat(world->fd, "a.slice/b.service/below", 0700), 0);
	assert_int_equal(unit_marker_new(world->fd, &world->marker), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	unit_marker_free(world->marker);
	unlinkat(world->fd, "a.slice/b.service/below", AT_REMOVEDIR);
	unlinkat(world->fd, "a.slice/b.service", AT_REMOVEDIR);
	unlinkat(world->fd, "a.slice", AT_REMOVEDIR);
	close(world->fd);
	rmdir(world->directory);
	free(world);
	return 0;
}

/* "": there is none. */
static const char *value(const struct world *world, const char *cgroup, const char *name)
{
	static char text[64];
	char path[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s%s", world->directory, cgroup);
	n = getxattr(path, name, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void wait_for(const struct world *world, const char *name, const char *expected)
{
	for (unsigned i = 0;
	     i < 10000 && strcmp(value(world, "/a.slice/b.service", name), expected); i++)
		usleep(1000);
	assert_string_equal(value(world, "/a.slice/b.service", name), expected);
}

static int mark(const struct world *world, const char *path)
{
	return unit_mark(world->marker, path, strlen("/a.slice/b.service"), later());
}

static void skip_without_attributes(int r)
{
	if (r != -EOPNOTSUPP)
		return;
	print_message("SKIP: this file system has no extended attributes of users\n");
	skip();
}

static void test_next(void **state)
{
	static const struct {
		const char *text;
		uint64_t n, least, expected;
	} cases[] = {
		{ "", 1, 0, 1 },
		{ "0", 1, 0, 1 },
		{ "7", 1, 0, 8 },
		{ "7", 12, 0, 19 },
		{ "7", 1, 8, 8 },
		{ "7", 1, 500, 500 },
		{ "", 1, 500, 500 },
		{ "500", 1, 500, 501 },
		{ "many", 1, 0, 1 },
		{ "-1", 1, 0, 1 },
		{ "18446744073709551615", 1, 0, UINT64_MAX },
		{ "18446744073709551616", 1, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(unit_mark_next(cases[i].text, cases[i].n, cases[i].least),
				 cases[i].expected);
}

static uint64_t ooms(const struct world *world)
{
	return strtoull(value(world, "/a.slice/b.service", UNIT_MARK_OOMS), NULL, 10);
}

static void test_marks_the_unit_alone(void **state)
{
	struct world *world = *state;
	uint64_t first;

	skip_without_attributes(mark(world, "/a.slice/b.service/below"));
	first = ooms(world);
	assert_true(first > 0);
	assert_string_equal(value(world, "/a.slice/b.service", UNIT_MARK_KILLS), "");
	assert_string_equal(value(world, "/a.slice/b.service/below", UNIT_MARK_OOMS), "");
	assert_string_equal(value(world, "/a.slice", UNIT_MARK_OOMS), "");
	assert_int_equal(mark(world, "/a.slice/b.service/below"), 0);
	assert_true(ooms(world) > first);
}

/* PID 1 may remember a number of the cgroup that was there before. */
static void test_grows_in_a_new_cgroup_too(void **state)
{
	struct world *world = *state;
	uint64_t first;

	skip_without_attributes(mark(world, "/a.slice/b.service"));
	first = ooms(world);
	assert_int_equal(unlinkat(world->fd, "a.slice/b.service/below", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(world->fd, "a.slice/b.service", AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(world->fd, "a.slice/b.service", 0700), 0);
	usleep(1); /* a restart takes longer */
	assert_int_equal(mark(world, "/a.slice/b.service"), 0);
	assert_true(ooms(world) > first);
}

static void test_counts_processes_and_subtracts(void **state)
{
	struct world *world = *state;

	char first[32];

	skip_without_attributes(mark(world, "/a.slice/b.service"));
	unit_mark_cancel(world->marker);
	wait_for(world, UNIT_MARK_OOMS, "");
	assert_int_equal(mark(world, "/a.slice/b.service"), 0);
	unit_mark_killed(world->marker, 3);
	wait_for(world, UNIT_MARK_KILLS, "3");
	snprintf(first, sizeof(first), "%llu", (unsigned long long)ooms(world));
	assert_int_equal(mark(world, "/a.slice/b.service"), 0);
	assert_true(ooms(world) > strtoull(first, NULL, 10));
	unit_mark_cancel(world->marker);
	wait_for(world, UNIT_MARK_OOMS, first);
	assert_string_equal(value(world, "/a.slice/b.service", UNIT_MARK_KILLS), "3");
}

static void test_a_cgroup_that_is_gone(void **state)
{
	struct world *world = *state;
	char path[PATH_MAX];
	uint64_t first;

	assert_int_equal(unit_mark(world->marker, "/a.slice/c.service", 18, later()), -ENOENT);
	memset(path, 'a', sizeof(path));
	assert_int_equal(unit_mark(world->marker, path, sizeof(path), later()), -ENAMETOOLONG);
	skip_without_attributes(mark(world, "/a.slice/b.service"));
	first = ooms(world);
	/* what comes after one that failed is not written where the one before was */
	assert_int_equal(unit_mark(world->marker, "/a.slice/c.service", 18, later()), -ENOENT);
	unit_mark_killed(world->marker, 5);
	unit_mark_cancel(world->marker);
	assert_int_equal(mark(world, "/a.slice/b.service"), 0);
	assert_true(ooms(world) > first);
}

/* It may be in time or not; it is done all the same. */
static void test_does_not_wait_longer(void **state)
{
	struct world *world = *state;
	int r = unit_mark(world->marker, "/a.slice/b.service", 18, 0);

	skip_without_attributes(r);
	assert_true(r == 0 || r == -EINPROGRESS);
	for (unsigned i = 0; i < 10000 && r != 0; i++) { /* refused while it is under way */
		r = unit_mark(world->marker, "/a.slice", 8, later());
		skip_without_attributes(r);
		assert_true(r == 0 || r == -EBUSY);
		usleep(1000);
	}
	assert_int_equal(ooms(world), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),	      TEST(test_marks_the_unit_alone),
		TEST(test_grows_in_a_new_cgroup_too), TEST(test_counts_processes_and_subtracts),
		TEST(test_a_cgroup_that_is_gone),     TEST(test_does_not_wait_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
