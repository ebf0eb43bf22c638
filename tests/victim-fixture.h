/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-fixture: a small machine, and a choice from it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/select/victim.h"

#define MAX_PROCESSES 192

#define FIRST_PID 100

struct machine {
	struct accuracy accuracy;
	struct policy_set policies;
	struct census census;
	size_t n;
	struct census_process *processes[MAX_PROCESSES];
	uint64_t truth[MAX_PROCESSES]; /* bytes, now */
	bool gone[MAX_PROCESSES];
	short true_adj[MAX_PROCESSES]; /* 0: as the census has it */
	int read_result;	       /* of every precise read */
	bool with_rereads;	       /* at little cost; else each is read precisely */
	bool with_many_cgroups;	       /* so many below one that they are in buckets */
	bool with_shares;	       /* a precise read shows what is its own: all */
	bool without_args;	       /* and no arguments */
	unsigned n_reads;
	uint64_t allocated;
};

void machine_init(struct machine *machine, size_t n);
void machine_done(struct machine *machine);
void read_as(struct machine *machine, size_t i, uint64_t reading);
void set(struct machine *machine, size_t i, uint64_t reading, uint64_t truth);
void set_adj(struct machine *machine, size_t i, int adj);
int read_truth(const struct census_process *process, struct victim_reading *ret, void *userdata);
int reread_truth(struct census *census, struct census_process *process, void *userdata);

/* What is asked of a machine with a GiB of memory at this moment, without a kill before. */
struct victim_request request_at(const struct machine *machine, usec_t now, uint64_t ticks_now);

extern struct victim_result result;

void choose_for(struct machine *machine, const struct victim_request *request);
pid_t choose_by(struct machine *machine, enum policy_rank_by rank_by);
pid_t choose(struct machine *machine);
int teardown(void **state);
