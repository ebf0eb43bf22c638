/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: the record, its table of fields, and the ring.  Filled by the daemon's account.c; its
 * text is made in history-json.c and kept by history-file.c.
 */
#include "lib/history.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format.h"

/* clang-format off */
#define MEMBER(of, member, letter, bus) \
	{ #member, bus, HISTORY_##letter, offsetof(of, member), sizeof(((of *)NULL)->member) }
#define ENTRY(member, letter, bus)  MEMBER(struct history_entry, member, letter, bus)
#define RANKED(member, letter, bus) MEMBER(struct history_ranked, member, letter, bus)

const struct history_field history_fields[] = {
	ENTRY(id,			U64,	"Id"),
	ENTRY(time_usec,		U64,	"TimeUsec"),
	ENTRY(boot,			TEXT,	"Boot"),
	ENTRY(kind,			TEXT,	"Kind"),
	ENTRY(policy,			TEXT,	"Policy"),
	ENTRY(action,			TEXT,	"Action"),
	ENTRY(target,			TEXT,	"Target"),
	ENTRY(rank_by,			TEXT,	"RankBy"),
	ENTRY(dry_run,			BOOL,	"DryRun"),
	ENTRY(pid,			U32,	"Pid"),
	ENTRY(uid,			U32,	"Uid"),
	ENTRY(comm,			TEXT,	"Comm"),
	ENTRY(cgroup,			TEXT,	"Cgroup"),
	ENTRY(oom_score_adj,		I32,	"OomScoreAdj"),
	ENTRY(weight,			DOUBLE,	"Weight"),
	ENTRY(footprint_bytes,		U64,	"FootprintBytes"),
	ENTRY(anonymous_bytes,		U64,	"AnonymousBytes"),
	ENTRY(swap_bytes,		U64,	"SwapBytes"),
	ENTRY(score_min_bytes,		U64,	"ScoreMinBytes"),
	ENTRY(score_max_bytes,		U64,	"ScoreMaxBytes"),
	ENTRY(candidates,		U32,	"Candidates"),
	ENTRY(precise_reads,		U32,	"PreciseReads"),
	ENTRY(approximate,		BOOL,	"Approximate"),
	ENTRY(memory_total_bytes,	U64,	"MemoryTotalBytes"),
	ENTRY(available_before_bytes,	U64,	"AvailableBeforeBytes"),
	ENTRY(swap_free_before_bytes,	U64,	"SwapFreeBeforeBytes"),
	ENTRY(available_after_bytes,	U64,	"AvailableAfterBytes"),
	ENTRY(swap_free_after_bytes,	U64,	"SwapFreeAfterBytes"),
	ENTRY(pressure_full_permyriad,	U32,	"PressureFullPermyriad"),
	ENTRY(returned_100ms_bytes,	U64,	"Returned100msBytes"),
	ENTRY(returned_500ms_bytes,	U64,	"Returned500msBytes"),
	ENTRY(returned_2s_bytes,	U64,	"Returned2sBytes"),
	ENTRY(returned_bytes,		U64,	"ReturnedBytes"),
	ENTRY(outcome,			TEXT,	"Outcome"),
	ENTRY(useless,			BOOL,	"Useless"),
	ENTRY(signal,			TEXT,	"Signal"),
	ENTRY(escalated,		BOOL,	"Escalated"),
	ENTRY(choose_usec,		U64,	"ChooseUsec"),
	ENTRY(open_usec,		U64,	"OpenUsec"),
	ENTRY(boost_usec,		U64,	"BoostUsec"),
	ENTRY(signal_usec,		U64,	"SignalUsec"),
	ENTRY(thaw_usec,		U64,	"ThawUsec"),
	ENTRY(reap_usec,		U64,	"ReapUsec"),
	ENTRY(ended_usec,		U64,	"EndedUsec"),
	ENTRY(thawed_levels,		U32,	"ThawedLevels"),
	ENTRY(refrozen,			I32,	"Refrozen"),
	ENTRY(sharers,			U32,	"Sharers"),
	ENTRY(error,			TEXT,	"Error"),
};
const size_t n_history_fields = ARRAY_SIZE(history_fields);

const struct history_field history_ranked_fields[] = {
	RANKED(pid,			U32,	"Pid"),
	RANKED(comm,			TEXT,	"Comm"),
	RANKED(cgroup,			TEXT,	"Cgroup"),
	RANKED(score_min_bytes,		U64,	"ScoreMinBytes"),
	RANKED(score_max_bytes,		U64,	"ScoreMaxBytes"),
	RANKED(footprint_bytes,		U64,	"FootprintBytes"),
	RANKED(precise,			BOOL,	"Precise"),
	RANKED(verdict,			TEXT,	"Verdict"),
};
const size_t n_history_ranked_fields = ARRAY_SIZE(history_ranked_fields);
/* clang-format on */

bool history_is_known(const struct history_field *field, const void *record)
{
	const void *value = history_value(field, record);

	switch (field->type) {
	case HISTORY_BOOL:
		return true;
	case HISTORY_DOUBLE:
		return *(const double *)value >= 0 && *(const double *)value <= DBL_MAX;
	case HISTORY_I32:
		return *(const int32_t *)value != HISTORY_UNKNOWN_I32;
	case HISTORY_TEXT:
		return *(const char *)value != '\0';
	case HISTORY_U32:
		return *(const uint32_t *)value != HISTORY_UNKNOWN_U32;
	case HISTORY_U64:
		return *(const uint64_t *)value != HISTORY_UNKNOWN_U64;
	}
	return false;
}

static void forget(const struct history_field *field, void *record)
{
	void *value = (char *)record + field->offset;

	switch (field->type) {
	case HISTORY_DOUBLE:
		*(double *)value = HISTORY_UNKNOWN_DOUBLE;
		break;
	case HISTORY_I32:
		*(int32_t *)value = HISTORY_UNKNOWN_I32;
		break;
	case HISTORY_U32:
		*(uint32_t *)value = HISTORY_UNKNOWN_U32;
		break;
	case HISTORY_U64:
		*(uint64_t *)value = HISTORY_UNKNOWN_U64;
		break;
	case HISTORY_BOOL:
	case HISTORY_TEXT:
		memset(value, 0, field->size);
		break;
	}
}

void history_ranked_init(struct history_ranked *ranked)
{
	memset(ranked, 0, sizeof(*ranked));
	for (size_t i = 0; i < n_history_ranked_fields; i++)
		forget(&history_ranked_fields[i], ranked);
}

void history_entry_init(struct history_entry *entry)
{
	memset(entry, 0, sizeof(*entry)); /* the padding too: records are compared and copied */
	for (size_t i = 0; i < n_history_fields; i++)
		forget(&history_fields[i], entry);
	entry->id = 0;
	for (size_t i = 0; i < HISTORY_RANKED_MAX; i++)
		history_ranked_init(&entry->ranked[i]);
}

void history_set_text(char *buf, size_t size, const char *text)
{
	(void)format_utf8(text, buf, size);
}

void history_set_path(char *buf, size_t size, const char *path)
{
	static const char cut[] = "...";
	size_t length = strlen(path), room = size - sizeof(cut);

	if (length < size) {
		(void)format_utf8(path, buf, size);
		return;
	}
	path += length - room;
	while ((*path & 0xc0) == 0x80) /* not from the middle of a character */
		path++;
	memcpy(buf, cut, sizeof(cut));
	(void)format_utf8(path, buf + sizeof(cut) - 1, size - (sizeof(cut) - 1));
}

struct history {
	unsigned n;
	unsigned next; /* where the next one goes */
	uint64_t last_id;
	uint64_t generation;
	struct history_entry entries[HISTORY_MAX];
};

/* (So large that its pages are the machine's until they are used.) */
int history_new(struct history **ret)
{
	struct history *history = calloc(1, sizeof(*history));

	if (!history)
		return -ENOMEM;
	*ret = history;
	return 0;
}

struct history *history_free(struct history *history)
{
	free(history);
	return NULL;
}

void history_clear(struct history *history)
{
	history->n = history->next = 0;
	history->last_id = 0;
	history->generation++;
}

static struct history_entry *nth(const struct history *history, unsigned i)
{
	unsigned at = (history->next + HISTORY_MAX - 1 - i) % HISTORY_MAX;

	return i < history->n ? (struct history_entry *)&history->entries[at] : NULL;
}

static struct history_entry *find(const struct history *history, uint64_t id)
{
	for (unsigned i = 0; i < history->n; i++)
		if (nth(history, i)->id == id)
			return nth(history, i);
	return NULL;
}

void history_put(struct history *history, struct history_entry *entry)
{
	struct history_entry *place = NULL;

	if (entry->id == 0)
		entry->id = history->last_id + 1;
	else
		place = find(history, entry->id);
	if (!place && entry->id <= history->last_id)
		return; /* it has made room for younger ones */
	if (!place) {
		place = &history->entries[history->next];
		history->next = (history->next + 1) % HISTORY_MAX;
		history->n += history->n < HISTORY_MAX;
	}
	*place = *entry;
	history->last_id = max_u64(history->last_id, entry->id);
	history->generation++;
}

unsigned history_count(const struct history *history)
{
	return history->n;
}

const struct history_entry *history_get(const struct history *history, unsigned i)
{
	return nth(history, i);
}

unsigned history_copy(const struct history *history, struct history_entry ret[static HISTORY_MAX])
{
	for (unsigned i = 0; i < history->n; i++)
		ret[i] = *nth(history, history->n - 1 - i);
	return history->n;
}

uint64_t history_generation(const struct history *history)
{
	return history->generation;
}
