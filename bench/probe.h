/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe: how processes are read without a census, to compare with.  Each function reads all
 * processes once and returns how many it saw; nothing is parsed but by libproc2.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct pids_info;

/* stat, statm, oom_score, oom_score_adj and comm of all that /proc lists, each opened by path. */
size_t probe_full(void);

/* What is in those, by libproc2. */
struct pids_info *probe_libproc2_new(void);
size_t probe_libproc2(struct pids_info *info);
void probe_libproc2_free(struct pids_info *info);

/* Only statm, and of known pids: the least that a sweep can cost. */
size_t probe_statm(const pid_t *pids, size_t n);
