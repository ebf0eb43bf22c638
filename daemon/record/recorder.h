/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recorder: fills a record of each decision (lib/history/history.h) from the choice until its
 * outcome is known, and adds it to the history.
 *
 * Of a victim that means until its outcome is known and two seconds have passed since its last
 * signal, which may be long after its exit; or until the next victim is signalled: what is
 * reclaimed after that can no longer be told apart.  Between the choice and the watching of the
 * victim only recorder_choice() is called; it writes into memory that is there.
 */
#pragma once

#include "daemon/base/report-event.h"
#include "lib/config/policy.h"
#include "lib/history/history.h"

struct in_flight;
struct policy_judgement;
struct recorder;

/* in_flight, what is recorded, is borrowed.  0, or -errno after logging the reason. */
int recorder_new(const struct in_flight *in_flight, struct recorder **ret);
struct recorder *recorder_free(struct recorder *recorder);

struct history *recorder_history(const struct recorder *recorder);

/* The last choice and decision are those of the victim. */
void recorder_choice(struct recorder *recorder, const struct policy *policy);

/* Memory was read: what was reclaimed until now is noted where it is time. */
void recorder_sample(struct recorder *recorder, usec_t now);
/* How long until the next such time; USEC_INFINITY: there is none. */
usec_t recorder_next(const struct recorder *recorder, usec_t now);

/* What this tick did. */
void recorder_note(struct recorder *recorder, enum report_event event,
		   const struct policy_judgement *judgement, usec_t now);

/* A process that was killed, and whose memory was reclaimed first, has exited: if it is the last
 * victim, that is its outcome. */
void recorder_exited(struct recorder *recorder, pid_t pid);

/* The record of the decision in hand, as far as it is filled. */
const struct history_entry *recorder_current(const struct recorder *recorder);

/* The last victim's is not closed; and under which id it is in the history. */
bool recorder_is_open(const struct recorder *recorder);
uint64_t recorder_open_id(const struct recorder *recorder);

/* Of the last victim: how much was reclaimed, and in what time since its last signal (the shortest
 * by which it was nearly all of that).  false: nothing is known yet. */
bool recorder_reclaimed(const struct recorder *recorder, uint64_t *ret_bytes, usec_t *ret_within);

/* At the exit of the daemon: what is open is closed as it is. */
void recorder_close(struct recorder *recorder);
