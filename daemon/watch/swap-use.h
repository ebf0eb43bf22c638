/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swap-use: may what grows be swapped out at all?  By the largest process, as the census has it:
 * its cgroup may have no room in swap (memory.swap.max), or the kernel does not swap but as a last
 * resort (vm.swappiness=0).
 */
#pragma once

#include "lib/base/util.h"

struct sampler;

/* Memory was read.  Sets s->domain.unswappable. */
void swap_use_sample(struct sampler *s, usec_t now);
