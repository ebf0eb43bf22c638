/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim-group: many processes of about the same size that have filled memory together; the last
 * step of victim_choose().
 *
 * Where the largest single process has less than an eighth of memory, or has neither been started
 * nor grown lately and is none of them, siblings (one name and user, and one parent or one session,
 * as the compilers of a build, of which each has a driver and a shell of its own) are compared with
 * it by what they have gained in the last VICTIM_RECENT_USEC: all of a process that is younger,
 * else what it has grown.  If there are VICTIM_MEMBERS_MIN of them or more that hold a quarter of
 * memory, and half of that is more than the single process has, the youngest of them that is not
 * small is the victim, or the one that is by itself what fills memory.  So a process that was there
 * before does not die for them, and siblings that are old (renderers of a browser, backends of a
 * database, shells) are no group.  Nor are those that one parent has started of one program,
 * whatever their names, unless they are young, and VICTIM_CHILDREN_MIN or more.  Likewise those of
 * one session and cgroup whatever the programs, if there are no other siblings and none of them
 * that grows is far larger than the rest: of the tests of a suite one after the other is killed,
 * each alone.
 *
 * After a streak of kills (streak.h) all of a unit, or of such siblings, are killed as one, if by
 * the same measure they outrank the largest single process.  A unit only if one at least of those
 * that were killed has been replaced: else the siblings in it are killed, or that one of its
 * processes that has gained most.  With siblings their parent is killed
 * if it replaces them: if it is the same program and one that was killed has been replaced (of a
 * session leader: each), or, where each has been replaced, if it does nothing else than to start
 * them.  A shell that started all of its children before the first kill is not killed with them.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct census;
struct census_process;
struct choice;
struct victim_result;

#define VICTIM_RECENT_USEC  (30 * USEC_PER_SEC)
#define VICTIM_MEMBERS_MIN  4
#define VICTIM_CHILDREN_MIN 8
/* Of such children this part at least is so young: they go on being started. */
#define VICTIM_NEW_SHARE 8
#define VICTIM_NEW_USEC	 (5 * USEC_PER_SEC)

/* Puts its victim at result->ranked[0], and sets result->as_one to what is killed with it.
 * Allocates nothing; of the members of a group that wins, status is read within the reader's
 * deadline. */
void victim_prefer_group(struct choice *choice);

/* Of one name and user, and of one parent or session; one process is its own sibling. */
bool victim_are_siblings(const struct census_process *a, const struct census_process *b);

/* The siblings, and those that its parent has started of the same program, with itself. */
unsigned victim_count_alike(const struct census *census, const struct census_process *victim);

/* Is the process the parent of the victim of that result, and to be killed with the siblings as it
 * would start more of them? */
bool victim_is_starter(const struct census *census, const struct victim_result *result,
		       const struct census_process *victim, const struct census_process *process);
