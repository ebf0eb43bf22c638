/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backoff: the two tables: processes that failed, and kinds that were ineffective. */
#include "lib/select/backoff.h"

#include <stdio.h>
#include <string.h>

/* If it has grown by so much it is worth another try; less may be an error of the readings. */
#define GROWN_BYTES (16 * MIB)

/* So many parts of four of what a victim mapped are its memory: it may have freed some since. */
#define HEIR_QUARTERS 3

/* The letters between which a process changes all the time count as one. */
static char state_class(char state)
{
	switch (state) {
	case 'R':
	case 'I':
		return 'S';
	case 't':
		return 'T';
	default:
		return state;
	}
}

static usec_t wait_of(const struct backoff_entry *entry)
{
	usec_t wait = BACKOFF_FIRST_USEC;

	for (unsigned i = 1; i < entry->n_failures && wait < BACKOFF_LONGEST_USEC; i++)
		wait *= 2;
	wait = min_u64(wait, BACKOFF_LONGEST_USEC);
	return entry->changed ? wait / BACKOFF_CHANGED_SHARE : wait;
}

static usec_t over_at(const struct backoff_entry *entry)
{
	return entry->failed_at + wait_of(entry);
}

static bool is_it(const struct backoff_entry *entry, pid_t pid, uint64_t start_ticks)
{
	return entry->failed.pid == pid && entry->failed.start_ticks == start_ticks;
}

/* Its place, or a free one, or that of the entry that expires first. */
static struct backoff_entry *place_for(struct backoff *p, pid_t pid, uint64_t start_ticks)
{
	struct backoff_entry *best = &p->entries[0];

	for (unsigned i = 0; i < BACKOFF_MAX; i++) {
		struct backoff_entry *entry = &p->entries[i];

		if (is_it(entry, pid, start_ticks))
			return entry;
		if (best->failed.pid != 0 &&
		    (entry->failed.pid == 0 || over_at(entry) < over_at(best)))
			best = entry;
	}
	*best = (struct backoff_entry){ 0 };
	return best;
}

usec_t backoff_add(struct backoff *p, enum backoff_why why, const struct backoff_seen *seen,
		   usec_t now)
{
	struct backoff_entry *entry = place_for(p, seen->pid, seen->start_ticks);

	entry->n_failures = why == BACKOFF_STILL_EXITING ? 0 : entry->n_failures + 1;
	entry->failed = *seen;
	entry->why = why;
	entry->failed_at = now;
	entry->turn = ++p->turn;
	entry->changed = false;
	return wait_of(entry);
}

bool backoff_is_evasive(struct backoff *p, usec_t now)
{
	if (now - p->unconfirmed_at > BACKOFF_TRIES_USEC)
		p->n_unconfirmed = 0;
	p->unconfirmed_at = now;
	return ++p->n_unconfirmed >= BACKOFF_TRIES;
}

void backoff_succeed(struct backoff *p, pid_t pid, uint64_t start_ticks)
{
	p->turn++;
	for (unsigned i = 0; i < BACKOFF_MAX; i++)
		if (is_it(&p->entries[i], pid, start_ticks))
			p->entries[i] = (struct backoff_entry){ 0 };
}

void backoff_observe(struct backoff *p, unsigned i, const struct backoff_seen *seen)
{
	struct backoff_entry *entry = &p->entries[i];
	bool forget = !seen || !is_it(entry, seen->pid, seen->start_ticks);

	if (!forget && entry->why == BACKOFF_STILL_EXITING)
		forget = seen->footprint > add_u64(entry->failed.footprint, GROWN_BYTES);
	if (forget) {
		*entry = (struct backoff_entry){ 0 };
		return;
	}
	entry->changed = entry->why == BACKOFF_UNKILLABLE &&
			 (state_class(seen->state) != state_class(entry->failed.state) ||
			  seen->frozen != entry->failed.frozen);
}

/* By what is known of both: forked from one another, of one parent, or in one session. */
static bool is_relative(const struct backoff_kind *kind, const struct backoff_subject *subject)
{
	if (kind->code_pages == 0 || kind->code_pages != subject->code_pages ||
	    kind->uid != subject->uid)
		return false;
	return subject->pid == kind->ppid || subject->ppid == kind->pid ||
	       (kind->ppid > 1 && subject->ppid == kind->ppid) ||
	       (kind->session != 0 && subject->session == kind->session);
}

static bool is_of_kind(const struct backoff_kind *kind, const struct backoff_subject *subject)
{
	if (is_relative(kind, subject))
		return false;
	if (strcmp(kind->cgroup, "/") != 0 && strcmp(kind->cgroup, subject->cgroup) == 0)
		return true;
	return kind->uid == subject->uid && strcmp(kind->comm, subject->comm) == 0 &&
	       subject->start_ticks >= kind->born_from && subject->start_ticks <= kind->born_to;
}

void backoff_add_kind(struct backoff *p, const struct backoff_subject *subject, uint64_t born_from,
		      uint64_t born_to, usec_t now)
{
	struct backoff_kind *kind = &p->kinds[0];

	for (unsigned i = 0; i < BACKOFF_SIMILAR_MAX; i++) {
		struct backoff_kind *other = &p->kinds[i];

		if (other->until != 0 && is_of_kind(other, subject)) {
			kind = other;
			break;
		}
		if (other->until < kind->until) /* 0 is a free place */
			kind = other;
	}
	kind->until = now + BACKOFF_SIMILAR_USEC;
	kind->uid = subject->uid;
	kind->born_from = born_from;
	kind->born_to = born_to;
	kind->pid = subject->pid;
	kind->ppid = subject->ppid;
	kind->session = subject->session;
	kind->code_pages = subject->shares_memory || subject->maps_shmem ? subject->code_pages : 0;
	snprintf(kind->comm, sizeof(kind->comm), "%s", subject->comm);
	snprintf(kind->cgroup, sizeof(kind->cgroup), "%s",
		 subject->shares_memory ? "/" : subject->cgroup);
}

void backoff_note_heirs(struct backoff *p, const struct backoff_subject *killed,
			bool forks_siblings, uint64_t born_from, uint64_t born_to, usec_t now)
{
	p->heirs = (struct backoff_heirs){
		.until = killed->code_pages != 0 ? now + BACKOFF_SIMILAR_USEC : 0,
		.born_from = born_from,
		.born_to = born_to,
		.uid = killed->uid,
		.session = killed->session,
		.ppid = forks_siblings ? killed->ppid : 0,
		.code_pages = killed->code_pages,
		.mapped = killed->mapped,
		.stack_start = killed->stack_start,
	};
}

/* It maps nearly all that the killed one did, as no process does that has just started. */
static bool has_its_memory(const struct backoff_heirs *heirs, const struct backoff_subject *subject)
{
	return heirs->mapped != 0 && subject->mapped >= heirs->mapped / 4 * HEIR_QUARTERS;
}

/* One that has left the session is an orphan by now, whose parent may be any reaper.  Nor does the
 * parent tell of one that is large: clone(2) CLONE_PARENT makes a child of it. */
static bool is_at_its_place(const struct backoff_heirs *heirs,
			    const struct backoff_subject *subject)
{
	return (subject->session == heirs->session || subject->ppid <= 1) &&
	       (heirs->ppid == 0 || subject->ppid != heirs->ppid);
}

bool backoff_is_heir(const struct backoff *p, const struct backoff_subject *subject, usec_t now)
{
	const struct backoff_heirs *heirs = &p->heirs;

	return now < heirs->until && subject->code_pages == heirs->code_pages &&
	       subject->uid == heirs->uid &&
	       (is_at_its_place(heirs, subject) || has_its_memory(heirs, subject)) &&
	       (subject->stack_start == 0 || subject->stack_start == heirs->stack_start) &&
	       subject->start_ticks >= heirs->born_from && subject->start_ticks <= heirs->born_to;
}

unsigned backoff_kinds(const struct backoff *p, const struct backoff_subject *subject, usec_t now)
{
	unsigned kinds = 0;

	if (backoff_is_heir(p, subject, now))
		return 0;
	for (unsigned i = 0; i < BACKOFF_SIMILAR_MAX; i++)
		if (now < p->kinds[i].until && is_of_kind(&p->kinds[i], subject))
			kinds |= 1U << i;
	return kinds;
}

void backoff_spend(struct backoff *p, unsigned kinds)
{
	for (unsigned i = 0; i < BACKOFF_SIMILAR_MAX; i++)
		if (kinds & 1U << i)
			p->kinds[i].until = 0;
}

enum backoff_verdict backoff_judge(const struct backoff *p, const struct backoff_subject *subject,
				   usec_t now)
{
	for (unsigned i = 0; i < BACKOFF_MAX; i++) {
		const struct backoff_entry *entry = &p->entries[i];

		if (!is_it(entry, subject->pid, subject->start_ticks))
			continue;
		if (entry->why == BACKOFF_STILL_EXITING || now < over_at(entry))
			return BACKOFF_SKIP;
		if (entry->turn == p->turn)
			return BACKOFF_CONSECUTIVE;
	}
	return backoff_kinds(p, subject, now) ? BACKOFF_SIMILAR : BACKOFF_NONE;
}

bool backoff_is_ineffective(uint64_t expected, uint64_t freed)
{
	return expected >= BACKOFF_INEFFECTIVE_MIN && freed < expected / BACKOFF_INEFFECTIVE_SHARE;
}
