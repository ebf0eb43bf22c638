/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock: clock_gettime(), in microseconds and in clock ticks. */
#include "daemon/base/clock.h"

#include <time.h>

usec_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

usec_t clock_realtime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

usec_t clock_cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

usec_t clock_asleep(void)
{
	usec_t now = clock_now(); /* first: what lies between the two does not make it negative */
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return sub_u64((usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000, now);
}

/* With the time that the machine was suspended, unlike CLOCK_MONOTONIC. */
static usec_t since_boot(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

uint64_t clock_ticks_before(usec_t usec)
{
	return sub_u64(since_boot(), usec) / USEC_PER_TICK;
}

uint64_t clock_ticks_after(usec_t usec)
{
	return (since_boot() + usec) / USEC_PER_TICK;
}
