/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/conflict.c, on cgroup trees of our own making. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/conflict.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

struct tree {
	char path[32];
	int fd;
};

static int setup(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return -1;
	strcpy(tree->path, "/tmp/test-conflict-XXXXXX");
	if (!mkdtemp(tree->path))
		return -1;
	tree->fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = tree;
	return mkdirat(tree->fd, "system.slice", 0755);
}

static int teardown(void **state)
{
	struct tree *tree = *state;
	char command[64];

	close(tree->fd);
	snprintf(command, sizeof(command), "rm -r '%s'", tree->path);
	assert_int_equal(system(command), 0);
	free(tree);
	return 0;
}

static void put(const struct tree *tree, const char *unit, const char *file, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/system.slice/%s", tree->path, unit);
	(void)mkdir(path, 0755);
	strcat(strcat(path, "/"), file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_find_knows_what_is_there(void **state)
{
	struct tree *tree = *state;

	assert_int_equal(conflict_find(tree->fd), 0);
	put(tree, "earlyoom.service", "cgroup.events", "populated 1\nfrozen 0\n");
	put(tree, "ssh.service", "cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(conflict_find(tree->fd), 1 << 0);
	put(tree, "oomd.service", "cgroup.events", "populated 1\nfrozen 0\n");
	put(tree, "earlyoom.service", "cgroup.events", "populated 0\nfrozen 0\n");
	assert_int_equal(conflict_find(tree->fd), 1 << 4);
	assert_string_equal(conflict_units[4], "oomd.service");
}

static void test_find_knows_version_1(void **state)
{
	struct tree *tree = *state;
	char many[1000] = "";

	put(tree, "systemd-oomd.service", "cgroup.procs", "123\n");
	put(tree, "nohang.service", "cgroup.procs", "");
	assert_int_equal(conflict_find(tree->fd), 1 << 1);
	for (int i = 0; i < 150; i++)
		strcat(many, "12345\n");
	put(tree, "nohang-desktop.service", "cgroup.procs", many);
	assert_int_equal(conflict_find(tree->fd), 1 << 1 | 1 << 3);
}

static void test_open_takes_the_hierarchy_of_units(void **state)
{
	struct tree *tree = *state;
	struct cgroup_fs cgroups;
	int fd;

	cgroup_fs_init(&cgroups, dup(tree->fd), -EBADF);
	fd = conflict_open(-EBADF, &cgroups);
	assert_true(fd >= 0 && fd != cgroups.v2_fd);
	put(tree, "earlyoom.service", "cgroup.procs", "1\n");
	assert_int_equal(conflict_find(fd), 1 << 0);
	close(fd);
	cgroup_fs_done(&cgroups);
}

static void test_open_finds_the_named_hierarchy(void **state)
{
	struct tree *tree = *state;
	struct cgroup_fs cgroups;
	char path[64];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/self", tree->path);
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/mountinfo");
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f,
		"22 1 0:20 / /proc rw - proc proc rw\n"
		"30 1 0:26 / /nonesuch rw - cgroup cgroup rw,freezer\n"
		"31 1 0:27 / %s rw - cgroup cgroup rw,xattr,name=systemd\n",
		tree->path);
	fclose(f);
	cgroup_fs_init(&cgroups, -EBADF, -EBADF);
	fd = conflict_open(tree->fd, &cgroups);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(rmdir(strcat(strcpy(path, tree->path), "/system.slice")), 0);
	assert_int_equal(conflict_open(tree->fd, &cgroups), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find_knows_what_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find_knows_version_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_takes_the_hierarchy_of_units, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_open_finds_the_named_hierarchy, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
