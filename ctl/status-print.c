/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status-print: prints the state of the daemon and of memory as text. */
#include <string.h>
#include <time.h>

#include "ctl/bar.h"
#include "ctl/entry.h"
#include "ctl/fold.h"
#include "ctl/screen.h"
#include "ctl/status.h"
#include "ctl/words.h"
#include "lib/base/latency.h"

/* Wide enough to see a percent, and no wider. */
#define BAR_MAX	  102
#define MARKS_MAX 32

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* Weakest first, so that the strongest is seen where they meet. */
static const struct action {
	const char *name, *verb;
	char letter;
	enum screen_style style;
} actions[] = {
	{ "warn", "warns", 'w', SCREEN_YELLOW },
	{ "terminate", "terminates", 't', SCREEN_RED },
	{ "kill", "kills", 'k', SCREEN_RED },
};

static bool is_of_action(const json_t *policy, const struct action *action)
{
	return strcmp(words_text(policy, "action"), action->name) == 0;
}

/* The policy that demands a kill where no process is eligible; NULL: one is, or that is not known.
 */
static const json_t *find_policy_in_vain(const json_t *answer)
{
	const char *state = words_text(answer, "state");
	const json_t *policy;
	size_t k;

	if (json_is_object(json_object_get(answer, "victim")) ||
	    !json_is_object(json_object_get(answer, "excluded")) ||
	    (strcmp(state, "stuck") != 0 && strcmp(state, "watch") != 0))
		return NULL;
	json_array_foreach(json_object_get(answer, "policies"), k, policy)
	{
		if (words_bool(policy, "holds") &&
		    (strcmp(words_text(policy, "action"), "terminate") == 0 ||
		     strcmp(words_text(policy, "action"), "kill") == 0))
			return policy;
	}
	return NULL;
}

static void print_excluded(const struct screen *screen, const json_t *answer)
{
	const json_t *excluded = json_object_get(answer, "excluded");
	uint64_t n_unreadable = words_number(excluded, "unreadable");
	struct screen_text text = { .n = 0 };

	words_excluded(excluded, &text);
	if (n_unreadable > 0)
		screen_text_add(&text, "%s%u unreadable", text.n > 0 ? ", " : "",
				(unsigned)n_unreadable);
	if (text.n > 0)
		screen_item(screen, "", SCREEN_RED, "not eligible: %s", text.text);
}

static void print_state(const struct screen *screen, const json_t *answer)
{
	static const struct {
		const char *state, *text;
		enum screen_style style;
	} states[] = {
		{ "calm", "enough memory is available", SCREEN_GREEN },
		{ "watch", "memory is sampled often", SCREEN_YELLOW },
		{ "stuck", "memory is low but no process is worth killing", SCREEN_RED },
		{ "killing", "waiting for memory to be freed", SCREEN_RED },
	};
	const char *name = words_text(answer, "state");
	enum screen_style style = SCREEN_PLAIN;
	char version[64], state[32];
	const json_t *in_vain = find_policy_in_vain(answer);
	const char *text = "";

	if (!words_bool(answer, "running")) {
		screen_item(screen, "State", SCREEN_RED, "%s",
			    words_has(answer, "running")
				    ? "not running: no process would be killed in time"
				    : "not known");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(name, states[i].state) == 0) {
			text = states[i].text;
			style = states[i].style;
		}
	if (in_vain && strcmp(name, "stuck") != 0) {
		text = strcmp(words_text(in_vain, "target"), "cgroup") == 0
			       ? "memory is low but no cgroup is eligible as a whole"
			       : "memory is low but no process is eligible";
		style = SCREEN_RED;
	}
	screen_item(
		screen, "State", style, "%s%s%s (reckond %s)",
		screen_foreign(screen, name, state, sizeof(state)), *text ? ": " : "", text,
		screen_foreign(screen, words_text(answer, "version"), version, sizeof(version)));
	if (in_vain)
		print_excluded(screen, answer);
	if (words_bool(answer, "dry_run"))
		screen_item(screen, "", SCREEN_YELLOW, "dry run: no process is killed");
}

/* "likely held by x (pid 7)", of a row; or the largest process, and why it is no victim. */
static void print_holder(const struct screen *screen, const json_t *row, const char *size)
{
	const char *kind = words_text(row, "kind");
	uint64_t pid = words_number(row, "pid");
	char comm[64], why[128];

	if (pid == 0)
		return;
	screen_foreign(screen, words_text(row, "command"), comm, sizeof(comm));
	if (strcmp(kind, "largest_process") == 0)
		screen_item(screen, "Largest", SCREEN_PLAIN, "%s (pid %u, %s): %s", comm,
			    (unsigned)pid, size,
			    screen_foreign(screen, words_text(row, "text"), why, sizeof(why)));
	else
		screen_item(screen, "", SCREEN_PLAIN, "%10s %s %s (pid %u)", "",
			    strcmp(kind, "memfds") == 0 ? "by" : "likely held by", comm,
			    (unsigned)pid);
}

/* Where memory is, while no process is worth killing. */
static void print_held(const struct screen *screen, const json_t *answer)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(answer, "memory_held_by"), i, row)
	{
		const char *path = words_text(row, "path");
		char size[FORMAT_BYTES_SIZE], text[128], where[256];

		format_bytes(words_number(row, "bytes"), size);
		if (strcmp(words_text(row, "kind"), "largest_process") != 0)
			screen_item(
				screen, i == 0 ? "Held by" : "", SCREEN_PLAIN, "%10s %s%s%s", size,
				screen_foreign(screen, words_text(row, "text"), text, sizeof(text)),
				*path ? " " : "",
				screen_foreign(screen, path, where, sizeof(where)));
		print_holder(screen, row, size);
	}
}

/* At its threshold alone it does nothing: tasks have to stall besides. */
static bool waits_for_pressure(const json_t *policy)
{
	return words_has(policy, "pressure_some_permyriad") ||
	       words_has(policy, "pressure_full_permyriad");
}

/* The thresholds of the policies; from the left, as what is used is. */
static size_t mark_thresholds(const json_t *policies, const char *key, uint64_t total,
			      struct bar_mark marks[static MARKS_MAX])
{
	const json_t *policy;
	size_t n = 0, k;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		json_array_foreach((json_t *)policies, k, policy)
		{
			if (n == MARKS_MAX || !words_has(policy, key) ||
			    waits_for_pressure(policy) || !is_of_action(policy, &actions[i]))
				continue;
			marks[n++] = (struct bar_mark){
				permyriad_of(sub_u64(total, words_number(policy, key)), total),
				actions[i].letter,
				actions[i].style,
			};
		}
	}
	return n;
}

/* As bad as the strongest policy that holds. */
static enum screen_style style_of(const json_t *policies)
{
	enum screen_style style = SCREEN_GREEN;
	const json_t *policy;
	size_t k;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		json_array_foreach((json_t *)policies, k, policy)
		{
			if (words_bool(policy, "holds") && is_of_action(policy, &actions[i]))
				style = actions[i].style;
		}
	}
	return style;
}

static void print_bar(const struct screen *screen, const json_t *answer, const char *threshold_key,
		      uint64_t free, uint64_t total)
{
	const json_t *policies = json_object_get(answer, "policies");
	struct bar_mark marks[MARKS_MAX];
	size_t n;

	if (screen->width < SCREEN_ITEM_COLUMN + 8)
		return;
	n = mark_thresholds(policies, threshold_key, total, marks);
	fprintf(screen->file, "%*s", SCREEN_ITEM_COLUMN, "");
	bar_print(screen, (unsigned)min_u64(screen->width - SCREEN_ITEM_COLUMN, BAR_MAX),
		  permyriad_of(sub_u64(total, free), total), style_of(policies), marks, n);
}

/* Which letters stand in the bars for what. */
static void print_legend(const struct screen *screen, const json_t *policies)
{
	struct screen_text text = { .n = 0 };
	const json_t *policy;
	size_t k;

	if (screen->width == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		bool any = false;

		json_array_foreach((json_t *)policies, k, policy) any =
			any || is_of_action(policy, &actions[i]);
		if (any)
			screen_text_add(&text, "%s%c %s",
					text.n > 0 ? ", " : "thresholds: ", actions[i].letter,
					actions[i].verb);
	}
	if (text.n > 0)
		screen_item(screen, "", SCREEN_DIM, "%s", text.text);
}

static void print_memory(const struct screen *screen, const json_t *answer)
{
	const json_t *memory = json_object_get(answer, "memory");
	uint64_t total = words_number(memory, "total_bytes");
	uint64_t swap = words_number(memory, "swap_total_bytes");
	char size[FORMAT_BYTES_SIZE];

	screen_item(screen, "Memory", SCREEN_PLAIN, PERCENT_FORMAT " of %s available",
		    PERCENT_ARGS(words_number(memory, "available_permyriad")),
		    format_bytes(total, size));
	print_bar(screen, answer, "memory_available_bytes", words_number(memory, "available_bytes"),
		  total);
	if (swap == 0) {
		screen_item(screen, "Swap", SCREEN_PLAIN, "none");
	} else {
		screen_item(screen, "Swap", SCREEN_PLAIN, PERCENT_FORMAT " of %s free",
			    PERCENT_ARGS(words_number(memory, "swap_free_permyriad")),
			    format_bytes(swap, size));
		print_bar(screen, answer, "swap_free_bytes",
			  words_number(memory, "swap_free_bytes"), swap);
	}
	print_legend(screen, json_object_get(answer, "policies"));
	if (words_has(memory, "pressure_full_permyriad"))
		screen_item(screen, "Pressure", SCREEN_PLAIN,
			    "some " PERCENT_FORMAT ", full " PERCENT_FORMAT " of the last 10 s",
			    PERCENT_ARGS(words_number(memory, "pressure_some_permyriad")),
			    PERCENT_ARGS(words_number(memory, "pressure_full_permyriad")));
	else
		screen_item(screen, "Pressure", SCREEN_PLAIN, "not known: this kernel has no PSI");
}

/* "policy stall (kill)" */
static const char *policy_name(const struct screen *screen, const json_t *policy, char *buf,
			       size_t size)
{
	char name[64], action[32];

	screen_foreign(screen, words_text(policy, "name"), name, sizeof(name));
	screen_foreign(screen, words_text(policy, "action"), action, sizeof(action));
	if (strcmp(name, action) == 0)
		snprintf(buf, size, "policy %s", name);
	else
		snprintf(buf, size, "policy %s (%s)", name, action);
	return buf;
}

static void print_policies(const struct screen *screen, const json_t *answer)
{
	const json_t *next = json_object_get(answer, "next"), *policy;
	uint64_t memory = words_number(next, "memory_bytes");
	uint64_t swap = words_number(next, "swap_bytes");
	char name[128], conditions[256], size[FORMAT_BYTES_SIZE], swap_size[FORMAT_BYTES_SIZE];
	size_t i;

	json_array_foreach(json_object_get(answer, "policies"), i, policy)
	{
		if (words_bool(policy, "holds") &&
		    strcmp(words_text(policy, "action"), "none") != 0)
			screen_item(screen, "Now", SCREEN_RED, "%s: %s",
				    policy_name(screen, policy, name, sizeof(name)),
				    screen_foreign(screen, words_text(policy, "conditions"),
						   conditions, sizeof(conditions)));
	}
	if (!json_is_object(next))
		return;
	format_bytes(memory, size);
	format_bytes(swap, swap_size);
	screen_item(screen, "Next threshold", SCREEN_PLAIN, "%s, %s%s%s%s%s away: %s",
		    policy_name(screen, next, name, sizeof(name)) + strlen("policy "),
		    memory > 0 ? size : "", memory > 0 ? " of memory" : "",
		    memory > 0 && swap > 0 ? " and " : "", swap > 0 ? swap_size : "",
		    swap > 0 ? " of swap" : "",
		    screen_foreign(screen, words_text(next, "conditions"), conditions,
				   sizeof(conditions)));
}

/* The kill that is in progress: the last of the history. */
static void print_killing(const struct screen *screen, const json_t *answer)
{
	const json_t *killing = json_object_get(answer, "killing");
	char name[ENTRY_NAME_SIZE], signal[32], policy[64], age[FORMAT_DURATION_SIZE];

	if (!json_is_object(killing))
		return;
	screen_item(screen, "Killing", SCREEN_RED, "%s: %s %s ago, policy %s",
		    entry_name(screen, json_object_get(answer, "last"), name),
		    screen_foreign(screen, words_text(killing, "signal"), signal, sizeof(signal)),
		    format_duration(sub_u64(now(), words_number(killing, "signalled_usec")), age),
		    screen_foreign(screen, words_text(killing, "policy"), policy, sizeof(policy)));
}

static void print_victims(const struct screen *screen, const json_t *answer)
{
	const json_t *victim = json_object_get(answer, "victim");
	const json_t *group = json_object_get(answer, "group");
	const json_t *last = json_object_get(answer, "last");
	uint64_t n = words_number(answer, "kills");
	char name[WORDS_NAME_SIZE], size[FORMAT_INTERVAL_SIZE], age[FORMAT_DURATION_SIZE];
	char date[ENTRY_DATE_SIZE], repeated[FOLD_TEXT_SIZE];
	struct screen_text text = { .n = 0 };

	if (json_is_object(group))
		screen_item(screen, "Next victim", SCREEN_BOLD, "all of %s; would free %s",
			    words_process(screen, group, name), words_size(group, size));
	else if (json_is_object(victim))
		screen_item(screen, "Next victim", SCREEN_BOLD, "%s; would free %s",
			    words_process(screen, victim, name), words_size(victim, size));
	if (words_has(answer, "started_usec"))
		screen_item(
			screen, "Kills", SCREEN_PLAIN, "%u process%s since the start, %s ago",
			(unsigned)n, n == 1 ? "" : "es",
			format_duration(sub_u64(now(), words_number(answer, "started_usec")), age));
	/* Else that is printed already. */
	if (!json_is_object(last) || json_is_object(json_object_get(answer, "killing")))
		return;
	if (*words_text(answer, "repeated"))
		screen_text_add(&text, "%s; ",
				screen_foreign(screen, words_text(answer, "repeated"), repeated,
					       sizeof(repeated)));
	entry_sentence(screen, last, &text);
	entry_age(last, now(), age);
	screen_item(screen, "Last", SCREEN_PLAIN, "%s%s: %s", *age ? age : entry_date(last, date),
		    *age ? " ago" : "", text.text);
}

/* "" for one that is not known. */
static const char *cause_text(const char *cause)
{
	for (unsigned i = LATENCY_UNKNOWN + 1; i < _LATENCY_CAUSE_MAX; i++)
		if (strcmp(cause, latency_cause_to_string(i)) == 0)
			return latency_cause_text(i);
	return "";
}

/* Only where samples of memory were late; the worse of the two kinds. */
static void print_latency(const struct screen *screen, const json_t *answer)
{
	const json_t *worst = NULL, *row;
	char max[FORMAT_DURATION_SIZE];
	const char *cause;
	uint64_t n;
	size_t i;

	json_array_foreach(json_object_get(answer, "latency"), i, row)
	{
		if (words_number(row, "late") > 0 &&
		    words_number(row, "max_usec") >= words_number(worst, "max_usec"))
			worst = row;
	}
	if (!worst)
		return;
	n = words_number(worst, "late");
	format_duration(words_number(worst, "max_usec"), max);
	cause = cause_text(words_text(worst, "cause"));
	screen_item(screen, "Late", SCREEN_YELLOW, "%llu sample%s of memory %s, %s at most%s%s",
		    (unsigned long long)n, words_plural(n),
		    strcmp(words_text(worst, "kind"), "delay") == 0 ? "started too late"
								    : "took too long",
		    max, *cause ? "; of the last one: " : "", cause);
}

void status_print(const struct screen *screen, const json_t *answer)
{
	bool is_running = words_bool(answer, "running");

	print_state(screen, answer);
	status_print_errors(screen, answer);
	print_killing(screen, answer);
	print_memory(screen, answer);
	print_held(screen, answer);
	if (is_running) {
		print_policies(screen, answer);
		print_victims(screen, answer);
		print_latency(screen, answer);
		status_print_setup(screen, answer);
	}
}
