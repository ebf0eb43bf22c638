/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: the record, its table of fields, and the last of them.  Filled by the daemon's
 * recorder.c; its text is made in history-json.c and kept by history-file.c.
 */
#include "lib/history/history.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/format.h"
#include "lib/history/event.h"

/* clang-format off */
#define FIELD(of, member, letter, bus, field, is_private)                                  \
	{ .name = #member, .bus_name = bus, .journal = field, .type = HISTORY_##letter,    \
	  .identifies = is_private, .offset = offsetof(of, member),                        \
	  .size = sizeof(((of *)NULL)->member) }
#define ENTRY(member, letter, bus, journal) \
	FIELD(struct history_entry, member, letter, bus, journal, false)
#define PRIVATE(member, letter, bus, journal) \
	FIELD(struct history_entry, member, letter, bus, journal, true)
#define JOURNAL(member, letter, journal) FIELD(struct event, member, letter, NULL, journal, true)
#define RANKED(member, letter, bus) FIELD(struct history_ranked, member, letter, bus, NULL, true)

/* The last of them are in the journal only: of struct event, not of the entry. */
#define N_JOURNAL 4

const struct history_field history_fields[] = {
	/* column			type	D-Bus				journal */
	ENTRY(id,			U64,	"Id",				NULL),
	ENTRY(time_usec,		U64,	"TimeUsec",			NULL),
	ENTRY(boot,			TEXT,	"Boot",				NULL),
	ENTRY(kind,			TEXT,	"Kind",				NULL),
	ENTRY(policy,			TEXT,	"Policy",			"RECKOND_POLICY"),
	ENTRY(action,			TEXT,	"Action",			"RECKOND_ACTION"),
	ENTRY(target,			TEXT,	"Target",			"RECKOND_TARGET"),
	ENTRY(rank_by,			TEXT,	"RankBy",			NULL),
	ENTRY(dry_run,			BOOL,	"DryRun",			"RECKOND_DRY_RUN"),
	PRIVATE(pid,			U32,	"Pid",				"RECKOND_VICTIM_PID"),
	PRIVATE(uid,			U32,	"Uid",				"RECKOND_VICTIM_UID"),
	PRIVATE(comm,			TEXT,	"Comm",				"RECKOND_VICTIM_COMM"),
	PRIVATE(cgroup,			TEXT,	"Cgroup",			NULL),
	ENTRY(oom_score_adj,		I32,	"OomScoreAdj",			NULL),
	ENTRY(weight,			DOUBLE,	"Weight",			NULL),
	ENTRY(footprint_bytes,		U64,	"FootprintBytes",		"RECKOND_VICTIM_FOOTPRINT"),
	ENTRY(would_free_bytes,		U64,	"WouldFreeBytes",		NULL),
	ENTRY(alone_bytes,		U64,	"AloneBytes",			NULL),
	ENTRY(anonymous_bytes,		U64,	"AnonymousBytes",		NULL),
	ENTRY(swap_bytes,		U64,	"SwapBytes",			NULL),
	ENTRY(score_min_bytes,		U64,	"ScoreMinBytes",		NULL),
	ENTRY(score_max_bytes,		U64,	"ScoreMaxBytes",		NULL),
	ENTRY(candidates,		U32,	"Candidates",			"RECKOND_CANDIDATES"),
	ENTRY(excluded,			TEXT,	"Excluded",			NULL),
	ENTRY(precise_reads,		U32,	"PreciseReads",			"RECKOND_PRECISE_READS"),
	ENTRY(approximate,		BOOL,	"Approximate",			"RECKOND_APPROXIMATE"),
	ENTRY(skipped_for,		TEXT,	"SkippedFor",			NULL),
	PRIVATE(skipped_pid,		U32,	"SkippedPid",			NULL),
	PRIVATE(skipped_comm,		TEXT,	"SkippedComm",			NULL),
	PRIVATE(skipped_cgroup,		TEXT,	"SkippedCgroup",		NULL),
	ENTRY(skipped_footprint_bytes,	U64,	"SkippedFootprintBytes",	NULL),
	ENTRY(skipped_score_bytes,	U64,	"SkippedScoreBytes",		NULL),
	ENTRY(memory_total_bytes,	U64,	"MemoryTotalBytes",		NULL),
	ENTRY(swap_total_bytes,		U64,	"SwapTotalBytes",		NULL),
	ENTRY(available_before_bytes,	U64,	"AvailableBeforeBytes",		"RECKOND_AVAILABLE_BEFORE"),
	ENTRY(swap_free_before_bytes,	U64,	"SwapFreeBeforeBytes",		NULL),
	ENTRY(available_after_bytes,	U64,	"AvailableAfterBytes",		"RECKOND_AVAILABLE_AFTER"),
	ENTRY(swap_free_after_bytes,	U64,	"SwapFreeAfterBytes",		NULL),
	ENTRY(pressure_some_permyriad,	U32,	"PressureSomePermyriad",	NULL),
	ENTRY(pressure_full_permyriad,	U32,	"PressureFullPermyriad",	NULL),
	ENTRY(reclaimed_100ms_bytes,	U64,	"Reclaimed100msBytes",		NULL),
	ENTRY(reclaimed_500ms_bytes,	U64,	"Reclaimed500msBytes",		NULL),
	ENTRY(reclaimed_2s_bytes,	U64,	"Reclaimed2sBytes",		NULL),
	ENTRY(reclaimed_bytes,		U64,	"ReclaimedBytes",		"RECKOND_RECLAIMED"),
	ENTRY(outcome,			TEXT,	"Outcome",			"RECKOND_OUTCOME"),
	ENTRY(ineffective,		BOOL,	"Ineffective",			"RECKOND_INEFFECTIVE"),
	ENTRY(signal,			TEXT,	"Signal",			"RECKOND_SIGNAL"),
	ENTRY(escalated,		BOOL,	"Escalated",			NULL),
	ENTRY(choose_usec,		U64,	"ChooseUsec",			"RECKOND_CHOOSE_USEC"),
	ENTRY(open_usec,		U64,	"OpenUsec",			NULL),
	ENTRY(boost_usec,		U64,	"BoostUsec",			NULL),
	ENTRY(signal_usec,		U64,	"SignalUsec",			"RECKOND_SIGNAL_USEC"),
	ENTRY(escalated_usec,		U64,	"EscalatedUsec",		NULL),
	ENTRY(thaw_usec,		U64,	"ThawUsec",			NULL),
	ENTRY(reap_usec,		U64,	"ReapUsec",			NULL),
	ENTRY(exited_usec,		U64,	"ExitedUsec",			NULL),
	ENTRY(thawed_levels,		U32,	"ThawedLevels",			NULL),
	ENTRY(refrozen,			I32,	"Refrozen",			NULL),
	ENTRY(sharers,			U32,	"Sharers",			"RECKOND_SHARERS"),
	ENTRY(error,			TEXT,	"Error",			NULL),

	JOURNAL(start_ticks,		U64,	"RECKOND_VICTIM_START"),
	JOURNAL(victim_cgroup,		TEXT,	"RECKOND_VICTIM_CGROUP"),
	JOURNAL(target_cgroup,		TEXT,	"RECKOND_TARGET_CGROUP"),
	JOURNAL(processes,		U32,	"RECKOND_PROCESSES"),
};
const size_t n_history_fields = ARRAY_SIZE(history_fields) - N_JOURNAL;
const size_t n_event_fields = ARRAY_SIZE(history_fields);

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

void history_anonymize(struct history_entry *entry)
{
	for (size_t i = 0; i < n_history_fields; i++)
		if (history_fields[i].identifies)
			forget(&history_fields[i], entry);
	entry->n_ranked = 0;
}

void event_init(struct event *event)
{
	memset(event, 0, sizeof(*event));
	history_entry_init(&event->entry);
	for (size_t i = n_history_fields; i < n_event_fields; i++)
		forget(&history_fields[i], event);
}

const char *event_text(const struct history_field *field, const struct event *event,
		       char buf[static EVENT_TEXT_SIZE])
{
	const void *value = history_value(field, event);

	switch (field->type) {
	case HISTORY_BOOL:
		return *(const bool *)value ? "yes" : "no";
	case HISTORY_DOUBLE:
		snprintf(buf, EVENT_TEXT_SIZE, "%.7g", *(const double *)value);
		break;
	case HISTORY_I32:
		snprintf(buf, EVENT_TEXT_SIZE, "%" PRId32, *(const int32_t *)value);
		break;
	case HISTORY_TEXT:
		return value;
	case HISTORY_U32:
		snprintf(buf, EVENT_TEXT_SIZE, "%" PRIu32, *(const uint32_t *)value);
		break;
	case HISTORY_U64:
		snprintf(buf, EVENT_TEXT_SIZE, "%" PRIu64, *(const uint64_t *)value);
		break;
	}
	return buf;
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
