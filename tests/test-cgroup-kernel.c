/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/cgroup.c: what this machine has mounted. */
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/proc.h"
#include "tests/fixture-fd.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* What mountinfo calls cgroup2 is not believed when it turns out to be something else. */
static void test_fs_open_checks_what_is_mounted(void **state)
{
	_cleanup_close_ int proc_fd = fixture_fd("proc"), nowhere = fixture_fd("psi");
	_cleanup_(cgroup_fs_done) struct cgroup_fs fs;

	cgroup_fs_init(&fs, -EBADF, -EBADF);
	assert_int_equal(cgroup_fs_open(nowhere, &fs), -ENOENT);
	assert_int_equal(cgroup_fs_open(proc_fd, &fs), 0);
	assert_int_equal(fs.layout, CGROUP_LAYOUT_NONE);
	assert_int_equal(fs.v2_fd, -EBADF);
	assert_int_equal(fs.v1_freezer_fd, -EBADF);
}

static void open_real(struct cgroup_fs *fs, int *ret_proc_fd)
{
	*ret_proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*ret_proc_fd >= 0);
	assert_int_equal(cgroup_fs_open(*ret_proc_fd, fs), 0);
}

static void test_fs_open_on_this_machine(void **state)
{
	_cleanup_(cgroup_fs_done) struct cgroup_fs fs;
	_cleanup_close_ int proc_fd = -EBADF;
	char path[CGROUP_PATH_MAX];
	struct statfs statfs;

	open_real(&fs, &proc_fd);
	print_message("layout %s, v2 at \"%s\"%s, freezer %d\n", cgroup_layout_to_string(fs.layout),
		      fs.v2_mount, fs.v2_has_memory ? " with memory" : "", fs.v1_freezer_fd);
	assert_int_equal(fs.v2_fd >= 0,
			 fs.layout == CGROUP_LAYOUT_V2 || fs.layout == CGROUP_LAYOUT_HYBRID);
	if (fs.v2_fd >= 0) {
		assert_int_equal(fstatfs(fs.v2_fd, &statfs), 0);
		assert_int_equal(statfs.f_type, CGROUP2_SUPER_MAGIC);
		assert_int_equal(fs.v2_mount[0], '/');
	}
	if (fs.v1_freezer_fd >= 0) {
		assert_int_equal(fstatfs(fs.v1_freezer_fd, &statfs), 0);
		assert_int_equal(statfs.f_type, CGROUP_SUPER_MAGIC);
	}
	/* and again: libcgroup is loaded once more */
	cgroup_fs_done(&fs);
	assert_int_equal(cgroup_fs_open(proc_fd, &fs), 0);

	assert_int_equal(cgroup_of_process(&fs, proc_fd, getpid(), path, sizeof(path)), 0);
	assert_int_equal(path[0], '/');
}

/* That files are short is not that there are no cgroups. */
static void test_fs_open_fails_for_want_of_files(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct rlimit before, limit;
	struct cgroup_fs fs;
	int next = dup(proc_fd), r[2];

	close(next);
	assert_int_equal(cgroup_fs_open(proc_fd, &fs), 0);
	if (fs.layout == CGROUP_LAYOUT_NONE) {
		print_message("no cgroups here\n");
		skip();
	}
	cgroup_fs_done(&fs);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 2; i++) { /* mountinfo, or a mount of those in it */
		limit = before;
		limit.rlim_cur = (rlim_t)(next + i);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r[i] = cgroup_fs_open(proc_fd, &fs);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	assert_int_equal(r[0], -EMFILE);
	assert_int_equal(r[1], -EMFILE);
}

static pid_t start_sleeper(int cgroup_fd)
{
	char text[16];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	(void)snprintf(text, sizeof(text), "%d", pid);
	assert_int_equal(io_write_at(cgroup_fd, "cgroup.procs", text), 0);
	return pid;
}

/* In a cgroup of our own: where the process is, also when the cgroup was removed before it exited.
 */
static void check_membership_of(const struct cgroup_fs *fs, int proc_fd, int mount_fd,
				int (*read_path)(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
						 char *buf, size_t size),
				const char *end)
{
	char name[64], expected[66], path[CGROUP_PATH_MAX];
	_cleanup_close_ int cgroup_fd = -EBADF;
	pid_t pid;

	(void)snprintf(name, sizeof(name), "test-cgroup-%d: a%s", getpid(), end);
	(void)snprintf(expected, sizeof(expected), "/%s", name);
	if (mkdirat(mount_fd, name, 0755) < 0) {
		print_message("cannot make a cgroup here: %s\n", strerror(errno));
		skip();
	}
	cgroup_fd = cgroup_open(mount_fd, expected);
	assert_true(cgroup_fd >= 0);
	pid = start_sleeper(cgroup_fd);

	assert_int_equal(read_path(fs, proc_fd, pid, path, sizeof(path)), 0);
	assert_string_equal(path, expected);

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(unlinkat(mount_fd, name, AT_REMOVEDIR), 0);
	assert_int_equal(read_path(fs, proc_fd, pid, path, sizeof(path)), 0);
	assert_true(strcmp(path, expected) == 0 || strcmp(path, "/") == 0);

	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read_path(fs, proc_fd, pid, path, sizeof(path)), PROC_GONE);
}

static void check_membership(const struct cgroup_fs *fs, int proc_fd, int mount_fd,
			     int (*read_path)(const struct cgroup_fs *fs, int proc_fd, pid_t pid,
					      char *buf, size_t size))
{
	check_membership_of(fs, proc_fd, mount_fd, read_path, "");
	/* a name that looks like that of a removed one, which a user may choose */
	check_membership_of(fs, proc_fd, mount_fd, read_path, " (deleted)");
}

static void test_of_process_on_v2(void **state)
{
	_cleanup_(cgroup_fs_done) struct cgroup_fs fs;
	_cleanup_close_ int proc_fd = -EBADF;

	open_real(&fs, &proc_fd);
	if (fs.v2_fd < 0) {
		print_message("no cgroup v2 here\n");
		skip();
	}
	check_membership(&fs, proc_fd, fs.v2_fd, cgroup_of_process);
}

static void test_of_process_on_v1(void **state)
{
	_cleanup_(cgroup_fs_done) struct cgroup_fs fs;
	_cleanup_close_ int proc_fd = -EBADF;

	open_real(&fs, &proc_fd);
	if (fs.v1_freezer_fd < 0) {
		print_message("no freezer of cgroup v1 here\n");
		skip();
	}
	check_membership(&fs, proc_fd, fs.v1_freezer_fd, cgroup_of_process_v1_freezer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fs_open_checks_what_is_mounted),
		cmocka_unit_test(test_fs_open_on_this_machine),
		cmocka_unit_test(test_fs_open_fails_for_want_of_files),
		cmocka_unit_test(test_of_process_on_v2),
		cmocka_unit_test(test_of_process_on_v1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
