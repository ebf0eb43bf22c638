/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outlook: who would go now and why, found out by itself: the configuration, the machine, its
 * processes, and the choice, by the functions that the daemon uses.  Signals nobody.
 */
#pragma once

#include "ctl/ctl.h"
#include "lib/accuracy.h"
#include "lib/census.h"
#include "lib/cgroup.h"
#include "lib/memory.h"
#include "lib/policy.h"
#include "lib/precise.h"
#include "lib/psi.h"
#include "lib/reader.h"
#include "lib/victim.h"

/* A precise read of the second pass: the result keeps the reading, this its error. */
struct outlook_read {
	pid_t pid;
	uint64_t error;
};

struct outlook {
	struct policy_set policies;
	/* Ends somebody, and would do so first: the strongest whose conditions hold, else the first
	 * of the configuration; NULL: none ends anybody. */
	const struct policy *policy;
	bool policy_holds;
	const struct policy *warning; /* a policy that warns, whose conditions hold, or NULL */

	int proc_fd;
	int sys_fd;
	struct cgroup_fs cgroups;
	struct memory_source *memory_source;
	struct memory_reading memory;
	bool has_psi;
	struct psi_reading pressure;
	struct psi_history psi;

	struct accuracy accuracy;
	struct precise *precise;
	struct reader reader;
	struct outlook_read reads[VICTIM_MAX_READS + 1]; /* the last for outlook_candidate() */
	unsigned n_reads;

	struct census census;
	bool hides_others; /* /proc shows this user's own processes alone (hidepid) */
	struct victim_request request;
	struct victim_result result;
	size_t n_excluded[_VICTIM_EXCLUSION_MAX];
};

/* Anything but CTL_OK comes after having said why. */
enum ctl_status outlook_new(const struct ctl_options *options, struct outlook **ret);
struct outlook *outlook_free(struct outlook *outlook);
static inline void outlook_freep(struct outlook **outlook)
{
	outlook_free(*outlook);
}

/* The candidate [0] of the ranking, or NULL: nobody may be ended. */
const struct victim_candidate *outlook_victim(const struct outlook *outlook);

/* The largest error of the precise reads: 0 unless smaps_rollup was asked for in vain. */
uint64_t outlook_read_error(const struct outlook *outlook);

/* Where the candidate's footprint was when it was last read; one number where that was exact. */
struct interval outlook_size(const struct outlook *outlook,
			     const struct victim_candidate *candidate);

/*
 * One process as a candidate: from the ranking where it is there, else read now.  *ret_rank counts
 * from 1.  0, or PROC_GONE.
 */
int outlook_candidate(struct outlook *outlook, const struct census_process *process,
		      struct victim_candidate *ret, size_t *ret_rank);
