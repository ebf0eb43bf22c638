/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * in-flight: the one kill in progress, from its signal to its record; and what is left to do for
 * victims that are still exiting after that.
 */
#pragma once

#include "daemon/decision.h"
#include "daemon/report-event.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/kill/kill.h"

struct ledger;
struct manager;
struct unit_marker;

/* Victims that are still exiting while their group is thawed for them. */
#define LINGERING_MAX 8

/* The one victim, and what is known of it. */
struct in_flight {
	struct decision decision;
	usec_t gather_began; /* kill_plan_gather(): by clock_now() */
	struct kill_victim victim;
	struct kill_victim lingering[LINGERING_MAX]; /* a ring; pidfd < 0: a free place */
	size_t n_lingering;
	struct ledger *ledger; /* what is to be frozen again, mapped: thaw-state.h; or NULL */
	int ledger_fd;
	struct kill_reapers *reapers;
	struct unit_marker *unit_marker; /* NULL: systemd does not count by cgroup v2 */
	unsigned n_kills;
};

/* Signal, reap, thaw, and watch the victim of m->in_flight.decision, which is open, or send it
 * another signal later on.  REPORT_SIGNALLED, REPORT_ESCALATED, or REPORT_ENDED where it may not be
 * signalled. */
enum report_event in_flight_start(struct manager *m, int signal, usec_t now);

/* How the victim is doing, by its pidfd, its memory and the machine's. */
enum kill_progress in_flight_judge(struct manager *m, const struct policy_judgement *judgement,
				   usec_t now);

/*
 * The kill of this victim is finished: REPORT_ENDED.  A group that was thawed for it is frozen
 * again if the victim is gone; if it is still exiting, once it is gone (in_flight_put_back()):
 * frozen again, it could not exit.
 */
enum report_event in_flight_end(struct manager *m, usec_t now, enum kill_progress outcome);

/* A free place among those that are still exiting: the oldest has had its time. */
struct kill_victim *in_flight_make_place(struct manager *m);

/* Reads those that are skipped again: some have exited, or have changed.  Allocates nothing. */
void in_flight_observe_skipped(struct manager *m);

/* The victim of m->in_flight.decision could not be opened or signalled, or is not to be: it is
 * skipped for some time, and so is what shares its memory. */
void in_flight_skip(struct manager *m, usec_t now);

/* Freezes again what was left thawed for victims that have exited. */
void in_flight_put_back(struct manager *m);

/* At the exit of the daemon: whatever was thawed is frozen again, when killed processes have had a
 * moment to exit. */
void in_flight_put_back_all(struct manager *m);
