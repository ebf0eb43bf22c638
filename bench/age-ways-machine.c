/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * age-ways-machine: the ways that need swap, KSM, a pool of huge pages, or memory so fragmented
 * that huge pages have to be made: they change the machine, and are for a VM with 1 GiB and swap.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/age-ways.h"
#include "lib/base/io.h"
#include "lib/base/util.h"
#include "lib/sys/proc.h"

#define KSM "/sys/kernel/mm/ksm/"

/* Left free when memory is filled: reclaim is not what is wanted. */
#define LEFT_FREE (64 * MIB)

static int set(struct scene *scene, const char *path, const char *value)
{
	int r = io_write_at(AT_FDCWD, path, value);

	errno = -r;
	return r < 0 ? way_fails(scene, path) : 0;
}

static uint64_t number_in(const char *path, const char *key)
{
	char text[32768], *at;

	if (io_read_at(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	at = key ? strstr(text, key) : text;
	return at ? strtoull(at + (key ? strlen(key) : 0), NULL, 10) : 0;
}

/* Reclaims it until nearly all is swapped out. */
static int page_out(struct scene *scene)
{
	for (unsigned i = 0; i < 50; i++) {
		if (madvise(scene->at, scene->size, MADV_PAGEOUT) < 0)
			return way_fails(scene, "MADV_PAGEOUT");
		if (number_in("/proc/self/smaps_rollup", "\nSwap:") * KIB >= scene->size / 8 * 7)
			return 0;
		usleep(20000);
	}
	errno = ENOSPC;
	return way_fails(scene, "it does not go to swap");
}

static int touch(struct scene *scene)
{
	way_touch(scene->at, scene->size);
	return 0;
}

static int map_and_touch(struct scene *scene)
{
	return way_map(scene, WAY_SIZE) ? touch(scene) : -1;
}

static int map_huge_and_touch(struct scene *scene)
{
	return way_map_huge(scene, WAY_SIZE) ? touch(scene) : -1;
}

/* More than is free: what is being swapped out has to get there. */
static int take_more_than_free(struct scene *scene)
{
	if (!way_map(scene, (number_in("/proc/meminfo", "MemFree:") * KIB + 2 * WAY_SIZE)))
		return -1;
	return touch(scene);
}

/* Not in the swap cache any more, either. */
static int touch_and_page_out(struct scene *scene)
{
	char *at;

	if (map_and_touch(scene) < 0 || page_out(scene) < 0)
		return -1;
	at = scene->at;
	if (way_fork(scene, take_more_than_free) < 0)
		return -1;
	(void)kill(scene->child, SIGKILL);
	(void)waitpid(scene->child, NULL, 0);
	scene->at = at;
	scene->size = WAY_SIZE;
	return 0;
}

static int read_all(struct scene *scene)
{
	way_touch_read(scene->at, scene->size);
	return 0;
}

/* The child reads what both have in swap, so that it is in the swap cache. */
static int swap_in_by_child(struct scene *scene)
{
	return touch_and_page_out(scene) < 0 ? -1 : way_fork(scene, read_all);
}

static int page_out_memfd(struct scene *scene)
{
	scene->fd = memfd_create("age", MFD_CLOEXEC);
	if (scene->fd < 0 || ftruncate(scene->fd, (off_t)WAY_SIZE) < 0)
		return way_fails(scene, "memfd_create");
	scene->size = WAY_SIZE;
	scene->at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, scene->fd, 0);
	if (scene->at == MAP_FAILED)
		return way_fails(scene, "mmap");
	way_touch(scene->at, scene->size);
	return page_out(scene) < 0 ? -1 : munmap(scene->at, scene->size);
}

static int map_memfd(struct scene *scene)
{
	scene->at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, scene->fd, 0);
	return scene->at == MAP_FAILED ? way_fails(scene, "mmap") : 0;
}

/* Until KSM has merged nearly all of it, and nothing else. */
static int merge(struct scene *scene, const char *counter, const char *zero_pages)
{
	if (access(counter, R_OK) < 0)
		return way_fails(scene, counter);
	if (set(scene, KSM "run", "2") < 0 || set(scene, KSM "use_zero_pages", zero_pages) < 0 ||
	    set(scene, KSM "pages_to_scan", "20000") < 0 ||
	    set(scene, KSM "sleep_millisecs", "1") < 0 || set(scene, KSM "run", "1") < 0)
		return -1;
	if (madvise(scene->at, scene->size, MADV_MERGEABLE) < 0)
		return way_fails(scene, "MADV_MERGEABLE");
	for (unsigned i = 0; i < 600; i++) {
		if (number_in(counter, NULL) >= scene->size / PAGE_SIZE / 8 * 7)
			return set(scene, KSM "run", "0");
		usleep(50000);
	}
	errno = ETIMEDOUT;
	return way_fails(scene, "KSM");
}

static int merge_same(struct scene *scene)
{
	return map_and_touch(scene) < 0 ? -1 : merge(scene, KSM "pages_sharing", "0");
}

static int merge_zeros(struct scene *scene)
{
	if (!way_map(scene, WAY_SIZE))
		return -1;
	for (size_t i = 0; i < scene->size; i += PAGE_SIZE)
		*(volatile char *)(scene->at + i) = 0;
	return merge(scene, KSM "ksm_zero_pages", "1");
}

static int unmerge(struct scene *scene)
{
	return madvise(scene->at, scene->size, MADV_UNMERGEABLE) < 0
		       ? way_fails(scene, "MADV_UNMERGEABLE")
		       : 0;
}

static int reserve_pool(struct scene *scene)
{
	return set(scene, "/proc/sys/vm/nr_hugepages", "32");
}

static int map_from_pool(struct scene *scene)
{
	char *at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (at == MAP_FAILED)
		return way_fails(scene, "MAP_HUGETLB");
	way_touch(at, WAY_SIZE);
	(void)set(scene, "/proc/sys/vm/nr_hugepages", "0");
	return 0;
}

/* All that is free is allocated, and every second page freed: none of what is free then has a free
 * neighbour. */
static int fill_and_punch(struct scene *scene)
{
	uint64_t room = number_in("/proc/meminfo", "MemFree:") * KIB;
	char *at;

	if (room > 2 * GIB) {
		errno = E2BIG;
		return way_fails(scene, "more than 2 GiB to fill");
	}
	at = way_map(scene, (size_t)sub_u64(room, LEFT_FREE) & ~(PAGE_SIZE - 1));
	if (!at)
		return -1;
	way_touch(at, scene->size);
	for (size_t i = 0; i + PAGE_SIZE <= scene->size; i += 2 * PAGE_SIZE)
		if (madvise(at + i, PAGE_SIZE, MADV_DONTNEED) < 0)
			return way_fails(scene, "MADV_DONTNEED");
	return 0;
}

static int fragment(struct scene *scene)
{
	if (way_fork(scene, fill_and_punch) < 0)
		return -1;
	return way_map_huge(scene, WAY_SIZE) ? 0 : -1;
}

static int fragment_and_map_small(struct scene *scene)
{
	if (way_fork(scene, fill_and_punch) < 0)
		return -1;
	return way_map(scene, WAY_SIZE) ? 0 : -1;
}

static int compact(struct scene *scene)
{
	return set(scene, "/proc/sys/vm/compact_memory", "1");
}

/* In memory full of holes, of which it is itself a part. */
static int touch_among_holes(struct scene *scene)
{
	return fragment_and_map_small(scene) < 0 ? -1 : touch(scene);
}

const struct way ways_machine[] = {
	{ "swapped out", map_and_touch, page_out },
	{ "huge pages swapped out", map_huge_and_touch, page_out },
	{ "swapped out, read in", touch_and_page_out, read_all },
	{ "swapped out, written", touch_and_page_out, touch },
	{ "read in from the swap cache", swap_in_by_child, read_all },
	{ "swapped memfd, mapped (smaps counts it)", page_out_memfd, map_memfd,
	  .breaks = "in smaps_rollup alone" },
	{ "merged by KSM, unmerged", merge_same, unmerge },
	{ "merged by KSM, written", merge_same, touch },
	{ "merged to the zero page, written", merge_zeros, touch },
	{ "huge pages of the pool (hugetlb)", reserve_pool, map_from_pool },
	{ "small pages, memory fragmented", fragment_and_map_small, touch },
	{ "compaction", touch_among_holes, compact },
	{ "huge pages, memory fragmented", fragment, touch },
};
const size_t n_ways_machine = ARRAY_SIZE(ways_machine);
