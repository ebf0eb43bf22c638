/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-group: which cgroup is killed as a whole, by tables. */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kill/kill.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * Which cgroup it is: over a tree of files.
 */
#define SHOP "/app.slice/shop.service"
#define VM   "/machine.slice/vm.scope/libvirt"

static const struct {
	const char *path, *subtree, *own;
	const char *flagged; /* "": none */
	const char *whole;
} find_cases[] = {
	{ SHOP "/workers/one", "/", "/own", SHOP, SHOP "/workers/one" },
	{ SHOP "/workers", "/", "/own", SHOP, SHOP "/workers" },
	{ SHOP, "/", "/own", SHOP, SHOP },
	{ SHOP "/workers/gone", "/", "/own", SHOP, SHOP "/workers/gone" },
	{ "/app.slice/plain.service", "/", "/own", "", "/app.slice/plain.service" },
	{ "/app.slice", "/", "/own", "", "/app.slice" },
	{ "/nowhere", "/", "/own", "", "/nowhere" },
	{ "/", "/", "/own", "", "" },
	{ "", "/", "/own", "", "" },
	/* the highest that is in the subtree */
	{ SHOP "/workers/one", SHOP "/workers", "/own", SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", SHOP "/workers/one", "/own", "", SHOP "/workers/one" },
	{ SHOP, SHOP "/workers", "/own", "", "" },
	{ SHOP "/workers", "/app", "/own", "", "" },
	/* none with the daemon in it */
	{ SHOP "/workers/one", "/", SHOP, SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", "/", SHOP "/other", SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", "/", SHOP "/workers/one", "", "" },
	{ SHOP "/workers/one", "/", SHOP "/workers/one/a", "", "" },
	{ SHOP "/workers/one", "/", SHOP "/workers/on", "", SHOP "/workers/one" },
	{ "/system.slice/oomd.service/own", "/", "/system.slice/oomd.service/own", "", "" },
	{ "/system.slice/x.service", "/", "/system.slice/oomd.service", "",
	  "/system.slice/x.service" },
	/* threads elsewhere */
	{ VM "/emulator", "/", "/own", "", VM },
	{ VM "/emulator", VM "/emulator", "/own", "", "" },
	{ VM "/emulator", "/", VM "/vcpu0", "", "" },
	{ VM, "/", "/own", "", VM },
	{ "/threads.slice", "/", "/own", "", "" },
	/* another namespace's */
	{ "/..", "/", "/own", "", "" },
	{ "/../" SHOP, "/", "/own", "", "" },
	{ "relative", "/", "/own", "", "" },
};

static void check_found(const char *path, size_t length, const char *expected)
{
	if (length != strlen(expected) || strncmp(path, expected, length) != 0)
		fail_msg("%s: %.*s, not %s", path, (int)length, path, expected);
}

static void test_find_takes_what_may_be_killed_as_a_whole(void **state)
{
	struct cgroup_fs fs;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/cgroup-groups", getenv("FIXTURES"));
	cgroup_fs_init(&fs, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	assert_true(fs.v2_fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(find_cases); i++) {
		const char *p = find_cases[i].path;

		check_found(
			p,
			kill_group_find_flagged(&fs, p, find_cases[i].subtree, find_cases[i].own),
			find_cases[i].flagged);
		check_found(p,
			    kill_group_find_whole(&fs, p, find_cases[i].subtree, find_cases[i].own),
			    find_cases[i].whole);
	}
	cgroup_fs_done(&fs);
}

static void test_find_of_a_path_that_is_too_long(void **state)
{
	static char path[2 * CGROUP_PATH_MAX];
	struct cgroup_fs fs;

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	cgroup_fs_init(&fs, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	assert_int_equal(kill_group_find_flagged(&fs, path, "/", "/own"), 0);
	assert_int_equal(kill_group_find_whole(&fs, path, "/", "/own"), 0);
	cgroup_fs_done(&fs);
}

static void test_open_reports_what_has_vanished(void **state)
{
	struct kill_group group;
	struct cgroup_fs fs;

	cgroup_fs_init(&fs, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	kill_group_init(&group);
	assert_int_equal(kill_group_open(&fs, "/not-there", &group), KILL_GONE);
	assert_int_equal(group.dir_fd, -EBADF);
	assert_int_equal(kill_group_open(&fs, "/../proc", &group), -EINVAL);
	assert_int_equal(kill_group_open(&fs, "/self", &group), 0);
	assert_true(group.dir_fd >= 0 && group.v2);
	kill_group_done(&group);
	assert_int_equal(group.dir_fd, -EBADF);
	cgroup_fs_done(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_takes_what_may_be_killed_as_a_whole),
		cmocka_unit_test(test_find_of_a_path_that_is_too_long),
		cmocka_unit_test(test_open_reports_what_has_vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
