/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * util: the few definitions that every module shares: units, bounds, "gone".
 *
 * Units across the tree: time in microseconds (usec_t, CLOCK_MONOTONIC unless said otherwise),
 * memory in bytes, ratios in permyriad (1/10000).
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC  ((usec_t)1000000)
/* USER_HZ, the unit of start times, is 100 on every machine that is supported. */
#define USEC_PER_TICK ((usec_t)10000)
#define USEC_INFINITY UINT64_MAX

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define PERMYRIAD 10000U

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What a file or a pid that has vanished looks like; folded here and nowhere else. */
static inline bool errno_is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -ENODEV;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* a - b, or 0 where b is larger. */
static inline uint64_t sub_u64(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* a + b, or UINT64_MAX where that does not fit. */
static inline uint64_t add_u64(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* What is not negative, rounded down, or UINT64_MAX where it does not fit: the plain conversion is
 * undefined then, and gives 0 on some machines. */
static inline uint64_t saturate_u64(double value)
{
	return value < (double)UINT64_MAX ? (uint64_t)value : UINT64_MAX;
}

/* part of whole in permyriad, rounded down; 0 of nothing is 0. */
static inline unsigned permyriad_of(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return 0;
	return (unsigned)((__uint128_t)part * PERMYRIAD / whole);
}

/* An estimate with its ends: the truth is in [lo, hi]. */
struct interval {
	uint64_t lo;
	uint64_t hi;
};
