/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
#include <sys/types.h>

#include "lib/util.h"
struct reclaimable {
	uint64_t anon, swap, shmem, pagetables, alone, rss_anon, rss_shmem, all_swap;
};
static inline uint64_t reclaimable_total(const struct reclaimable *r)
{
	return r->anon + r->swap + r->shmem + r->pagetables;
}
