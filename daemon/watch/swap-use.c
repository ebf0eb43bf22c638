/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swap-use: reads now and then how much anonymous memory cannot be swapped out. */
#include "daemon/watch/swap-use.h"

#include "daemon/base/machine.h"
#include "daemon/watch/sampler.h"
#include "lib/select/victim.h"
#include "lib/sys/swap-room.h"

/* What is read again that often while memory is low; earlier when another process is the largest.
 */
#define PERIOD_USEC	(1 * USEC_PER_SEC)
#define PERIOD_MIN_USEC (250 * USEC_PER_MSEC)
/* From here on policies may need it. */
#define LOW_PERMYRIAD 1500U
/* Room in swap for less than this is none. */
#define LEAST_ROOM (4 * MIB)

void swap_use_sample(struct sampler *s, usec_t now)
{
	const struct census_process *largest;
	usec_t age = now - s->unswappable_at;
	pid_t pid;

	if (s->domain.reading.swap_free == 0 ||
	    memory_available_permyriad(&s->domain.reading) > LOW_PERMYRIAD) {
		s->domain.unswappable = 0;
		return;
	}
	if (age < PERIOD_MIN_USEC)
		return;
	largest = victim_largest_below(s->domain.root);
	pid = largest ? largest->pid : 0;
	if (age < PERIOD_USEC && pid == s->unswappable_of)
		return;
	s->unswappable_at = now;
	s->unswappable_of = pid;
	if (swap_room_is_last_resort(s->machine->proc_fd)) {
		s->domain.unswappable = UINT64_MAX;
		return;
	}
	s->domain.unswappable = largest && s->machine->cgroups.v2_has_memory
					? swap_room_barred(s->machine->cgroups.v2_fd,
							   census_cgroup_path(largest), LEAST_ROOM)
					: 0;
}
