/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stalls: does the machine's pressure count, or is it explained by the limit of one cgroup?
 *
 * Walks over the cgroups (lib/domain/stall.h) in slices while there is pressure, so that two of
 * them are there when a policy needs the verdict.  Where cgroups cannot show it, all pressure
 * counts; then what counts for the policies is whether the machine had to reclaim at all.
 */
#pragma once

#include "lib/config/policy.h"
#include "lib/domain/stall.h"

struct sampler;

struct stalls {
	struct stall walk;
	bool unusable;		     /* there is no pressure of cgroups here */
	usec_t until;		     /* there was pressure just now: walks are kept up until then */
	usec_t asked_at;	     /* since when a policy waits for a verdict; 0: none does */
	bool explained;		     /* the last verdict that a policy needed */
	const struct policy *policy; /* when it was needed last; good in that tick */
	bool reported;		     /* since there was no pressure */
	unsigned n_ignored;	     /* samples at which a policy was not followed because of it */
};

enum stalls_answer {
	STALLS_COUNT,
	STALLS_EXPLAINED,
	STALLS_UNKNOWN, /* not yet: it is there in a moment */
};

/* Memory and pressure were read: a slice of a walk, where one is due. */
void stalls_sample(struct sampler *s, usec_t now);

/* May this policy, whose conditions hold, use the machine's pressure?  Takes a longer slice if need
 * be. */
enum stalls_answer stalls_ask(struct sampler *s, const struct policy *policy, usec_t now);

/* How long until the next slice or verdict that is waited for; USEC_INFINITY: there is none. */
usec_t stalls_next(const struct sampler *s);
