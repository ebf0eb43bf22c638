/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mappings: the shared memory of a process, mapping by mapping, and whether it dies with it.
 *
 * Reads maps or smaps through a small buffer.  What a mapping is of is told by its name and by the
 * device of its file: mountinfo of the process says which devices are tmpfs.  Whether a file that
 * seems to be deleted has another name (link(2)), or one that ends in " (deleted)", is told by
 * map_files, which wants CAP_CHECKPOINT_RESTORE; without that it counts as deleted.  See
 * reclaimable.h for what dies and what stays.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPINGS_MAX_DEVICES  128
#define MAPPINGS_MAX_SEGMENTS 128
/* So many files are asked whether they have a name; some 5 us each. */
#define MAPPINGS_MAX_NAMED 1024

struct mappings_device {
	uint32_t major;
	uint32_t minor;
	bool is_tmpfs;
};

/* What is learnt at first need is kept for the next read of the same process. */
struct mappings_request {
	int proc_fd; /* borrowed, as is the next */
	int dir_fd;  /* of the process, or of one of its threads */

	bool has_devices;
	unsigned n_devices;
	struct mappings_device devices[MAPPINGS_MAX_DEVICES];
	bool has_segments;
	unsigned n_segments;
	uint32_t segments[MAPPINGS_MAX_SEGMENTS]; /* System V, marked for removal */
	unsigned n_named;			  /* were asked */
};

/* Bytes, of shared memory. */
struct mappings_sums {
	uint64_t size_dies; /* of the mappings */
	uint64_t size_stays;
	bool is_cut; /* there is more than was read: the sums are of a part */

	/* Of smaps. */
	uint64_t pss;	      /* of what dies */
	uint64_t private;     /* of what dies, what has no other mapping; at least */
	uint64_t swap;	      /* of what dies; each file's once, by the share of its mapping */
	uint64_t swap_mapped; /* of all, as Swap: of smaps_rollup counts it; at least */
	/* Locked pages of files, which are no shared memory: the fair share, and of that, what has
	 * no other mapping. */
	uint64_t locked_file;
	uint64_t locked_private;
};

/* file: "maps" or "smaps", no more than max_bytes of it.  0, PROC_GONE (no memory), or -errno. */
int mappings_read(struct mappings_request *request, const char *file, size_t max_bytes,
		  struct mappings_sums *ret);
