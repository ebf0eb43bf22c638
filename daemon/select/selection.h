/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * selection: the last choice of a victim, and what is known of earlier ones: which processes are
 * skipped, which were killed in succession, and how much a victim has to free.
 */
#pragma once

#include "daemon/select/stuck.h"
#include "lib/domain/worth.h"
#include "lib/select/backoff.h"
#include "lib/select/streak.h"
#include "lib/select/victim.h"

struct config;
struct machine;
struct sampler;

struct selection {
	/* Borrowed. */
	const struct machine *machine;
	const struct config *config;
	struct sampler *sampler;

	struct victim_request request; /* of the last choice */
	struct victim_result choice;
	struct backoff backoff;
	struct streak streak;
	struct worth worth;  /* how much a victim has to free */
	struct stuck stuck;  /* no victim is worth it */
	unsigned n_vanished; /* consecutive candidates that vanished before the signal */
	unsigned n_cut;	     /* consecutive choices that the limits cut short */
	usec_t quiet_until;  /* dry run: one decision is not reported again and again */
};

/* Room for a choice among all processes of the census, which has changed.  0 or -ENOMEM. */
int selection_reserve(struct selection *s);

/* Calm again: what a peak of processes has left is freed, and memory has recovered. */
void selection_release(struct selection *s);
