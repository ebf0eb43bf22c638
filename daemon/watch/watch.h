/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: keeps the census fresh while memory is low: listings, new processes, rounds, and the
 * shares of the largest few.  In slices: no turn of the loop takes long for it.
 */
#pragma once

#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/select/victim.h"

struct sampler;
struct victim_request;

/* All zeros: calm. */
struct watch {
	usec_t since;	     /* 0: calm */
	usec_t listed_at;    /* the last full listing, since calm; 0: none yet */
	usec_t many_new_at;  /* one that is due, or under way, for that; 0: none */
	usec_t refreshed_at; /* the last round of the census began */
	usec_t round_usec;   /* what its slices took */
	usec_t spent_before; /* precise_spent() when it began */
	/* The process that the helper thread is at, how far it was, and since when. */
	pid_t precise_at;
	unsigned precise_done;
	usec_t precise_since;
	struct victim_args args[VICTIM_ARGS_MAX];
};

/* One turn of it, but not while a kill is in progress, and not in calm.  request: of the last
 * choice, by which shares are applied.  near: a policy is about to kill.  0 or -errno. */
int watch_keep(struct sampler *s, const struct victim_request *request, usec_t now, bool near);

/* Is a listing or a round to be continued at once? */
bool watch_is_busy(const struct sampler *s);

/* Is a listing under way that a choice has to wait for: the first since calm, or one because there
 * are many new processes? */
bool watch_is_incomplete(const struct sampler *s, usec_t now);

/* Calm again: releases what only watch needs. */
void watch_release(struct sampler *s);
