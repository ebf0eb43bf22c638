/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accuracy-fixture: counters that are exact, of two CPUs, for tests that are not about them. */
#pragma once

#include "lib/sys/accuracy.h"

static const struct accuracy exact_accuracy = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
