/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * share-bound: what a process may share whose share could not be measured.
 *
 * Copy on write it shares with relatives alone (family.h), so no more of its anonymous memory than
 * they map; and no more than what all processes map besides what the machine has of it, as each
 * page that is shared is counted twice at least.  Shared memory may be anyone's, or stay as a file.
 * Relatives are killed with it only if so much is counted twice as they would share: workers that
 * have only grown alike share little.
 *
 * What is left is freed by its death for certain.  Of the rest a half is taken to stay, as of what
 * was measured (victim_apply_share()): so a victim chosen by this frees half of what the best one
 * would, or more.
 *
 * Pure.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/sys/proc.h"

/* Relatives are killed with it only if so much is shared; of less a kill in vain is no loss. */
#define SHARE_BOUND_UNIT_MIN (32 * MIB)

struct share_facts {
	struct proc_memory memory; /* of the process, as status has it */
	/* What its relatives map; what cannot be known is UINT64_MAX. */
	uint64_t relatives; /* all of them, anonymous memory and swap: the sum */
	uint64_t refused;   /* those that may not be killed, of all kinds: the sum */
	unsigned n_alike;   /* those that may be killed and map half of what it maps or more */
	uint64_t machine;   /* resident anonymous memory that processes share, at most */
	uint64_t
		seen; /* that and shared memory: at least, by what is counted twice; 0: not known */
};

/* Bytes, of what it maps. */
struct share_bound {
	uint64_t shared; /* at most */
	uint64_t kept;	 /* is taken to stay */
	bool is_exact;	 /* so little of it may be shared that it does not matter */
	bool is_unit;	 /* most of it may be, with relatives, which are to be killed with it */
};

void share_bound(const struct share_facts *facts, struct share_bound *ret);

/* Resident anonymous memory that processes share at most: mapped by all of them, which may be too
 * low by off, where the machine has so much of it.  UINT64_MAX: some processes are not known, as
 * the machine has much more than that. */
uint64_t share_bound_of_machine(uint64_t mapped, uint64_t off, uint64_t of_machine);
