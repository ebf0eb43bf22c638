/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-group: finds units and siblings that grew together, and puts the victim among them
 * first. */
#include "lib/select/victim-group.h"

#include <string.h>

#include "lib/select/kinship.h"
#include "lib/select/streak.h"
#include "lib/select/victim-walk.h"

/* A process that has more of memory than this share is large.  Siblings are compared with it only
 * if it is none of them and has not grown by that part of it. */
#define SINGLE_SHARE 8
#define GROWN_SHARE  8
/* And must have gained so much of it. */
#define GROUP_SHARE 4
/* A member with more than this part of what all have gained, and more than twice the average, is by
 * itself what fills memory: of members that are started and grow one after the other none is. */
#define STANDS_OUT_SHARE 4
/* Different siblings at a time; those beyond that are not compared. */
#define SLOTS 128
/* Groups that turned out to be smaller, or gone, once read; then the single process is taken. */
#define TRIES 3

struct group {
	enum kinship kinship;
	const struct census_process *first; /* NULL: a free place */
	unsigned n;			    /* that have gained memory */
	unsigned n_new;			    /* of those, that have just come */
	uint64_t gained;		    /* bytes */
	uint64_t score;			    /* that, weighted */
	uint64_t largest;		    /* of all members, bytes */
	uint64_t most;			    /* of one member: of score */
	const struct census_process *most_of;
	bool is_refused; /* was read, and is not what it seemed */
};

static bool is_younger_than(const struct victim_request *request,
			    const struct census_process *process, usec_t age)
{
	return sub_u64(request->ticks_now, process->start_ticks) < age / USEC_PER_TICK;
}

static bool is_young(const struct victim_request *request, const struct census_process *process)
{
	return is_younger_than(request, process, VICTIM_RECENT_USEC);
}

static uint64_t gained(const struct victim_request *request, const struct census_process *process)
{
	uint64_t bytes = proc_reclaimable(&process->memory);

	if (is_young(request, process))
		return bytes;
	if (census_since(process->recent_at, request->now) > 2 * CENSUS_GROWTH_USEC)
		return 0; /* what it had earlier is from before the calm */
	return sub_u64(bytes, process->earlier_footprint);
}

/* A process that is skipped after a failure, or for its kind, is not counted either. */
static bool may_count(const struct choice *choice, const struct census_process *process)
{
	return process->above && !process->is_gone && victim_is_allowed(choice, &process->node) &&
	       victim_backoff(process, choice->request) == BACKOFF_NONE;
}

static void add_member(const struct choice *choice, struct group *group,
		       const struct census_process *process)
{
	uint64_t bytes = proc_reclaimable(&process->memory);
	uint64_t more = gained(choice->request, process), score;

	group->largest = max_u64(group->largest, bytes);
	if (more == 0)
		return;
	group->n += more >= bytes / 2;
	group->n_new +=
		more >= bytes / 2 && is_younger_than(choice->request, process, VICTIM_NEW_USEC);
	group->gained = add_u64(group->gained, more);
	score = victim_weighted(process, choice->request, more);
	group->score = add_u64(group->score, score);
	if (score > group->most) {
		group->most = score;
		group->most_of = process;
	}
}

static bool may_be_kin(const struct choice *choice, enum kinship kinship,
		       const struct census_process *process)
{
	return may_count(choice, process) &&
	       (!kinship_is_of_storms(kinship) || is_young(choice->request, process));
}

static bool is_member(const struct choice *choice, const struct group *group,
		      const struct census_process *process)
{
	return kinship_has(group->kinship, group->first, process) &&
	       may_be_kin(choice, group->kinship, process);
}

/* Its place, or a free one; NULL: there is none. */
static struct group *place_for(struct group *groups, enum kinship kinship,
			       const struct census_process *process)
{
	unsigned slot = kinship_hash(kinship, process);

	for (unsigned i = 0; i < SLOTS; i++) {
		struct group *group = &groups[(slot + i) % SLOTS];

		if (!group->first || kinship_has(kinship, group->first, process))
			return group;
	}
	return NULL;
}

static void collect_one(const struct choice *choice, enum kinship kinship,
			struct group groups[static SLOTS], const struct census_process *process)
{
	struct group *group;

	if (!may_be_kin(choice, kinship, process))
		return;
	group = place_for(groups, kinship, process);
	if (!group)
		return;
	group->kinship = kinship;
	group->first = group->first ? group->first : process;
	add_member(choice, group, process);
}

/* What has gained nothing takes no place.  All are looked at once: of ten thousand that counts. */
static void collect(const struct choice *choice, struct group groups[static _KINSHIP_MAX * SLOTS])
{
	const struct census_process *process;

	memset(groups, 0, _KINSHIP_MAX * SLOTS * sizeof(*groups));
	census_for_each(choice->census, process)
		if (process->node.weight_max > 0 && gained(choice->request, process) >= MIB / 4)
			for (unsigned k = 0; k < _KINSHIP_MAX; k++)
				collect_one(choice, k, groups + k * SLOTS, process);
}

static uint64_t best_single(const struct choice *choice)
{
	const struct victim_result *result = choice->result;

	return result->n_ranked > 0 ? result->ranked[0].estimate : 0;
}

static bool single_is_large(const struct choice *choice)
{
	return best_single(choice) >= choice->request->memory / SINGLE_SHARE;
}

/* Since it was first read, or for five seconds at least.  What was started since then has taken all
 * of it since, however much that was when it was first read. */
static bool has_grown(const struct victim_request *request, const struct census_process *process)
{
	uint64_t mapped = proc_mapped(&process->memory);

	return is_younger_than(request, process, VICTIM_NEW_USEC) ||
	       sub_u64(mapped, process->earlier_footprint) >= mapped / GROWN_SHARE;
}

static bool single_has_grown(const struct choice *choice)
{
	const struct census_process *single = choice->result->ranked[0].process;

	return !single || has_grown(choice->request, single);
}

static bool has_single(const struct choice *choice, const struct group *group)
{
	const struct census_process *single = choice->result->ranked[0].process;

	return single && kinship_has(group->kinship, group->first, single);
}

/* What was started together may be a database and what fills memory beside it. */
static bool is_beside(const struct choice *choice, const struct group *group)
{
	return group->kinship == KINSHIP_BY_START && has_single(choice, group) &&
	       !single_has_grown(choice);
}

/* A member that is by itself what fills memory. */
static bool single_stands_out(const struct choice *choice, const struct group *group)
{
	if (!has_single(choice, group) || is_beside(choice, group))
		return false;
	return single_is_large(choice) || (group->kinship == KINSHIP_BY_START &&
					   best_single(choice) / 2 > group->score / group->n);
}

static bool outranks(const struct choice *choice, const struct group *group)
{
	/* A storm goes on; what has been started together a while ago is none. */
	uint64_t others = is_beside(choice, group) ? best_single(choice) : 0;
	bool is_storm =
		group->n >= VICTIM_CHILDREN_MIN && group->n_new >= group->n / VICTIM_NEW_SHARE;

	return !group->is_refused && group->n >= VICTIM_MEMBERS_MIN &&
	       (!kinship_is_of_storms(group->kinship) || is_storm) &&
	       group->gained >= choice->request->memory / GROUP_SHARE &&
	       sub_u64(group->score, others) / 2 > best_single(choice) &&
	       !single_stands_out(choice, group);
}

static struct group *find_largest(const struct choice *choice,
				  struct group groups[static _KINSHIP_MAX * SLOTS])
{
	struct group *largest = NULL;

	for (unsigned i = 0; i < _KINSHIP_MAX * SLOTS; i++) {
		if (largest && largest->kinship < KINSHIP_BY_START &&
		    groups[i].kinship == KINSHIP_BY_START)
			break; /* the rest may be any programs */
		if (groups[i].first && outranks(choice, &groups[i]) &&
		    (!largest || groups[i].score > largest->score))
			largest = &groups[i];
	}
	return largest;
}

/* Reads status of the siblings; false: there was no time for all. */
static bool reread_siblings(struct choice *choice, const struct group *group)
{
	const struct census_process *process;

	if (!choice->reader->reread)
		return true;
	census_for_each(choice->census, process)
		if (is_member(choice, group, process) &&
		    victim_reread(choice, &process->node) == VICTIM_READ_LATE)
			return false;
	return true;
}

static void count_again(const struct choice *choice, struct group *group)
{
	const struct census_process *process;

	*group = (struct group){ .kinship = group->kinship, .first = group->first };
	census_for_each(choice->census, process)
		if (is_member(choice, group, process))
			add_member(choice, group, process);
}

/* A process that has just started and holds little yet is no victim. */
static const struct census_process *find_youngest(const struct choice *choice,
						  const struct group *group)
{
	uint64_t enough = max_u64(group->gained / group->n / 2, choice->request->min_victim);
	const struct census_process *process, *youngest = NULL;

	census_for_each(choice->census, process) {
		if (!is_member(choice, group, process) ||
		    proc_reclaimable(&process->memory) < enough)
			continue;
		if (!youngest || process->start_ticks > youngest->start_ticks ||
		    (process->start_ticks == youngest->start_ticks && process->pid > youngest->pid))
			youngest = process;
	}
	return youngest;
}

/* A larger single process that does not grow may hide that one member stands out. */
static const struct census_process *find_victim(const struct choice *choice,
						const struct group *group)
{
	if (group->most > group->score / STANDS_OUT_SHARE &&
	    group->most / 2 > group->score / group->n && has_grown(choice->request, group->most_of))
		return group->most_of;
	return find_youngest(choice, group);
}

/* Of siblings that share their memory (copies on write) the sum is not what they hold: then most of
 * what is read of one is shared. */
static bool read_member(struct choice *choice, const struct census_process *process,
			struct victim_candidate *ret)
{
	uint64_t expected;

	victim_candidate_init(choice, &process->node, ret);
	expected = proc_mapped(&ret->memory);
	if (!ret->precise &&
	    (choice->result->n_reads >= VICTIM_MAX_READS || !victim_read(choice, ret)))
		return false;
	return !ret->is_unit && proc_reclaimable(&ret->memory) >= expected / 2;
}

/* It may have been ranked before, and its arguments read. */
static void put_first(struct victim_result *result, struct victim_candidate *candidate)
{
	unsigned i = 0;

	while (i < result->n_ranked && result->ranked[i].node != candidate->node)
		i++;
	if (i < result->n_ranked && !candidate->has_args) {
		candidate->has_args = result->ranked[i].has_args;
		candidate->args_hash = result->ranked[i].args_hash;
	}
	if (i == result->n_ranked && i < VICTIM_RANKED_MAX)
		result->n_ranked++;
	i = i < VICTIM_RANKED_MAX ? i : VICTIM_RANKED_MAX - 1;
	memmove(&result->ranked[1], &result->ranked[0], i * sizeof(*candidate));
	result->ranked[0] = *candidate;
}

static void judge_streak(struct choice *choice, const struct group *group,
			 const struct census_process *victim)
{
	const struct victim_request *request = choice->request;
	struct victim_result *result = choice->result;
	struct streak_subject subject;
	unsigned n_kills, n_replaced;

	if (!request->streak)
		return;
	subject = victim_streak_subject(choice, victim);
	n_kills = streak_of_siblings(request->streak, &subject, request->now);
	n_replaced = victim_is_of_queue(choice, victim, &subject)
			     ? 0
			     : streak_replaced_siblings(request->streak, &subject, request->now);
	if (streak_is_enough(n_kills, n_replaced, group->largest, request->memory))
		result->as_one = VICTIM_AS_SIBLINGS;
	result->is_replaced = n_replaced > 0;
	result->is_undone = n_replaced >= STREAK_REPLACED;
}

static bool prefer_siblings(struct choice *choice)
{
	struct group groups[_KINSHIP_MAX * SLOTS], *group;
	struct victim_candidate candidate;
	const struct census_process *victim;

	if (single_is_large(choice) && single_has_grown(choice))
		return false;
	collect(choice, groups);
	for (unsigned i = 0; i < TRIES; i++) {
		group = find_largest(choice, groups);
		if (!group)
			return false;
		if (!reread_siblings(choice, group))
			choice->result->approximate = true;
		count_again(choice, group);
		victim = outranks(choice, group) ? find_victim(choice, group) : NULL;
		if (victim && read_member(choice, victim, &candidate)) {
			put_first(choice->result, &candidate);
			choice->group_score = group->score / 2;
			judge_streak(choice, group, victim);
			return true;
		}
		group->is_refused = true;
	}
	return false;
}

static void count_below(const struct choice *choice, const struct census_node *node,
			struct group *group)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			count_below(choice, child, group);
		return;
	}
	if (!may_count(choice, process))
		return;
	add_member(choice, group, process);
	if (!group->first ||
	    gained(choice->request, process) > gained(choice->request, group->first))
		group->first = process;
}

/* With the process that would be killed alone, if it is of the cgroup. */
static bool streak_of_unit_is_enough(struct choice *choice, const struct group *group,
				     const char *path)
{
	const struct victim_request *request = choice->request;
	const struct victim_result *result = choice->result;
	struct streak_subject subject = { .comm = "", .ppid = -1, .uid = (uid_t)-1 };
	struct streak_subject first = victim_streak_subject(choice, group->first);

	if (result->n_ranked > 0 && result->ranked[0].process &&
	    strcmp(census_cgroup_path(result->ranked[0].process), path) == 0)
		subject = victim_streak_subject(choice, result->ranked[0].process);
	subject.cgroup = path;
	if (victim_is_of_queue(choice, group->first, &first))
		return false;
	return streak_is_enough_for_unit(
		streak_of_cgroup(request->streak, path, request->now),
		streak_replaced_in_cgroup(request->streak, &subject, request->now), group->largest,
		request->memory);
}

static bool unit_outranks(struct choice *choice, const struct group *group, const char *path,
			  enum victim_as_one as_one)
{
	return group->first &&
	       (as_one == VICTIM_ALONE || streak_of_unit_is_enough(choice, group, path)) &&
	       group->gained >= choice->request->min_victim &&
	       group->score / 2 > best_single(choice);
}

/* The process that has gained most stands for it, or is the victim. */
static bool prefer_unit(struct choice *choice, const char *path, enum victim_as_one as_one)
{
	const struct victim_request *request = choice->request;
	struct victim_candidate candidate;
	struct census_cgroup *cgroup;
	struct group group = { 0 };

	cgroup = census_paths_find(&choice->census->paths, path, strlen(path));
	if (!cgroup ||
	    !streak_is_unit(path, choice->census->policies->subtree, request->own_cgroup))
		return false;
	count_below(choice, &cgroup->node, &group);
	if (!unit_outranks(choice, &group, path, as_one))
		return false;
	if (choice->reader->reread && victim_reread(choice, &cgroup->node) == VICTIM_READ_LATE)
		choice->result->approximate = true;
	group = (struct group){ 0 };
	count_below(choice, &cgroup->node, &group);
	if (!unit_outranks(choice, &group, path, as_one) ||
	    !read_member(choice, group.first, &candidate))
		return false;
	put_first(choice->result, &candidate);
	choice->group_score = group.score / 2;
	choice->result->as_one = as_one;
	return true;
}

/* Of those with a streak. */
static bool prefer_units(struct choice *choice, enum victim_as_one as_one)
{
	const struct victim_request *request = choice->request;
	const char *path;

	for (unsigned i = 0; request->streak && i < STREAK_MAX; i++) {
		path = streak_cgroup(request->streak, i, request->now);
		if (path && prefer_unit(choice, path, as_one))
			return true;
	}
	return false;
}

void victim_prefer_group(struct choice *choice)
{
	const struct victim_request *request = choice->request;

	choice->result->as_one = VICTIM_ALONE;
	choice->result->is_replaced = choice->result->is_undone = false;
	choice->result->n_respawned = 0;
	if (request->target != POLICY_TARGET_PROCESS ||
	    request->rank_by != POLICY_RANK_BY_FOOTPRINT || request->memory == 0 ||
	    request->ticks_now == 0 || choice->result->is_cut || choice->result->is_reluctant)
		return;
	if (!prefer_units(choice, VICTIM_AS_CGROUP) && !prefer_siblings(choice))
		(void)prefer_units(choice, VICTIM_ALONE);
	if (!request->streak || choice->result->n_ranked == 0 || !choice->result->ranked[0].process)
		return;
	(void)victim_args_hash(choice, choice->result->ranked[0].process);
	if (choice->result->as_one == VICTIM_ALONE && request->streak->next > 0)
		victim_judge_respawn(choice);
}
