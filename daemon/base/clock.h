/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock: the clocks that the daemon reads.  lib/ reads none: there the time is an argument. */
#pragma once

#include "lib/base/util.h"

/* CLOCK_MONOTONIC. */
usec_t clock_now(void);
/* CLOCK_REALTIME, since 1970. */
usec_t clock_realtime(void);
/* CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID). */
usec_t clock_cpu_time(void);
/* Time for which the machine was suspended since boot: CLOCK_BOOTTIME less CLOCK_MONOTONIC. */
usec_t clock_asleep(void);

/* A point in time in clock ticks since boot, as start times are (proc_pid_stat(5), field 22), usec
 * before or after now. */
uint64_t clock_ticks_before(usec_t usec);
uint64_t clock_ticks_after(usec_t usec);
