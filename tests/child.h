/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child: a child of the test that answers each byte it gets while it runs. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

struct child {
	pid_t pid;
	int pidfd;     /* where the test opens one */
	int ask_fd;    /* a byte in ... */
	int answer_fd; /* ... a byte out, if it runs; one at first when it is ready */
};

static int told_fd; /* where the SIGTERM handler writes */

static inline void on_term(int signal)
{
	if (write(told_fd, "T", 1) != 1)
		_exit(1);
}

static inline void *sleep_thread(void *userdata)
{
	for (;;)
		(void)pause();
	return NULL;
}

/* Does a byte come within the time?  Which? */
static inline char byte_within(const struct child *child, int timeout_msec)
{
	struct pollfd pollfd = { .fd = child->answer_fd, .events = POLLIN };
	char byte = '\0';

	if (poll(&pollfd, 1, timeout_msec) > 0 && read(child->answer_fd, &byte, 1) == 1)
		return byte;
	return '\0';
}

static inline bool is_running(const struct child *child, int timeout_msec)
{
	assert_int_equal(write(child->ask_fd, "?", 1), 1);
	return byte_within(child, timeout_msec) == '?';
}
