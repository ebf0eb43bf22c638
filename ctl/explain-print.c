/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain-print: prints a preview as text, from the object that --json prints, whether this program
 * made it or the daemon did.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/explain.h"
#include "ctl/screen.h"
#include "ctl/table.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"

/* So many of the ranking are shown; --json gives all that is kept. */
#define SHOWN_MAX 10
/* So many are named that are larger than the victim and would not be killed; and of those that are
 * skipped for it, one in any case. */
#define SURVIVORS_MAX 3

static void print_answer(const struct screen *screen, const json_t *answer)
{
	bool holds = words_bool(json_object_get(answer, "policy"), "holds");
	char text[1024];

	screen_say(screen, holds ? SCREEN_RED : SCREEN_BOLD, "%s",
		   screen_foreign(screen, words_text(answer, "answer"), text, sizeof(text)));
	if (words_bool(answer, "hides_others"))
		screen_say(
			screen, SCREEN_YELLOW,
			"But only your own processes are known: others are hidden (hidepid). Ask as root.");
}

static void print_next(const struct screen *screen, const json_t *answer)
{
	const json_t *next = json_array_get(json_object_get(answer, "ranked"), 1);
	char name[WORDS_NAME_SIZE], size[FORMAT_INTERVAL_SIZE];

	if (next)
		screen_say(screen, SCREEN_PLAIN, "Next would be %s: would free %s.",
			   words_process(screen, next, name), words_size(next, size));
}

/* Ranked behind the victim although it holds more. */
static void print_outranked(const struct screen *screen, const json_t *answer,
			    const json_t *process)
{
	const char *rank_by = words_text(json_object_get(answer, "policy"), "rank_by");
	char name[WORDS_NAME_SIZE], size[FORMAT_INTERVAL_SIZE], score[FORMAT_BYTES_SIZE];
	char ranked_by[64] = "", adj[32] = "", rank[32];

	if (*rank_by && strcmp(rank_by, "footprint") != 0)
		snprintf(ranked_by, sizeof(ranked_by), ", ranked by %s",
			 screen_foreign(screen, rank_by, rank, sizeof(rank)));
	if (words_has(process, "oom_score_adj")) /* not a cgroup */
		snprintf(adj, sizeof(adj), "oom_score_adj %d, ",
			 (int)json_integer_value(json_object_get(process, "oom_score_adj")));
	screen_say(screen, SCREEN_PLAIN,
		   "Not %s, although it would free %s: its score is %s (%sweight %.3g%s).",
		   words_process(screen, process, name), words_size(process, size),
		   format_bytes(words_number(process, "score_bytes"), score), adj,
		   words_real(process, "weight"), ranked_by);
}

static void print_protected_one(const struct screen *screen, const json_t *process)
{
	const json_t *rule = json_object_get(process, "rule");
	char name[WORDS_NAME_SIZE], size[FORMAT_BYTES_SIZE], rule_name[64];

	screen_say(screen, SCREEN_PLAIN,
		   "Not %s, although it would free %s: protected by the %srule %s.",
		   words_process(screen, process, name),
		   format_bytes(words_number(process, "footprint_bytes"), size),
		   words_bool(rule, "builtin") ? "built-in " : "",
		   screen_foreign(screen, words_text(rule, "name"), rule_name, sizeof(rule_name)));
}

static void print_survivor(const struct screen *screen, const json_t *process,
			   uint64_t victims_size)
{
	char name[WORDS_NAME_SIZE], size[FORMAT_INTERVAL_SIZE], reason[512];

	words_process(screen, process, name);
	screen_foreign(screen, words_text(process, "reason"), reason, sizeof(reason));
	if (words_number(process, "footprint_bytes") > victims_size)
		screen_say(screen, SCREEN_PLAIN, "Not %s, although it would free %s: %s.", name,
			   words_size(process, size), reason);
	else
		screen_say(screen, SCREEN_PLAIN, "Not %s, although it %s: %s.", name,
			   words_has(process, "excluded") ? "was larger" : "has a higher score",
			   reason);
}

/* First the likely question: why not the largest. */
static void print_survivors(const struct screen *screen, const json_t *answer,
			    const json_t *protected_ones)
{
	const json_t *victim = json_object_get(answer, "victim"), *process;
	const json_t *survivors = json_object_get(answer, "survivors");
	uint64_t size = words_number(victim, "footprint_bytes");
	bool is_one_named = false;
	unsigned n = 0;
	size_t i;

	json_array_foreach((json_t *)survivors, i, process)
	{
		bool is_skipped = words_has(process, "skipped_for");

		if (n == SURVIVORS_MAX && (!is_skipped || is_one_named))
			continue;
		n += n < SURVIVORS_MAX;
		is_one_named = is_one_named || is_skipped;
		print_survivor(screen, process, size);
	}
	if (json_is_array(survivors))
		return;
	/* An older daemon does not say: what can be seen from the rest. */
	json_array_foreach((json_t *)protected_ones, i, process)
	{
		if (n < SURVIVORS_MAX && words_number(process, "footprint_bytes") > size && ++n)
			print_protected_one(screen, process);
	}
	json_array_foreach(json_object_get(answer, "ranked"), i, process)
	{
		if (n < SURVIVORS_MAX && words_number(process, "footprint_bytes") > size && ++n)
			print_outranked(screen, answer, process);
	}
}

/* In no figure of theirs: so they are in no ranking. */
static void print_held(const struct screen *screen, const json_t *answer)
{
	uint64_t size = words_number(json_object_get(answer, "victim"), "footprint_bytes");
	const json_t *holder;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(answer, "held_by_descriptors"), i, holder)
	{
		unsigned n_others = (unsigned)words_number(holder, "others");
		char name[WORDS_NAME_SIZE], bytes[FORMAT_BYTES_SIZE], others[32] = "";

		if (words_number(holder, "bytes") <= size || n++ == SURVIVORS_MAX)
			break;
		if (n_others > 0)
			snprintf(others, sizeof(others), ", with %u other%s", n_others,
				 words_plural(n_others));
		screen_say(screen, SCREEN_PLAIN,
			   "%s holds %s by descriptors alone%s: it would be ranked by that if such "
			   "memory had filled the machine.",
			   words_process(screen, holder, name),
			   format_bytes(words_number(holder, "bytes"), bytes), others);
	}
}

static bool a_warning_holds(const json_t *answer)
{
	const json_t *policy;
	size_t i;

	json_array_foreach(json_object_get(answer, "policies"), i, policy)
	{
		if (words_bool(policy, "holds") &&
		    strcmp(words_text(policy, "action"), "warn") == 0)
			return true;
	}
	return false;
}

static void print_policy(const struct screen *screen, const json_t *answer)
{
	const json_t *policy = json_object_get(answer, "policy");
	const char *rank_by = words_text(policy, "rank_by");
	bool holds = words_bool(policy, "holds");
	char name[64], action[32], rank[32], conditions[256];

	if (!json_is_object(policy))
		return;
	screen_foreign(screen, words_text(policy, "name"), name, sizeof(name));
	screen_foreign(screen, words_text(policy, "conditions"), conditions, sizeof(conditions));
	if (holds)
		screen_say(screen, SCREEN_PLAIN, "Policy %s: %s at %s.", name,
			   screen_foreign(screen, words_text(policy, "action"), action,
					  sizeof(action)),
			   conditions);
	else
		screen_say(screen, SCREEN_PLAIN, "%s (the first is %s: %s).",
			   a_warning_holds(answer) ? "Memory is low, but no policy that kills holds"
						   : "No policy holds",
			   name, conditions);
	if (strcmp(rank_by, "footprint") != 0)
		screen_say(screen, SCREEN_PLAIN, "It ranks by %s.",
			   screen_foreign(screen, rank_by, rank, sizeof(rank)));
	if (strcmp(words_text(policy, "target"), "cgroup") == 0)
		screen_say(screen, SCREEN_PLAIN, "It kills all processes of a cgroup at once.");
}

static void print_memory(const struct screen *screen, const json_t *answer)
{
	struct screen_text text = { .n = 0 };

	words_memory(json_object_get(answer, "memory"), &text);
	screen_say(screen, SCREEN_PLAIN, "Memory: %s.", text.text);
}

static void print_limits(const struct screen *screen, const json_t *answer)
{
	const char *subtree = words_text(answer, "subtree");
	char text[1024];

	if (*subtree && strcmp(subtree, "/") != 0)
		screen_say(screen, SCREEN_PLAIN,
			   "Only processes in %s or below are eligible (subtree).",
			   screen_foreign(screen, subtree, text, sizeof(text)));
	if (words_bool(answer, "dry_run"))
		screen_say(screen, SCREEN_YELLOW,
			   "By this configuration no process is killed: DryRun=yes.");
}

/* What is ranked is not the size: hints and weights, or another RankBy. */
static bool counts_otherwise(const json_t *ranked)
{
	const json_t *process;
	size_t i;

	json_array_foreach((json_t *)ranked, i, process)
	{
		if (i < SHOWN_MAX && words_number(process, "score_bytes") !=
					     words_number(process, "footprint_bytes"))
			return true;
	}
	return false;
}

static const char *verdict(const json_t *process)
{
	static const struct {
		const char *verdict, *text;
	} texts[] = {
		{ "chosen", "victim" },
		{ "smaller", "smaller" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(words_text(process, "verdict"), texts[i].verdict) == 0)
			return texts[i].text;
	return "undecided";
}

static void add_row(struct table *table, const struct screen *screen, const json_t *process,
		    bool with_score)
{
	char command[WORDS_COMMAND_SIZE], user[64], cgroup[4096];
	char size[FORMAT_INTERVAL_SIZE], score[FORMAT_BYTES_SIZE];

	screen_foreign(screen, words_text(process, "user"), user, sizeof(user));
	screen_foreign(screen, words_text(process, "cgroup"), cgroup, sizeof(cgroup));
	table_add(table, "%u", (unsigned)words_number(process, "pid"));
	table_add(table, "%s", words_command(screen, words_text(process, "command"), command));
	table_add(table, "%s", *user ? user : "?");
	table_add(table, "%s", words_size(process, size));
	table_add(table, "%d", (int)json_integer_value(json_object_get(process, "oom_score_adj")));
	table_add(table, "%.3g", words_real(process, "weight"));
	if (with_score)
		table_add(table, "%s", format_bytes(words_number(process, "score_bytes"), score));
	table_add(table, "%s", verdict(process));
	table_add(table, "%s", cgroup);
}

static void add_cgroup_row(struct table *table, const struct screen *screen, const json_t *process)
{
	char command[WORDS_COMMAND_SIZE], cgroup[4096];
	char size[FORMAT_INTERVAL_SIZE], score[FORMAT_BYTES_SIZE];

	screen_foreign(screen, words_text(process, "cgroup"), cgroup, sizeof(cgroup));
	table_add(table, "%s", words_size(process, size));
	table_add(table, "%.3g", words_real(process, "weight"));
	table_add(table, "%s", format_bytes(words_number(process, "score_bytes"), score));
	table_add(table, "%s", verdict(process));
	table_add(table, "%u", (unsigned)words_number(process, "processes"));
	table_add(table, "%s (pid %u)",
		  words_command(screen, words_text(process, "command"), command),
		  (unsigned)words_number(process, "pid"));
	table_add(table, "%s", cgroup);
}

static int print_cgroups(const struct screen *screen, const json_t *ranked)
{
	static const char *const titles[] = { "WOULD FREE", "WEIGHT",  "SCORE", "VERDICT",
					      "PROCESSES",  "LARGEST", "CGROUP" };
	static const bool right[] = { true, true, true, false, true, false, false };
	_cleanup_(table_done) struct table table = {
		.titles = titles,
		.to_the_right = right,
		.n_columns = ARRAY_SIZE(titles),
	};
	size_t n = json_array_size(ranked);
	int r;

	for (size_t i = 0; i < min_u64(n, SHOWN_MAX); i++)
		add_cgroup_row(&table, screen, json_array_get(ranked, i));
	fputs("\nIn this order:\n", screen->file);
	r = table_print(&table, 2, screen);
	if (n > SHOWN_MAX)
		fprintf(screen->file, "  and %u more, or others as well\n",
			(unsigned)(n - SHOWN_MAX));
	return r;
}

static int print_ranking(const struct screen *screen, const json_t *answer)
{
	static const char *const titles[] = { "PID", "COMMAND", "USER",	   "WOULD FREE",
					      "ADJ", "WEIGHT",	"VERDICT", "CGROUP" };
	static const bool right[] = { true, false, false, true, true, true, false, false };
	static const char *const score_titles[] = { "PID",	  "COMMAND", "USER",
						    "WOULD FREE", "ADJ",     "WEIGHT",
						    "SCORE",	  "VERDICT", "CGROUP" };
	static const bool score_right[] = {
		true, false, false, true, true, true, true, false, false
	};
	const json_t *ranked = json_object_get(answer, "ranked"), *process;
	uint64_t n_candidates = words_number(answer, "candidates");
	bool with_score = counts_otherwise(ranked);
	_cleanup_(table_done) struct table table = {
		.titles = with_score ? score_titles : titles,
		.to_the_right = with_score ? score_right : right,
		.n_columns = with_score ? ARRAY_SIZE(score_titles) : ARRAY_SIZE(titles),
	};
	size_t i;
	int r;

	if (json_array_size(ranked) == 0)
		return 0;
	if (words_has(json_array_get(ranked, 0), "processes"))
		return print_cgroups(screen, ranked);
	json_array_foreach((json_t *)ranked, i, process)
	{
		if (i < SHOWN_MAX)
			add_row(&table, screen, process, with_score);
	}
	fputs("\nIn this order:\n", screen->file);
	r = table_print(&table, 2, screen);
	if (n_candidates > min_u64(i, SHOWN_MAX))
		fprintf(screen->file, "  and %u more\n",
			(unsigned)(n_candidates - min_u64(i, SHOWN_MAX)));
	return r;
}

/* For a time, as it could not be killed, or once, for one with a lower score. */
static bool is_any_skipped(const json_t *answer)
{
	const json_t *process;
	size_t i;

	json_array_foreach(json_object_get(answer, "survivors"), i, process)
	{
		if (words_has(process, "skipped_for"))
			return true;
	}
	return words_number(json_object_get(answer, "excluded"), "skipped") > 0;
}

static void print_exactness(const struct screen *screen, const json_t *answer)
{
	uint64_t error = words_number(answer, "read_error_bytes");
	uint64_t unread_error = words_number(answer, "accuracy_error_bytes");
	uint64_t n_candidates = words_number(answer, "candidates");
	unsigned n_reads = (unsigned)words_number(answer, "precise_reads");
	const char *accuracy = words_text(answer, "accuracy");
	const json_t *ranked = json_object_get(answer, "ranked");
	struct screen_text text = { .n = 0 };
	char bytes[FORMAT_BYTES_SIZE], regime[64];

	if (json_array_size(ranked) == 0)
		return;
	if (words_has(json_array_get(ranked, 0), "processes"))
		screen_text_add(&text, "Read precisely: %u cgroup%s", n_reads,
				words_plural(n_reads));
	else
		screen_text_add(&text, "Read precisely: %u of %u candidate%s", n_reads,
				(unsigned)n_candidates, words_plural(n_candidates));
	if (error > 0)
		screen_text_add(&text, ", or as precisely as permitted (within %s)",
				format_bytes(error, bytes));
	screen_text_add(&text, "; %s than the first%s%s.",
			words_bool(answer, "approximate") ? "others might rank higher"
							  : "no other could rank higher",
			!words_bool(answer, "approximate") && error > 0 ? " by more than that" : "",
			is_any_skipped(answer) ? ", except those that are skipped" : "");
	putc('\n', screen->file);
	screen_say(screen, SCREEN_PLAIN, "%s", text.text);
	if (strcmp(accuracy, "precise") != 0)
		screen_say(
			screen, SCREEN_PLAIN,
			"Without a precise read this kernel's numbers may be off (%s): by up to %s for a process of one thread.",
			screen_foreign(screen, accuracy, regime, sizeof(regime)),
			format_bytes(unread_error, bytes));
}

static void print_excluded(const struct screen *screen, const json_t *answer)
{
	const json_t *excluded = json_object_get(answer, "excluded");
	uint64_t n_unreadable = words_number(excluded, "unreadable");
	struct screen_text text = { .n = 0 };

	words_excluded(excluded, &text);
	if (text.n > 0)
		screen_say(screen, SCREEN_PLAIN, "Not eligible: %s.", text.text);
	if (n_unreadable > 0)
		screen_say(screen, SCREEN_PLAIN, "Not permitted to read: %u process%s.",
			   (unsigned)n_unreadable, n_unreadable == 1 ? "" : "es");
}

enum ctl_status explain_print_machine(const struct screen *screen, const json_t *answer)
{
	json_t *protected_ones = explain_by_size(json_object_get(answer, "protected"));
	int r = protected_ones ? 0 : -ENOMEM;

	if (r == 0) {
		print_answer(screen, answer);
		print_next(screen, answer);
		print_survivors(screen, answer, protected_ones);
		print_held(screen, answer);
		print_memory(screen, answer);
		print_policy(screen, answer);
		print_limits(screen, answer);
		r = print_ranking(screen, answer);
	}
	if (r == 0) {
		print_exactness(screen, answer);
		print_excluded(screen, answer);
		explain_print_protected(screen, answer, protected_ones);
	}
	json_decref(protected_ones);
	return r < 0 ? CTL_FAILURE : CTL_OK;
}
