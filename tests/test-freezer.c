/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on trees of plain files: which levels are found, written and written back.  What the
 * kernel does with them is tested on real cgroups in test-freezer-kernel and test-kill-kernel.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kill/freezer.h"
#include "tests/freezer-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define RUNNING_EVENTS "populated 1\nfrozen 0\n"

/* Which of /a, /a/b, /a/b/c freeze by their own flag, and what the last one says. */
static const struct {
	const char *freeze[3];
	const char *own_events;
	const char *path;
	int n_thawed;
	bool events;
} v2_cases[] = {
	{ { "0\n", "0\n", "0\n" }, RUNNING_EVENTS, "/a/b/c", 0, false },
	{ { "0\n", "0\n", "1\n" }, FROZEN_EVENTS, "/a/b/c", 1, true },
	/* the frozen one is above; its own flag says 0 */
	{ { "1\n", "0\n", "0\n" }, FROZEN_EVENTS, "/a/b/c", 1, true },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "/a/b/c", 3, true },
	/* still freezing: nothing to wait for */
	{ { "1\n", "0\n", "1\n" }, RUNNING_EVENTS, "/a/b/c", 2, false },
	/* what is frozen below does not concern it */
	{ { "1\n", "0\n", "1\n" }, FROZEN_EVENTS, "/a/b", 1, false },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "/", 0, false },
	{ { "1\n", "1\n", "1\n" }, FROZEN_EVENTS, "//a/b//c/", 3, true },
};

static void test_thaw_v2_levels(void **state)
{
	static const char *const directories[] = { "v2/a", "v2/a/b", "v2/a/b/c" };
	static const char *const flags[] = { "v2/a/cgroup.freeze", "v2/a/b/cgroup.freeze",
					     "v2/a/b/c/cgroup.freeze" };
	struct tree *tree = *state;

	for (size_t i = 0; i < 3; i++)
		make_v2(tree, directories[i], "0\n", RUNNING_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(v2_cases); i++) {
		const char *path = v2_cases[i].path;
		size_t depth = strstr(path, "c") ? 3 : strstr(path, "b") ? 2 : 0;

		for (size_t level = 0; level < 3; level++)
			put(tree, flags[level], v2_cases[i].freeze[level]);
		put(tree, "v2/a/b/c/cgroup.events", v2_cases[i].own_events);

		assert_int_equal(freezer_thaw(&tree->fs, path, NULL, &tree->thawed),
				 v2_cases[i].n_thawed);
		assert_int_equal(tree->thawed.n_levels, v2_cases[i].n_thawed);
		assert_int_equal(tree->thawed.error, 0);
		assert_int_equal(tree->thawed.events_fd >= 0, v2_cases[i].events);
		for (size_t level = 0; level < 3; level++)
			assert_text(tree, flags[level],
				    level < depth || *v2_cases[i].freeze[level] == '0' ? "0" : "1");
		freezer_thawed_done(&tree->thawed);
	}
}

static void test_thaw_v1_writes_state_where_self_freezing(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/a/b", "0\n", "FROZEN\n", ""); /* by its parent */
	make_v1(tree, "v1/a/b/c", "1\n", "FROZEN\n", "1\n");

	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/a/b/c", &tree->thawed), 2);
	assert_text(tree, "v1/a/freezer.state", "THAWED");
	assert_text(tree, "v1/a/b/freezer.state", "FROZEN");
	assert_text(tree, "v1/a/b/c/freezer.state", "THAWED");
	assert_true(tree->thawed.levels[0].v1);
	assert_int_equal(tree->thawed.events_fd, -EBADF);
}

static void test_thaw_counts_both_hierarchies(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/x", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a", "/x", &tree->thawed), 2);
	assert_false(tree->thawed.levels[0].v1);
	assert_true(tree->thawed.levels[1].v1);
}

static void test_thaw_without_hierarchies_is_nothing(void **state)
{
	struct tree *tree = *state;
	struct cgroup_fs none;

	cgroup_fs_init(&none, -EBADF, -EBADF);
	assert_int_equal(freezer_thaw(&none, "/a", "/a", &tree->thawed), 0);
	assert_int_equal(freezer_is_frozen(&none, "/a", "/a"), 0);
	cgroup_fs_done(&none);
}

/* A cgroup that was removed has no processes: nothing above it is thawed for it. */
static void test_thaw_of_vanished_thaws_none(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/gone", "/a/gone/too", &tree->thawed), 0);
	assert_int_equal(tree->thawed.n_levels, 0);
	assert_int_equal(tree->thawed.error, 0);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_text(tree, "v1/a/freezer.state", "FROZEN");
}

static void test_thaw_refuses_paths_out_of_the_mount(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/a", "1\n", "FROZEN\n", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/../../etc", NULL, &tree->thawed), -EINVAL);
	assert_int_equal(freezer_thaw(&tree->fs, "a", NULL, &tree->thawed), -EINVAL);
	/* the other hierarchy is thawed all the same */
	assert_int_equal(freezer_thaw(&tree->fs, "/..", "/a", &tree->thawed), 1);
	assert_text(tree, "v1/a/freezer.state", "THAWED");
	assert_int_equal(tree->thawed.error, -EINVAL);

	assert_return_code(symlinkat("..", tree->fd, "v2/link"), errno);
	assert_true(freezer_thaw(&tree->fs, "/link", NULL, &tree->thawed) < 0);
}

static void test_thaw_continues_after_a_refusal(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b/c", "1\n", FROZEN_EVENTS);
	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/c/cgroup.freeze", 0666, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);

	assert_int_equal(freezer_thaw(&tree->fs, "/a/b/c", NULL, &tree->thawed), 2);
	assert_int_equal(tree->thawed.error, -EACCES);
	assert_int_equal(tree->thawed.n_levels, 2); /* only those can be frozen again */
	assert_text(tree, "v2/a/cgroup.freeze", "0");
	assert_text(tree, "v2/a/b/cgroup.freeze", "1");
	assert_text(tree, "v2/a/b/c/cgroup.freeze", "0");

	/* the same, with nothing else to thaw: found out, but not thawed */
	freezer_thawed_done(&tree->thawed);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 0);
	assert_int_equal(tree->thawed.error, -EACCES);
}

static void test_thaw_of_unreadable_is_an_error(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", RUNNING_EVENTS);
	assert_return_code(fchmodat(tree->fd, "v2/a", 0000, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), -EACCES);
	assert_int_equal(freezer_is_frozen(&tree->fs, "/a/b", NULL), -EACCES);
}

static void test_thaw_again_keeps_and_adds(void **state)
{
	struct tree *tree = *state;
	int events_fd;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "0\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 1);
	events_fd = tree->thawed.events_fd;

	/* nothing new */
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 0);
	assert_int_equal(tree->thawed.n_levels, 1);

	/* another program freezes the known one again, and another */
	put(tree, "v2/a/cgroup.freeze", "1\n");
	put(tree, "v2/a/b/cgroup.freeze", "1\n");
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_int_equal(tree->thawed.n_levels, 2);
	assert_int_equal(tree->thawed.events_fd, events_fd);
	assert_text(tree, "v2/a/cgroup.freeze", "0");
	assert_text(tree, "v2/a/b/cgroup.freeze", "0");
}

/* More frozen levels than can be remembered: all are thawed. */
static void test_thaw_of_too_many_levels(void **state)
{
	const int n = FREEZER_MAX_LEVELS + 5;
	struct tree *tree = *state;
	char path[512] = "v2", file[600];

	for (int i = 0; i < n; i++) {
		strcat(path, "/d");
		make_v2(tree, path, "1\n", FROZEN_EVENTS);
	}
	assert_int_equal(freezer_thaw(&tree->fs, path + strlen("v2"), NULL, &tree->thawed), n);
	assert_int_equal(tree->thawed.n_levels, FREEZER_MAX_LEVELS);
	assert_int_equal(tree->thawed.error, -EOVERFLOW);
	for (int i = 0; i < n; i++) {
		(void)snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
		assert_text(tree, file, "0");
		*strrchr(path, '/') = '\0';
	}
}

/* What happens to a thawed level before it is to be frozen again, and what comes of it. */
static const struct {
	const char *name;
	const char *events;
	const char *freeze;
	int n_frozen;
	const char *after;
} refreeze_cases[] = {
	{ "left as we left it", "populated 1\nfrozen 0\n", "0\n", 1, "1" },
	{ "lines in the other order", "frozen 0\npopulated 1\n", "0\n", 1, "1" },
	{ "no process in it any more", "populated 0\nfrozen 0\n", "0\n", 0, "0" },
	{ "frozen by another program", "populated 1\nfrozen 1\n", "1\n", 0, "1" },
};

static void test_refreeze_v2(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(refreeze_cases); i++) {
		put(tree, "v2/a/cgroup.freeze", "1\n");
		assert_int_equal(freezer_thaw(&tree->fs, "/a", NULL, &tree->thawed), 1);
		put(tree, "v2/a/cgroup.events", refreeze_cases[i].events);
		put(tree, "v2/a/cgroup.freeze", refreeze_cases[i].freeze);
		if (freezer_refreeze(&tree->thawed) != refreeze_cases[i].n_frozen)
			fail_msg("%s", refreeze_cases[i].name);
		assert_text(tree, "v2/a/cgroup.freeze", refreeze_cases[i].after);
	}
}

static void test_refreeze_passes_over_vanished(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_return_code(unlinkat(tree->fd, "v2/a/b/cgroup.freeze", 0), errno);
	assert_return_code(unlinkat(tree->fd, "v2/a/b/cgroup.events", 0), errno);
	assert_return_code(unlinkat(tree->fd, "v2/a/b", AT_REMOVEDIR), errno);
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
}

static void test_refreeze_v1_reads_below(void **state)
{
	struct tree *tree = *state;

	make_v1(tree, "v1/full", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/x", "0\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/y", "0\n", "FROZEN\n", "");
	make_v1(tree, "v1/full/y/.z", "1\n", "FROZEN\n", "123\n456\n");
	make_v1(tree, "v1/empty", "1\n", "FROZEN\n", "");
	make_v1(tree, "v1/empty/x", "0\n", "FROZEN\n", "");

	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/full", &tree->thawed), 1);
	put(tree, "v1/full/freezer.self_freezing", "0\n");
	assert_int_equal(freezer_thaw(&tree->fs, NULL, "/empty", &tree->thawed), 1);
	put(tree, "v1/empty/freezer.self_freezing", "0\n");
	assert_int_equal(freezer_refreeze(&tree->thawed), 1);
	assert_text(tree, "v1/full/freezer.state", "FROZEN");
	assert_text(tree, "v1/empty/freezer.state", "THAWED");
}

static void test_refreeze_continues_after_a_refusal(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/a", "1\n", FROZEN_EVENTS);
	make_v2(tree, "v2/a/b", "1\n", FROZEN_EVENTS);
	assert_int_equal(freezer_thaw(&tree->fs, "/a/b", NULL, &tree->thawed), 2);
	assert_return_code(fchmodat(tree->fd, "v2/a/cgroup.freeze", 0666, 0), errno);
	assert_return_code(fchmodat(tree->fd, "v2/a/b/cgroup.freeze", 0444, 0), errno);
	if (geteuid() == 0)
		assert_return_code(seteuid(NOBODY), errno);
	assert_int_equal(freezer_refreeze(&tree->thawed), -EACCES);
	assert_text(tree, "v2/a/cgroup.freeze", "1");
	assert_text(tree, "v2/a/b/cgroup.freeze", "0");
}

static const struct {
	const char *v2_path, *v1_path;
	int expected;
} is_frozen_cases[] = {
	{ "/run", "/run", 0 },	    { "/run", NULL, 0 },	{ "/", "/", 0 },
	{ "/flag", NULL, 1 },	    /* freezing, not yet frozen */
	{ "/flag/below", NULL, 1 }, /* by its parent */
	{ "/events", NULL, 1 },	    /* by another program, above the mount */
	{ "/gone", "/gone", 0 },    { "/run", "/state", 1 },	{ "/run", "/freezing", 1 },
	{ "/gone", "/state", 1 },   { "/..", "/run", -EINVAL }, { "/..", "/state", 1 },
};

static void test_is_frozen(void **state)
{
	struct tree *tree = *state;

	make_v2(tree, "v2/run", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/flag", "1\n", RUNNING_EVENTS);
	make_v2(tree, "v2/flag/below", "0\n", RUNNING_EVENTS);
	make_v2(tree, "v2/events", "0\n", FROZEN_EVENTS);
	make_v1(tree, "v1/run", "0\n", "THAWED\n", "1\n");
	make_v1(tree, "v1/state", "0\n", "FROZEN\n", "1\n");
	make_v1(tree, "v1/freezing", "0\n", "FREEZING\n", "1\n");
	for (size_t i = 0; i < ARRAY_SIZE(is_frozen_cases); i++)
		if (freezer_is_frozen(&tree->fs, is_frozen_cases[i].v2_path,
				      is_frozen_cases[i].v1_path) != is_frozen_cases[i].expected)
			fail_msg("%s, %s", is_frozen_cases[i].v2_path, is_frozen_cases[i].v1_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_thaw_v2_levels),
		TEST(test_thaw_v1_writes_state_where_self_freezing),
		TEST(test_thaw_counts_both_hierarchies),
		TEST(test_thaw_without_hierarchies_is_nothing),
		TEST(test_thaw_of_vanished_thaws_none),
		TEST(test_thaw_refuses_paths_out_of_the_mount),
		TEST(test_thaw_continues_after_a_refusal),
		TEST(test_thaw_of_unreadable_is_an_error),
		TEST(test_thaw_again_keeps_and_adds),
		TEST(test_thaw_of_too_many_levels),
		TEST(test_refreeze_v2),
		TEST(test_refreeze_passes_over_vanished),
		TEST(test_refreeze_v1_reads_below),
		TEST(test_refreeze_continues_after_a_refusal),
		TEST(test_is_frozen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
