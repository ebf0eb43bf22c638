/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader: the precise reads of the second pass (victim.h), each as exact as this kernel can be.
 *
 * smaps_rollup, which is exact and tells what is shared (reclaimable.h), but may block: within
 * what is left of a budget for all reads together.  Else status, with the error it may have and
 * without what is shared.  Allocates nothing.
 */
#pragma once

#include "lib/base/util.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/precise.h"
#include "lib/sys/proc.h"

struct reader {
	int proc_fd; /* borrowed; likewise the next two */
	const struct accuracy *accuracy;
	struct precise *precise; /* NULL: smaps_rollup is never read */
	usec_t left;		 /* of the budget; reduced by each read that may block */
	usec_t (*now)(void);	 /* the clock by which it does */
	usec_t reread_until;	 /* by that clock: after it nothing is re-read */
	unsigned n_rereads;
	uint64_t allocated; /* as the request has it */
	usec_t sampled_at;  /* likewise */
};

/* A victim_read_fn; userdata is a struct reader. */
int reader_read(const struct census_process *process, struct victim_reading *ret, void *userdata);

/* The reread of a struct victim_reader; likewise. */
int reader_reread(struct census *census, struct census_process *process, void *userdata);
