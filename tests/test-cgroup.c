/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/cgroup.c: texts, and trees of fixtures. */
#include <fcntl.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/proc.h"
#include "tests/fixture-fd.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_parse_mountinfo_finds_cgroup_mounts(void **state)
{
	static const struct {
		const char *line;
		int result;
		bool is_v2, has_controllers, is_whole;
		const char *path;
	} cases[] = {
		{ "31 23 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
		  1, true, true, true, "/sys/fs/cgroup" },
		{ "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw", 1, true, true, true,
		  "/sys/fs/cgroup/unified" },
		/* any number of optional fields */
		{ "9 8 0:3 / /c rw shared:1 master:2 propagate_from:3 unbindable - cgroup2 c rw\n",
		  1, true, true, true, "/c" },
		{ "9 8 0:3 /docker/81b5 /c ro - cgroup2 c rw\n", 1, true, true, false, "/c" },
		{ "9 8 0:3 /../.. /c ro - cgroup2 c rw\n", 1, true, true, false, "/c" },
		{ "9 8 0:3 / /with\\040blank\\011tab\\134slash\\012 rw - cgroup2 c rw\n", 1, true,
		  true, true, "/with blank\ttab\\slash\n" },
		/* no escape */
		{ "9 8 0:3 / /a\\04 rw - cgroup2 c rw\n", 1, true, true, true, "/a\\04" },
		{ "9 8 0:3 / /a\\400 rw - cgroup2 c rw\n", 1, true, true, true, "/a\\400" },
		{ "9 8 0:3 / /a\\ rw - cgroup2 c rw\n", 1, true, true, true, "/a\\" },
		/* v1 */
		{ "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n", 1, false,
		  true, true, "/sys/fs/cgroup/freezer" },
		{ "37 31 0:34 / /freezer rw,freezer - cgroup cgroup rw,cpu,freezers\n", 1, false,
		  true, true, "/freezer" },
		{ "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n",
		  1, false, false, true, "/sys/fs/cgroup/systemd" },
		/* others, whatever they are called */
		{ "23 1 254:1 / / rw,relatime - ext4 /dev/root rw\n", 0 },
		{ "23 1 254:1 / /cgroup2 rw - tmpfs cgroup2 rw\n", 0 },
		{ "23 1 254:1 / /x rw - cgroup2fs x rw\n", 0 },
		{ "23 1 254:1 / /x rw - fuse.cgroup2 x rw\n", 0 },
		/* a mount point cannot pass for the rest of the line */
		{ "9 8 0:3 / /x\\040-\\040cgroup2\\040c\\040rw rw - tmpfs t rw\n", 0 },
		/* malformed */
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "31 23 0:30 / /c rw", -EBADMSG },
		{ "31 23 0:30 / /c rw -", -EBADMSG },
		{ "31 23 0:30 / /c rw - cgroup2", -EBADMSG },
		{ "31 23 0:30 / /c rw - cgroup2 c", -EBADMSG },
		{ "31 23 0:30 / c rw - cgroup2 c rw\n", -EBADMSG },
		{ "31 23 0:30 / /c rw shared:1 cgroup2 c rw\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cgroup_mount mount;

		assert_int_equal(cgroup_parse_mountinfo(cases[i].line, &mount), cases[i].result);
		if (cases[i].result <= 0)
			continue;
		assert_int_equal(mount.is_v2, cases[i].is_v2);
		assert_int_equal(mount.has_controllers, cases[i].has_controllers);
		assert_int_equal(mount.has_freezer, !!strstr(cases[i].line, "rw,freezer\n"));
		assert_int_equal(mount.is_whole, cases[i].is_whole);
		assert_string_equal(mount.path, cases[i].path);
	}
}

static void test_parse_mountinfo_refuses_too_long_paths(void **state)
{
	char line[2 * PATH_MAX], path[PATH_MAX + 1];
	struct cgroup_mount mount;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[PATH_MAX] = '\0'; /* one more than fits with its NUL */
	(void)snprintf(line, sizeof(line), "9 8 0:3 / %s rw - cgroup2 c rw\n", path);
	assert_int_equal(cgroup_parse_mountinfo(line, &mount), -ENOBUFS);

	path[PATH_MAX - 1] = '\0';
	(void)snprintf(line, sizeof(line), "9 8 0:3 / %s rw - cgroup2 c rw\n", path);
	assert_int_equal(cgroup_parse_mountinfo(line, &mount), 1);
	assert_string_equal(mount.path, path);
}

static const char hybrid[] = "9:name=systemd:/user.slice/user-0.slice\n"
			     "8:pids:/p\n"
			     "7:cpu,cpuacct:/fast:er\n"
			     "6:freezer:/jobs (deleted)\n"
			     "0::/user.slice/x\n";

static void test_parse_membership_finds_the_line(void **state)
{
	static const struct {
		const char *text;
		const char *controller;
		int result;
		const char *path;
	} cases[] = {
		{ "0::/\n", NULL, 0, "/" },
		{ "0::/init.scope\n", NULL, 0, "/init.scope" },
		{ "0::/a b:c::d\n", NULL, 0, "/a b:c::d" },
		{ "0::/../../x\n", NULL, 0, "/../../x" },
		{ "0::/x (deleted)\n", NULL, 0, "/x (deleted)" },
		{ "0::/x (deleted) (deleted)\n", NULL, 0, "/x (deleted) (deleted)" },
		{ hybrid, NULL, 0, "/user.slice/x" },
		{ hybrid, "freezer", 0, "/jobs (deleted)" },
		{ hybrid, "cpu", 0, "/fast:er" },
		{ hybrid, "cpuacct", 0, "/fast:er" },
		{ hybrid, "name=systemd", 0, "/user.slice/user-0.slice" },
		/* whole words only */
		{ hybrid, "cpua", -ENOENT },
		{ hybrid, "acct", -ENOENT },
		{ hybrid, "", -ENOENT },
		{ "0::/x\n", "freezer", -ENOENT },
		{ "6:freezer:/x\n", NULL, -ENOENT },
		{ "10::/x\n", NULL, -ENOENT },
		{ "", NULL, -ENOENT },
		{ "0::/cut", NULL, -EBADMSG },
		{ "0:/x\n", NULL, -EBADMSG },
		{ "0:\n/x\n", NULL, -EBADMSG },
		{ "0::x\n", NULL, -EBADMSG },
		{ "0::\n", NULL, -EBADMSG },
		{ "nonsense\n", NULL, -EBADMSG },
		{ "\n", NULL, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[64] = "untouched";

		assert_int_equal(cgroup_parse_membership(cases[i].text, cases[i].controller, buf,
							 sizeof(buf)),
				 cases[i].result);
		assert_string_equal(buf, cases[i].result == 0 ? cases[i].path : "untouched");
	}
}

static void test_parse_membership_fits_the_buffer(void **state)
{
	char buf[5];

	assert_int_equal(cgroup_parse_membership("0::/abc\n", NULL, buf, 5), 0);
	assert_string_equal(buf, "/abc");
	assert_int_equal(cgroup_parse_membership("0::/abcd\n", NULL, buf, 5), -ENOBUFS);
	assert_int_equal(cgroup_parse_membership("0::/\n", NULL, buf, 0), -ENOBUFS);
}

static void feed(const char *text, size_t length)
{
	char *copy = malloc(length + 1), buf[32];
	struct cgroup_mount mount;

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy[length] = '\0';
	(void)cgroup_parse_mountinfo(copy, &mount);
	(void)cgroup_parse_membership(copy, NULL, buf, sizeof(buf));
	(void)cgroup_parse_membership(copy, "freezer", buf, sizeof(buf));
	free(copy);
}

static void test_parsers_survive_cut_and_random_texts(void **state)
{
	static const char *const texts[] = {
		hybrid,
		"9 8 0:3 / /with\\040blank rw shared:1 - cgroup2 c rw\n",
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n",
	};
	static const char alphabet[] = "09:/\\\n - (deleted),\xff";
	unsigned seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t length = 0; length <= strlen(texts[i]); length++)
			feed(texts[i], length);
	for (unsigned i = 0; i < 20000; i++) {
		const char *base = texts[i % ARRAY_SIZE(texts)];
		size_t length = strlen(base);
		char text[512];

		memcpy(text, base, length);
		for (unsigned n = (unsigned)rand_r(&seed) % 4 + 1; n > 0; n--)
			text[(unsigned)rand_r(&seed) % length] =
				alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		feed(text, length);
	}
}

static void test_path_is_below(void **state)
{
	static const struct {
		const char *path, *ancestor;
		bool below;
	} cases[] = {
		{ "/", "/", true },	{ "/a", "/", true },	 { "/a", "/a", true },
		{ "/a/b", "/a", true }, { "/a/b", "/a/", true }, { "/a", "/a/", true },
		{ "/ab", "/a", false }, { "/", "/a", false },	 { "/b/a", "/a", false },
		{ "/a", "", false },	{ "/a", "a", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(cgroup_path_is_below(cases[i].path, cases[i].ancestor),
				 cases[i].below);
}

static void test_path_matches(void **state)
{
	static const struct {
		const char *path, *pattern;
		bool matches;
	} cases[] = {
		/* no glob characters: that cgroup and what is in it */
		{ "/session.slice", "/session.slice", true },
		{ "/session.slice/x", "/session.slice", true },
		{ "/session.slice2", "/session.slice", false },
		{ "/x", "/", true },
		{ "/system.slice/serial\\x2dgetty.service",
		  "/system.slice/serial\\x2dgetty.service", true },
		{ "/system.slice/serialx2dgetty.service", "/system.slice/serial\\x2dgetty.service",
		  false },
		/* with */
		{ "/user.slice/user-1000.slice", "/user.slice/user-*.slice", true },
		{ "/user.slice/user-1000.slice/app.slice/x.scope", "/user.slice/user-*.slice",
		  true },
		{ "/user.slice", "/user.slice/user-*.slice", false },
		{ "/user.slice/1000/app.slice/app-firefox-1.scope",
		  "/user.slice/*/app.slice/app-*firefox*", true },
		{ "/user.slice/1000/x/app.slice/app-firefox-1.scope",
		  "/user.slice/*/app.slice/app-*firefox*", false }, /* no '*' across '/' */
		{ "/a/b", "/*", true },
		{ "/", "/*", true },
		{ "/a/b", "*", false },
		{ "/ab", "/a?", true },
		{ "/a/b", "/a?b", false },
		{ "/a1", "/a[0-9]", true },
		{ "/a\\x2d/b", "/a\\x2d/*", true },
		{ "/.hidden", "/*", true },
		{ "/a", "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (cgroup_path_matches(cases[i].path, cases[i].pattern) != cases[i].matches)
			fail_msg("%s against %s", cases[i].path, cases[i].pattern);
}

/* By the letter of the header: the path or some ancestor of it. */
static bool matches_slowly(const char *path, const char *pattern)
{
	for (size_t length = strlen(path); length > 0; length--) {
		char head[64];

		if (path[length] != '/' && path[length] != '\0')
			continue;
		(void)snprintf(head, sizeof(head), "%.*s", (int)length, path);
		if (fnmatch(pattern, head, FNM_PATHNAME | FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static void test_path_matches_as_fnmatch_does_for_ancestors(void **state)
{
	static const char path_alphabet[] = "ab/-", pattern_alphabet[] = "ab/-**?[]";
	unsigned seed = 1, n_matches = 0;

	for (unsigned i = 0; i < 200000; i++) {
		char path[16] = "/a", pattern[16] = "/*";
		unsigned n;

		n = (unsigned)rand_r(&seed) % 9;
		for (unsigned j = 2; j < 2 + n; j++)
			path[j] = path_alphabet[(unsigned)rand_r(&seed) % 4];
		n = (unsigned)rand_r(&seed) % 7;
		for (unsigned j = 2; j < 2 + n; j++)
			pattern[j] = pattern_alphabet[(unsigned)rand_r(&seed) % 9];
		if (cgroup_path_matches(path, pattern) != matches_slowly(path, pattern))
			fail_msg("%s against %s", path, pattern);
		n_matches += cgroup_path_matches(path, pattern);
	}
	assert_true(n_matches > 10000);
}

static void test_open_stays_below_the_mount(void **state)
{
	static const struct {
		const char *path;
		int result;
	} cases[] = {
		{ "/", 0 },
		{ "/system.slice", 0 },
		{ "/system.slice/ssh.service", 0 },
		{ "//system.slice//", 0 },
		{ "/none", -ENOENT },
		{ "/cgroup.controllers", -ENOTDIR },
		{ "/..", -EINVAL },
		{ "/system.slice/../user.slice", -EINVAL },
		{ "/../../etc", -EINVAL },
		{ "//etc", -ENOENT }, /* not the root's */
		{ "", -EINVAL },
		{ "system.slice", -EINVAL },
	};
	_cleanup_close_ int mount_fd = fixture_fd("cgroup-v2");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd = cgroup_open(mount_fd, cases[i].path);

		assert_int_equal(fd < 0 ? fd : 0, cases[i].result);
		if (fd >= 0)
			assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
}

static void test_fs_init_finds_the_layout(void **state)
{
	struct cgroup_fs fs;

	cgroup_fs_init(&fs, fixture_fd("cgroup-v2"), -EBADF);
	assert_int_equal(fs.layout, CGROUP_LAYOUT_V2);
	assert_true(fs.v2_has_memory);
	cgroup_fs_done(&fs);
	assert_int_equal(fs.v2_fd, -EBADF);

	/* a directory without cgroup.controllers, as of a v2 mount that has none */
	cgroup_fs_init(&fs, fixture_fd("cgroup-v1"), fixture_fd("cgroup-v1"));
	assert_int_equal(fs.layout, CGROUP_LAYOUT_HYBRID);
	assert_false(fs.v2_has_memory);
	cgroup_fs_done(&fs);

	cgroup_fs_init(&fs, -EBADF, fixture_fd("cgroup-v1"));
	assert_int_equal(fs.layout, CGROUP_LAYOUT_V1);
	cgroup_fs_done(&fs);
	assert_int_equal(fs.layout, CGROUP_LAYOUT_NONE);
	cgroup_fs_done(&fs);
	assert_string_equal(cgroup_layout_to_string(CGROUP_LAYOUT_HYBRID), "hybrid");
}

static void test_of_process_on_fixtures(void **state)
{
	static const struct {
		const char *proc;
		pid_t pid;
		int result;
		const char *path;
	} cases_v2[] = {
		{ "proc", 812, 0, "/user.slice/user-1000.slice/app-worker.scope" },
		{ "proc", 900, 0, "/user.slice" },
		{ "proc", 1300, PROC_GONE },
		{ "proc", 1400, -EBADMSG },
	}, cases_v1[] = {
		{ "proc-v1", 812, 0, "/jobs" },
		{ "proc-v1", 900, 0, "/" }, /* no line of the freezer's */
		{ "proc-v1", 4711, PROC_GONE },
	};
	_cleanup_(cgroup_fs_done) struct cgroup_fs v2, v1, none;
	char buf[CGROUP_PATH_MAX];

	cgroup_fs_init(&v2, fixture_fd("cgroup-v2"), -EBADF);
	cgroup_fs_init(&v1, -EBADF, fixture_fd("cgroup-v1"));
	cgroup_fs_init(&none, -EBADF, -EBADF);

	for (size_t i = 0; i < ARRAY_SIZE(cases_v2); i++) {
		_cleanup_close_ int proc_fd = fixture_fd(cases_v2[i].proc);

		assert_int_equal(cgroup_of_process(&v2, proc_fd, cases_v2[i].pid, buf, sizeof(buf)),
				 cases_v2[i].result);
		if (cases_v2[i].result == 0)
			assert_string_equal(buf, cases_v2[i].path);
		assert_int_equal(cgroup_of_process_v1_freezer(&v2, proc_fd, cases_v2[i].pid, buf,
							      sizeof(buf)),
				 0);
		assert_string_equal(buf, "/");
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases_v1); i++) {
		_cleanup_close_ int proc_fd = fixture_fd(cases_v1[i].proc);

		assert_int_equal(cgroup_of_process(&v1, proc_fd, cases_v1[i].pid, buf, sizeof(buf)),
				 cases_v1[i].result);
		if (cases_v1[i].result == 0)
			assert_string_equal(buf, cases_v1[i].path);
		assert_int_equal(
			cgroup_of_process(&none, proc_fd, cases_v1[i].pid, buf, sizeof(buf)), 0);
		assert_string_equal(buf, "/");
		assert_int_equal(cgroup_of_process(&none, proc_fd, 1, buf, 1), -ENOBUFS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_mountinfo_finds_cgroup_mounts),
		cmocka_unit_test(test_parse_mountinfo_refuses_too_long_paths),
		cmocka_unit_test(test_parse_membership_finds_the_line),
		cmocka_unit_test(test_parse_membership_fits_the_buffer),
		cmocka_unit_test(test_parsers_survive_cut_and_random_texts),
		cmocka_unit_test(test_path_is_below),
		cmocka_unit_test(test_path_matches),
		cmocka_unit_test(test_path_matches_as_fnmatch_does_for_ancestors),
		cmocka_unit_test(test_open_stays_below_the_mount),
		cmocka_unit_test(test_fs_init_finds_the_layout),
		cmocka_unit_test(test_of_process_on_fixtures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
