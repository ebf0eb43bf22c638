/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fold: consecutive kills of one unit, as of a service that is restarted and grows again, are one
 * line in text output.  Pure.
 */
#pragma once

#include <jansson.h>

#include "lib/base/format.h"
#include "lib/base/util.h"
#include "lib/sys/cgroup-unit.h"

/* No more than this apart, one from the next. */
#define FOLD_GAP_USEC (10 * 60 * USEC_PER_SEC)

struct fold {
	size_t n; /* entries; 1: nothing to fold */
	char unit[CGROUP_UNIT_NAME_SIZE];
	usec_t span; /* from the oldest to the newest */
};

/* Of the entries, newest first, those from `at` on that are kills of the same unit. */
void fold_find(const json_t *entries, size_t at, struct fold *ret);

/* "mydb.service: killed 4 times in 40 s".  Returns buf. */
#define FOLD_TEXT_SIZE (CGROUP_UNIT_NAME_SIZE + 64)
const char *fold_text(const struct fold *fold, char buf[static FOLD_TEXT_SIZE]);
