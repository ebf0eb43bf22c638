/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash: FNV-1a in 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): not against an attacker. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

/* More bytes, after those that make hash so far; HASH_BEGIN: after none. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}
