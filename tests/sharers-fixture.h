/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sharers-fixture: what a census needs that has no counters to correct. */
#pragma once

#include "lib/snapshot/census-tree.h"

static struct accuracy accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
