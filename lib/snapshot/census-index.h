/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-index: the cgroups of the census by path, and its processes by pid; see census.h.  With
 * one pointer or number for each, where UT_hash_handle takes 56 bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct census;
struct census_cgroup;
struct census_process;

struct census_paths {
	struct census_cgroup **lists; /* by hash, and by next_by_path from there */
	size_t n_lists;		      /* a power of two */
	size_t n;
};

/* NULL: there is none.  The path is of this length. */
struct census_cgroup *census_paths_find(const struct census_paths *paths, const char *path,
					size_t length);

/* 0 or -ENOMEM. */
int census_paths_add(struct census_paths *paths, struct census_cgroup *cgroup);
void census_paths_remove(struct census_paths *paths, struct census_cgroup *cgroup);
void census_paths_done(struct census_paths *paths);

/* One block of places more, spare; and room for as many in the index and in the order. 0 or
 * -ENOMEM. */
int census_add_block(struct census *census);

/* The place with this number. */
struct census_process *census_at(const struct census *census, uint32_t number);

/* Takes a spare place for the pid; NULL: there is none. */
struct census_process *census_take_spare(struct census *census, pid_t pid);

/* Frees what a peak has left: empty blocks, all but one.  Not while a round is under way.  Places
 * are renumbered; places in use keep their addresses. */
void census_shrink(struct census *census);

/* Removes the process from the index and puts its place on the list. */
void census_release_place(struct census *census, struct census_process *process, uint32_t *list);
