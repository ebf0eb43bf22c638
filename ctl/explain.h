/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain: who would go now and why; or why this process would, or would not.
 */
#pragma once

#include "ctl/ctl.h"
#include "lib/victim.h"

struct outlook;

/* reckonctl explain [PID] */
enum ctl_status explain(const struct ctl_options *options, char **arguments, int n_arguments);

/* What is to be said of one process. */
struct explanation {
	const struct census_process *process; /* borrowed from the census */
	enum victim_exclusion exclusion;
	struct victim_candidate candidate;
	size_t rank;	/* from 1; 0: no candidate */
	bool would_go;	/* it is the first */
	char text[512]; /* why, or why not; harmless (format_foreign) */
};

/* The user's name, or the number where there is none; NULL: not known.  Good until the next call
 * and for no thread but one. */
const char *explain_user(uid_t uid);

/* What it calls itself, harmless; "(no name)" if it has none. */
#define EXPLAIN_COMMAND_SIZE 16
const char *explain_command(const struct census_process *process,
			    char buf[static EXPLAIN_COMMAND_SIZE]);

/* "worker (pid 812, user alice)", harmless. */
#define EXPLAIN_NAME_SIZE 128
const char *explain_name(const struct census_process *process, char buf[static EXPLAIN_NAME_SIZE]);

/* explain-text.c: for people, on standard output. */
enum ctl_status explain_text_machine(const struct outlook *outlook);
enum ctl_status explain_text_process(const struct outlook *outlook, const struct explanation *e);

/* explain-json.c: the same as objects; NULL: no memory. */
json_t *explain_json_machine(const struct outlook *outlook);
json_t *explain_json_process(const struct outlook *outlook, const struct explanation *e);
