/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/kill/self-test.c: it finishes whatever fails, and leaves nothing behind.  What
 * needs a freezer of version 1, which a process that was sent SIGKILL does not leave, is skipped
 * where there is none.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/kill/self-test.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	struct manager *manager;
	int trap_fd; /* a cgroup of ours in the v1 freezer, or -EBADF */
	char trap_name[64];
	pid_t child;
} test;

static int signal_nothing(int pidfd, int signal)
{
	(void)pidfd;
	(void)signal;
	return 0;
}

/* The child is moved to a frozen cgroup that the self-test does not know of: no signal and no thaw
 * of its own gets at it. */
static int trap_child(int pidfd, int signal)
{
	char pid[16];

	(void)pidfd;
	(void)signal;
	snprintf(pid, sizeof(pid), "%d", test.manager->probed->self_test_pid);
	for (int v1 = 0; v1 < 2; v1++) {
		_cleanup_close_ int fd = -EBADF;
		char path[64];

		snprintf(path, sizeof(path), "reckond-self-test-%d", getpid());
		fd = v1 ? openat(test.manager->machine->cgroups.v1_freezer_fd, path,
				 O_PATH | O_CLOEXEC)
			: openat(test.manager->machine->cgroups.v2_fd, path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			(void)io_write_at(fd, v1 ? "freezer.state" : "cgroup.freeze",
					  v1 ? "THAWED" : "0");
	}
	(void)io_write_at(test.trap_fd, "cgroup.procs", pid);
	(void)io_write_at(test.trap_fd, "freezer.state", "FROZEN");
	return 0;
}

static const struct self_test *self_test(void)
{
	static struct self_test self_test;

	self_test = manager_self_test(test.manager);
	return &self_test;
}

static int setup(void **state)
{
	static char subtree[] = "/";
	struct manager *m = manager_alloc();

	(void)state;
	if (!m)
		return -1;
	test.manager = m;
	m->machine->kill_ops = &kill_ops_system;
	m->config->policies.subtree = subtree;
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(cgroup_fs_open(m->machine->proc_fd, &m->machine->cgroups), 0);
	assert_int_equal(kill_reapers_new(&kill_ops_system, 1, &m->in_flight->reapers,
					  &m->probed->fifo_error),
			 0);
	snprintf(test.trap_name, sizeof(test.trap_name), "test-self-test-%d", getpid());
	test.trap_fd = -EBADF;
	if (m->machine->cgroups.v1_freezer_fd >= 0 &&
	    mkdirat(m->machine->cgroups.v1_freezer_fd, test.trap_name, 0755) == 0)
		test.trap_fd = openat(m->machine->cgroups.v1_freezer_fd, test.trap_name,
				      O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(self_test_begin(self_test()), 0);
	test.child = m->probed->self_test_pid;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = test.manager;

	(void)state;
	if (test.trap_fd >= 0) {
		(void)io_write_at(test.trap_fd, "freezer.state", "THAWED");
		self_test_end(self_test());
		close(test.trap_fd);
		(void)unlinkat(m->machine->cgroups.v1_freezer_fd, test.trap_name, AT_REMOVEDIR);
	}
	self_test_end(self_test());
	kill_reapers_free(m->in_flight->reapers);
	cgroup_fs_done(&m->machine->cgroups);
	close(m->machine->proc_fd);
	free(m);
	return 0;
}

/* None of our cgroups is left in either hierarchy. */
static void assert_nothing_is_left(void)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "reckond-self-test-%d", getpid());
	for (int v1 = 0; v1 < 2; v1++) {
		int fd = v1 ? test.manager->machine->cgroups.v1_freezer_fd
			    : test.manager->machine->cgroups.v2_fd;

		/* (Where we are not in the root, it is made elsewhere.) */
		assert_true(fd < 0 || fstatat(fd, name, &st, 0) < 0);
	}
	assert_int_equal(kill(test.child, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void test_it_kills_its_child(void **state)
{
	(void)state;
	assert_int_equal(self_test_run(self_test()), 0);
	assert_false(test.manager->probed->self_test_stuck);
	assert_int_equal(test.manager->probed->self_test_pid, 0);
	assert_nothing_is_left();
}

static void test_it_finishes_though_the_signal_is_lost(void **state)
{
	static struct kill_ops ops;

	(void)state;
	ops = kill_ops_system;
	ops.pidfd_send_signal = signal_nothing;
	test.manager->machine->kill_ops = &ops;
	assert_int_equal(self_test_run(self_test()), 0);
	assert_false(test.manager->probed->self_test_stuck);
	assert_nothing_is_left();
}

static void test_it_finishes_though_its_child_cannot_exit(void **state)
{
	static struct kill_ops ops;

	(void)state;
	if (test.trap_fd < 0) {
		print_message("skipped: no freezer of version 1 here\n");
		skip();
	}
	ops = kill_ops_system;
	ops.pidfd_send_signal = trap_child;
	ops.thaw = NULL;
	test.manager->machine->kill_ops = &ops;
	assert_int_equal(self_test_run(self_test()), 0);
	assert_true(test.manager->probed->self_test_stuck);
	assert_int_equal(kill(test.child, 0), 0);
	/* and it is killed later, when that is possible */
	assert_int_equal(io_write_at(test.trap_fd, "freezer.state", "THAWED"), 0);
	self_test_end(self_test());
	/* (This is no reckond, so what it has left is taken for a leftover.) */
	self_test_clean_up(self_test());
	assert_nothing_is_left();
}

static void test_it_is_not_begun(void **state)
{
	(void)state;
	self_test_end(self_test());
	assert_nothing_is_left();
	assert_int_equal(self_test_run(self_test()), -ECHILD);
}

/* What a daemon that was killed has left: its cgroup, and a frozen process that has its SIGKILL. */
static void test_leftovers_are_removed(void **state)
{
	int mount_fd = test.manager->machine->cgroups.v1_freezer_fd;
	_cleanup_close_ int other_fd = -EBADF, left_fd = -EBADF;
	char pid_text[16], own_path[CGROUP_PATH_MAX];
	struct stat st;
	pid_t pid;

	(void)state;
	if (test.trap_fd < 0 ||
	    cgroup_of_process_v1_freezer(&test.manager->machine->cgroups,
					 test.manager->machine->proc_fd, getpid(), own_path,
					 sizeof(own_path)) != 0 ||
	    strcmp(own_path, "/") != 0) {
		print_message("skipped: no freezer of version 1 here, or not in its root\n");
		skip();
	}
	/* of a run that failed */
	(void)unlinkat(mount_fd, "reckond-self-test-2147483646", AT_REMOVEDIR);
	(void)unlinkat(mount_fd, "reckond-self-test-x", AT_REMOVEDIR);
	assert_int_equal(mkdirat(mount_fd, "reckond-self-test-2147483646", 0755), 0);
	assert_int_equal(mkdirat(mount_fd, "reckond-self-test-x", 0755), 0);
	left_fd = openat(mount_fd, "reckond-self-test-2147483646", O_PATH | O_CLOEXEC);
	other_fd = openat(mount_fd, "reckond-self-test-x", O_PATH | O_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	assert_int_equal(io_write_at(left_fd, "cgroup.procs", pid_text), 0);
	assert_int_equal(io_write_at(left_fd, "freezer.state", "FROZEN"), 0);
	usleep(100000);
	assert_int_equal(kill(pid, SIGKILL), 0);

	/* (A daemon that another test starts at this moment may be at it, too, and have it locked.)
	 */
	for (int i = 0; i < 100; i++) {
		self_test_clean_up(self_test());
		if (fstatat(mount_fd, "reckond-self-test-2147483646", &st, 0) < 0)
			break;
		usleep(50000);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(fstatat(mount_fd, "reckond-self-test-2147483646", &st, 0) < 0);
	/* that one is not of ours */
	assert_int_equal(unlinkat(mount_fd, "reckond-self-test-x", AT_REMOVEDIR), 0);
}

/* The cgroup that this process is in, in the hierarchy; -1: there is none. */
static int open_own_cgroup(bool v1)
{
	const struct cgroup_fs *fs = &test.manager->machine->cgroups;
	int mount_fd = v1 ? fs->v1_freezer_fd : fs->v2_fd;
	char path[CGROUP_PATH_MAX];

	if (mount_fd < 0 || (v1 ? cgroup_of_process_v1_freezer(fs, test.manager->machine->proc_fd,
							       getpid(), path, sizeof(path))
				: cgroup_of_process(fs, test.manager->machine->proc_fd, getpid(),
						    path, sizeof(path))) != 0)
		return -1;
	return cgroup_open(mount_fd, path);
}

/* Into a cgroup of our own in each hierarchy, which no other daemon's clean-up sees; or back. */
static void move_self(bool in)
{
	static int from_fd[2];
	char name[64], pid[16];

	snprintf(name, sizeof(name), "test-self-test-own-%d", getpid());
	snprintf(pid, sizeof(pid), "%d", getpid());
	for (int v1 = 0; v1 < 2; v1++) {
		_cleanup_close_ int fd = -EBADF;

		if (in) {
			from_fd[v1] = open_own_cgroup(v1);
			(void)mkdirat(from_fd[v1], name, 0755);
			fd = openat(from_fd[v1], name, O_PATH | O_CLOEXEC);
			(void)io_write_at(fd, "cgroup.procs", pid);
		} else {
			(void)io_write_at(from_fd[v1], "cgroup.procs", pid);
			(void)unlinkat(from_fd[v1], name, AT_REMOVEDIR);
			closep(&from_fd[v1]);
		}
	}
}

static bool is_there(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, 0) == 0;
}

/* A lock is all that tells a cgroup in use from a leftover: the number in its name may be that of
 * no process here (of another pid namespace), or of this one. */
static void test_what_is_locked_is_no_leftover(void **state)
{
	unsigned n_tested = 0;

	(void)state;
	move_self(true);
	for (int v1 = 0; v1 < 2; v1++) {
		_cleanup_close_ int own_fd = open_own_cgroup(v1);
		char names[2][64];

		snprintf(names[0], sizeof(names[0]), "reckond-self-test-2147483645");
		snprintf(names[1], sizeof(names[1]), "reckond-self-test-%d", getpid());
		for (size_t i = 0; own_fd >= 0 && i < ARRAY_SIZE(names); i++) {
			int fd;

			if (mkdirat(own_fd, names[i], 0755) < 0)
				continue;
			n_tested++;
			fd = openat(own_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
			self_test_clean_up(self_test());
			assert_true(is_there(own_fd, names[i]));
			close(fd);
			self_test_clean_up(self_test());
			assert_false(is_there(own_fd, names[i]));
		}
	}
	move_self(false);
	if (n_tested == 0) {
		print_message("skipped: no cgroup can be made here\n");
		skip();
	}
}

static unsigned n_in_use, n_frozen;

/* Another daemon starts while the child is frozen. */
static int start_another(int pidfd, int signal)
{
	char name[64], text[256];

	self_test_clean_up(self_test());
	snprintf(name, sizeof(name), "reckond-self-test-%d", getpid());
	for (int v1 = 0; v1 < 2; v1++) {
		_cleanup_close_ int own_fd = open_own_cgroup(v1), fd = -EBADF;

		if (own_fd < 0 || !is_there(own_fd, name))
			continue;
		n_in_use++;
		fd = openat(own_fd, name, O_PATH | O_CLOEXEC);
		n_frozen += io_read_at(fd, v1 ? "freezer.state" : "cgroup.freeze", text,
				       sizeof(text)) > 0 &&
			    (text[0] == '1' || text[0] == 'F');
	}
	return kill_ops_system.pidfd_send_signal(pidfd, signal);
}

static void test_another_daemon_leaves_it_alone(void **state)
{
	static struct kill_ops ops;

	(void)state;
	n_in_use = n_frozen = 0;
	ops = kill_ops_system;
	ops.pidfd_send_signal = start_another;
	test.manager->machine->kill_ops = &ops;
	move_self(true);
	assert_int_equal(self_test_run(self_test()), 0);
	assert_false(test.manager->probed->self_test_stuck);
	move_self(false); /* nothing is left in there */
	assert_nothing_is_left();
	if (n_in_use == 0) {
		print_message("skipped: no cgroup can be made here\n");
		skip();
	}
	assert_int_equal(n_frozen, n_in_use);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_it_kills_its_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_finishes_though_the_signal_is_lost, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_it_finishes_though_its_child_cannot_exit,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_is_not_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leftovers_are_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_locked_is_no_leftover, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_another_daemon_leaves_it_alone, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
