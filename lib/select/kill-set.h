/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-set: which processes are killed with the victim, and what all of them free, by what the
 * census knows.
 *
 * One rule for the daemon, which opens and confirms each of them (daemon/kill/kill-plan.h), and for
 * explain, which names them (lib/explain/preview.h).  Those that share the address space of the
 * victim are found by sharers.h; this finds the others:
 *
 * - relatives that share most of its memory copy on write (family.h): it is freed only with the
 *   last of them;
 * - siblings, or what starts the victim again, after a streak of kills (victim-group.h);
 * - members of the cgroup that is killed as a whole.
 *
 * Nothing is allocated.  Files are read of relatives alone: the stat of so many as are asked for,
 * and the memory of FAMILY_READS of them at most.
 */
#pragma once

#include <stdbool.h>

#include "lib/select/victim.h"

/* What was chosen; all of it borrowed. */
struct kill_set {
	const struct census *census;
	const struct victim_request *request; /* of the choice; for eligibility */
	const struct victim_result *choice;
	const struct census_process *victim;
	enum victim_as_one as_one;
	/* Of the victim, as it was read for the choice: struct victim_candidate. */
	const struct proc_memory *memory;
	uint64_t alone;
	bool is_unit;
	bool is_reluctant; /* the victim is, and so are others that are killed with it */
	const char *group; /* the path of the cgroup that is killed as a whole; "": none is */
	unsigned n_reads;  /* of files, to tell which are relatives, at most */
};

/* false: none is asked for after this one. */
typedef bool (*kill_set_fn)(const struct census_process *process, void *userdata);

/*
 * The cgroup that is killed with the victim, of which the path is `path`: the length of its path,
 * of which `path` begins; 0: none.  is_whole: one was chosen, or all of it is killed after a streak
 * of kills; else it is one with memory.oom.group (kill_group_find_flagged()).  own_path: of the
 * daemon's cgroup.
 */
size_t kill_set_find_group(const struct cgroup_fs *fs, bool is_whole, const char *path,
			   const char *subtree, const char *own_path);

/* May it be killed with the victim: as one that shares its memory, or as a member of the group?  If
 * not, it is spared there. */
bool kill_set_may_kill(const struct kill_set *set, const struct census_process *process);

/* The processes of the group that have memory and may be killed, the victim among them; none if the
 * victim is not in it. */
void kill_set_members(const struct kill_set *set, kill_set_fn f, void *userdata);
/* Is it one of them? */
bool kill_set_has_member(const struct kill_set *set, const struct census_process *process);

/* The eligible siblings, or what starts the victim again, as set->as_one says; none where there is
 * a group.  The parent is first, if it would start more of them. */
void kill_set_siblings(const struct kill_set *set, kill_set_fn f, void *userdata);

/*
 * The relatives that hold half of what the victim shares with them, or more.  A relative that maps
 * as much is taken to map that: reading the shares of each would take milliseconds for each, in an
 * emergency.  Those that map less by what the census knows are read again: a relative that touches
 * what is there already allocates nothing, so nothing says that its reading is old.
 *
 * None if the victim shares little with relatives, or if one of them may not be killed: it keeps
 * all that they have in common, so it is no use to kill the others.  Returns that one, or NULL.
 */
const struct census_process *kill_set_relatives(const struct kill_set *set, kill_set_fn f,
						void *userdata);

/* What the victim shares with those, bytes; 0: too little. */
uint64_t kill_set_common(const struct kill_set *set);

/* What the victim and its relatives free; alone: what is known to be the relatives' own, which is
 * freed with all that they have in common if every one is killed.  Else the victim is killed
 * without them, and only its own is freed. */
struct proc_memory kill_set_frees(const struct kill_set *set, bool are_all, uint64_t alone);

/* Adds what another frees to what is freed in all. */
void kill_set_add(struct proc_memory *all, const struct proc_memory *memory);
