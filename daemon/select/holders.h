/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holders: which of the processes that hold memory by descriptors, by the last survey, is to be
 * killed.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/select/victim.h"

struct selection;

/* The best of those that are eligible, if it is better than the choice; else NULL.  *ret_held: what
 * it holds by descriptors.  Those that are killed with it: sel->stuck.together.  for_certain: what
 * may be mapped by others does not count. */
struct census_process *holders_find_best(struct selection *sel, bool for_certain,
					 const struct victim_reader *reader, usec_t now,
					 uint64_t *ret_held);

/* The process that alone, or with its relatives, has files in flight to its sockets, if these may
 * be all that nothing else explains, and if that is as much as a victim has to free.  Of users
 * alone: services have sockets to which anyone may send something.  *ret_held: that, at most. */
struct census_process *holders_find_receiver(struct selection *sel,
					     const struct victim_reader *reader, usec_t now,
					     uint64_t *ret_held);

/* Has one of those that are killed with the victim, or itself, started a process since the survey
 * that is not killed with them, as it has executed another program?  It may have inherited what
 * they hold: another survey shows that. */
bool holders_have_heirs(const struct selection *sel, const struct census_process *victim,
			usec_t now);
