/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swap-use: reads now and then how much anonymous memory cannot be swapped out. */
#include "daemon/swap-use.h"

#include "daemon/manager.h"
#include "lib/sys/swap-room.h"

/* What is read again that often while memory is low. */
#define PERIOD_USEC (250 * USEC_PER_MSEC)
/* From here on policies may need it. */
#define LOW_PERMYRIAD 1500U
/* Room in swap for less than this is none. */
#define LEAST_ROOM (4 * MIB)

void swap_use_look(struct manager *m, usec_t now)
{
	const struct census_process *largest;

	if (m->sampler.reading.swap_free == 0 ||
	    memory_available_permyriad(&m->sampler.reading) > LOW_PERMYRIAD) {
		m->sampler.unswappable = 0;
		return;
	}
	if (now - m->sampler.unswappable_at < PERIOD_USEC)
		return;
	m->sampler.unswappable_at = now;
	if (swap_room_is_last_resort(m->machine.proc_fd)) {
		m->sampler.unswappable = UINT64_MAX;
		return;
	}
	largest = victim_largest_below(&m->sampler.census.machine);
	m->sampler.unswappable = largest && m->machine.cgroups.v2_has_memory
					 ? swap_room_barred(m->machine.cgroups.v2_fd,
							    census_cgroup_path(largest), LEAST_ROOM)
					 : 0;
}
