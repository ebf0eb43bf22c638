/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gap: compares the time of a sample with the time for which it was planned. */
#include "lib/domain/gap.h"

static bool is_late(usec_t elapsed, usec_t planned)
{
	return elapsed > add_u64(planned, GAP_LATE_USEC);
}

usec_t gap_find(struct gap *gap, usec_t now, usec_t asleep)
{
	usec_t elapsed = sub_u64(now, gap->at), slept = sub_u64(asleep, gap->asleep);
	bool has_slept = gap->has_begun && slept > GAP_ASLEEP_MIN_USEC;
	bool late = gap->has_begun && is_late(elapsed, gap->planned);
	usec_t found = 0;

	if (has_slept)
		found = add_u64(elapsed, slept);
	else if (late && is_late(elapsed, gap->last))
		found = elapsed;
	gap->has_begun = true;
	gap->at = now;
	gap->asleep = asleep;
	gap->last = late ? elapsed : 0;
	return found;
}

void gap_plan(struct gap *gap, usec_t interval)
{
	gap->planned = interval;
}
