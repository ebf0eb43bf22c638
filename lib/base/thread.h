/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread: starts threads that serve another one, and waits for the end of one, but not for ever. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/sanitizer.h"

struct thread_options {
	const char *name;  /* of 15 bytes at most, as ps -T has it */
	size_t stack_size; /* besides the least that a thread has: own memory is locked */
	bool is_detached;  /* it is not to return before thread_start() has */
};

/* A thread that takes no signals.  0 or -errno. */
int thread_start(const struct thread_options *options, void *(*run)(void *), void *userdata,
		 pthread_t *ret);

/* 0, and it is joined; ETIMEDOUT.  until: of CLOCK_MONOTONIC. */
static inline int thread_join_until(pthread_t thread, const struct timespec *until)
{
#if HAS_THREAD_SANITIZER /* which takes a thread for alive after pthread_clockjoin_np(3) */
	for (;;) {
		int r = pthread_tryjoin_np(thread, NULL);
		struct timespec now;

		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		if (r != EBUSY || now.tv_sec > until->tv_sec ||
		    (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
			return r == EBUSY ? ETIMEDOUT : r;
		(void)usleep(1000);
	}
#else
	return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, until);
#endif
}
