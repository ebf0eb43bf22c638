/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail-malloc: an allocator that refuses, for LD_PRELOAD.  It passes on to glibc's own.
 *
 * FAIL_MALLOC=N      the N-th allocation fails; "N+": from the N-th on; counted from where the
 *                    program begins, over all threads
 * FAIL_MALLOC_COUNT  a file of 16 bytes, kept mapped: how many there were, how many failed
 * FAIL_MALLOC_CALLERS  a file that gets a line "N HASH" for the first allocation of each chain of
 *                    callers, where HASH is that chain
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default"), used))
/* Of the chain: the allocator's own two, and those that make the difference. */
#define N_SKIPPED 2
#define N_FRAMES  8
#define N_CHAINS  4096 /* a power of two */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uint64_t own_counts[2];
static uint64_t *counts = own_counts;
static uint64_t fails_at, fails_until;
static int callers_fd = -1;
static bool is_armed;
static __thread bool is_inside; /* backtrace() allocates */
static uint64_t chains[N_CHAINS];

__attribute__((constructor)) static void arm(void)
{
	const char *when = getenv("FAIL_MALLOC"), *file = getenv("FAIL_MALLOC_COUNT");
	const char *callers = getenv("FAIL_MALLOC_CALLERS");
	void *frames[N_FRAMES];
	char *end;

	if (when) {
		fails_at = strtoull(when, &end, 10);
		fails_until = *end == '+' ? UINT64_MAX : fails_at;
	}
	if (file) {
		int fd = open(file, O_RDWR | O_CLOEXEC);
		void *map = fd < 0 ? MAP_FAILED
				   : mmap(NULL, sizeof(own_counts), PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, 0);

		if (map != MAP_FAILED)
			counts = map;
		if (fd >= 0)
			close(fd);
	}
	if (callers) {
		callers_fd = open(callers, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		(void)backtrace(frames, N_FRAMES); /* loads what it needs */
	}
	is_armed = true;
}

static bool is_new(uint64_t hash)
{
	for (uint64_t i = hash % N_CHAINS, n = 0; n < N_CHAINS; i = (i + 1) % N_CHAINS, n++) {
		uint64_t none = 0;

		if (__atomic_load_n(&chains[i], __ATOMIC_RELAXED) == hash)
			return false;
		if (__atomic_compare_exchange_n(&chains[i], &none, hash, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static void note_callers(uint64_t n)
{
	void *frames[N_FRAMES];
	uint64_t hash = 14695981039346656037U;
	char line[64];
	int depth;

	depth = backtrace(frames, N_FRAMES);
	for (int i = N_SKIPPED; i < depth; i++)
		hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211U;
	if (!is_new(hash | 1))
		return;
	depth = snprintf(line, sizeof(line), "%llu %llx\n", (unsigned long long)n,
			 (unsigned long long)hash);
	if (write(callers_fd, line, (size_t)depth) < 0)
		callers_fd = -1;
}

static bool is_refused(void)
{
	uint64_t n;

	if (!is_armed || is_inside)
		return false;
	n = __atomic_add_fetch(&counts[0], 1, __ATOMIC_RELAXED);
	if (callers_fd >= 0) {
		is_inside = true;
		note_callers(n);
		is_inside = false;
	}
	if (fails_at == 0 || n < fails_at || n > fails_until)
		return false;
	__atomic_add_fetch(&counts[1], 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

VISIBLE void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

VISIBLE void *calloc(size_t n, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(n, size);
}

VISIBLE void *realloc(void *p, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(p, size);
}

VISIBLE void *aligned_alloc(size_t alignment, size_t size)
{
	return is_refused() ? NULL : __libc_memalign(alignment, size);
}

VISIBLE int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p = is_refused() ? NULL : __libc_memalign(alignment, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}
