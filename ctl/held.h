/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held: which processes hold memory by descriptors alone (memfds, deleted files on a tmpfs), which
 * is in none of their figures.  By a survey of this program's own (lib/domain/where.h), as the
 * daemon makes one only where memory is short.
 */
#pragma once

#include <jansson.h>

/*
 * Sets held_by_descriptors of an answer of explain: an array of objects with pid, command,
 * bytes and others (how many others have to die as well, for all of that to be freed), largest
 * first; null: not known.  And bytes
 * as held_bytes of its process, if it has one.
 */
void held_describe(json_t *answer);
