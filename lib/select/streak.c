/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* streak: records kills, and counts those of one cgroup or of siblings. */
#include "lib/select/streak.h"

#include <stdio.h>
#include <string.h>

/* A process with more than this share of memory is large. */
#define LARGE_SHARE 16

usec_t streak_age(uint64_t start_ticks, uint64_t ticks_now)
{
	return max_u64(sub_u64(ticks_now, start_ticks) * USEC_PER_TICK, 1);
}

usec_t streak_started_at(const struct streak_subject *subject, usec_t now)
{
	return subject->age == 0 ? 0 : sub_u64(now, subject->age);
}

void streak_add(struct streak *streak, const struct streak_subject *subject, usec_t now)
{
	struct streak_kill *kill = &streak->kills[streak->next++ % STREAK_MAX];

	kill->at = now;
	kill->started_at = streak_started_at(subject, now);
	kill->ppid = subject->ppid;
	kill->session = subject->session;
	kill->uid = subject->uid;
	kill->stack_start = subject->stack_start;
	kill->args_length = subject->args_length;
	kill->args_hash = subject->args_hash;
	kill->n_alike = subject->n_alike;
	snprintf(kill->comm, sizeof(kill->comm), "%s", subject->comm);
	snprintf(kill->cgroup, sizeof(kill->cgroup), "%s", subject->cgroup);
}

bool streak_is_recent(const struct streak_kill *kill, usec_t now)
{
	return kill->at != 0 && sub_u64(now, kill->at) < STREAK_USEC;
}

unsigned streak_of_cgroup(const struct streak *streak, const char *cgroup, usec_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STREAK_MAX; i++)
		n += streak_is_recent(&streak->kills[i], now) &&
		     strcmp(streak->kills[i].cgroup, cgroup) == 0;
	return n;
}

bool streak_is_near(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return (kill->ppid == subject->ppid ||
		(kill->session != 0 && kill->session == subject->session)) &&
	       kill->uid == subject->uid;
}

bool streak_is_kin(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return streak_is_near(kill, subject) && strcmp(kill->comm, subject->comm) == 0;
}

bool streak_is_forked(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return kill->stack_start != 0 && kill->stack_start == subject->stack_start;
}

static bool may_be_equal(uint64_t a, uint64_t b)
{
	return a == 0 || b == 0 || a == b;
}

bool streak_may_be_again(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return streak_is_kin(kill, subject) &&
	       may_be_equal(kill->args_length, subject->args_length) &&
	       may_be_equal(kill->args_hash, subject->args_hash);
}

/* Does it do again what the killed one did? */
static bool is_another(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return (streak_is_near(kill, subject) && streak_is_forked(kill, subject)) ||
	       streak_may_be_again(kill, subject);
}

unsigned streak_of_siblings(const struct streak *streak, const struct streak_subject *subject,
			    usec_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STREAK_MAX; i++)
		n += streak_is_recent(&streak->kills[i], now) &&
		     streak_is_kin(&streak->kills[i], subject);
	return n;
}

/* Was it started after a kill of its kin, and is killed soon itself? */
static bool has_replaced(const struct streak *streak, const struct streak_subject *subject,
			 usec_t started, usec_t killed)
{
	if (killed - started > STREAK_REPLACED_USEC)
		return false;
	for (unsigned i = 0; i < STREAK_MAX; i++) {
		const struct streak_kill *kill = &streak->kills[i];

		if (kill->at <= started && streak_is_recent(kill, started) &&
		    is_another(kill, subject))
			return true;
	}
	return false;
}

static bool kill_has_replaced(const struct streak *streak, const struct streak_kill *kill)
{
	const struct streak_subject subject = {
		.comm = kill->comm,
		.ppid = kill->ppid,
		.uid = kill->uid,
		.session = kill->session,
		.stack_start = kill->stack_start,
		.args_length = kill->args_length,
		.args_hash = kill->args_hash,
	};

	return has_replaced(streak, &subject, kill->started_at, kill->at);
}

unsigned streak_replaced_in_cgroup(const struct streak *streak,
				   const struct streak_subject *subject, usec_t now)
{
	unsigned n = has_replaced(streak, subject, streak_started_at(subject, now), now);

	for (unsigned i = 0; i < STREAK_MAX; i++)
		n += streak_is_recent(&streak->kills[i], now) &&
		     strcmp(streak->kills[i].cgroup, subject->cgroup) == 0 &&
		     kill_has_replaced(streak, &streak->kills[i]);
	return n;
}

unsigned streak_replaced_siblings(const struct streak *streak, const struct streak_subject *subject,
				  usec_t now)
{
	unsigned n = has_replaced(streak, subject, streak_started_at(subject, now), now);

	for (unsigned i = 0; i < STREAK_MAX; i++)
		n += streak_is_recent(&streak->kills[i], now) &&
		     streak_is_kin(&streak->kills[i], subject) &&
		     kill_has_replaced(streak, &streak->kills[i]);
	return n;
}

const char *streak_cgroup(const struct streak *streak, unsigned i, usec_t now)
{
	const char *cgroup = streak->kills[i].cgroup;

	if (streak_of_cgroup(streak, cgroup, now) < STREAK_KILLS)
		return NULL;
	for (unsigned j = i + 1; j < STREAK_MAX; j++)
		if (streak_is_recent(&streak->kills[j], now) &&
		    strcmp(streak->kills[j].cgroup, cgroup) == 0)
			return NULL;
	return streak_is_recent(&streak->kills[i], now) ? cgroup : NULL;
}

bool streak_is_enough(unsigned n_kills, unsigned n_replaced, uint64_t largest, uint64_t memory)
{
	if (n_replaced >= STREAK_REPLACED)
		return true;
	return n_kills >= (largest > memory / LARGE_SHARE ? STREAK_KILLS_LARGE : STREAK_KILLS);
}

bool streak_is_enough_for_unit(unsigned n_kills, unsigned n_replaced, uint64_t largest,
			       uint64_t memory)
{
	return n_replaced > 0 && streak_is_enough(n_kills, n_replaced, largest, memory);
}

static bool begins(const char *name, const char *beginning)
{
	return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool ends(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

bool streak_is_unit(const char *cgroup, const char *subtree, const char *own_cgroup)
{
	const char *name = strrchr(cgroup, '/');

	if (!name || name[1] == '\0' || strcmp(cgroup, subtree) == 0 || begins(cgroup, "/.."))
		return false;
	if (own_cgroup && cgroup_path_is_below(own_cgroup, cgroup))
		return false;
	name++;
	if (ends(name, ".slice") || strcmp(name, "init.scope") == 0)
		return false;
	return !(begins(name, "session-") && ends(name, ".scope")) &&
	       !(begins(name, "user@") && ends(name, ".service"));
}
