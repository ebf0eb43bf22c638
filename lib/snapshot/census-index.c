/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-index: hash tables of cgroups by path and of processes by pid, and the blocks of
 * places. */
#include "lib/snapshot/census-index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/snapshot/census.h"

#define BLOCK 128 /* processes are allocated so many at a time */

#define PATHS_FIRST 64

/* So many on a list, on average, before there are more lists. */
#define LOAD 2

static size_t hash_of(const char *path, size_t length)
{
	uint64_t hash = hash_bytes(HASH_BEGIN, path, length);

	return (size_t)(hash ^ hash >> 32);
}

static struct census_cgroup **list_of(const struct census_paths *paths, const char *path,
				      size_t length)
{
	return &paths->lists[hash_of(path, length) & (paths->n_lists - 1)];
}

struct census_cgroup *census_paths_find(const struct census_paths *paths, const char *path,
					size_t length)
{
	struct census_cgroup *cgroup;

	if (paths->n_lists == 0)
		return NULL;
	for (cgroup = *list_of(paths, path, length); cgroup; cgroup = cgroup->next_by_path)
		if (strncmp(cgroup->path, path, length) == 0 && cgroup->path[length] == '\0')
			return cgroup;
	return NULL;
}

static void put(struct census_paths *paths, struct census_cgroup *cgroup)
{
	struct census_cgroup **list = list_of(paths, cgroup->path, strlen(cgroup->path));

	cgroup->next_by_path = *list;
	*list = cgroup;
}

static int resize_paths(struct census_paths *paths, size_t n)
{
	struct census_paths grown = {
		.lists = calloc(n, sizeof(struct census_cgroup *)),
		.n_lists = n,
		.n = paths->n,
	};

	if (!grown.lists)
		return -ENOMEM;
	for (size_t i = 0; i < paths->n_lists; i++)
		while (paths->lists[i]) {
			struct census_cgroup *cgroup = paths->lists[i];

			paths->lists[i] = cgroup->next_by_path;
			put(&grown, cgroup);
		}
	free(paths->lists);
	*paths = grown;
	return 0;
}

int census_paths_add(struct census_paths *paths, struct census_cgroup *cgroup)
{
	size_t n = paths->n_lists ? 2 * paths->n_lists : PATHS_FIRST;

	if (paths->n == LOAD * paths->n_lists && resize_paths(paths, n) < 0)
		return -ENOMEM;
	put(paths, cgroup);
	paths->n++;
	return 0;
}

void census_paths_remove(struct census_paths *paths, struct census_cgroup *cgroup)
{
	struct census_cgroup **link = list_of(paths, cgroup->path, strlen(cgroup->path));

	while (*link != cgroup)
		link = &(*link)->next_by_path;
	*link = cgroup->next_by_path;
	paths->n--;
}

void census_paths_done(struct census_paths *paths)
{
	free(paths->lists);
	*paths = (struct census_paths){ 0 };
}

struct census_process *census_at(const struct census *census, uint32_t number)
{
	return &census->blocks[(number - 1) / BLOCK][(number - 1) % BLOCK];
}

/* Pids are allocated in sequence: their last bits are hash enough. */
static uint32_t *list_of_pid(const struct census *census, pid_t pid)
{
	return &census->by_pid[(size_t)pid & (census->n_by_pid - 1)];
}

static void index_pid(struct census *census, uint32_t number)
{
	struct census_process *process = census_at(census, number);
	uint32_t *list = list_of_pid(census, process->pid);

	process->next_by_pid = *list;
	*list = number;
}

static int grow_by_pid(struct census *census, size_t n_places)
{
	size_t n = census->n_by_pid ? census->n_by_pid : BLOCK;
	uint32_t *grown;

	while (LOAD * n < n_places)
		n *= 2;
	if (n == census->n_by_pid)
		return 0;
	grown = calloc(n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	free(census->by_pid);
	census->by_pid = grown;
	census->n_by_pid = n;
	for (uint32_t i = 1; i <= census->n_blocks * BLOCK; i++)
		if (census_at(census, i)->pid != 0)
			index_pid(census, i);
	return 0;
}

int census_add_block(struct census *census)
{
	size_t n_before = census->n_blocks * BLOCK, n_places = n_before + BLOCK;
	struct census_process *block;
	void *grown;

	if (n_places > UINT32_MAX || grow_by_pid(census, n_places) < 0)
		return -ENOMEM;
	grown = realloc(census->blocks, (census->n_blocks + 1) * sizeof(*census->blocks));
	if (!grown)
		return -ENOMEM;
	census->blocks = grown;
	grown = realloc(census->order, n_places * sizeof(*census->order));
	if (!grown)
		return -ENOMEM;
	census->order = grown;
	block = calloc(BLOCK, sizeof(*block));
	if (!block)
		return -ENOMEM;
	census->blocks[census->n_blocks++] = block;
	for (size_t i = BLOCK; i-- > 0;) {
		block[i].next_by_pid = census->spare;
		census->spare = (uint32_t)(n_before + i + 1);
	}
	return 0;
}

static bool is_empty(const struct census_process *block)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (block[i].pid != 0)
			return false;
	return true;
}

/* Frees blocks in which no place is in use, all but one; the others move up.  Returns the number of
 * blocks left. */
static size_t free_empty_blocks(struct census *census)
{
	bool has_empty = false;
	size_t n = 0;

	for (size_t i = 0; i < census->n_blocks; i++) {
		struct census_process *block = census->blocks[i];
		bool empty = is_empty(block);

		if (empty && has_empty)
			free(block);
		else
			census->blocks[n++] = block;
		has_empty = has_empty || empty;
	}
	return n;
}

/* If it cannot be made smaller, its size does not change. */
static void *shrink(void *array, size_t size)
{
	void *smaller = size > 0 ? realloc(array, size) : NULL; /* (a size of 0 would free it) */

	return smaller ? smaller : array;
}

void census_shrink(struct census *census)
{
	size_t n = free_empty_blocks(census), n_lists = census->paths.n_lists;

	while (n_lists > PATHS_FIRST && census->paths.n < LOAD * n_lists / 2)
		n_lists /= 2;
	if (n_lists < census->paths.n_lists)
		(void)resize_paths(&census->paths, n_lists);
	if (n == census->n_blocks)
		return;
	census->n_blocks = n;
	census->n_by_size = 0; /* order[] has places that were freed */
	while (census->n_by_pid > BLOCK && LOAD * (census->n_by_pid / 2) >= n * BLOCK)
		census->n_by_pid /= 2;
	census->by_pid = shrink(census->by_pid, census->n_by_pid * sizeof(*census->by_pid));
	census->blocks = shrink(census->blocks, n * sizeof(*census->blocks));
	census->order = shrink(census->order, n * BLOCK * sizeof(*census->order));
	/* All have another number now. */
	memset(census->by_pid, 0, census->n_by_pid * sizeof(*census->by_pid));
	census->spare = 0;
	for (uint32_t i = (uint32_t)(n * BLOCK); i > 0; i--) {
		struct census_process *process = census_at(census, i);

		if (process->pid != 0) {
			index_pid(census, i);
			continue;
		}
		process->next_by_pid = census->spare;
		census->spare = i;
	}
}

struct census_process *census_take_spare(struct census *census, pid_t pid)
{
	uint32_t number = census->spare, *list;
	struct census_process *process;

	if (number == 0)
		return NULL;
	process = census_at(census, number);
	census->spare = process->next_by_pid;
	list = list_of_pid(census, pid);
	*process = (struct census_process){ .pid = pid, .next_by_pid = *list };
	*list = number;
	return process;
}

void census_release_place(struct census *census, struct census_process *process, uint32_t *list)
{
	uint32_t *link = list_of_pid(census, process->pid), number;

	while (census_at(census, *link) != process)
		link = &census_at(census, *link)->next_by_pid;
	number = *link;
	*link = process->next_by_pid;
	process->pid = 0;
	process->next_by_pid = *list;
	*list = number;
}

struct census_process *census_find(const struct census *census, pid_t pid)
{
	if (pid <= 0 || census->n_by_pid == 0)
		return NULL;
	for (uint32_t i = *list_of_pid(census, pid); i != 0;) {
		struct census_process *process = census_at(census, i);

		if (process->pid == pid)
			return process;
		i = process->next_by_pid;
	}
	return NULL;
}

struct census_process *census_next(const struct census *census, size_t *i)
{
	while (*i < census->n_blocks * BLOCK) {
		struct census_process *process = census_at(census, (uint32_t)++ * i);

		if (process->pid != 0)
			return process;
	}
	return NULL;
}
