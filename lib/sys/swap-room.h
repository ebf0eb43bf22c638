/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swap-room: how much of the memory in use may not be swapped out, whatever swap is free.
 *
 * Free swap is no help to memory that may not be swapped out: that of a cgroup at its
 * memory.swap.max, or all of it where vm.swappiness is 0 and the kernel swaps only when it is about
 * to kill.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How many cgroups above one are read. */
#define SWAP_ROOM_DEPTH 32

/*
 * The anonymous bytes of the uppermost cgroup, of path and those above it, that has no room for
 * more in swap (least_room bytes at most); 0: there is none, or it cannot be read.  Reads three
 * small files a level at most.
 */
uint64_t swap_room_barred(int v2_fd, const char *path, uint64_t least_room);

/* vm.swappiness is 0; false where that cannot be read. */
bool swap_room_is_last_resort(int proc_fd);
