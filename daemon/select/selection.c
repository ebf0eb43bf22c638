/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* selection: releases what only watch needs. */
#include "daemon/select/selection.h"

void selection_release(struct selection *s, const struct census *census)
{
	victim_done(&s->choice);		  /* it is of the processes of then */
	(void)victim_reserve(&s->choice, census); /* else the next sample does it */
	worth_reset(&s->worth);
}
