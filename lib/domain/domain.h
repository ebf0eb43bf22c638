/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain: what policies apply to, and what is known of it.  There is one, the machine.
 *
 * Policies are configuration, and constant (policy.h); what changes with time is here, for each of
 * them at its place in the set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/snapshot/census-node.h"
#include "lib/sys/memory.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaim.h"

/* All zeros: nothing is known, and there is room for no policy. */
struct domain {
	const struct census_node *root; /* of the snapshot: victims are chosen from all below it */
	struct memory_reading reading;	/* the last one */
	bool has_psi;
	struct psi_history psi;
	struct reclaim_history reclaim; /* empty in calm */
	uint64_t unswappable; /* anonymous bytes that may not be swapped out, as far as known */

	/* Of each policy: since when its conditions on memory and swap hold; USEC_INFINITY: they
	 * do not. */
	usec_t *holds_since;
	size_t n_policies; /* that there is room for */
};

void domain_done(struct domain *domain);

/* Pressure and reclaim are forgotten: what was before the next sample does not count. */
void domain_forget_activity(struct domain *domain);

/* That conditions have held is forgotten: they have to hold for their time anew.  After a gap. */
void domain_forget(struct domain *domain);

/* Other policies, with room for them: of those whose conditions are the same it stays known since
 * when they hold, wherever they are in the set.  before: those of the last call; none at the first
 * one.  0, or -ENOMEM: as before. */
int domain_change_policies(struct domain *domain, const struct policy_set *before,
			   const struct policy_set *after);

struct policy_judgement {
	bool watch; /* below the watch threshold, or a policy's conditions begin to hold */
	/* The strongest policy that has held for its time (kill over terminate over warn, then
	 * the first), or NULL.  Borrowed from the set. */
	const struct policy *policy;
};

/* The set is that of the last domain_change_policies().  Allocates nothing. */
void domain_judge(struct domain *domain, const struct policy_set *set,
		  const struct policy_reading *reading, usec_t now, struct policy_judgement *ret);
