/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* entry: the words for an entry of the history, from its JSON. */
#include "ctl/entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/explain.h"
#include "ctl/words.h"

static bool is_of_kind(const json_t *entry, const char *kind)
{
	return strcmp(words_text(entry, "kind"), kind) == 0;
}

const char *entry_age(const json_t *entry, usec_t now, char buf[static FORMAT_DURATION_SIZE])
{
	usec_t at = words_number(entry, "time_usec");

	buf[0] = '\0';
	return at > now ? buf : format_duration(now - at, buf);
}

const char *entry_date(const json_t *entry, char buf[static ENTRY_DATE_SIZE])
{
	time_t seconds = (time_t)(words_number(entry, "time_usec") / USEC_PER_SEC);
	struct tm tm;

	snprintf(buf, ENTRY_DATE_SIZE, "?");
	if (localtime_r(&seconds, &tm))
		strftime(buf, ENTRY_DATE_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

const char *entry_name(const struct screen *screen, const json_t *entry,
		       char buf[static ENTRY_NAME_SIZE])
{
	uint64_t pid = words_number(entry, "pid");
	char command[WORDS_COMMAND_SIZE];

	if (strcmp(words_text(entry, "target"), "cgroup") == 0) {
		snprintf(buf, ENTRY_NAME_SIZE, "cgroup ");
		screen_foreign(screen, words_text(entry, "cgroup"), buf + 7, ENTRY_NAME_SIZE - 7);
	} else if (pid > 0) {
		snprintf(buf, ENTRY_NAME_SIZE, "%s (pid %u)",
			 words_command(screen, words_text(entry, "comm"), command), (unsigned)pid);
	} else {
		snprintf(buf, ENTRY_NAME_SIZE, "-");
	}
	return buf;
}

/* Of one that was signalled. */
static void describe_outcome(const json_t *entry, char buf[static ENTRY_OUTCOME_SIZE])
{
	static const struct {
		const char *outcome, *text;
		bool takes_time;
	} outcomes[] = {
		{ "exited", "exited after ", true },
		{ "reclaimed", "still exiting, memory already reclaimed after ", true },
		{ "unkillable", "could not be killed", false },
		{ "cancelled", "cancelled (memory recovered)", false },
		{ "in-progress", "in progress", false },
	};
	char duration[FORMAT_DURATION_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		if (strcmp(words_text(entry, "outcome"), outcomes[i].outcome) != 0)
			continue;
		format_duration(words_number(entry, "exited_usec"), duration);
		snprintf(buf, ENTRY_OUTCOME_SIZE, "%s%s%s", outcomes[i].text,
			 outcomes[i].takes_time ? duration : "",
			 words_bool(entry, "ineffective") ? ", ineffective" : "");
	}
}

/* "nobody": as older versions wrote it. */
static bool is_without_victim(const json_t *entry)
{
	return is_of_kind(entry, "no-victim") || is_of_kind(entry, "nobody");
}

const char *entry_outcome(const json_t *entry, char buf[static ENTRY_OUTCOME_SIZE])
{
	snprintf(buf, ENTRY_OUTCOME_SIZE, "not known");
	if (is_of_kind(entry, "dry-run"))
		snprintf(buf, ENTRY_OUTCOME_SIZE, "dry run");
	else if (is_of_kind(entry, "cancelled"))
		snprintf(buf, ENTRY_OUTCOME_SIZE, "not killed (memory recovered)");
	else if (is_of_kind(entry, "cgroup-limit"))
		snprintf(buf, ENTRY_OUTCOME_SIZE, "none (a cgroup at its own limit)");
	else if (is_without_victim(entry))
		snprintf(buf, ENTRY_OUTCOME_SIZE, "no victim");
	else
		describe_outcome(entry, buf);
	return buf;
}

void entry_sentence(const struct screen *screen, const json_t *entry, struct screen_text *text)
{
	char name[ENTRY_NAME_SIZE], policy[64], outcome[ENTRY_OUTCOME_SIZE];
	char size[FORMAT_BYTES_SIZE], reclaimed[FORMAT_BYTES_SIZE];

	screen_foreign(screen, words_text(entry, "policy"), policy, sizeof(policy));
	entry_name(screen, entry, name);
	if (is_without_victim(entry))
		screen_text_add(text, "no process was worth killing for policy %s", policy);
	else if (is_of_kind(entry, "cgroup-limit"))
		screen_text_add(
			text,
			"nothing was killed for policy %s: cgroup %s stalled at its own limit",
			policy,
			screen_foreign(screen, words_text(entry, "cgroup"), name, sizeof(name)));
	else if (is_of_kind(entry, "cancelled"))
		screen_text_add(text,
				"%s was chosen by policy %s and not killed: memory had recovered",
				name, policy);
	else if (is_of_kind(entry, "dry-run"))
		screen_text_add(
			text,
			"%s would have been killed by policy %s, and would have freed %s (dry run)",
			name, policy, format_bytes(words_number(entry, "footprint_bytes"), size));
	else
		screen_text_add(text, "%s by policy %s: %s", name, policy,
				entry_outcome(entry, outcome));
	if (words_has(entry, "reclaimed_bytes") && is_of_kind(entry, "killed"))
		screen_text_add(text, "; %s of %s reclaimed",
				format_bytes(words_number(entry, "reclaimed_bytes"), reclaimed),
				format_bytes(words_number(entry, "footprint_bytes"), size));
}

static void print_victim(const struct screen *screen, const json_t *entry)
{
	const char *user =
		words_has(entry, "uid") ? explain_user((uid_t)words_number(entry, "uid")) : NULL;
	char name[ENTRY_NAME_SIZE], cgroup[4096], users_name[64];

	if (words_number(entry, "pid") == 0)
		return;
	screen_item(screen, "  Victim", SCREEN_PLAIN, "%s%s%s, cgroup %s",
		    entry_name(screen, entry, name), user ? ", user " : "",
		    user ? screen_foreign(screen, user, users_name, sizeof(users_name)) : "",
		    screen_foreign(screen, words_text(entry, "cgroup"), cgroup, sizeof(cgroup)));
}

static void print_size(const struct screen *screen, const json_t *entry)
{
	struct interval score = {
		words_number(entry, "score_min_bytes"),
		words_number(entry, "score_max_bytes"),
	};
	char size[FORMAT_BYTES_SIZE], anon[FORMAT_BYTES_SIZE], swap[FORMAT_BYTES_SIZE];
	char counts[FORMAT_INTERVAL_SIZE], rank_by[32];

	if (!words_has(entry, "footprint_bytes"))
		return;
	screen_item(
		screen, "  Expected", SCREEN_PLAIN,
		"would free %s (it held %s anonymous, %s in swap); score %s (oom_score_adj %d, weight %.3g, ranked by %s)",
		format_bytes(words_number(entry, "footprint_bytes"), size),
		format_bytes(words_number(entry, "anonymous_bytes"), anon),
		format_bytes(words_number(entry, "swap_bytes"), swap),
		format_interval(score, counts),
		(int)json_integer_value(json_object_get(entry, "oom_score_adj")),
		words_real(entry, "weight"),
		screen_foreign(screen, words_text(entry, "rank_by"), rank_by, sizeof(rank_by)));
}

static void add_swap(const json_t *entry, struct screen_text *text)
{
	char swap[FORMAT_BYTES_SIZE];

	/* (Older entries do not say how much there was.) */
	if (words_has(entry, "swap_total_bytes") && words_number(entry, "swap_total_bytes") == 0)
		screen_text_add(text, ", no swap");
	else
		screen_text_add(text, ", %s of swap free",
				format_bytes(words_number(entry, "swap_free_before_bytes"), swap));
}

static void add_pressure(const json_t *entry, struct screen_text *text)
{
	bool has_some = words_has(entry, "pressure_some_permyriad");

	if (has_some)
		screen_text_add(text, ", PSI some " PERCENT_FORMAT,
				PERCENT_ARGS(words_number(entry, "pressure_some_permyriad")));
	if (words_has(entry, "pressure_full_permyriad"))
		screen_text_add(text, ",%s full " PERCENT_FORMAT, has_some ? "" : " PSI",
				PERCENT_ARGS(words_number(entry, "pressure_full_permyriad")));
}

/* The policy, and how it stood with memory at that time. */
static void print_policy(const struct screen *screen, const json_t *entry)
{
	char policy[64], action[32], available[FORMAT_BYTES_SIZE], total[FORMAT_BYTES_SIZE];
	struct screen_text text = { .n = 0 };

	screen_text_add(&text, "%s (%s), with %s of %s available",
			screen_foreign(screen, words_text(entry, "policy"), policy, sizeof(policy)),
			screen_foreign(screen, words_text(entry, "action"), action, sizeof(action)),
			format_bytes(words_number(entry, "available_before_bytes"), available),
			format_bytes(words_number(entry, "memory_total_bytes"), total));
	add_swap(entry, &text);
	add_pressure(entry, &text);
	screen_item(screen, "  Policy", SCREEN_PLAIN, "%s", text.text);
}

/* The one with a higher score, which was skipped. */
static void add_skipped(const struct screen *screen, const json_t *entry, struct screen_text *text)
{
	const char *why = words_text(entry, "skipped_for");
	char name[WORDS_COMMAND_SIZE], cgroup[4096], size[FORMAT_BYTES_SIZE];

	if (!words_has(entry, "skipped_pid"))
		return;
	format_bytes(words_number(entry, "skipped_footprint_bytes"), size);
	if (strcmp(words_text(entry, "target"), "cgroup") == 0)
		screen_text_add(text, "; not the larger cgroup %s (%s)",
				screen_foreign(screen, words_text(entry, "skipped_cgroup"), cgroup,
					       sizeof(cgroup)),
				size);
	else
		screen_text_add(text, "; not the larger %s (pid %u, %s)",
				words_command(screen, words_text(entry, "skipped_comm"), name),
				(unsigned)words_number(entry, "skipped_pid"), size);
	if (strcmp(why, "similar") == 0)
		screen_text_add(text, ", as killing a similar one had freed little");
	else if (strcmp(why, "failed") == 0)
		screen_text_add(text, ", as the last attempt to kill it had failed");
}

/* Of an emergency in which no process was eligible. */
static void print_excluded(const struct screen *screen, const json_t *entry)
{
	char excluded[512];

	if (*words_text(entry, "excluded"))
		screen_item(screen, "  Excluded", SCREEN_PLAIN, "%s",
			    screen_foreign(screen, words_text(entry, "excluded"), excluded,
					   sizeof(excluded)));
}

static void print_choice(const struct screen *screen, const json_t *entry)
{
	uint64_t n = words_number(entry, "candidates");
	struct screen_text text = { .n = 0 };

	if (n == 0)
		return;
	screen_text_add(&text, "%u of %u candidate%s read precisely",
			(unsigned)words_number(entry, "precise_reads"), (unsigned)n,
			words_plural(n));
	add_skipped(screen, entry, &text);
	screen_text_add(&text, "; %s than the first",
			words_bool(entry, "approximate") ? "others might have ranked higher"
							 : "no other could have ranked higher");
	screen_item(screen, "  Choice", SCREEN_PLAIN, "%s", text.text);
}

static void add_ranked(const struct screen *screen, const json_t *one, struct screen_text *text)
{
	char name[WORDS_COMMAND_SIZE], cgroup[4096], size[FORMAT_BYTES_SIZE];

	format_bytes(words_number(one, "footprint_bytes"), size);
	if (words_has(one, "pid"))
		screen_text_add(text, "%s (pid %u, %s)",
				words_command(screen, words_text(one, "comm"), name),
				(unsigned)words_number(one, "pid"), size);
	else
		screen_text_add(
			text, "cgroup %s (%s)",
			screen_foreign(screen, words_text(one, "cgroup"), cgroup, sizeof(cgroup)),
			size);
}

static void print_ranked(const struct screen *screen, const json_t *entry)
{
	const json_t *ranked = json_object_get(entry, "ranked"), *one;
	struct screen_text text = { .n = 0 };
	size_t i;

	json_array_foreach((json_t *)ranked, i, one)
	{
		if (i == 0 ||
		    words_bool(one, "killed_with")) /* the victim, and what was killed with it */
			continue;
		screen_text_add(&text, "%s", text.n > 0 ? ", " : "");
		add_ranked(screen, one, &text);
	}
	if (text.n > 0)
		screen_item(screen, "  Next were", SCREEN_PLAIN, "%s", text.text);
}

static void print_reclaimed(const struct screen *screen, const json_t *entry)
{
	static const struct {
		const char *key, *text;
	} times[] = {
		{ "reclaimed_100ms_bytes", "after 0.1 s" },
		{ "reclaimed_500ms_bytes", "after 0.5 s" },
		{ "reclaimed_2s_bytes", "after 2 s" },
		{ "reclaimed_bytes", "in the end" },
	};
	struct screen_text text = { .n = 0 };
	char size[FORMAT_BYTES_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (words_has(entry, times[i].key))
			screen_text_add(&text, "%s%s %s", text.n > 0 ? ", " : "",
					format_bytes(words_number(entry, times[i].key), size),
					times[i].text);
	if (text.n > 0)
		screen_item(screen, "  Reclaimed", SCREEN_PLAIN, "%s", text.text);
}

struct step {
	const char *key, *text;
};

/* In their order in time: the priority is raised for SIGKILL, which may come after SIGTERM. */
static size_t sort_steps(const json_t *entry, const struct step *steps, size_t n_steps,
			 const struct step **ret)
{
	size_t n = 0, k;

	for (size_t i = 0; i < n_steps; i++) {
		if (!words_has(entry, steps[i].key))
			continue;
		for (k = n++; k > 0; k--) {
			if (words_number(entry, ret[k - 1]->key) <=
			    words_number(entry, steps[i].key))
				break;
			ret[k] = ret[k - 1];
		}
		ret[k] = &steps[i];
	}
	return n;
}

static void print_steps(const struct screen *screen, const json_t *entry)
{
	static const struct step steps[] = {
		{ "choose_usec", "chosen" },
		{ "open_usec", "pidfd open" },
		{ "boost_usec", "boosted" },
		{ "signal_usec", "signalled" },
		{ "thaw_usec", "thawed" },
		{ "escalated_usec", "SIGKILL" },
		{ "reap_usec", "handed to the reaper" },
		{ "exited_usec", "outcome known" },
	};
	const struct step *sorted[ARRAY_SIZE(steps)];
	size_t n = sort_steps(entry, steps, ARRAY_SIZE(steps), sorted);
	struct screen_text text = { .n = 0 };
	char duration[FORMAT_DURATION_SIZE];

	for (size_t i = 0; i < n; i++)
		screen_text_add(&text, "%s%s after %s", i > 0 ? ", " : "", sorted[i]->text,
				format_duration(words_number(entry, sorted[i]->key), duration));
	if (n > 0)
		screen_item(screen, "  Steps", SCREEN_PLAIN, "%s", text.text);
}

static void print_kill(const struct screen *screen, const json_t *entry)
{
	uint64_t n_levels = words_number(entry, "thawed_levels");
	uint64_t n_sharers = words_number(entry, "sharers");
	json_int_t refrozen = json_integer_value(json_object_get(entry, "refrozen"));
	char outcome[ENTRY_OUTCOME_SIZE], signal[32], error[128];
	struct screen_text text = { .n = 0 };

	if (!is_of_kind(entry, "killed"))
		return;
	screen_text_add(
		&text, "%s",
		screen_foreign(screen, words_text(entry, "signal"), signal, sizeof(signal)));
	if (words_bool(entry, "escalated"))
		screen_text_add(&text, ", as it had not exited on SIGTERM");
	screen_text_add(&text, ": %s", entry_outcome(entry, outcome));
	if (n_sharers > 0)
		screen_text_add(&text,
				"; %u other process%s that shared its memory %s killed with it",
				(unsigned)n_sharers, n_sharers == 1 ? "" : "es",
				n_sharers == 1 ? "was" : "were");
	if (n_levels > 0)
		screen_text_add(&text, "; its group was frozen and was thawed (%u level%s)%s",
				(unsigned)n_levels, words_plural(n_levels),
				refrozen > 0   ? ", then frozen again"
				: refrozen < 0 ? ", and could not be frozen again"
					       : "");
	if (*words_text(entry, "error"))
		screen_text_add(
			&text, "; %s",
			screen_foreign(screen, words_text(entry, "error"), error, sizeof(error)));
	screen_item(screen, "  Killed by", SCREEN_PLAIN, "%s", text.text);
}

void entry_print(const struct screen *screen, const json_t *entry, usec_t now)
{
	char date[ENTRY_DATE_SIZE], age[FORMAT_DURATION_SIZE];
	struct screen_text text = { .n = 0 };

	entry_sentence(screen, entry, &text);
	entry_age(entry, now, age);
	screen_say(screen, SCREEN_BOLD, "%u: %s, %s%s: %s.", (unsigned)words_number(entry, "id"),
		   entry_date(entry, date), *age ? age : "in the future", *age ? " ago" : "",
		   text.text);
	print_victim(screen, entry);
	print_size(screen, entry);
	print_policy(screen, entry);
	print_excluded(screen, entry);
	print_choice(screen, entry);
	print_ranked(screen, entry);
	print_kill(screen, entry);
	print_reclaimed(screen, entry);
	print_steps(screen, entry);
}
