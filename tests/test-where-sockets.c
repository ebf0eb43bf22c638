/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: files in flight, as the survey of this machine finds them. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where-walk.h"
#include "tests/send-fd.h"
#include "tests/where-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_fdinfo(void **state)
{
	static const struct {
		const char *text;
		int n; /* -1: none */
	} rows[] = {
		{ "pos:\t0\nflags:\t02\nmnt_id:\t10\nino:\t213959\nscm_fds: 3\n", 3 },
		{ "pos:\t0\nflags:\t02\nscm_fds: 0\n", 0 },
		{ "pos:\t0\nflags:\t02\nmnt_id:\t10\nino:\t7\n", -1 }, /* TCP */
		{ "pos:\t0\nscm_fds: x\n", -1 },
		{ "pos:\t0\nscm_fds:", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned n = 0;

		print_message("row %zu\n", i);
		assert_int_equal(where_parse_scm_fds(rows[i].text, &n), rows[i].n >= 0);
		assert_true(rows[i].n < 0 || n == (unsigned)rows[i].n);
	}
}

/* In a mount namespace with a tmpfs of its own, if that can be. */
static int hide_tmpfs(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
			       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			       mount("x", "/mnt", "tmpfs", 0, "size=64M") == 0
		       ? 1
		       : 2;
}

/* A child to which n files are in flight.  Returns 1 as *ret_hides if it hides a tmpfs. */
static pid_t fork_with_files_in_flight(int n, bool hides, int *ret_hides)
{
	int ready[2], ends[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = memfd_create("held", MFD_CLOEXEC);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
			_exit(1);
		for (int i = 0; i < n; i++)
			if (send_fd(ends[0], fd) < 0)
				_exit(1);
		close(fd);
		byte = (char)(hides ? hide_tmpfs() : 2);
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		(void)wait_forever(NULL);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_hides = byte == 1;
	return pid;
}

static unsigned n_files_of(pid_t pid, struct where_survey *ret)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct where_limits limits = { .now = now_usec, .deadline = USEC_INFINITY };
	static struct where_scratch scratch;

	where_survey(proc_fd, root_fd, &limits, &scratch, ret);
	for (unsigned i = 0; i < ret->n_receivers; i++)
		if (ret->receivers[i].pid == pid)
			return ret->receivers[i].n_files;
	return 0;
}

static bool has_scm_fds(void)
{
	char path[64], text[256];
	unsigned n;
	int ends[2], fd, length;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ends[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? 0 : (int)read(fd, text, sizeof(text) - 1);
	text[length > 0 ? length : 0] = '\0';
	close(fd);
	close(ends[0]);
	close(ends[1]);
	return where_parse_scm_fds(text, &n);
}

static void test_survey_finds_files_in_flight(void **state)
{
	static struct where_survey found;
	int hides;
	pid_t pid;

	if (!has_scm_fds())
		skip();
	for (int n = 0; n < 3; n++) {
		pid = fork_with_files_in_flight(n, false, &hides);
		assert_int_equal(n_files_of(pid, &found), n);
		if (n > 0) {
			assert_string_equal(found.receivers[0].comm, "test-where-sock");
			assert_true(found.receivers[0].start_ticks > 0);
			assert_int_equal(found.receivers[0].uid, geteuid());
		}
		kill_child(pid);
	}
}

static void test_survey_finds_a_tmpfs_of_another_namespace(void **state)
{
	static struct where_survey without, with;
	int hides;
	pid_t pid;

	if (!has_scm_fds())
		skip();
	pid = fork_with_files_in_flight(1, false, &hides);
	assert_int_equal(n_files_of(pid, &without), 1);
	kill_child(pid);
	pid = fork_with_files_in_flight(1, true, &hides);
	assert_int_equal(n_files_of(pid, &with), 1);
	kill_child(pid);
	if (!hides)
		skip();
	/* (Others on this machine may have one without a limit.) */
	assert_true(with.hidden_tmpfs >= add_u64(without.hidden_tmpfs, 64 * MIB));
}

/* Which may keep files. */
static void test_survey_finds_io_uring(void **state)
{
	struct io_uring_params params = { 0 };
	static struct where_survey found;
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		skip();
	(void)n_files_of(getpid(), &found);
	close(fd);
	assert_true(found.has_other_holders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fdinfo),
		cmocka_unit_test(test_survey_finds_files_in_flight),
		cmocka_unit_test(test_survey_finds_io_uring),
		cmocka_unit_test(test_survey_finds_a_tmpfs_of_another_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
