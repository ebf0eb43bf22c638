/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: decisions and their results: one record for each decision, the last HISTORY_MAX of them
 * kept, and the same as JSON.
 *
 * A record is of fixed size and holds no pointers, so it can be filled while nothing may be
 * allocated.  history_fields names each member once, with its type and place, its name in JSON and
 * on the bus, and its field in the journal: all of these and reckonctl use that table, and no list
 * of members is kept anywhere else.  What is not known says so (history_is_known()) and is left out
 * wherever the record is shown.
 *
 * All text is valid UTF-8, whatever a process had set as its name: history_set_text().  Memory in
 * bytes, durations in microseconds from the decision, shares in permyriad.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/util.h"

struct json_t; /* jansson.h */

#define HISTORY_MAX	   100
#define HISTORY_RANKED_MAX 8
/* A file or a text of it is never longer; of what would be, the oldest entries are left out. */
#define HISTORY_TEXT_MAX (1 * MIB)

/* Not known, by type; of text: "".  What is a bool is always known. */
#define HISTORY_UNKNOWN_U64    UINT64_MAX
#define HISTORY_UNKNOWN_U32    UINT32_MAX
#define HISTORY_UNKNOWN_I32    INT32_MIN
#define HISTORY_UNKNOWN_DOUBLE (-1.0) /* no weight is negative */

/* One of those that were compared. */
struct history_ranked {
	uint64_t score_min_bytes; /* weighted */
	uint64_t score_max_bytes;
	uint64_t footprint_bytes;
	uint32_t pid;
	bool precise;
	bool killed_with; /* with the victim: in its group, or it shares its memory */
	char comm[24];
	char cgroup[160];
	char verdict[16]; /* "chosen", "smaller", "undecided" */
};

struct history_entry {
	uint64_t id;	    /* counts up from 1, over restarts too */
	uint64_t time_usec; /* CLOCK_REALTIME of the decision */
	char boot[33];	    /* the boot's id, 32 hexadecimal digits */
	/* "killed": it was signalled; "not-killed": it could not be, or is not to be; "dry-run";
	 * "cancelled"; "no-victim"; "cgroup-limit" */
	char kind[16];

	char policy[64];
	char action[16]; /* "terminate", "kill" */
	char target[16]; /* "process", "cgroup" */
	char rank_by[16];
	bool dry_run;

	/* The victim, as it was at the choice. */
	uint32_t pid;
	uint32_t uid;
	char comm[24];
	char cgroup[304];
	int32_t oom_score_adj;
	double weight;
	uint64_t footprint_bytes;  /* the same as would_free_bytes */
	uint64_t would_free_bytes; /* by its death, as far as was known */
	uint64_t alone_bytes; /* of that for certain, if its relatives live on; if read precisely */
	uint64_t anonymous_bytes;
	uint64_t swap_bytes;
	uint64_t score_min_bytes;
	uint64_t score_max_bytes;

	uint32_t candidates;
	char excluded[160]; /* where no process could be chosen: how many, and why, in words */
	uint32_t precise_reads;
	bool approximate;

	/* The process that had a higher score than the victim and was skipped: the reason is
	 * "similar" (killing a similar one was ineffective) or "failed" (the last attempt to kill
	 * it).  Of a cgroup: the largest in it. */
	char skipped_for[8];
	uint32_t skipped_pid;
	char skipped_comm[24];
	char skipped_cgroup[144];
	uint64_t skipped_footprint_bytes;
	uint64_t skipped_score_bytes;

	/* The machine: at the decision, and at the end of the record. */
	uint64_t memory_total_bytes;
	uint64_t swap_total_bytes;
	uint64_t available_before_bytes;
	uint64_t swap_free_before_bytes;
	uint64_t available_after_bytes;
	uint64_t swap_free_after_bytes;
	uint32_t pressure_some_permyriad; /* over the policy's time */
	uint32_t pressure_full_permyriad;

	/* What was reclaimed so long after the last signal, and at the end of the record. */
	uint64_t reclaimed_100ms_bytes;
	uint64_t reclaimed_500ms_bytes;
	uint64_t reclaimed_2s_bytes;
	uint64_t reclaimed_bytes;

	char outcome[16]; /* "in-progress", "exited", "reclaimed", "unkillable",
			   * "cancelled" */
	bool ineffective; /* much was expected, little was reclaimed */
	char signal[16];  /* the last one sent: "SIGTERM", "SIGKILL" */
	bool escalated;

	/* From the decision to the end of each step, when it was first taken. */
	uint64_t choose_usec;
	uint64_t open_usec;
	uint64_t boost_usec;
	uint64_t signal_usec;
	uint64_t escalated_usec; /* SIGKILL, after SIGTERM */
	uint64_t thaw_usec;
	uint64_t reap_usec; /* queued */
	uint64_t exited_usec;

	uint32_t thawed_levels;
	int32_t refrozen; /* levels, or -errno */
	uint32_t sharers; /* other processes that shared its memory and were killed with it */
	char error[56];	  /* of opening or signalling */

	uint32_t n_ranked;
	struct history_ranked ranked[HISTORY_RANKED_MAX]; /* best first */
};

/* It is on the stack in places. */
_Static_assert(sizeof(struct history_entry) <= 3072, "a record is at most 3 KiB");

/* Each value is the D-Bus type's letter. */
enum history_type {
	HISTORY_BOOL = 'b',   /* bool */
	HISTORY_DOUBLE = 'd', /* double */
	HISTORY_I32 = 'i',    /* int32_t */
	HISTORY_TEXT = 's',   /* char[size] */
	HISTORY_U32 = 'u',    /* uint32_t */
	HISTORY_U64 = 't',    /* uint64_t */
};

struct history_field {
	const char *name;     /* the member's, and in JSON: "footprint_bytes" */
	const char *bus_name; /* "FootprintBytes" */
	const char *journal;  /* "RECKOND_VICTIM_FOOTPRINT"; NULL: not in the journal */
	enum history_type type;
	bool identifies; /* a process or its cgroup: not for every client of the bus */
	size_t offset; /* in struct event, whose beginning is the entry, or struct history_ranked */
	size_t size;
};

/* All members but `ranked` ("Ranked", aa{sv}, on the bus), in the order in which they are shown;
 * after the first n_history_fields those of struct event alone (event.h), which are shown in the
 * journal only. */
extern const struct history_field history_fields[];
extern const size_t n_history_fields;
extern const size_t n_event_fields;
extern const struct history_field history_ranked_fields[];
extern const size_t n_history_ranked_fields;

/* Where the field is in the record (a struct history_entry, event or history_ranked, by its table);
 * of the C type that belongs to field->type. */
static inline const void *history_value(const struct history_field *field, const void *record)
{
	return (const char *)record + field->offset;
}
bool history_is_known(const struct history_field *field, const void *record);

/* Nothing is known. */
void history_entry_init(struct history_entry *entry);
void history_ranked_init(struct history_ranked *ranked);
/* Nothing is known any more of what identifies processes. */
void history_anonymize(struct history_entry *entry);

/* Copies with what is not UTF-8 replaced by U+FFFD, and cut by whole characters. */
void history_set_text(char *buf, size_t size, const char *text);
/* A path that is too long keeps its end, which says more, after "...". */
void history_set_path(char *buf, size_t size, const char *path);

/* The last HISTORY_MAX. */
struct history;
int history_new(struct history **ret); /* 0 or -ENOMEM; the only call here that allocates, but for
					* JSON */
struct history *history_free(struct history *history);

void history_clear(struct history *history);

/* Puts a copy of the entry last; or, if it has an id already, in place of what is known
 * under that.  An id of 0 becomes the next one. */
void history_put(struct history *history, struct history_entry *entry);
unsigned history_count(const struct history *history);
/* Copies all of them, oldest first; returns how many. */
unsigned history_copy(const struct history *history, struct history_entry ret[static HISTORY_MAX]);
/* 0 is the newest; NULL beyond the oldest.  Good until the next call of this. */
const struct history_entry *history_get(const struct history *history, unsigned i);
/* Another number after each change. */
uint64_t history_generation(const struct history *history);

/* One entry as an object: a new reference, or NULL: no memory. */
struct json_t *history_entry_to_json(const struct history_entry *entry);

/*
 * The entries, oldest first, as {"version": 1, "entries": [...]} into buf; returns the length
 * (there is no NUL at the end), -ENOMEM, or -ENOBUFS if not even the newest fits.  100 take 5 ms
 * and more: not for the loop.
 */
ssize_t history_encode(const struct history_entry *entries, unsigned n, char *buf, size_t size);

/*
 * Takes the entries of a text into an empty history.  0; -EBADMSG with the reason in error if it is
 * damaged, too long or of another version (it is then empty); -ENOMEM.  Members of entries that are
 * not known here are skipped; those that are missing are not known.
 */
int history_decode(struct history *history, const char *text, size_t length, char *error,
		   size_t error_size);
