/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reclaim: see the header. */
#include "lib/sys/reclaim.h"

static unsigned index_before(unsigned i, unsigned n)
{
	return (i + RECLAIM_SAMPLES - n) % RECLAIM_SAMPLES;
}

void reclaim_history_add(struct reclaim_history *h, usec_t now, const struct vmstat_counters *c,
			 uint64_t available)
{
	unsigned newest = index_before(h->head, 1), before = index_before(h->head, 2);

	if (h->n_samples > 0 &&
	    (now < h->samples[newest].at || c->scanned < h->samples[newest].scanned))
		*h = (struct reclaim_history){ 0 };
	if (h->n_samples >= 2 &&
	    h->samples[newest].at - h->samples[before].at < RECLAIM_STEP_USEC) {
		h->head = newest;
		h->n_samples--;
	}
	h->samples[h->head].at = now;
	h->samples[h->head].scanned = c->scanned;
	h->samples[h->head].stalled = c->stalled;
	h->samples[h->head].stolen = c->stolen;
	h->samples[h->head].refaulted = c->refaulted_anon + c->refaulted_file;
	h->samples[h->head].swapped_out = c->swapped_out;
	h->samples[h->head].available = available;
	h->head = (h->head + 1) % RECLAIM_SAMPLES;
	if (h->n_samples < RECLAIM_SAMPLES)
		h->n_samples++;
}

/* From the sample n before the next, to the last. */
static struct reclaim_span span_of(const struct reclaim_history *h, unsigned n)
{
	unsigned begin = index_before(h->head, n), end = index_before(h->head, 1);
	struct reclaim_span span = {
		.usec = h->samples[end].at - h->samples[begin].at,
		.scanned = h->samples[end].scanned - h->samples[begin].scanned,
		.stalled = h->samples[end].stalled - h->samples[begin].stalled,
		.stolen = h->samples[end].stolen - h->samples[begin].stolen,
		.refaulted = h->samples[end].refaulted - h->samples[begin].refaulted,
		.swapped_out = h->samples[end].swapped_out - h->samples[begin].swapped_out,
	};

	for (unsigned i = 1; i <= n; i++)
		span.available_max =
			max_u64(span.available_max, h->samples[index_before(h->head, i)].available);
	return span;
}

bool reclaim_over(const struct reclaim_history *h, usec_t window_usec, struct reclaim_span *ret)
{
	usec_t last = h->samples[index_before(h->head, 1)].at;

	for (unsigned n = 2; n <= h->n_samples; n++)
		if (last - h->samples[index_before(h->head, n)].at >= window_usec) {
			*ret = span_of(h, n);
			return true;
		}
	return false;
}

enum reclaim_answer reclaim_has_moved(const struct reclaim_history *h, usec_t window_usec)
{
	struct reclaim_span span;

	if (reclaim_over(h, window_usec, &span))
		return reclaim_moved(&span) ? RECLAIM_MOVED : RECLAIM_NOT_MOVED;
	if (h->n_samples < 2)
		return RECLAIM_UNKNOWN;
	span = span_of(h, h->n_samples);
	return reclaim_moved(&span) ? RECLAIM_MOVED : RECLAIM_UNKNOWN;
}

unsigned reclaim_refaulted_share(const struct reclaim_span *span)
{
	return permyriad_of(min_u64(span->refaulted, span->stolen), span->stolen);
}

static uint64_t part_of(uint64_t whole, unsigned permyriad)
{
	return (uint64_t)((__uint128_t)whole * permyriad / PERMYRIAD);
}

bool reclaim_leaves_swap_unused(const struct reclaim_span *span, uint64_t memory_total,
				uint64_t page_size)
{
	return span->usec >= RECLAIM_SWAP_UNUSED_USEC &&
	       span->scanned * page_size / RECLAIM_SCANNED_TIMES >= memory_total &&
	       span->available_max <= part_of(memory_total, RECLAIM_GONE_PERMYRIAD) &&
	       span->swapped_out * page_size <=
		       part_of(memory_total, RECLAIM_SWAPPED_OUT_PERMYRIAD);
}

bool reclaim_moved(const struct reclaim_span *span)
{
	return span->scanned > 0 || span->stalled > 0;
}
