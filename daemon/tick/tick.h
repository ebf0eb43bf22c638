/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick: one sample of the machine, and what follows from it. */
#pragma once

#include "lib/base/util.h"
#include "lib/domain/domain.h"

struct history_store;
struct in_flight;
struct recorder;
struct regime;
struct reporter;
struct sampler;
struct selection;

struct tick {
	/* What it works on, in the order in which that is done; borrowed. */
	struct sampler *sampler;
	struct regime *regime;
	struct selection *selection;
	struct in_flight *in_flight;
	struct recorder *recorder;
	struct reporter *reporter;
	struct history_store *history_store; /* NULL: nothing is kept over a restart */

	/* What the policies said of the last sample; policy: NULL where none held. */
	struct policy_judgement judgement;
};

/* Returns how long until the next one is due. */
usec_t tick(struct tick *t, usec_t now);
