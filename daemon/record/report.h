/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report: logs what happened: a structured journal entry for each decision, and the same as a plain
 * line on standard error.  The fields are those of history_fields that have a name in the journal.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/base/regime.h"
#include "daemon/base/report-event.h"
#include "lib/config/policy.h"

struct history_store;
struct in_flight;
struct policy_judgement;
struct probe_results;
struct recorder;

/* What was reported, and is not to be repeated. */
struct reporter {
	/* Borrowed. */
	struct in_flight *f;
	struct recorder *recorder;
	struct probe_results *probed;

	usec_t complained_at; /* the last line about what does not work: one in ten seconds */
	unsigned doubts;      /* about memory's figures */
	bool warned;	      /* since watch began */
};

/* What a tick did, and a change of state since `before`. */
void report(struct reporter *rep, enum report_event event, const struct policy_judgement *judgement,
	    enum regime_state before, usec_t now);

/* Memory or processes could not be read; logged at most once in ten seconds. */
void report_sample_failed(struct reporter *rep, int error, usec_t now);
/* A call of the event loop itself; it continues. */
void report_loop_failed(struct reporter *rep, int error, usec_t now);

/* What was found at start; what does not work is kept in probed.  store: NULL: there is none. */
void report_start(struct reporter *rep, const struct history_store *store);

/* Figures of memory that cannot be true (enum memory_doubt): each kind once, and kept in
 * probed. */
void report_doubts(struct reporter *rep);
