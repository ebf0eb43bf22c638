/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * zram: the compressed block devices in memory that are swapped to
 * (Documentation/admin-guide/blockdev/zram.rst).
 */
#pragma once

#include "lib/sys/memory.h"

#define ZRAM_NAME_SIZE	 32
#define ZRAM_DEVICES_MAX 32 /* as many areas of swap as there can be (MAX_SWAPFILES) */
/* The list of areas is read again when the size of all has changed, when a device is none any more,
 * and after so many samples. */
#define ZRAM_SAMPLES 64

struct zram_device {
	uint64_t disksize;
	uint64_t stored; /* before compression */
	uint64_t used;	 /* memory taken */
	uint64_t limit;	 /* of used; 0: none */
};

/* Which devices are swapped to, as of swaps; all zeros: it is not known. */
struct zram_devices {
	char names[ZRAM_DEVICES_MAX][ZRAM_NAME_SIZE]; /* in sysfs */
	struct zram_device last[ZRAM_DEVICES_MAX];    /* as last read: counts where it cannot be */
	unsigned n;
	uint64_t swap_total;
	unsigned n_samples; /* until they are read again */
};

/* Adds up the devices of proc_fd's swaps that are zram, by sys_fd (sysfs; may be negative): the
 * zram_* counters.  Nothing where there is no swap.  Allocates nothing. */
void zram_sample(struct zram_devices *devices, int proc_fd, int sys_fd,
		 struct memory_counters *counters);

/* The bytes of disksize that mem_limit (0: none) prevents from being filled: at the ratio so far
 * the rest of the limit stores so much more, and no more. */
uint64_t zram_barred(const struct zram_device *device);

/* Of what is stored: the memory that it takes, in percent, 100 at most.  Assumed until enough is
 * stored to tell. */
uint64_t zram_percent(uint64_t stored, uint64_t used);
