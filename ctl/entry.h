/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * entry: one entry of the history in words, from the object that reckonctl(1) describes.
 */
#pragma once

#include <jansson.h>

#include "ctl/screen.h"
#include "lib/base/format.h"
#include "lib/base/util.h"

/* "2 h 12 min", or "" for one that is dated after now (CLOCK_REALTIME): the clock was set back. */
const char *entry_age(const json_t *entry, usec_t now, char buf[static FORMAT_DURATION_SIZE]);

/* "2025-11-21 10:04:00", in local time. */
#define ENTRY_DATE_SIZE 64
const char *entry_date(const json_t *entry, char buf[static ENTRY_DATE_SIZE]);

/* "chromium (pid 812)"; "-" where there was no victim. */
#define ENTRY_NAME_SIZE 256
const char *entry_name(const struct screen *screen, const json_t *entry,
		       char buf[static ENTRY_NAME_SIZE]);

/* "exited after 43 ms", "dry run". */
#define ENTRY_OUTCOME_SIZE 128
const char *entry_outcome(const json_t *entry, char buf[static ENTRY_OUTCOME_SIZE]);

/* In one sentence, without its time. */
void entry_sentence(const struct screen *screen, const json_t *entry, struct screen_text *text);

/* With all that is known of it. */
void entry_print(const struct screen *screen, const json_t *entry, usec_t now);
