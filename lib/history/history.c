/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: the record, its table of fields, and the last of them.  Filled by the daemon's
 * recorder.c; its text is made in history-json.c and kept by history-file.c.
 */
#include "lib/history/history.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/format.h"

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
	ENTRY(would_free_bytes,		U64,	"WouldFreeBytes"),
	ENTRY(alone_bytes,		U64,	"AloneBytes"),
	ENTRY(anonymous_bytes,		U64,	"AnonymousBytes"),
	ENTRY(swap_bytes,		U64,	"SwapBytes"),
	ENTRY(score_min_bytes,		U64,	"ScoreMinBytes"),
	ENTRY(score_max_bytes,		U64,	"ScoreMaxBytes"),
	ENTRY(candidates,		U32,	"Candidates"),
	ENTRY(excluded,			TEXT,	"Excluded"),
	ENTRY(precise_reads,		U32,	"PreciseReads"),
	ENTRY(approximate,		BOOL,	"Approximate"),
	ENTRY(skipped_for,		TEXT,	"SkippedFor"),
	ENTRY(skipped_pid,		U32,	"SkippedPid"),
	ENTRY(skipped_comm,		TEXT,	"SkippedComm"),
	ENTRY(skipped_cgroup,		TEXT,	"SkippedCgroup"),
	ENTRY(skipped_footprint_bytes,	U64,	"SkippedFootprintBytes"),
	ENTRY(skipped_score_bytes,	U64,	"SkippedScoreBytes"),
	ENTRY(memory_total_bytes,	U64,	"MemoryTotalBytes"),
	ENTRY(swap_total_bytes,		U64,	"SwapTotalBytes"),
	ENTRY(available_before_bytes,	U64,	"AvailableBeforeBytes"),
	ENTRY(swap_free_before_bytes,	U64,	"SwapFreeBeforeBytes"),
	ENTRY(available_after_bytes,	U64,	"AvailableAfterBytes"),
	ENTRY(swap_free_after_bytes,	U64,	"SwapFreeAfterBytes"),
	ENTRY(pressure_some_permyriad,	U32,	"PressureSomePermyriad"),
	ENTRY(pressure_full_permyriad,	U32,	"PressureFullPermyriad"),
	ENTRY(reclaimed_100ms_bytes,	U64,	"Reclaimed100msBytes"),
	ENTRY(reclaimed_500ms_bytes,	U64,	"Reclaimed500msBytes"),
	ENTRY(reclaimed_2s_bytes,	U64,	"Reclaimed2sBytes"),
	ENTRY(reclaimed_bytes,		U64,	"ReclaimedBytes"),
	ENTRY(outcome,			TEXT,	"Outcome"),
	ENTRY(ineffective,		BOOL,	"Ineffective"),
	ENTRY(signal,			TEXT,	"Signal"),
	ENTRY(escalated,		BOOL,	"Escalated"),
	ENTRY(choose_usec,		U64,	"ChooseUsec"),
	ENTRY(open_usec,		U64,	"OpenUsec"),
	ENTRY(boost_usec,		U64,	"BoostUsec"),
	ENTRY(signal_usec,		U64,	"SignalUsec"),
	ENTRY(escalated_usec,		U64,	"EscalatedUsec"),
	ENTRY(thaw_usec,		U64,	"ThawUsec"),
	ENTRY(reap_usec,		U64,	"ReapUsec"),
	ENTRY(exited_usec,		U64,	"ExitedUsec"),
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
	RANKED(killed_with,		BOOL,	"KilledWith"),
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

/*
 * A record is some 3 KiB, most of it unused room for text, and the daemon is to be small.  So they
 * are kept packed, one behind the other, the oldest first: each field of the tables in turn, of
 * text no more than there is; then how many ranked there are, and these likewise.
 */
struct history {
	unsigned n;
	uint64_t last_id;
	uint64_t generation;
	struct {
		uint64_t id;
		size_t size;
	} packed[HISTORY_MAX];
	struct history_entry *unpacked; /* for history_get() */
	size_t used;
	char bytes[HISTORY_MAX * sizeof(struct history_entry)];
};

/* No more than the record itself: no field is longer there, and the padding is not in it. */
static char *pack_fields(char *to, const struct history_field *fields, size_t n_fields,
			 const void *record)
{
	for (size_t i = 0; i < n_fields; i++) {
		const void *value = history_value(&fields[i], record);
		bool is_text = fields[i].type == HISTORY_TEXT;
		size_t size = is_text ? strnlen(value, fields[i].size - 1) : fields[i].size;

		memcpy(to, value, size);
		to += size;
		if (is_text)
			*to++ = '\0';
	}
	return to;
}

static size_t pack(char *to, const struct history_entry *entry)
{
	char *end = pack_fields(to, history_fields, n_history_fields, entry);

	memcpy(end, &entry->n_ranked, sizeof(entry->n_ranked));
	end += sizeof(entry->n_ranked);
	for (uint32_t i = 0; i < entry->n_ranked && i < HISTORY_RANKED_MAX; i++)
		end = pack_fields(end, history_ranked_fields, n_history_ranked_fields,
				  &entry->ranked[i]);
	return (size_t)(end - to);
}

static const char *unpack_fields(const char *from, const struct history_field *fields,
				 size_t n_fields, void *record)
{
	for (size_t i = 0; i < n_fields; i++) {
		size_t size = fields[i].size;

		if (fields[i].type == HISTORY_TEXT)
			size = strlen(from) + 1;
		memcpy((char *)record + fields[i].offset, from, size);
		from += size;
	}
	return from;
}

static void unpack(const char *from, struct history_entry *ret)
{
	history_entry_init(ret);
	from = unpack_fields(from, history_fields, n_history_fields, ret);
	memcpy(&ret->n_ranked, from, sizeof(ret->n_ranked));
	from += sizeof(ret->n_ranked);
	for (uint32_t i = 0; i < ret->n_ranked && i < HISTORY_RANKED_MAX; i++)
		from = unpack_fields(from, history_ranked_fields, n_history_ranked_fields,
				     &ret->ranked[i]);
}

/* (So large that its pages are the machine's until they are used.) */
int history_new(struct history **ret)
{
	struct history *history = calloc(1, sizeof(*history));

	if (!history)
		return -ENOMEM;
	history->unpacked = calloc(1, sizeof(*history->unpacked));
	if (!history->unpacked) {
		free(history);
		return -ENOMEM;
	}
	*ret = history;
	return 0;
}

struct history *history_free(struct history *history)
{
	if (history)
		free(history->unpacked);
	free(history);
	return NULL;
}

void history_clear(struct history *history)
{
	history->n = 0;
	history->used = 0;
	history->last_id = 0;
	history->generation++;
}

/* Where the packed record is; `at` counts from the oldest. */
static size_t place_of(const struct history *history, unsigned at)
{
	size_t place = 0;

	for (unsigned i = 0; i < at; i++)
		place += history->packed[i].size;
	return place;
}

/* Resizes the room for the record at this place. */
static void resize(struct history *history, unsigned at, size_t size)
{
	size_t place = place_of(history, at), old = history->packed[at].size;

	memmove(history->bytes + place + size, history->bytes + place + old,
		history->used - place - old);
	history->used = history->used - old + size;
	history->packed[at].size = size;
}

static void drop_oldest(struct history *history)
{
	resize(history, 0, 0);
	history->n--;
	memmove(history->packed, history->packed + 1, history->n * sizeof(history->packed[0]));
}

/* HISTORY_MAX: there is none. */
static unsigned find(const struct history *history, uint64_t id)
{
	for (unsigned i = 0; i < history->n; i++)
		if (history->packed[i].id == id)
			return i;
	return HISTORY_MAX;
}

void history_put(struct history *history, struct history_entry *entry)
{
	char bytes[sizeof(struct history_entry)];
	unsigned at = HISTORY_MAX;
	size_t size;

	if (entry->id == 0)
		entry->id = history->last_id + 1;
	else
		at = find(history, entry->id);
	if (at == HISTORY_MAX && entry->id <= history->last_id)
		return; /* it was dropped for newer ones */
	if (at == HISTORY_MAX) {
		if (history->n == HISTORY_MAX)
			drop_oldest(history);
		at = history->n++;
		history->packed[at].id = entry->id;
		history->packed[at].size = 0;
	}
	size = pack(bytes, entry);
	resize(history, at, size);
	memcpy(history->bytes + place_of(history, at), bytes, size);
	history->last_id = max_u64(history->last_id, entry->id);
	history->generation++;
}

unsigned history_count(const struct history *history)
{
	return history->n;
}

const struct history_entry *history_get(const struct history *history, unsigned i)
{
	if (i >= history->n)
		return NULL;
	unpack(history->bytes + place_of(history, history->n - 1 - i), history->unpacked);
	return history->unpacked;
}

unsigned history_copy(const struct history *history, struct history_entry ret[static HISTORY_MAX])
{
	const char *bytes = history->bytes;

	for (unsigned i = 0; i < history->n; i++) {
		unpack(bytes, &ret[i]);
		bytes += history->packed[i].size;
	}
	return history->n;
}

uint64_t history_generation(const struct history *history)
{
	return history->generation;
}
