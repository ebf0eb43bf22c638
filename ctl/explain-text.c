/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain-text: an outlook for people.  Whatever comes from processes or files is printed through
 * format_foreign().
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/explain.h"
#include "ctl/table.h"
#include "lib/cleanup.h"
#include "lib/format.h"

/* So many of the ranking are shown; --json gives all that is kept. */
#define SHOWN_MAX 10
/* So many commands of those that a rule protects are named. */
#define NAMED_MAX 4

/* "9.8 %" of permyriad, integers only. */
#define PERCENT_FORMAT	"%u.%u %%"
#define PERCENT_ARGS(p) (p) / 100, (p) / 10 % 10

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_memory(const struct outlook *o)
{
	const struct memory_reading *memory = &o->memory;
	unsigned available = memory_available_permyriad(memory);
	unsigned swap = memory_swap_free_permyriad(memory);
	char total[FORMAT_BYTES_SIZE];

	printf("Memory: " PERCENT_FORMAT " of %s available, ", PERCENT_ARGS(available),
	       format_bytes(memory->total, total));
	if (memory->swap_total > 0)
		printf("swap " PERCENT_FORMAT " free", PERCENT_ARGS(swap));
	else
		fputs("no swap", stdout);
	if (o->has_psi)
		printf("; everything stalled " PERCENT_FORMAT " of the last 10 s",
		       PERCENT_ARGS(o->pressure.full.avg10));
	puts(".");
}

static void print_line(const char **conjunction, const char *what, const struct policy_line *line,
		       uint64_t total)
{
	char bytes[FORMAT_BYTES_SIZE];

	printf("%s%s <= %s", *conjunction, what,
	       format_bytes(policy_line_bytes(line, total), bytes));
	*conjunction = " and ";
}

/* What the policy waits for. */
static void print_conditions(const struct policy *policy, const struct memory_reading *memory)
{
	const char *conjunction = "";

	if (policy->memory_available.set)
		print_line(&conjunction, "available", &policy->memory_available, memory->total);
	if (policy->swap_free.set && memory->swap_total > 0)
		print_line(&conjunction, "swap free", &policy->swap_free, memory->swap_total);
	else if (policy->swap_free.set && !policy->memory_available.set)
		print_line(&conjunction, "swap free (there is none)", &policy->swap_free, 0);
	if (policy->pressure_some > 0) {
		printf("%ssomething stalled >= " PERCENT_FORMAT, conjunction,
		       PERCENT_ARGS(policy->pressure_some));
		conjunction = " and ";
	}
	if (policy->pressure_full > 0)
		printf("%severything stalled >= " PERCENT_FORMAT, conjunction,
		       PERCENT_ARGS(policy->pressure_full));
	if (policy->for_usec > 0)
		printf(", for %g s", (double)policy->for_usec / (double)USEC_PER_SEC);
}

static void print_policy(const struct outlook *o)
{
	const struct policy *policy = o->policy;
	char name[64];

	format_foreign(policy->name, name, sizeof(name));
	if (o->policy_holds)
		printf("Policy %s: %s at ", name, policy_action_to_string(policy->action));
	else
		printf("%s (policy %s waits for ",
		       o->warning ? "Memory is getting short, but no policy asks for anybody to go"
				  : "No policy asks for anything",
		       name);
	print_conditions(policy, &o->memory);
	puts(o->policy_holds ? "." : ").");
	if (policy->rank_by != POLICY_RANK_BY_FOOTPRINT)
		printf("It ranks by %s.\n", policy_rank_by_to_string(policy->rank_by));
}

static void print_limits(const struct outlook *o)
{
	char scope[1024];

	if (strcmp(o->policies->scope, "/") != 0)
		printf("Only processes in %s or below may be ended (scope).\n",
		       format_foreign(o->policies->scope, scope, sizeof(scope)));
	if (o->policies->dry_run)
		puts("By this configuration nobody is signalled: DryRun=yes.");
}

static const char *verdict(const struct victim_candidate *candidate)
{
	switch (candidate->verdict) {
	case VICTIM_CHOSEN:
		return "would go";
	case VICTIM_SMALLER:
		return "smaller";
	case VICTIM_CANNOT_REACH:
		return "cannot be as large";
	case VICTIM_UNDECIDED:
		break;
	}
	return "undecided";
}

/* What is ranked is not the size: hints and weights, or another RankBy. */
static bool counts_otherwise(const struct victim_result *result, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (result->ranked[i].estimate != census_footprint(&result->ranked[i].memory))
			return true;
	return false;
}

static void add_row(struct table *table, const struct outlook *o,
		    const struct victim_candidate *candidate, bool with_score)
{
	const struct census_process *process = candidate->process;
	const char *user = explain_user(process->uid);
	char command[EXPLAIN_COMMAND_SIZE], cgroup[CGROUP_PATH_MAX];
	char size[FORMAT_INTERVAL_SIZE], score[FORMAT_BYTES_SIZE];

	table_add(table, "%d", process->pid);
	table_add(table, "%s", explain_command(process, command));
	table_add(table, "%s", user ? user : "?");
	table_add(table, "%s", format_interval(outlook_size(o, candidate), size));
	table_add(table, "%d", process->oom_score_adj);
	table_add(table, "%.3g", (double)process->weight);
	if (with_score)
		table_add(table, "%s", format_bytes(candidate->estimate, score));
	table_add(table, "%s", verdict(candidate));
	table_add(table, "%s", format_foreign(census_cgroup_path(process), cgroup, sizeof(cgroup)));
}

static int print_ranking(const struct outlook *o)
{
	static const char *const titles[] = { "PID", "COMMAND", "USER",	   "SIZE",
					      "ADJ", "WEIGHT",	"VERDICT", "CGROUP" };
	static const bool right[] = { true, false, false, true, true, true, false, false };
	static const char *const score_titles[] = { "PID",	 "COMMAND", "USER",
						    "SIZE",	 "ADJ",	    "WEIGHT",
						    "COUNTS AS", "VERDICT", "CGROUP" };
	static const bool score_right[] = {
		true, false, false, true, true, true, true, false, false
	};
	unsigned n = (unsigned)min_u64(o->result.n_ranked, SHOWN_MAX);
	bool with_score = counts_otherwise(&o->result, n);
	_cleanup_(table_done) struct table table = {
		.titles = with_score ? score_titles : titles,
		.to_the_right = with_score ? score_right : right,
		.n_columns = with_score ? ARRAY_SIZE(score_titles) : ARRAY_SIZE(titles),
	};
	int r;

	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		add_row(&table, o, &o->result.ranked[i], with_score);
	puts("\nIn this order:");
	r = table_print(&table, "  ", stdout);
	if (o->result.n_candidates > n)
		printf("  and %zu more\n", o->result.n_candidates - n);
	return r;
}

static void print_exactness(const struct outlook *o)
{
	const struct victim_result *result = &o->result;
	uint64_t error = outlook_read_error(o);
	char bytes[FORMAT_BYTES_SIZE];

	if (result->n_ranked == 0)
		return;
	printf("\nRead precisely: %u of %zu candidate%s", result->n_reads, result->n_candidates,
	       plural(result->n_candidates));
	if (error > 0)
		printf(", or as nearly as permitted (to %s)", format_bytes(error, bytes));
	printf("; %s.\n", result->approximate ? "others might be larger than the first"
			  : error > 0
				  ? "nobody else could be larger than the first by more than that"
				  : "nobody else could be larger than the first");
	if (o->accuracy->regime == ACCURACY_PRECISE)
		return;
	printf("Without a precise read this kernel's numbers may be off (%s): by up to %s for a process of one thread.\n",
	       accuracy_regime_to_string(o->accuracy->regime),
	       format_bytes(accuracy_interval(o->accuracy, 0, o->census->with_swap, 1).hi, bytes));
}

static void print_left_out(const struct outlook *o)
{
	static const struct {
		enum victim_exclusion exclusion;
		const char *text;
		bool counted; /* its plural has an s */
	} kinds[] = {
		{ VICTIM_IS_INIT, "init", false },
		{ VICTIM_IS_KTHREAD, "kernel thread", true },
		{ VICTIM_IS_PROTECTED, "protected", false },
		{ VICTIM_IS_ADJ_MIN, "with oom_score_adj -1000", false },
		{ VICTIM_IS_OUT_OF_SCOPE, "outside the scope", false },
		{ VICTIM_HAS_NO_MEMORY, "zombie", true },
	};
	const char *separator = "Left out: ";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = o->n_excluded[kinds[i].exclusion];

		if (n == 0)
			continue;
		fputs(separator, stdout);
		if (kinds[i].exclusion != VICTIM_IS_INIT)
			printf("%zu ", n);
		printf("%s%s", kinds[i].text, kinds[i].counted ? plural(n) : "");
		separator = ", ";
	}
	if (strcmp(separator, ", ") == 0)
		puts(".");
	if (o->census->n_unreadable > 0)
		printf("Not permitted to read: %zu process%s.\n", o->census->n_unreadable,
		       o->census->n_unreadable == 1 ? "" : "es");
}

/* The largest of those that the rule protects, each command once, by insertion. */
struct named {
	const struct census_process *largest[NAMED_MAX];
	unsigned n;
	size_t n_processes;
};

static void name_process(struct named *named, const struct census_process *process)
{
	unsigned i;

	named->n_processes++;
	for (i = 0; i < named->n; i++)
		if (strcmp(named->largest[i]->comm, process->comm) == 0)
			break;
	if (i < named->n) {
		if (census_footprint(&named->largest[i]->memory) >=
		    census_footprint(&process->memory))
			return;
	} else if (named->n < NAMED_MAX) {
		named->n++;
	} else if (census_footprint(&named->largest[--i]->memory) >=
		   census_footprint(&process->memory)) {
		return;
	}
	for (; i > 0 && census_footprint(&named->largest[i - 1]->memory) <
				census_footprint(&process->memory);
	     i--)
		named->largest[i] = named->largest[i - 1];
	named->largest[i] = process;
}

static void print_protected_by(const struct outlook *o, const struct rule *rule)
{
	const struct census_process *process;
	struct named named = { 0 };
	char text[256], command[EXPLAIN_COMMAND_SIZE];

	census_for_each(o->census, process) {
		if (process->protected_by == rule &&
		    victim_exclusion(o->census, process, &o->request) == VICTIM_IS_PROTECTED)
			name_process(&named, process);
	}
	if (named.n_processes == 0)
		return;
	printf("  %zu by rule %s%s: ", named.n_processes,
	       format_foreign(rule->name, text, sizeof(text)), rule->builtin ? " (built in)" : "");
	for (unsigned i = 0; i < named.n; i++)
		printf("%s%s", i > 0 ? ", " : "", explain_command(named.largest[i], command));
	puts(named.n_processes > named.n ? ", ..." : "");
}

static void print_protected(const struct outlook *o)
{
	if (o->n_excluded[VICTIM_IS_PROTECTED] == 0)
		return;
	puts("Protected:");
	for (size_t i = 0; i < o->policies->n_rules; i++)
		print_protected_by(o, &o->policies->rules[i]);
}

enum ctl_status explain_text_machine(const struct outlook *o)
{
	char answer[EXPLAIN_ANSWER_SIZE];

	puts(explain_answer_machine(o, answer));
	if (o->hides_others)
		puts("But only your own processes are known: others are hidden (hidepid). Ask as root.");
	print_memory(o);
	if (o->policy)
		print_policy(o);
	print_limits(o);
	if (print_ranking(o) < 0)
		return CTL_FAILURE;
	print_exactness(o);
	print_left_out(o);
	print_protected(o);
	return CTL_OK;
}

static void print_size(const struct outlook *o, const struct explanation *e)
{
	const struct proc_memory *memory = &e->candidate.memory;
	char size[FORMAT_INTERVAL_SIZE], anon[FORMAT_BYTES_SIZE], swap[FORMAT_BYTES_SIZE];
	char shared[FORMAT_BYTES_SIZE];

	if (e->process->error < 0) {
		puts("  Size:    not permitted to read");
		return;
	}
	printf("  Size:    %s (%s in memory, %s in swap); %s shared with others or files do not count\n",
	       format_interval(outlook_size(o, &e->candidate), size),
	       format_bytes(memory->anon, anon), format_bytes(memory->swap, swap),
	       format_bytes(memory->shared, shared));
}

enum ctl_status explain_text_process(const struct outlook *o, const struct explanation *e)
{
	const struct census_process *process = e->process;
	char answer[EXPLAIN_ANSWER_SIZE], score[FORMAT_BYTES_SIZE], cgroup[CGROUP_PATH_MAX];

	puts(explain_answer_process(o, e, answer));
	if (process->kthread)
		return CTL_OK;
	print_size(o, e);
	if (e->rank > 0) {
		printf("  Counts:  %s (oom_score_adj %d, weight %.3g, ranked by %s)\n",
		       format_bytes(e->candidate.estimate, score), process->oom_score_adj,
		       (double)process->weight, policy_rank_by_to_string(o->request.rank_by));
		printf("  Rank:    %zu of %zu\n", e->rank, o->result.n_candidates);
	}
	printf("  Cgroup:  %s\n",
	       format_foreign(census_cgroup_path(process), cgroup, sizeof(cgroup)));
	return CTL_OK;
}
