/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: see the header. */
#include "lib/explain.h"

#include <stdio.h>
#include <string.h>

#include "lib/format.h"

const char *explain_command(const struct census_process *process,
			    char buf[static EXPLAIN_COMMAND_SIZE])
{
	return process->comm[0] ? format_foreign(process->comm, buf, EXPLAIN_COMMAND_SIZE)
				: "(no name)";
}

const char *explain_name(const struct outlook *o, const struct census_process *process,
			 char buf[static EXPLAIN_NAME_SIZE])
{
	const char *user = outlook_user(o, process->uid);
	char command[EXPLAIN_COMMAND_SIZE];

	snprintf(buf, EXPLAIN_NAME_SIZE, "%s (pid %d%s%s)", explain_command(process, command),
		 process->pid, user ? ", user " : "", user ? user : "");
	return buf;
}

static void explain_exclusion(const struct outlook *o, struct explanation *e)
{
	const struct rule *rule = e->process->protected_by;
	char name[256];

	if (e->exclusion == VICTIM_IS_PROTECTED)
		snprintf(e->text, sizeof(e->text), "protected by the %srule %s",
			 rule->builtin ? "built-in " : "",
			 format_foreign(rule->name, name, sizeof(name)));
	else if (e->exclusion == VICTIM_IS_OUT_OF_SCOPE)
		snprintf(e->text, sizeof(e->text), "outside the scope %s",
			 format_foreign(o->policies->scope, name, sizeof(name)));
	else if (e->exclusion == VICTIM_IS_SELF)
		snprintf(e->text, sizeof(e->text), "this is %s itself", o->self_name);
	else
		snprintf(e->text, sizeof(e->text), "%s", victim_exclusion_to_string(e->exclusion));
}

/* "cgroup /user.slice/a.scope (3 processes)" */
#define GROUP_SIZE 320
static const char *name_group(const struct outlook *o, char buf[static GROUP_SIZE])
{
	char path[CGROUP_PATH_MAX], foreign[256];

	snprintf(path, sizeof(path), "%.*s", (int)o->group.length, o->group.path);
	snprintf(buf, GROUP_SIZE, "cgroup %s (%u process%s)",
		 format_foreign(path, foreign, sizeof(foreign)), o->group.n_processes,
		 o->group.n_processes == 1 ? "" : "es");
	return buf;
}

static void explain_going(const struct outlook *o, struct explanation *e)
{
	const struct victim_candidate *victim = outlook_victim(o);
	char name[EXPLAIN_NAME_SIZE];

	if (outlook_is_of_cgroups(o))
		snprintf(e->text, sizeof(e->text), "no other cgroup ranks higher");
	else if (e->process == victim->process)
		snprintf(e->text, sizeof(e->text), "nobody ranks higher");
	else
		snprintf(e->text, sizeof(e->text), "%s ranks highest, and memory.oom.group is set",
			 explain_name(o, victim->process, name));
}

static void explain_rank(const struct outlook *o, struct explanation *e)
{
	const struct victim_candidate *victim = outlook_victim(o);
	char name[EXPLAIN_NAME_SIZE], group[GROUP_SIZE];

	if (e->rank == 0)
		snprintf(e->text, sizeof(e->text),
			 "the policy ends whole cgroups, and its own may not be ended as a whole");
	else if (!victim)
		snprintf(e->text, sizeof(e->text), "nobody could be chosen");
	else if (outlook_is_of_cgroups(o))
		snprintf(e->text, sizeof(e->text), "%s ranks higher", name_group(o, group));
	else if (o->result.avoided.process == e->process)
		snprintf(e->text, sizeof(e->text),
			 "it counts for more than %s, but ending another of its kind gave little",
			 explain_name(o, victim->process, name));
	else if (e->candidate.verdict == VICTIM_UNDECIDED)
		snprintf(e->text, sizeof(e->text), "%s seems to rank higher",
			 explain_name(o, victim->process, name));
	else
		snprintf(e->text, sizeof(e->text), "%s ranks higher",
			 explain_name(o, victim->process, name));
}

int explain_process(struct outlook *o, pid_t pid, struct explanation *ret)
{
	struct explanation e = { .process = census_find(o->census, pid) };
	int r;

	if (!e.process)
		return PROC_GONE;
	e.exclusion = victim_exclusion(o->census, e.process, &o->request);
	r = outlook_candidate(o, e.process, &e.candidate, &e.rank);
	if (r != 0)
		return r;
	e.would_go = outlook_goes(o, e.process);
	if (e.would_go && outlook_is_of_cgroups(o))
		e.rank = 1; /* be it in a cgroup below that */
	if (e.would_go) {
		explain_going(o, &e);
	} else if (e.exclusion == VICTIM_ELIGIBLE) {
		explain_rank(o, &e);
	} else {
		explain_exclusion(o, &e);
		e.rank = 0;
	}
	*ret = e;
	return 0;
}

/* ", with all of cgroup /user.slice/a.scope (3 processes)", or nothing. */
#define WITH_SIZE (GROUP_SIZE + 16)
static const char *with_group(const struct outlook *o, char buf[static WITH_SIZE])
{
	char group[GROUP_SIZE];

	buf[0] = '\0';
	if (o->group.length > 0)
		snprintf(buf, WITH_SIZE, ", with all of %s", name_group(o, group));
	return buf;
}

/* Of the candidate, or of the cgroup that goes with it. */
static const char *size_of_all(const struct outlook *o, const struct victim_candidate *candidate,
			       char buf[static FORMAT_INTERVAL_SIZE])
{
	return format_interval(o->group.length > 0 ? o->group.size : outlook_size(o, candidate),
			       buf);
}

const char *explain_answer_machine(const struct outlook *o, char buf[static EXPLAIN_ANSWER_SIZE])
{
	const struct victim_candidate *victim = outlook_victim(o);
	char name[EXPLAIN_NAME_SIZE], size[FORMAT_INTERVAL_SIZE], going[WITH_SIZE], policy[64];
	int n;

	if (!o->policy)
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE,
			     "No policy of this configuration ends anybody; if one did, ");
	else if (o->policy_holds)
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE, "The conditions of policy %s hold now: ",
			     format_foreign(o->policy->name, policy, sizeof(policy)));
	else
		n = snprintf(buf, EXPLAIN_ANSWER_SIZE, "If memory ran out now, ");
	if (victim)
		snprintf(buf + n, EXPLAIN_ANSWER_SIZE - (size_t)n,
			 "%s would go%s; %s would come back.",
			 explain_name(o, victim->process, name), with_group(o, going),
			 size_of_all(o, victim, size));
	else
		snprintf(buf + n, EXPLAIN_ANSWER_SIZE - (size_t)n, "%s could be ended.",
			 outlook_is_of_cgroups(o) ? "no cgroup as a whole" : "nobody");
	return buf;
}

const char *explain_answer_process(const struct outlook *o, const struct explanation *e,
				   char buf[static EXPLAIN_ANSWER_SIZE])
{
	char name[EXPLAIN_NAME_SIZE], size[FORMAT_INTERVAL_SIZE], going[WITH_SIZE];

	explain_name(o, e->process, name);
	if (e->would_go)
		snprintf(buf, EXPLAIN_ANSWER_SIZE, "%s would go first%s: %s; %s would come back.",
			 name, with_group(o, going), e->text, size_of_all(o, &e->candidate, size));
	else if (e->rank > 0)
		snprintf(buf, EXPLAIN_ANSWER_SIZE, "%s would not go first: %s.", name, e->text);
	else
		snprintf(buf, EXPLAIN_ANSWER_SIZE, "%s would not go: %s.", name, e->text);
	return buf;
}

const char *explain_left_out(const struct explanation *e)
{
	static const char *const names[_VICTIM_EXCLUSION_MAX] = {
		[VICTIM_IS_KTHREAD] = "kernel_thread",
		[VICTIM_IS_INIT] = "init",
		[VICTIM_IS_SELF] = "self",
		[VICTIM_IS_ADJ_MIN] = "oom_score_adj_min",
		[VICTIM_IS_PROTECTED] = "protected",
		[VICTIM_IS_OUT_OF_SCOPE] = "out_of_scope",
		[VICTIM_IS_PASSED_OVER] = "passed_over",
		[VICTIM_IS_UNREADABLE] = "unreadable",
		[VICTIM_HAS_NO_MEMORY] = "zombie",
	};

	if (e->exclusion == VICTIM_ELIGIBLE || e->would_go)
		return e->rank == 0 ? "cgroup" : NULL;
	return names[e->exclusion];
}
