/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record: what is known of a decision when it is taken, as an entry of the history.  Pure, but for
 * the time of day. */
#pragma once

#include "daemon/select/decision.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/history/history.h"

struct event;
struct in_flight;
struct memory_reading;
struct sampler;

#define set_text(member, text) history_set_text((member), sizeof(member), (text))
#define set_path(member, text) history_set_path((member), sizeof(member), (text))

/* A new entry: when, by which policy, and on what machine. */
void record_occasion(const struct sampler *s, const struct policy *policy, const char *boot,
		     struct history_entry *ret);

/* A new entry: the occasion, and the last choice, which has a victim. */
void record_choice(const struct in_flight *f, const struct policy *policy, const char *boot,
		   struct history_entry *ret);

/* All of a cgroup is killed; the process is the largest in it, or the one that was chosen. */
void record_group(const struct decision *d, struct history_entry *e);

/* Which of the candidates are killed with the victim.  They are those of the last choice, which
 * is still there in the tick of the signal. */
void record_killed_with(const struct in_flight *f, struct history_entry *e);

/* The decision in hand, as of now, for the journal.  noted: its record, of which all that is not
 * known better is taken; or NULL. */
void record_event(const struct in_flight *f, const struct history_entry *noted, struct event *ret);

/* "SIGTERM", "SIGKILL" */
const char *record_signal_name(int signal);

/*
 * By how much more is available now, in memory and swap, than before.  That is what the machine has
 * gained, not what the victim freed: what others allocated meanwhile is not added, and what others
 * freed is not subtracted.
 */
uint64_t record_reclaimed(const struct memory_reading *now, uint64_t before);
