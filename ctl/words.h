/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * words: pieces of sentences from the objects that reckonctl(1) describes, harmless for the screen.
 *
 * The objects may come from a daemon of another version: what is missing or null counts as nothing.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/screen.h"
#include "lib/base/format.h"

/* A member: "" or 0 or false where there is none. */
const char *words_text(const json_t *object, const char *key);
uint64_t words_number(const json_t *object, const char *key);
double words_real(const json_t *object, const char *key);
bool words_bool(const json_t *object, const char *key);
/* There is one, and it is not null. */
bool words_has(const json_t *object, const char *key);

/* "s", or "" for 1. */
const char *words_plural(uint64_t n);

/* "chromium (pid 812, user alice)"; of a cgroup "cgroup /user.slice", or, where that is ranked,
 * "cgroup /user.slice (3 processes)". */
#define WORDS_NAME_SIZE 256
const char *words_process(const struct screen *screen, const json_t *process,
			  char buf[static WORDS_NAME_SIZE]);
/* Of the files that the daemon has read, the one that was named (--config), or "": it has read the
 * usual ones. */
const char *words_named_file(const struct screen *screen, const json_t *files,
			     char buf[static WORDS_NAME_SIZE]);
/* "chromium", or "(no name)". */
#define WORDS_COMMAND_SIZE 64
const char *words_command(const struct screen *screen, const char *command,
			  char buf[static WORDS_COMMAND_SIZE]);
/* "1.4 GiB", with both ends where the value may be between them. */
const char *words_size(const json_t *process, char buf[static FORMAT_INTERVAL_SIZE]);

/* "62.3% of 7.6 GiB available, swap 90.4% free; PSI full 0.0% of the last 10 s" */
void words_memory(const json_t *memory, struct screen_text *text);

/* "init, 212 kernel threads, 4 protected"; not those that may not be read. */
void words_excluded(const json_t *excluded, struct screen_text *text);

/* Where the answer is from, by its "source"; why: it is not the daemon's. */
void words_say_source(const struct screen *screen, const json_t *answer, const char *why);
