/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swap-room: reads swap limits up the cgroups, and vm.swappiness. */
#include "lib/sys/swap-room.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/util.h"
#include "lib/sys/cgroup.h"

static bool read_number(int dir_fd, const char *file, uint64_t *ret)
{
	char text[64];

	return io_read_record_at(dir_fd, file, text, sizeof(text)) > 0 &&
	       sscanf(text, "%" SCNu64, ret) == 1; /* not "max" */
}

static bool has_no_room(int dir_fd, uint64_t least_room)
{
	uint64_t max, current;

	return read_number(dir_fd, "memory.swap.max", &max) &&
	       read_number(dir_fd, "memory.swap.current", &current) &&
	       sub_u64(max, current) <= least_room;
}

/* The first line of memory.stat. */
static uint64_t read_anon(int dir_fd)
{
	char text[4096];
	uint64_t anon;
	ssize_t n = io_read_at(dir_fd, "memory.stat", text, sizeof(text));

	if ((n < 0 && n != -ENOBUFS) || sscanf(text, "anon %" SCNu64, &anon) != 1)
		return 0;
	return anon;
}

uint64_t swap_room_barred(int v2_fd, const char *path, uint64_t least_room)
{
	const char *end = path;

	for (unsigned i = 0; i < SWAP_ROOM_DEPTH && *end != '\0'; i++) {
		_cleanup_close_ int fd = -EBADF;
		char ancestor[CGROUP_PATH_MAX];

		end += 1 + strcspn(end + 1, "/");
		if ((size_t)(end - path) >= sizeof(ancestor))
			return 0;
		(void)snprintf(ancestor, sizeof(ancestor), "%.*s", (int)(end - path), path);
		fd = cgroup_open(v2_fd, ancestor);
		if (fd < 0)
			return 0;
		if (has_no_room(fd, least_room))
			return read_anon(fd);
	}
	return 0;
}

bool swap_room_is_last_resort(int proc_fd)
{
	uint64_t swappiness;

	return read_number(proc_fd, "sys/vm/swappiness", &swappiness) && swappiness == 0;
}
