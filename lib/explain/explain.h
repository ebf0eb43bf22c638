/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain: a preview in words and as JSON: which process would be killed now and why, or why this
 * one would, or would not.  One implementation for reckonctl and for the bus.
 *
 * Text is safe to print anywhere (format_foreign).  Reads the census of the preview, and like the
 * preview is valid until that changes.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/explain/preview.h"

/* The explanation of one process. */
struct explanation {
	const struct census_process *process; /* borrowed from the census */
	enum eligibility exclusion;
	struct victim_candidate candidate;
	size_t rank;	/* from 1; 0: no candidate */
	bool is_victim; /* it is the first, or killed with that */
	char text[512]; /* why, or why not */
};

/*
 * Which would not be killed, and holds more than the victim, or has a higher score but is skipped
 * for it: the largest first, none is read for this; no rank.  Where cgroups are ranked, cgroups
 * too, as candidate.cgroup.  Of more than so many the largest; the one that is skipped and has the
 * highest score is among them.  Returns how many; 0 where there is no victim.
 */
#define EXPLAIN_SURVIVORS_MAX 8
size_t explain_survivors(const struct preview *preview,
			 struct explanation ret[static EXPLAIN_SURVIVORS_MAX]);

/* By a rule, built in or not. */
static inline bool explain_is_protected(enum eligibility e)
{
	return e == ELIGIBILITY_PROTECTED || e == ELIGIBILITY_PROTECTED_BUILTIN;
}

/* 0, or PROC_GONE: it is not there, or no longer. */
int explain_process(struct preview *preview, pid_t pid, struct explanation *ret);

/* The answer in one sentence; returns buf. */
#define EXPLAIN_ANSWER_SIZE 1024
const char *explain_answer_machine(const struct preview *preview,
				   char buf[static EXPLAIN_ANSWER_SIZE]);
const char *explain_answer_process(const struct preview *preview, const struct explanation *e,
				   char buf[static EXPLAIN_ANSWER_SIZE]);

/* Why it is skipped though its score is higher: "similar", "failed", or NULL. */
const char *explain_skipped(const struct preview *preview, const struct explanation *e);

/* Why memory->kept of its memory is not freed when it is killed; NULL: all is, or it is not
 * known. */
const char *explain_kept(const struct proc_memory *memory);

/* "protected", "kernel_thread"; NULL for a candidate. */
const char *explain_excluded(const struct explanation *e);

/* explain-json.c: as objects; NULL: no memory.  Of the protected ones so many, in no order. */
#define EXPLAIN_PROTECTED_MAX 256
json_t *explain_json_machine(const struct preview *preview);
json_t *explain_json_process(const struct preview *preview, const struct explanation *e);
