/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-loader: what is shared by the files of conf while a configuration is read.  Private to conf.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/config/conf-keys.h"
#include "lib/config/conf.h"

/* A policy or rule that some section was about. */
struct conf_item {
	enum conf_section section;
	size_t index;	  /* in the set's policies or rules */
	const char *file; /* of the last such section; borrowed from the caller of conf_load() */
	unsigned line;
	bool is_new;	 /* not built in */
	bool has_action; /* or may have been meant to have one */
	bool has_errors; /* so whether a condition is missing cannot be told */
	bool is_dropped; /* a policy that is not to be used */
};

struct conf_loader {
	struct policy_set set;
	struct conf_messages *messages;
	bool is_lenient; /* what has errors is used as far as it is safe */
	bool no_memory;
	bool is_full;	/* there is too much of something: the rest is not read, unless lenient */
	unsigned cost;	/* of the values up to now (CONF_COST_MAX) */
	int read_error; /* transient: a file is there, and could not be read for now */

	FILE *stream;
	struct stat opened; /* it, when it was opened */
	size_t n_bytes;	    /* that were read of it */
	int stream_error;   /* the errno of the first byte that could not be */
	const char *file;
	unsigned line;
	char text[CONF_LINE_MAX + 2]; /* the line; one byte more tells that it is too long */
	const char *value;	      /* what the line gives to its key; points into text */

	enum conf_section section;
	bool is_ignoring;		  /* has complained: the rest of this section is not read */
	bool is_lost_daemon;		  /* ... which may have been meant to be [Daemon] */
	struct conf_item *item;		  /* NULL in [Daemon] and in no section; in items */
	unsigned given_at[CONF_KEYS_MAX]; /* by key: the line in this section; 0: not given */

	struct conf_item *items;
	size_t n_items;

	/* The first key of those that restrict what may be killed which could not be read. */
	const struct conf_key *lost_key;
	const char *lost_file;
	unsigned lost_line;
};

/* A message about the current line of the current file.  A policy or rule that is open has errors
 * then. */
__attribute__((format(printf, 2, 3))) void conf_error(struct conf_loader *loader,
						      const char *format, ...);
__attribute__((format(printf, 2, 3))) void conf_warning(struct conf_loader *loader,
							const char *format, ...);

/* NULL: it is not to be read, for a reason that was reported (conf-files.c). */
FILE *conf_open(struct conf_loader *loader, const char *file);
/* Half a file may lack what protects a process: it is written just now, or cut.  An error, if it
 * has not been read as a whole. */
void conf_check_end(struct conf_loader *loader);

/* Of a policy or rule. */
bool conf_is_name(const char *name);
/* A new policy or rule beyond the maximum, which has been reported. */
bool conf_is_one_too_many(struct conf_loader *loader, enum conf_section section, const char *name);
/* The value of the key is beyond what all may cost together, which has been reported. */
bool conf_costs_too_much(struct conf_loader *loader, const struct conf_key *key);

/* Now that all has been read: is each policy and rule that was touched complete?  One that is not
 * has errors. */
void conf_check_items(struct conf_loader *loader);

/* Warns of what is complete, and yet cannot be meant (conf-traps.c); by index in the set. */
void conf_check_policy_traps(struct conf_loader *loader, size_t index);
void conf_check_rule_traps(struct conf_loader *loader, size_t index);

/* The key could not be read; or the line, which perhaps was about one.  Remembered if it restricts
 * what may be killed. */
void conf_lose_key(struct conf_loader *loader, const struct conf_key *key);
void conf_lose_named_key(struct conf_loader *loader, const char *line);

/* Lenient: makes of policies and rules with errors what may be used of them (conf-lenient.c). */
int conf_salvage(struct conf_loader *loader);
