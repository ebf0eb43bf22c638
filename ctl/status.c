/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: the command.
 *
 * One object is put together of all that the daemon reports, and printed by status-print. Where the
 * daemon does not answer, what can be read without it fills the same object: memory, and the
 * thresholds of the configuration.
 */
#include "ctl/status.h"

#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/explain.h"
#include "ctl/fold.h"
#include "ctl/rules.h"
#include "ctl/screen.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"
#include "lib/history/history.h"

/* The member, a new reference; null where there is none. */
static json_t *copy_of(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return value ? json_incref(value) : json_null();
}

static json_t *share_of(uint64_t part, uint64_t whole)
{
	return json_integer((json_int_t)permyriad_of(part, whole));
}

/* As explain has it, from the daemon's properties. */
static json_t *of_memory(const json_t *p)
{
	uint64_t total = words_number(p, "memory_total"), swap = words_number(p, "swap_total");
	bool has_pressure = words_bool(p, "has_pressure");

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "total_bytes",
		copy_of(p, "memory_total"), "available_bytes", copy_of(p, "memory_available"),
		"available_permyriad", share_of(words_number(p, "memory_available"), total),
		"swap_total_bytes", copy_of(p, "swap_total"), "swap_free_bytes",
		copy_of(p, "swap_free"), "swap_free_permyriad",
		share_of(words_number(p, "swap_free"), swap), "pressure_some_permyriad",
		has_pressure ? copy_of(p, "pressure_some") : json_null(), "pressure_full_permyriad",
		has_pressure ? copy_of(p, "pressure_full") : json_null());
}

static uint64_t distance(const json_t *policy, const char *threshold, const json_t *memory,
			 const char *key)
{
	return words_has(policy, threshold)
		       ? sub_u64(words_number(memory, key), words_number(policy, threshold))
		       : 0;
}

/*
 * The policy that is nearest, counted by what would have to be used up; not one that waits for
 * pressure, which comes without a distance, nor one that has arrived, or does nothing.
 */
static json_t *find_next(const json_t *policies, const json_t *memory)
{
	uint64_t least = UINT64_MAX, memory_bytes = 0, swap_bytes = 0;
	const json_t *policy, *next = NULL;
	size_t i;

	json_array_foreach((json_t *)policies, i, policy)
	{
		uint64_t available =
			distance(policy, "memory_available_bytes", memory, "available_bytes");
		uint64_t swap = distance(policy, "swap_free_bytes", memory, "swap_free_bytes");

		/* Without thresholds: those are not known. */
		if ((!words_has(policy, "memory_available_bytes") &&
		     !words_has(policy, "swap_free_bytes")) ||
		    words_bool(policy, "holds") || words_has(policy, "pressure_some_permyriad") ||
		    words_has(policy, "pressure_full_permyriad") || available + swap >= least ||
		    strcmp(words_text(policy, "action"), "none") == 0)
			continue;
		least = available + swap;
		memory_bytes = available;
		swap_bytes = swap;
		next = policy;
	}
	if (!next)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", copy_of(next, "name"), "action",
			 copy_of(next, "action"), "conditions", copy_of(next, "conditions"),
			 "memory_bytes", json_of_bytes(memory_bytes), "swap_bytes",
			 json_of_bytes(swap_bytes));
}

/* The newest that was signalled. */
static json_t *find_last(const json_t *entries)
{
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)entries, i, entry)
	{
		if (strcmp(words_text(entry, "kind"), "killed") == 0)
			return json_incref(entry);
	}
	return json_null();
}

/* The victim of the kill in progress, by its entry. */
static json_t *killing_of(const json_t *entry)
{
	if (strcmp(words_text(entry, "outcome"), "in-progress") != 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", copy_of(entry, "pid"),
			 "command", copy_of(entry, "comm"), "cgroup", copy_of(entry, "cgroup"),
			 "target", copy_of(entry, "target"), "policy", copy_of(entry, "policy"),
			 "signal", copy_of(entry, "signal"), "signalled_usec",
			 json_of_bytes(words_number(entry, "time_usec") +
				       words_number(entry, "signal_usec")));
}

/* As explain has them, without their numbers, of which only the words are known.  NULL: an error.
 */
static json_t *ask_policies(struct bus *bus)
{
	static const char *const others[] = { "target",
					      "rank_by",
					      "memory_available_bytes",
					      "swap_free_bytes",
					      "pressure_some_permyriad",
					      "pressure_full_permyriad",
					      "thrashing_permyriad",
					      "for_usec" };
	json_t *policies = rules_ask_policies(bus), *policy;
	size_t k;

	json_array_foreach(policies, k, policy)
	{
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			(void)json_object_set_new(policy, others[i], json_null());
	}
	return policies;
}

/* What was reported; NULL: it was not. */
struct reported {
	json_t *properties;
	json_t *preview;  /* of the machine, as explain has it */
	json_t *policies; /* where there is no preview */
	json_t *entries;
	bool is_killing; /* a kill is in progress */
};

static void reported_done(struct reported *reported)
{
	json_decref(reported->properties);
	json_decref(reported->preview);
	json_decref(reported->policies);
	json_decref(reported->entries);
}

/* Takes is_running.  NULL: no memory. */
static json_t *put_together(const struct bus *bus, const struct reported *reported,
			    json_t *is_running)
{
	static const char *const copied[] = {
		"version",	 "state",	  "dry_run",
		"subtree",	 "config_files",  "degraded",
		"config_errors", "conflicts",	  "missing_privileges",
		"limitations",	 "reload_errors", "processes",
		"kills",	 "min_victim",	  "memory_held_by",
		"started_usec",	 "read_usec",	  "latency"
	};
	const json_t *p = reported->properties;
	json_t *memory = p ? of_memory(p) : copy_of(reported->preview, "memory");
	json_t *policies = reported->policies ? json_incref(reported->policies)
					      : copy_of(reported->preview, "policies");
	json_t *last = find_last(reported->entries);
	json_t *killing = reported->is_killing ? killing_of(last) : json_null();
	json_t *answer =
		json_pack("{s:s, s:s?, s:o}", "source", p ? "daemon" : "reckonctl", "connection",
			  p ? bus_connection(bus) : NULL, "running", is_running);

	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		answer = json_with(answer, copied[i], copy_of(p, copied[i]));
	answer = json_with(answer, "killing", killing);
	answer = json_with(answer, "next", find_next(policies, memory));
	answer = json_with(answer, "memory", memory);
	answer = json_with(answer, "policies", policies);
	answer = json_with(answer, "victim", copy_of(reported->preview, "victim"));
	answer = json_with(answer, "group", copy_of(reported->preview, "group"));
	answer = json_with(answer, "excluded", copy_of(reported->preview, "excluded"));
	return json_with(answer, "last", last);
}

/* The next page behind these; false: there is none. */
static bool extend(struct bus *bus, json_t *entries)
{
	size_t n = json_array_size(entries);
	uint64_t before = words_number(json_array_get(entries, n - 1), "id");
	json_t *page = before > 1 && n < HISTORY_MAX ? bus_history_page(bus, before, 0) : NULL;
	bool extended = json_array_size(page) > 0 && json_array_extend(entries, page) == 0;

	json_decref(page);
	return extended;
}

/* That the last one was of a unit that was killed again and again: for text output only. */
static json_t *add_repeated(json_t *answer, struct bus *bus, json_t *entries)
{
	char text[FOLD_TEXT_SIZE];
	struct fold fold;
	size_t i = 0;

	while (i < json_array_size(entries) &&
	       strcmp(words_text(json_array_get(entries, i), "kind"), "killed") != 0)
		i++;
	if (i == json_array_size(entries))
		return answer;
	do
		fold_find(entries, i, &fold);
	while (i + fold.n == json_array_size(entries) && extend(bus, entries));
	return fold.n > 1 ? json_with(answer, "repeated", json_string(fold_text(&fold, text)))
			  : answer;
}

/* From the newest to the last that was signalled, or to the oldest.  NULL: trouble. */
static json_t *ask_for_last(struct bus *bus)
{
	json_t *entries = bus_history_page(bus, 0, 0), *last;
	uint64_t last_before = UINT64_MAX;

	for (;;) {
		size_t n = json_array_size(entries);
		uint64_t before = words_number(json_array_get(entries, n - 1), "id");

		last = find_last(entries);
		if (n == 0 || before == 0 || before >= last_before || json_is_object(last)) {
			json_decref(last);
			return entries;
		}
		last_before = before;
		json_decref(entries);
		entries = bus_history_page(bus, before, 0);
	}
}

static enum ctl_status print(const struct ctl_options *options, json_t *answer)
{
	struct screen screen;

	if (!answer)
		return ctl_fail(options, CTL_FAILURE, "no memory");
	if (options->json)
		return ctl_print_json(answer);
	screen_init(&screen, stdout);
	status_print(&screen, answer);
	json_decref(answer);
	return CTL_OK;
}

/* What is missing is printed, and the rest is shown. */
static enum ctl_status print_running(const struct ctl_options *options, struct bus *bus,
				     struct reported *reported)
{
	char why[BUS_TEXT_SIZE] = "", text[BUS_TEXT_SIZE];
	json_t *answer;

	reported->preview = explain_ask(bus, 0);
	if (!reported->preview) {
		bus_trouble_text(bus, why);
		reported->is_killing = bus->trouble == BUS_BUSY;
		reported->policies = ask_policies(bus);
	}
	reported->entries = ask_for_last(bus);
	if (!reported->entries)
		fprintf(stderr, "reckonctl: %s\n", bus_trouble_text(bus, text));
	answer = put_together(bus, reported, json_true());
	if (!options->json)
		answer = add_repeated(answer, bus, reported->entries);
	if (*why && !json_is_object(json_object_get(answer, "killing")))
		fprintf(stderr, "reckonctl: %s\n", why);
	return print(options, answer);
}

static enum ctl_status print_absent(const struct ctl_options *options, struct bus *bus)
{
	/* It may be there, and only not answer. */
	json_t *is_running = bus->trouble == BUS_NOT_RUNNING ? json_false() : json_null();
	_cleanup_(reported_done) struct reported reported = { .properties = NULL };
	char why[BUS_TEXT_SIZE];
	json_t *answer, *errors = NULL;
	enum ctl_status status;

	bus_trouble_text(bus, why);
	fprintf(stderr, "reckonctl: %s\n", why);
	status = explain_find_out(options, 0, &errors, &reported.preview);
	if (status != CTL_OK) {
		json_decref(errors);
		json_decref(is_running);
		return status;
	}
	answer = json_with(put_together(bus, &reported, is_running), "error", json_string(why));
	answer = json_with(answer, "config_errors", errors);
	status = print(options, answer);
	return status == CTL_OK ? CTL_FAILURE : status;
}

enum ctl_status status(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(reported_done) struct reported reported = { .properties = NULL };
	enum ctl_status status;
	struct bus bus;

	if (n_arguments > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "status: no arguments");
	bus_open(&bus);
	reported.properties = bus_properties(&bus);
	if (reported.properties && !words_has(reported.properties, "state")) {
		bus.trouble = BUS_TOO_OLD;
		bus.member = "State";
	}
	if (bus.trouble == BUS_ANSWERED)
		status = print_running(options, &bus, &reported);
	else
		status = print_absent(options, &bus);
	bus_done(&bus);
	return status;
}
