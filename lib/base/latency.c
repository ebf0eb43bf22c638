/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* latency: counts late samples, and finds their cause. */
#include "lib/base/latency.h"

#include <stdio.h>

#define NSEC_PER_USEC 1000

static const struct {
	const char *name, *text;
} causes[_LATENCY_CAUSE_MAX] = {
	[LATENCY_UNKNOWN] = { "unknown", "the reason is not known" },
	[LATENCY_BUSY] = { "busy", "it was busy with its own work" },
	[LATENCY_CPU] = { "cpu", "there was no CPU for it" },
	[LATENCY_PAGING] = { "paging", "its own memory had to be read from disk" },
	[LATENCY_KERNEL] = { "kernel", "it slept in the kernel" },
};

const char *latency_cause_to_string(enum latency_cause cause)
{
	return causes[cause].name;
}

const char *latency_cause_text(enum latency_cause cause)
{
	return causes[cause].text;
}

/* The first bucket ends at 1 ms, each at twice the one before. */
static unsigned bucket_of(usec_t usec)
{
	uint64_t msec = usec / USEC_PER_MSEC;
	unsigned bucket = msec == 0 ? 0 : 64 - (unsigned)__builtin_clzll(msec);

	return (unsigned)min_u64(bucket, LATENCY_BUCKETS - 1);
}

bool latency_count(struct latency *latency, usec_t usec)
{
	latency->counts[bucket_of(usec)]++;
	latency->max = max_u64(latency->max, usec);
	return usec >= LATENCY_LATE_USEC;
}

uint64_t latency_n_late(const struct latency *latency)
{
	uint64_t n = 0;

	for (unsigned i = bucket_of(LATENCY_LATE_USEC); i < LATENCY_BUCKETS; i++)
		n += latency->counts[i];
	return n;
}

int latency_parse_schedstat(const char *text, struct latency_usage *ret)
{
	unsigned long long ran, waited, slices;

	if (sscanf(text, "%llu %llu %llu", &ran, &waited, &slices) != 3)
		return -EBADMSG;
	ret->ran = ran / NSEC_PER_USEC;
	ret->waited = waited / NSEC_PER_USEC;
	return 0;
}

enum latency_cause latency_find_cause(const struct latency_usage *before,
				      const struct latency_usage *after, usec_t late)
{
	usec_t ran = sub_u64(after->ran, before->ran);
	usec_t waited = sub_u64(after->waited, before->waited);

	if (!before->is_known || !after->is_known)
		return LATENCY_UNKNOWN;
	if (max_u64(ran, waited) >= late / 2)
		return ran > waited ? LATENCY_BUSY : LATENCY_CPU;
	return after->major > before->major ? LATENCY_PAGING : LATENCY_KERNEL;
}
