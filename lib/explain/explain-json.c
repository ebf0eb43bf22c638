/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain-json: a preview as objects.  reckonctl(1) promises the members: new ones may be added,
 * none changes its meaning.  Every "o" takes a new reference, and NULL there makes the whole NULL.
 */
#include <stdio.h>

#include "lib/base/json.h"
#include "lib/explain/describe.h"
#include "lib/explain/explain.h"

static json_t *of_count(size_t n)
{
	return json_integer((json_int_t)n);
}

/* What may not be read is not known. */
static json_t *of_known(bool is_known, uint64_t bytes)
{
	return is_known ? json_of_bytes(bytes) : json_null();
}

/* 0 is not set. */
static json_t *of_permyriad(unsigned permyriad)
{
	return permyriad > 0 ? json_integer(permyriad) : json_null();
}

static json_t *of_threshold(const struct policy_threshold *threshold, uint64_t total)
{
	return threshold->set ? json_of_bytes(policy_threshold_bytes(threshold, total))
			      : json_null();
}

static json_t *of_policy(const struct preview *o, const struct policy *p, bool holds)
{
	char conditions[DESCRIBE_POLICY_SIZE];

	if (!p)
		return json_null();
	describe_policy(p, &o->memory, conditions);
	return json_pack(
		"{s:o, s:s, s:s, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
		json_of_foreign(p->name), "action", policy_action_to_string(p->action), "target",
		policy_target_to_string(p->target), "conditions", json_of_foreign(conditions),
		"holds", holds, "rank_by", policy_rank_by_to_string(p->rank_by),
		"memory_available_bytes", of_threshold(&p->memory_available, o->memory.total),
		"swap_free_bytes", of_threshold(&p->swap_free, o->memory.swap_total),
		"pressure_some_permyriad", of_permyriad(p->pressure_some),
		"pressure_full_permyriad", of_permyriad(p->pressure_full), "thrashing_permyriad",
		of_permyriad(p->thrashing), "for_usec", json_of_bytes(p->for_usec));
}

/* Those that only warn, too. */
static json_t *of_policies(const struct preview *o)
{
	struct policy_reading reading = preview_reading(o);
	json_t *array = json_array();

	for (size_t i = 0; i < o->policies->n_policies; i++) {
		const struct policy *policy = &o->policies->policies[i];

		json_append_to(&array, of_policy(o, policy, policy_holds(policy, &reading)));
	}
	return array;
}

static json_t *of_memory(const struct preview *o)
{
	const struct memory_reading *m = &o->memory;

	return json_pack("{s:o, s:o, s:i, s:o, s:o, s:i, s:o, s:o}", "total_bytes",
			 json_of_bytes(m->total), "available_bytes", json_of_bytes(m->available),
			 "available_permyriad", (int)memory_available_permyriad(m),
			 "swap_total_bytes", json_of_bytes(m->swap_total), "swap_free_bytes",
			 json_of_bytes(m->swap_free), "swap_free_permyriad",
			 (int)memory_swap_free_permyriad(m), "pressure_some_permyriad",
			 o->has_psi ? json_integer(o->pressure.some.avg10) : json_null(),
			 "pressure_full_permyriad",
			 o->has_psi ? json_integer(o->pressure.full.avg10) : json_null());
}

/* Its identity, and what is known of its size. */
static json_t *of_candidate(const struct preview *o, const struct victim_candidate *candidate)
{
	const struct census_process *p = candidate->process;
	const struct proc_memory *memory = &candidate->memory;
	struct interval size = preview_size(o, candidate);
	bool is_known = candidate->precise || candidate->cgroup || p->error == 0;
	unsigned n_relatives;
	uint64_t frees = preview_frees(o, candidate, &n_relatives);
	const char *why = n_relatives > 0 ? NULL : explain_kept(memory);

	return json_pack(
		"{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:o, s:f, s:o, s:o, s:o}",
		"pid", (int)p->pid, "command", json_of_foreign(p->comm), "user",
		json_of_foreign(preview_user(o, p->uid)), "uid",
		p->uid == (uid_t)-1 ? json_null() : json_integer(p->uid), "cgroup",
		json_of_foreign(census_cgroup_path(p)), "processes",
		candidate->cgroup ? json_integer(preview_processes(candidate)) : json_null(),
		"footprint_bytes", of_known(is_known, proc_reclaimable(memory)), "would_free_bytes",
		of_known(is_known, frees), "alone_bytes",
		of_known(is_known && candidate->precise, candidate->alone), "footprint_min_bytes",
		of_known(is_known, size.lo), "footprint_max_bytes", of_known(is_known, size.hi),
		"anonymous_bytes", of_known(is_known, memory->anon), "swap_bytes",
		of_known(is_known, memory->swap), "shared_bytes",
		of_known(is_known, memory->shared), "shmem_bytes",
		of_known(is_known, memory->shmem), "kept_bytes",
		of_known(is_known && memory->is_measured, sub_u64(proc_mapped(memory), frees)),
		"kept_for", why ? json_string(why) : json_null(), "relatives", (int)n_relatives,
		"precise", candidate->precise && size.lo == size.hi, "oom_score_adj",
		candidate->cgroup ? json_null() : json_integer(p->oom_score_adj), "weight",
		preview_weight(candidate), "score_bytes", of_known(is_known, candidate->estimate),
		"score_min_bytes", of_known(is_known, candidate->score.lo), "score_max_bytes",
		of_known(is_known, candidate->score.hi));
}

static json_t *of_ranked(const struct preview *o, const struct victim_candidate *candidate)
{
	return json_with(of_candidate(o, candidate), "verdict",
			 json_string(victim_verdict_to_string(candidate->verdict)));
}

static json_t *of_ranking(const struct preview *o)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < o->result.n_ranked; i++)
		json_append_to(&array, of_ranked(o, &o->result.ranked[i]));
	return array;
}

static json_t *of_victim(const struct preview *o)
{
	const struct victim_candidate *victim = preview_victim(o);

	return victim ? of_ranked(o, victim) : json_null();
}

static json_t *of_group(const struct preview *o)
{
	const struct preview_group *g = &o->group;

	if (g->length == 0)
		return json_null();
	return json_pack(
		"{s:o, s:s, s:i, s:o, s:o, s:o, s:o}", "cgroup", json_of_foreign(g->path), "by",
		g->is_flagged	 ? "memory.oom.group"
		: g->is_repeated ? "repeated-kills"
				 : "policy",
		"processes", (int)g->n_processes, "would_free_bytes", json_of_bytes(o->frees),
		"footprint_bytes", json_of_bytes(o->frees), "footprint_min_bytes",
		json_of_bytes(o->size.lo), "footprint_max_bytes", json_of_bytes(o->size.hi));
}

static json_t *of_excluded(const struct preview *o)
{
	const size_t *n = o->n_excluded;

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kernel_threads",
		of_count(n[ELIGIBILITY_KTHREAD]), "init", of_count(n[ELIGIBILITY_INIT]),
		"protected", of_count(n[ELIGIBILITY_PROTECTED] + n[ELIGIBILITY_PROTECTED_BUILTIN]),
		"reluctant", of_count(n[ELIGIBILITY_RELUCTANT]), "oom_score_adj_min",
		of_count(n[ELIGIBILITY_ADJ_MIN]), "outside_subtree",
		of_count(n[ELIGIBILITY_OUTSIDE_SUBTREE]), "skipped",
		of_count(n[ELIGIBILITY_SKIPPED]), "unreadable", of_count(o->census->n_unreadable),
		"zombies", of_count(n[ELIGIBILITY_NO_MEMORY]));
}

static json_t *of_rule(const struct rule *rule)
{
	if (!rule)
		return json_null();
	return json_pack("{s:o, s:b}", "name", json_of_foreign(rule->name), "builtin",
			 rule->builtin);
}

static json_t *of_protected_one(const struct census_process *process)
{
	return json_pack("{s:i, s:o, s:o, s:o}", "pid", (int)process->pid, "command",
			 json_of_foreign(process->comm), "footprint_bytes",
			 json_of_bytes(proc_reclaimable(&process->memory)), "rule",
			 of_rule(process->protected_by));
}

static json_t *of_protected(const struct preview *o)
{
	const struct census_process *process;
	json_t *array = json_array();

	census_for_each(o->census, process) {
		if (json_array_size(array) == EXPLAIN_PROTECTED_MAX)
			break;
		if (explain_is_protected(victim_exclusion(o->census, process, &o->request)))
			json_append_to(&array, of_protected_one(process));
	}
	return array;
}

/* Why it is not killed: a process that is asked about, or one that is larger. */
static json_t *with_reason(const struct preview *o, const struct explanation *e, json_t *process,
			   const char *excluded)
{
	const struct rule *rule =
		explain_is_protected(e->exclusion) || e->exclusion == ELIGIBILITY_RELUCTANT
			? e->process->protected_by
			: NULL;

	process = json_with(process, "excluded", json_of_foreign(excluded));
	process = json_with(process, "skipped_for", json_of_foreign(explain_skipped(o, e)));
	process = json_with(process, "rule", of_rule(rule));
	return json_with(process, "reason", json_of_foreign(e->text));
}

static json_t *of_survivors(const struct preview *o)
{
	struct explanation survivors[EXPLAIN_SURVIVORS_MAX];
	size_t n = explain_survivors(o, survivors);
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct explanation *e = &survivors[i];
		bool is_ranked = e->exclusion == ELIGIBILITY_ELIGIBLE &&
				 (e->candidate.cgroup || !preview_is_by_cgroup(o, e->process));

		json_append_to(&array, with_reason(o, e, of_candidate(o, &e->candidate),
						   is_ranked ? NULL : explain_excluded(e)));
	}
	return array;
}

json_t *explain_json_machine(const struct preview *o)
{
	char answer[EXPLAIN_ANSWER_SIZE];

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:b}",
		"answer", json_of_foreign(explain_answer_machine(o, answer)), "victim",
		of_victim(o), "group", of_group(o), "policy",
		of_policy(o, o->policy, o->policy_holds), "policies", of_policies(o), "memory",
		of_memory(o), "ranked", of_ranking(o), "survivors", of_survivors(o), "candidates",
		of_count(o->result.n_candidates), "precise_reads", (int)o->result.n_reads,
		"approximate", o->result.approximate, "accuracy",
		accuracy_regime_to_string(o->accuracy->regime), "accuracy_error_bytes",
		json_of_bytes(accuracy_interval(o->accuracy, 0, o->census->with_swap, 1).hi),
		"read_error_bytes", json_of_bytes(preview_read_error(o)), "excluded",
		of_excluded(o), "protected", of_protected(o), "hides_others", o->hides_others,
		"subtree", json_of_foreign(o->policies->subtree), "dry_run", o->policies->dry_run);
}

json_t *explain_json_process(const struct preview *o, const struct explanation *e)
{
	json_t *process = of_candidate(o, &e->candidate);
	char answer[EXPLAIN_ANSWER_SIZE];

	process = json_with(process, "is_victim", json_boolean(e->is_victim));
	process = json_with(process, "rank",
			    e->rank > 0 ? json_integer((json_int_t)e->rank) : json_null());
	process = with_reason(o, e, process, explain_excluded(e));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "answer",
			 json_of_foreign(explain_answer_process(o, e, answer)), "process", process,
			 "victim", of_victim(o), "group", of_group(o), "policy",
			 of_policy(o, o->policy, o->policy_holds), "memory", of_memory(o),
			 "candidates", of_count(o->result.n_candidates));
}
