/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmstat: parses /proc/vmstat into sums of counters. */
#include "lib/sys/vmstat.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lib/base/io.h"
#include "lib/base/util.h"

/* 190 lines of some 30 characters in 6.18. */
#define VMSTAT_SIZE 16384

/* A counter is the sum of all whose names begin thus, up to the blank if that is part of it. */
static const struct {
	const char *prefix;
	size_t offset;
} names[] = {
#define NAME(prefix, member)                                                                       \
	{                                                                                          \
		prefix, offsetof(struct vmstat_counters, member)                                   \
	}
	NAME("pgalloc_", allocated),
	NAME("pgfree ", freed),
	NAME("oom_kill ", oom_kills),
	NAME("pgscan_kswapd ", scanned),
	NAME("pgscan_direct ", scanned),
	NAME("pgsteal_kswapd ", stolen),
	NAME("pgsteal_direct ", stolen),
	NAME("allocstall_", stalled),
	NAME("workingset_refault_anon ", refaulted_anon),
	NAME("workingset_refault_file ", refaulted_file),
	NAME("workingset_refault ", refaulted_file), /* before 5.9 */
	NAME("pswpin ", swapped_in),
	NAME("pswpout ", swapped_out),
	NAME("zswpin ", swapped_within),
	NAME("zswpout ", swapped_within),
	NAME("swpin_zero ", swapped_within), /* from 6.13 */
	NAME("swpout_zero ", swapped_within),
#undef NAME
};

static uint64_t number_at(const char *text)
{
	uint64_t value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

/* One line, "NAME NUMBER". */
static void parse_line(const char *line, struct vmstat_counters *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *blank;
		uint64_t *sum;

		if (line[0] != names[i].prefix[0] ||
		    strncmp(line, names[i].prefix, strlen(names[i].prefix)) != 0)
			continue;
		blank = strchr(line, ' ');
		sum = (uint64_t *)((char *)c + names[i].offset);
		*sum += blank ? number_at(blank + 1) : 0;
		return;
	}
}

int vmstat_parse(const char *text, struct vmstat_counters *ret)
{
	struct vmstat_counters counters = { 0 };

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		parse_line(line, &counters);
	}
	if (counters.allocated == 0)
		return -EBADMSG;
	counters.has_zswap = strstr(text, "\nzswpout ") != NULL;
	*ret = counters;
	return 0;
}

int vmstat_read_fd(int fd, struct vmstat_counters *ret)
{
	char text[VMSTAT_SIZE];
	ssize_t n = io_read_fd(fd, text, sizeof(text));

	return n < 0 ? (int)n : vmstat_parse(text, ret);
}
