/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fold: compares entries, and sums those that follow each other. */
#include "ctl/fold.h"

#include <stdio.h>
#include <string.h>

#include "ctl/words.h"

/* Of one that was killed, and in which part of the path its unit is; 0: there is none. */
static size_t unit_of(const json_t *entry, struct cgroup_unit *ret)
{
	ret->length = 0;
	if (strcmp(words_text(entry, "kind"), "killed") == 0)
		cgroup_unit_find(words_text(entry, "cgroup"), ret);
	return ret->length;
}

static bool is_same_unit(const json_t *a, const json_t *b)
{
	struct cgroup_unit unit_a, unit_b;
	size_t length = unit_of(a, &unit_a);

	return length > 0 && unit_of(b, &unit_b) == length &&
	       memcmp(words_text(a, "cgroup"), words_text(b, "cgroup"), length) == 0;
}

void fold_find(const json_t *entries, size_t at, struct fold *ret)
{
	const json_t *first = json_array_get(entries, at), *last = first, *entry;
	struct cgroup_unit unit;

	*ret = (struct fold){ .n = 1 };
	if (unit_of(first, &unit) == 0)
		return;
	while ((entry = json_array_get(entries, at + ret->n)) && is_same_unit(first, entry) &&
	       sub_u64(words_number(last, "time_usec"), words_number(entry, "time_usec")) <=
		       FOLD_GAP_USEC) {
		last = entry;
		ret->n++;
	}
	strcpy(ret->unit, unit.user[0] ? unit.user : unit.system);
	ret->span = sub_u64(words_number(first, "time_usec"), words_number(last, "time_usec"));
}

const char *fold_text(const struct fold *fold, char buf[static FOLD_TEXT_SIZE])
{
	char duration[FORMAT_DURATION_SIZE];

	snprintf(buf, FOLD_TEXT_SIZE, "%s: killed %zu times in %s", fold->unit, fold->n,
		 format_duration(fold->span, duration));
	return buf;
}
