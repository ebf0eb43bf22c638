/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reserve: file descriptors that are kept for when they are needed.
 *
 * When memory runs out, so may files: of the whole machine (ENFILE), or of a daemon that was
 * started with a low limit (EMFILE).  In calm some are kept open for nothing; with the first sample
 * that is not calm they are closed, and what reads processes and opens pidfds has them.
 */
#pragma once

#include <stdbool.h>

#define RESERVE_MAX 64

struct reserve {
	int fds[RESERVE_MAX];
	unsigned n;
};

/* Raises the soft limit as far as the hard one lets it, but no further than is sensible. */
void reserve_raise_limit(void);

/* How many files of processes may be kept open, so that enough is left for a kill. */
unsigned reserve_files_to_keep(void);

/* Opens what is missing, or closes all. */
void reserve_fill(struct reserve *reserve, int proc_fd);
void reserve_release(struct reserve *reserve);
