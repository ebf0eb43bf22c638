/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * survey: where_survey() on a thread of its own, which nothing waits for.  Allocates nothing after
 * survey_new().  For one caller at a time.
 */
#pragma once

#include <stdbool.h>

#include "lib/domain/where.h"

struct survey;

/* proc_fd is duplicated inside; name: of its thread, 15 bytes at most. */
int survey_new(int proc_fd, const char *name, struct survey **ret);
/* Does not wait for a survey that hangs: the thread then frees the rest. */
struct survey *survey_free(struct survey *survey);

/* Begins one; false: the last one is not over, or not collected.  least_untouched: see where.h. */
bool survey_ask(struct survey *survey, uint64_t least_untouched);
/* What the thread has used for it so far. */
usec_t survey_cpu_time(struct survey *survey);
/* true, once, when it is over. */
bool survey_collect(struct survey *survey, struct where_survey *ret);
