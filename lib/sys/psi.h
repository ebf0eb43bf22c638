/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * psi: pressure stall information (Documentation/accounting/psi.rst).
 *
 * Three things: parsing the file, arming a trigger, and averages over windows of our own, taken
 * from the total= counters (the kernel's avg10 lags by seconds and remembers what is long over).
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct psi_line {
	unsigned avg10; /* permyriad */
	unsigned avg60;
	unsigned avg300;
	usec_t total;
};

struct psi_reading {
	struct psi_line some;
	struct psi_line full; /* all zero where the kernel gives no full line */
};

/* -EBADMSG unless text is a pressure file. */
int psi_parse(const char *text, struct psi_reading *ret);

/* Reads dir_fd/path ("pressure/memory", "memory.pressure"); 0 or negative errno (-EOPNOTSUPP
 * where PSI is built in but off). */
int psi_read(int dir_fd, const char *path, struct psi_reading *ret);
/* The same from an open fd, which can be read again and again. */
int psi_read_fd(int fd, struct psi_reading *ret);

struct psi_trigger {
	bool full; /* else some */
	usec_t stall_usec;
	usec_t window_usec;
};

/*
 * Opens path and writes the trigger: an fd to poll for EPOLLPRI (EPOLLERR: the cgroup is gone),
 * or negative errno: -EINVAL where the window is not permitted (without CAP_SYS_RESOURCE a
 * multiple of 2 s), -EPERM/-EACCES, -ENOENT.  Never returns an fd whose write failed: such an
 * fd polls ready for ever.
 */
int psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger);

/* How fine and how long the history is: windows up to about PSI_HISTORY_USEC can be asked for. */
#define PSI_SAMPLES	 128
#define PSI_STEP_USEC	 (250 * USEC_PER_MSEC)
#define PSI_HISTORY_USEC (30 * USEC_PER_SEC)

struct psi_history {
	struct {
		usec_t at;
		usec_t some;
		usec_t full;
	} samples[PSI_SAMPLES]; /* a ring */
	unsigned head;		/* place of the next sample */
	unsigned n_samples;
};

/* Remembers a reading as the newest sample.  The newest is replaced by the next as long as it is
 * closer than PSI_STEP_USEC to the one before it.  Starts anew when now or a total decreases, and
 * when a total rises by far more than the time that has passed (now stops in a suspend). */
void psi_history_add(struct psi_history *history, usec_t now, const struct psi_reading *reading);

/* Starts anew: what was before the next sample is forgotten. */
void psi_history_reset(struct psi_history *history);

/*
 * The share of the last window_usec before the newest sample that was stalled, in permyriad.
 * Measured from the newest sample that is at least the window older: with samples 20 s apart a
 * window of 5 s gives the average over 20 s.  0 while the history is shorter than the window: what
 * has not been watched for long enough is not pressure.
 */
unsigned psi_history_full(const struct psi_history *history, usec_t window_usec);
unsigned psi_history_some(const struct psi_history *history, usec_t window_usec);
