/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * in-flight: the one victim on its way, from its signal to the account; and what is left to do for
 * those that linger after that.
 */
#pragma once

#include "daemon/report.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/kill/kill.h"

struct manager;

/* Signal, reap, thaw, and watch the victim of m->decision, which is open, or send it another signal
 * later on.  REPORT_SIGNALLED, REPORT_ESCALATED, or REPORT_ENDED where it may not be signalled. */
enum report_event in_flight_start(struct manager *m, int signal, usec_t now);

/* How the victim is doing, by its pidfd, its memory and the machine's. */
enum kill_progress in_flight_judge(struct manager *m, const struct policy_judgement *judgement,
				   usec_t now);

/*
 * This victim is no longer waited for: REPORT_ENDED.  A group that was thawed for it is frozen
 * again if the victim is gone; if it is still exiting, once it is gone (in_flight_put_back()):
 * frozen again, it could not exit.
 */
enum report_event in_flight_end(struct manager *m, usec_t now, enum kill_progress outcome);

/* A free place among those that linger: the oldest has had its time. */
struct kill_victim *in_flight_make_place(struct manager *m);

/* Looks at those who are passed over: some are gone by now, or are as they were no longer.
 * Allocates nothing. */
void in_flight_observe_skipped(struct manager *m);

/* The victim of m->decision could not be opened or signalled, or is not to be: it is not chosen
 * again for some time, nor who shares its memory. */
void in_flight_skip(struct manager *m, usec_t now);

/* Freezes again what was left thawed for victims that are gone by now. */
void in_flight_put_back(struct manager *m);

/* At the end of the daemon: whatever was thawed is put back, when those that were killed have had
 * a moment to go. */
void in_flight_put_back_all(struct manager *m);
