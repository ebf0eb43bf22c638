/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail-malloc: an allocator that counts or refuses, for tests that show that nothing is allocated.
 *
 * Included once, by the test program: its malloc() and friends stand before the C library's for
 * every library of the process too, and pass on to glibc's own.  Not under AddressSanitizer and
 * ThreadSanitizer, which have their own: see FAIL_MALLOC_WORKS.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/sanitizer.h"

#if HAS_SHADOW_MEMORY
#	define FAIL_MALLOC_WORKS 0
__attribute__((unused)) static bool fail_malloc;
__attribute__((unused)) static unsigned n_mallocs;
#else
#	define FAIL_MALLOC_WORKS 1

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

/* While set, every allocation of this thread fails; each one is counted.  So many of them succeed
 * first. */
static __thread bool fail_malloc;
static __thread unsigned n_mallocs;
static __thread unsigned n_mallocs_allowed;

#	define FAIL_MALLOC_VISIBLE __attribute__((visibility("default"), used))

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);

static inline bool is_refused(void)
{
	if (!fail_malloc)
		return false;
	if (n_mallocs_allowed > 0) {
		n_mallocs_allowed--;
		return false;
	}
	n_mallocs++;
	errno = ENOMEM;
	return true;
}

FAIL_MALLOC_VISIBLE void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

FAIL_MALLOC_VISIBLE void *calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(n, size);
}

FAIL_MALLOC_VISIBLE void *realloc(void *p, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(p, size);
}
#endif
