/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-stale-fixture: a census of a random machine, a choice from it, and how far off it is. */
#pragma once

#include "lib/base/sanitizer.h"
#include "lib/select/victim.h"
#include "tests/stale-machine.h"

#define RIGHT_PERCENT 90
#define SEED	      20250710

#if HAS_ADDRESS_SANITIZER
#	define MACHINES 5000
#else
#	define MACHINES 100000
#endif

struct run {
	struct stale_machine *machine;
	struct policy_set policies;
	struct census census;
	struct victim_request request;
	unsigned rereads_left, n_rereads_each; /* of one choice */
	unsigned n_choices, n_reads;
	unsigned late_percent; /* precise reads that get no answer */
	bool was_read[STALE_MAX];
};

extern struct victim_result result;

#define index_of(process) ((size_t)((process)->pid - 100))

/* order: in which they are added. */
void run_init(struct run *run, struct stale_machine *machine, const size_t *order);
void choose(struct run *run);
void shuffle(size_t *order, size_t n);

struct tally_of {
	unsigned n_chosen, n_none, n_wrong, n_approximate, n_approximate_known, n_known;
	unsigned n_silent; /* wrong, and does not say so */
	unsigned n_choices, n_reads;
};

/* True: the victim is wrong, and the result does not say so. */
bool note(const struct run *run, bool right, struct tally_of *tally);
void print_tally(const char *name, const struct tally_of *tally);

/* Enough for all; in a quarter of the machines less. */
unsigned random_budget(size_t n);
int teardown(void **state);
