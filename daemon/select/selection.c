/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* selection: its room, and what is left of it in calm. */
#include "daemon/select/selection.h"

#include "daemon/watch/sampler.h"

int selection_reserve(struct selection *s)
{
	return victim_reserve(&s->choice, &s->sampler->census);
}

void selection_release(struct selection *s)
{
	victim_done(&s->choice);    /* it is of the processes of then */
	(void)selection_reserve(s); /* else the next sample does it */
	worth_reset(&s->worth);
}
