/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: chooses the words: why a process is the victim, or is not. */
#include "lib/explain/explain.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/format.h"

#define COMMAND_SIZE 16
#define NAME_SIZE    128

static const char *command_of(const struct census_process *process, char buf[static COMMAND_SIZE])
{
	return process->comm[0] ? format_foreign(process->comm, buf, COMMAND_SIZE) : "(no name)";
}

/* "worker (pid 812, user alice)". */
static const char *name_of(const struct preview *o, const struct census_process *process,
			   char buf[static NAME_SIZE])
{
	const char *user = preview_user(o, process->uid);
	char command[COMMAND_SIZE];

	snprintf(buf, NAME_SIZE, "%s (pid %d%s%s)", command_of(process, command), process->pid,
		 user ? ", user " : "", user ? user : "");
	return buf;
}

/* By a rule, or by its oom_score_adj. */
static void explain_reluctance(const struct census_process *process, struct explanation *e)
{
	const char *text = eligibility_to_string(ELIGIBILITY_RELUCTANT);
	char name[256];

	if (process->oom_score_adj < ELIGIBILITY_RELUCTANT_ADJ)
		snprintf(e->text, sizeof(e->text), "%s (its oom_score_adj is %d)", text,
			 process->oom_score_adj);
	else
		snprintf(e->text, sizeof(e->text), "%s (built-in rule %s)", text,
			 format_foreign(process->protected_by->name, name, sizeof(name)));
}

static void explain_exclusion(const struct preview *o, struct explanation *e)
{
	const struct rule *rule = e->process->protected_by;
	char name[256];

	if (explain_is_protected(e->exclusion))
		snprintf(e->text, sizeof(e->text), "protected by the %srule %s",
			 rule->builtin ? "built-in " : "",
			 format_foreign(rule->name, name, sizeof(name)));
	else if (e->exclusion == ELIGIBILITY_RELUCTANT)
		explain_reluctance(e->process, e);
	else if (e->exclusion == ELIGIBILITY_OUTSIDE_SUBTREE)
		snprintf(e->text, sizeof(e->text), "outside the subtree %s",
			 format_foreign(o->policies->subtree, name, sizeof(name)));
	else if (e->exclusion == ELIGIBILITY_SELF)
		snprintf(e->text, sizeof(e->text), "this is %s itself", o->self_name);
	else
		snprintf(e->text, sizeof(e->text), "%s", eligibility_to_string(e->exclusion));
}

/* "cgroup /user.slice/a.scope (3 processes)" */
#define GROUP_SIZE 320
static const char *name_group(const struct preview *o, char buf[static GROUP_SIZE])
{
	char foreign[256];

	snprintf(buf, GROUP_SIZE, "cgroup %s (%u process%s)",
		 format_foreign(o->group.path, foreign, sizeof(foreign)), o->group.n_processes,
		 o->group.n_processes == 1 ? "" : "es");
	return buf;
}

static void explain_victim(const struct preview *o, struct explanation *e)
{
	const struct victim_candidate *victim = preview_victim(o);
	char name[NAME_SIZE];

	if (victim->cgroup)
		snprintf(e->text, sizeof(e->text), "no other cgroup ranks higher");
	else if (preview_is_of_cgroups(o) && e->process == victim->process)
		snprintf(e->text, sizeof(e->text), "no cgroup ranks higher");
	else if (o->result.as_one == VICTIM_WITH_STARTER && o->others.n_siblings > 0)
		snprintf(e->text, sizeof(e->text), "%s was started again after %u kills",
			 name_of(o, victim->process, name), o->result.n_respawned);
	else if (o->others.n_siblings > 0 || o->group.is_repeated)
		snprintf(e->text, sizeof(e->text), "repeated kills %s have not freed enough memory",
			 o->group.is_repeated ? "in its cgroup" : "of its name and parent");
	else if (e->process == victim->process)
		snprintf(e->text, sizeof(e->text), "no process ranks higher");
	else
		snprintf(e->text, sizeof(e->text), "%s ranks highest, and %s",
			 name_of(o, victim->process, name),
			 o->group.length > 0 ? "memory.oom.group is set"
					     : "most of its memory is shared with this one");
}

/* Of a process whose cgroup is ranked, its cgroup. */
static enum backoff_verdict skipped_for(const struct preview *o, const struct explanation *e)
{
	const struct victim_candidate *skipped = &o->result.skipped;

	if (e->exclusion != ELIGIBILITY_ELIGIBLE || e->is_victim)
		return BACKOFF_NONE;
	if (!preview_is_by_cgroup(o, e->process) || e->candidate.cgroup)
		return preview_skipped(o, &e->candidate);
	return skipped->node && skipped->cgroup && census_cgroup_of(e->process) == skipped->cgroup
		       ? preview_skipped(o, skipped)
		       : BACKOFF_NONE;
}

static const char *why_skipped(enum backoff_verdict verdict)
{
	return verdict == BACKOFF_SIMILAR ? "killing a similar one freed little"
					  : "the last attempt to kill it failed";
}

/* It would have been the victim, but for another that has its memory. */
static bool explain_withheld(const struct preview *o, struct explanation *e)
{
	char name[NAME_SIZE];

	if (!o->withheld || e->process != o->withheld)
		return false;
	snprintf(e->text, sizeof(e->text), "its memory is shared with %s, which is not killed: %s",
		 name_of(o, o->withheld_for, name),
		 eligibility_to_string(victim_exclusion(o->census, o->withheld_for, &o->request)));
	return true;
}

static void explain_rank(const struct preview *o, struct explanation *e)
{
	const struct victim_candidate *victim = preview_victim(o);
	enum backoff_verdict skipped = skipped_for(o, e);
	char name[NAME_SIZE], group[GROUP_SIZE];

	if (e->rank == 0)
		snprintf(e->text, sizeof(e->text),
			 "the policy kills whole cgroups, and its own is not eligible as a whole");
	else if (!victim)
		snprintf(e->text, sizeof(e->text), "no process could be chosen");
	else if (skipped != BACKOFF_NONE)
		snprintf(e->text, sizeof(e->text), "%s is higher than that of %s, but %s",
			 preview_is_by_cgroup(o, e->process) ? "the score of its cgroup"
							     : "its score",
			 victim->cgroup ? name_group(o, group) : name_of(o, victim->process, name),
			 why_skipped(skipped));
	else if (victim->cgroup)
		snprintf(e->text, sizeof(e->text), "%s ranks higher", name_group(o, group));
	else if (e->candidate.verdict == VICTIM_UNDECIDED)
		snprintf(e->text, sizeof(e->text), "%s seems to rank higher",
			 name_of(o, victim->process, name));
	else
		snprintf(e->text, sizeof(e->text), "%s ranks higher",
			 name_of(o, victim->process, name));
}

int explain_process(struct preview *o, pid_t pid, struct explanation *ret)
{
	struct explanation e = { .process = census_find(o->census, pid) };
	int r;

	if (!e.process)
		return PROC_GONE;
	e.exclusion = victim_exclusion(o->census, e.process, &o->request);
	r = preview_candidate(o, e.process, &e.candidate, &e.rank);
	if (r != 0)
		return r;
	e.is_victim = preview_is_victim(o, e.process);
	if (e.is_victim && preview_is_of_cgroups(o))
		e.rank = 1; /* even in a cgroup below that */
	if (e.is_victim) {
		explain_victim(o, &e);
	} else if (e.exclusion == ELIGIBILITY_ELIGIBLE) {
		if (!explain_withheld(o, &e))
			explain_rank(o, &e);
	} else {
		explain_exclusion(o, &e);
		e.rank = 0;
	}
	*ret = e;
	return 0;
}

static void explain_weight(const struct preview *o, struct explanation *e)
{
	const struct victim_candidate *c = &e->candidate;
	char counts[FORMAT_BYTES_SIZE], adj[32] = "", ranked_by[32] = "";

	if (!c->cgroup)
		snprintf(adj, sizeof(adj), "oom_score_adj %d, ", c->process->oom_score_adj);
	if (o->request.rank_by != POLICY_RANK_BY_FOOTPRINT)
		snprintf(ranked_by, sizeof(ranked_by), ", ranked by %s",
			 policy_rank_by_to_string(o->request.rank_by));
	snprintf(e->text, sizeof(e->text), "its score is %s (%sweight %.3g%s)",
		 format_bytes(c->estimate, counts), adj, preview_weight(c), ranked_by);
}

static void explain_survival(const struct preview *o, struct explanation *e)
{
	enum backoff_verdict skipped = skipped_for(o, e);

	if (e->exclusion != ELIGIBILITY_ELIGIBLE)
		explain_exclusion(o, e);
	else if (explain_withheld(o, e))
		return;
	else if (skipped != BACKOFF_NONE)
		snprintf(e->text, sizeof(e->text), "%s", why_skipped(skipped));
	else if (preview_is_by_cgroup(o, e->process) && !e->candidate.cgroup)
		snprintf(e->text, sizeof(e->text),
			 "the policy kills whole cgroups, and its own is not eligible as a whole");
	else
		explain_weight(o, e);
}

struct survivors {
	const struct preview *preview;
	struct explanation *kept; /* the largest first */
	size_t n;
};

/* Of equals, the one that was added first is kept in front. */
static void keep(struct survivors *s, const struct explanation *e)
{
	uint64_t size = proc_reclaimable(&e->candidate.memory);
	size_t i = s->n < EXPLAIN_SURVIVORS_MAX ? s->n++ : EXPLAIN_SURVIVORS_MAX - 1;

	if (i == EXPLAIN_SURVIVORS_MAX - 1 && s->kept[i].process &&
	    proc_reclaimable(&s->kept[i].candidate.memory) >= size)
		return;
	for (; i > 0 && proc_reclaimable(&s->kept[i - 1].candidate.memory) < size; i--)
		s->kept[i] = s->kept[i - 1];
	s->kept[i] = *e;
}

static void keep_if_larger(struct survivors *s, const struct explanation *e)
{
	const struct victim_candidate *victim = preview_victim(s->preview);

	if (proc_reclaimable(&e->candidate.memory) > proc_reclaimable(&victim->memory) ||
	    skipped_for(s->preview, e) != BACKOFF_NONE)
		keep(s, e);
}

/* A cgroup that is ranked stands for all in it. */
static bool is_in_ranked(const struct preview *o, const struct census_process *process)
{
	const struct census_cgroup *cgroup = census_cgroup_of(process);

	if (!preview_is_of_cgroups(o) || !cgroup)
		return false;
	for (unsigned i = 0; i < o->result.n_ranked; i++)
		if (o->result.ranked[i].cgroup == cgroup ||
		    o->result.ranked[i].node == &process->node)
			return true;
	return o->result.n_ranked == VICTIM_RANKED_MAX || cgroup == o->result.skipped.cgroup;
}

static void find_surviving_processes(struct survivors *s)
{
	const struct preview *o = s->preview;
	const struct census_process *process;

	census_for_each(o->census, process) {
		struct explanation e = { .process = process };

		if (process->kthread || preview_is_victim(o, process))
			continue;
		e.exclusion = victim_exclusion(o->census, process, &o->request);
		if (e.exclusion == ELIGIBILITY_ELIGIBLE && is_in_ranked(o, process))
			continue;
		preview_known(o, process, &e.candidate);
		keep_if_larger(s, &e);
	}
}

static struct explanation of_candidate(const struct victim_candidate *candidate)
{
	return (struct explanation){ .process = candidate->process, .candidate = *candidate };
}

static void find_surviving_cgroups(struct survivors *s)
{
	const struct victim_result *result = &s->preview->result;

	for (unsigned i = 1; preview_is_of_cgroups(s->preview) && i < result->n_ranked; i++) {
		struct explanation e = of_candidate(&result->ranked[i]);

		keep_if_larger(s, &e);
	}
}

/* The one with the highest score of those that are skipped is named in any case. */
static void keep_skipped(struct survivors *s)
{
	const struct victim_candidate *skipped = &s->preview->result.skipped;
	struct explanation e = of_candidate(skipped);

	if (!skipped->node)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (s->kept[i].candidate.node == skipped->node)
			return;
	if (s->n == EXPLAIN_SURVIVORS_MAX)
		s->kept[--s->n] = (struct explanation){ 0 };
	keep(s, &e);
}

size_t explain_survivors(const struct preview *o,
			 struct explanation ret[static EXPLAIN_SURVIVORS_MAX])
{
	struct survivors s = { .preview = o, .kept = ret };

	memset(ret, 0, EXPLAIN_SURVIVORS_MAX * sizeof(ret[0]));
	if (!preview_victim(o))
		return 0;
	find_surviving_processes(&s);
	find_surviving_cgroups(&s);
	keep_skipped(&s);
	for (size_t i = 0; i < s.n; i++)
		explain_survival(o, &ret[i]);
	return s.n;
}

const char *explain_skipped(const struct preview *o, const struct explanation *e)
{
	enum backoff_verdict verdict = skipped_for(o, e);

	return verdict == BACKOFF_SIMILAR	? "similar"
	       : verdict == BACKOFF_CONSECUTIVE ? "failed"
						: NULL;
}

/* ", with all of cgroup /user.slice/a.scope (3 processes)", or nothing. */
#define WITH_SIZE (GROUP_SIZE + 48)
static const char *with_others(const struct preview *o, char buf[static WITH_SIZE])
{
	unsigned n = o->others.n_sharers + o->others.n_relatives;
	char group[GROUP_SIZE];

	buf[0] = '\0';
	if (o->group.length > 0)
		snprintf(buf, WITH_SIZE, ", with all of %s%s", name_group(o, group),
			 o->group.is_repeated ? ", after repeated kills in it" : "");
	else if (o->result.as_one == VICTIM_WITH_STARTER && o->others.n_siblings > 0)
		snprintf(buf, WITH_SIZE, ", with what starts it again (pid %d)",
			 o->result.starter_pid);
	else if (o->others.n_siblings > 0)
		snprintf(buf, WITH_SIZE, ", with %u others of its name and parent",
			 o->others.n_siblings);
	else if (n > 0)
		snprintf(buf, WITH_SIZE, ", with %u that share%s its memory", n, n == 1 ? "s" : "");
	return buf;
}

const char *explain_answer_machine(const struct preview *o, char buf[static EXPLAIN_ANSWER_SIZE])
{
	const struct victim_candidate *victim = preview_victim(o);
	char name[NAME_SIZE], size[FORMAT_INTERVAL_SIZE], others[WITH_SIZE], policy[64];
	int n;

	if (!o->policy)
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE,
			     "No policy of this configuration kills; if one did, ");
	else if (o->policy_holds)
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE, "The conditions of policy %s hold now: ",
			     format_foreign(o->policy->name, policy, sizeof(policy)));
	else
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE, "If memory ran out now, ");
	if (victim)
		snprintf(buf + n, EXPLAIN_ANSWER_SIZE - (size_t)n,
			 "%s would be killed first%s; this would free %s.",
			 name_of(o, victim->process, name), with_others(o, others),
			 format_interval(o->size, size));
	else
		snprintf(buf + n, EXPLAIN_ANSWER_SIZE - (size_t)n,
			 "no %s would be killed: none is eligible and large enough.",
			 preview_is_of_cgroups(o) ? "cgroup" : "process");
	return buf;
}

const char *explain_answer_process(const struct preview *o, const struct explanation *e,
				   char buf[static EXPLAIN_ANSWER_SIZE])
{
	char name[NAME_SIZE], size[FORMAT_INTERVAL_SIZE], others[WITH_SIZE];

	name_of(o, e->process, name);
	if (e->is_victim)
		snprintf(buf, EXPLAIN_ANSWER_SIZE,
			 "%s would be killed first%s: %s; this would free %s.", name,
			 with_others(o, others), e->text, format_interval(o->size, size));
	else if (e->rank > 0)
		snprintf(buf, EXPLAIN_ANSWER_SIZE, "%s would not be killed first: %s.", name,
			 e->text);
	else
		snprintf(buf, EXPLAIN_ANSWER_SIZE, "%s would not be killed: %s.", name, e->text);
	return buf;
}

const char *explain_kept(const struct proc_memory *memory)
{
	if (memory->kept == 0)
		return NULL;
	if (memory->shmem < memory->kept / 16)
		return "copy-on-write pages that it shares with other processes, "
		       "or memory that is free already (MADV_FREE)";
	if (add_u64(memory->anon, memory->swap) < memory->kept / 16)
		return "shared memory that other processes map, or files on a tmpfs";
	return "pages that it shares with other processes, or files on a tmpfs";
}

const char *explain_excluded(const struct explanation *e)
{
	if (e->exclusion == ELIGIBILITY_ELIGIBLE || e->is_victim)
		return e->rank == 0 ? "cgroup" : NULL;
	return eligibility_to_key(e->exclusion);
}
