/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-fixture: forks children that hold memory by descriptors, and kills them. */
#include "tests/where-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

usec_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

void *wait_forever(void *userdata)
{
	(void)userdata;
	for (;;)
		pause();
	return NULL;
}

pid_t fork_with_descriptors(unsigned n, size_t size)
{
	char ready[2];
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd, any = open("/dev/null", O_RDONLY | O_CLOEXEC);
		static const char bytes[MIB];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (n-- > 0)
			if (dup(any) < 0)
				_exit(1);
		fd = memfd_create("held", MFD_CLOEXEC);
		for (size_t at = 0; at < size; at += sizeof(bytes))
			if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
				_exit(1);
		if (write(ends[1], "1", 1) != 1)
			_exit(1);
		wait_forever(NULL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], ready, 1), 1);
	close(ends[0]);
	return pid;
}

void kill_child(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}
