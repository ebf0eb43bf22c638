/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory-fixture: mounts a fixture on /proc in a child, and samples it there. */
#include "tests/memory-fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/memory.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* In a child: a fixture's files over those of /proc; false where that is not permitted. */
static bool put_on_fixture(const char *fixture)
{
	static const char *const files[] = { "meminfo", "vmstat" };
	char path[4096], target[64];

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/memory/%s/proc/%s", getenv("FIXTURES"), fixture,
			 files[i]);
		snprintf(target, sizeof(target), "/proc/%s", files[i]);
		if (mount(path, target, NULL, MS_BIND, NULL) < 0)
			return false;
	}
	return true;
}

int open_fixture(const char *fixture, const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/memory/%s/%s", getenv("FIXTURES"), fixture, directory);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void sample_fixture_by(int (*sample)(struct memory_source *, struct memory_reading *),
		       const char *fixture, struct memory_reading *ret)
{
	int pipe_fds[2], status;
	pid_t pid;

	assert_non_null(getenv("FIXTURES"));
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct memory_source *source = NULL;
		struct memory_reading r = { 0 };

		if (!put_on_fixture(fixture))
			_exit(77);
		if (memory_source_new(open_fixture(fixture, "proc"), open_fixture(fixture, "sys"),
				      &source) < 0 ||
		    sample(source, &r) < 0)
			_exit(1);
		memory_source_free(source);
		_exit(write(pipe_fds[1], &r, sizeof(r)) == sizeof(r) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[1]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		close(pipe_fds[0]);
		print_message("SKIP: no mount namespace may be made here\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_int_equal(read(pipe_fds[0], ret, sizeof(*ret)), sizeof(*ret));
	close(pipe_fds[0]);
}

void sample_fixture(const char *fixture, struct memory_reading *ret)
{
	sample_fixture_by(memory_sample, fixture, ret);
}
