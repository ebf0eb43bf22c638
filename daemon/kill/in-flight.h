/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * in-flight: the one kill in progress, from its signal to its record; and what is left to do for
 * victims that are still exiting after that.
 */
#pragma once

#include "daemon/base/report-event.h"
#include "daemon/select/decision.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/kill/kill.h"

struct config;
struct ledger;
struct machine;
struct policy_judgement;
struct regime;
struct sampler;
struct selection;
struct unit_marker;

/* Victims that are still exiting while their group is thawed for them. */
#define EXITING_MAX 8

/* The one victim, and what is known of it. */
struct in_flight {
	/* Borrowed. */
	const struct machine *machine;
	const struct config *config;
	struct regime *regime;
	struct sampler *sampler;
	struct selection *selection;

	struct decision decision;
	usec_t gather_began; /* kill_plan_gather(): by clock_now() */
	struct kill_victim victim;
	struct kill_victim exiting[EXITING_MAX]; /* a ring; pidfd < 0: a free place */
	size_t n_exiting;
	struct ledger *ledger; /* what is to be frozen again, mapped: thaw-state.h; or NULL */
	int ledger_fd;
	int ledger_error; /* why there is none: thaw_state_strerror(); or 0 */
	struct kill_reapers *reapers;
	struct unit_marker *unit_marker; /* NULL: systemd does not count by cgroup v2 */
	unsigned n_kills;
	bool is_watched;    /* its exit and its thaw: in_flight_watched() */
	unsigned n_watched; /* goes up with each change of what is watched */
};

/* Signals, reaps and thaws the victim of f->decision, which is open and is to be watched then
 * (in_flight_watched()), or sends it another signal later on.  REPORT_SIGNALLED, REPORT_ESCALATED,
 * or REPORT_FINISHED where it may not be signalled. */
enum report_event in_flight_start(struct in_flight *f, int signal, usec_t now);

/* How the victim is doing, by its pidfd, its memory and the machine's. */
enum kill_progress in_flight_judge(struct in_flight *f, const struct policy_judgement *judgement,
				   usec_t now);

/*
 * The kill of this victim is finished: REPORT_FINISHED.  A group that was thawed for it is frozen
 * again if the victim is gone; if it is still exiting, once it is gone (in_flight_put_back()):
 * frozen again, it could not exit.
 */
enum report_event in_flight_finish(struct in_flight *f, usec_t now, enum kill_progress outcome);

/* A free place among those that are still exiting: the oldest has had its time. */
struct kill_victim *in_flight_make_place(struct in_flight *f);

/* Reads those that are skipped again: some have exited, or have changed.  Allocates nothing. */
void in_flight_observe_skipped(struct in_flight *f);

/* The victim of f->decision could not be opened or signalled, or is not to be: it is
 * skipped for some time, and so is what shares its memory. */
void in_flight_skip(struct in_flight *f, usec_t now);

/* Freezes again what was left thawed for a victim that has exited: its pid; 0: there is none. */
pid_t in_flight_put_back(struct in_flight *f);

/* What wakes the daemon while a kill is in progress, both borrowed; negative: nothing. */
struct in_flight_watched {
	int victim_fd; /* a pidfd, readable when the victim has exited */
	int thaw_fd;   /* cgroup.events of its group, POLLPRI when it thaws (v1 has no such file) */
	unsigned n;    /* goes up with each change, as the numbers may be used again */
};
struct in_flight_watched in_flight_watched(const struct in_flight *f);

/* At the exit of the daemon: whatever was thawed is frozen again, when killed processes have had a
 * moment to exit. */
void in_flight_put_back_all(struct in_flight *f);
