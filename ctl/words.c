/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words: parts of sentences that several commands print. */
#include "ctl/words.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/util.h"
#include "lib/config/conf.h"

const char *words_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

uint64_t words_number(const json_t *object, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(object, key));

	return number > 0 ? (uint64_t)number : 0;
}

double words_real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool words_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

bool words_has(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value && !json_is_null(value);
}

const char *words_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *words_command(const struct screen *screen, const char *command,
			  char buf[static WORDS_COMMAND_SIZE])
{
	return *command ? screen_foreign(screen, command, buf, WORDS_COMMAND_SIZE) : "(no name)";
}

/* One that was named is the first. */
const char *words_named_file(const struct screen *screen, const json_t *files,
			     char buf[static WORDS_NAME_SIZE])
{
	const char *first = json_string_value(json_array_get(files, 0));

	buf[0] = '\0';
	return first && !conf_is_standard(first)
		       ? screen_foreign(screen, first, buf, WORDS_NAME_SIZE)
		       : buf;
}

static const char *cgroup_name(const struct screen *screen, const json_t *cgroup,
			       char buf[static WORDS_NAME_SIZE])
{
	uint64_t n = words_number(cgroup, "processes");
	char path[WORDS_NAME_SIZE - 40];
	int length;

	length = snprintf(buf, WORDS_NAME_SIZE, "cgroup %s",
			  screen_foreign(screen, words_text(cgroup, "cgroup"), path, sizeof(path)));
	if (n > 0)
		snprintf(buf + length, WORDS_NAME_SIZE - (size_t)length, " (%u process%s)",
			 (unsigned)n, n == 1 ? "" : "es");
	return buf;
}

const char *words_process(const struct screen *screen, const json_t *process,
			  char buf[static WORDS_NAME_SIZE])
{
	uint64_t pid = words_number(process, "pid");
	char command[WORDS_COMMAND_SIZE], user[64];
	const char *name = words_text(process, "command");

	if (pid == 0 || words_has(process, "processes"))
		return cgroup_name(screen, process, buf);
	screen_foreign(screen, words_text(process, "user"), user, sizeof(user));
	snprintf(buf, WORDS_NAME_SIZE, "%s (pid %u%s%s)", words_command(screen, name, command),
		 (unsigned)pid, *user ? ", user " : "", user);
	return buf;
}

const char *words_size(const json_t *process, char buf[static FORMAT_INTERVAL_SIZE])
{
	struct interval size = {
		words_number(process, "footprint_min_bytes"),
		words_number(process, "footprint_max_bytes"),
	};

	/* (It differs where others are killed with it; an older daemon does not say.) */
	if (words_has(process, "would_free_bytes") &&
	    words_number(process, "would_free_bytes") != words_number(process, "footprint_bytes"))
		size.lo = size.hi = words_number(process, "would_free_bytes");
	return format_interval(size, buf);
}

void words_memory(const json_t *memory, struct screen_text *text)
{
	char total[FORMAT_BYTES_SIZE];

	screen_text_add(text, PERCENT_FORMAT " of %s available, ",
			PERCENT_ARGS(words_number(memory, "available_permyriad")),
			format_bytes(words_number(memory, "total_bytes"), total));
	if (words_number(memory, "swap_total_bytes") > 0)
		screen_text_add(text, "swap " PERCENT_FORMAT " free",
				PERCENT_ARGS(words_number(memory, "swap_free_permyriad")));
	else
		screen_text_add(text, "no swap");
	if (words_has(memory, "pressure_full_permyriad"))
		screen_text_add(text, "; PSI full " PERCENT_FORMAT " of the last 10 s",
				PERCENT_ARGS(words_number(memory, "pressure_full_permyriad")));
}

void words_excluded(const json_t *excluded, struct screen_text *text)
{
	static const struct {
		const char *key, *text;
		bool is_alone;	 /* there is but one */
		bool is_counted; /* its plural has an s */
	} kinds[] = {
		{ "init", "init", .is_alone = true },
		{ "kernel_threads", "kernel thread", .is_counted = true },
		{ "protected", "protected" },
		{ "reluctant", "reluctant" },
		{ "oom_score_adj_min", "with oom_score_adj -1000" },
		{ "outside_subtree", "outside the subtree" },
		{ "skipped", "skipped" },
		{ "zombies", "zombie", .is_counted = true },
	};
	bool is_first = true;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint64_t n = words_number(excluded, kinds[i].key);

		if (n == 0)
			continue;
		screen_text_add(text, "%s", is_first ? "" : ", ");
		is_first = false;
		if (!kinds[i].is_alone)
			screen_text_add(text, "%u ", (unsigned)n);
		screen_text_add(text, "%s%s", kinds[i].text,
				kinds[i].is_counted ? words_plural(n) : "");
	}
}

void words_say_source(const struct screen *screen, const json_t *answer, const char *why)
{
	if (strcmp(words_text(answer, "source"), "daemon") == 0)
		screen_say(screen, SCREEN_DIM, "Answered by reckond on %s.",
			   strcmp(words_text(answer, "connection"), "private") == 0
				   ? "its private socket"
				   : "the system bus");
	else
		screen_say(screen, SCREEN_DIM, "Evaluated by reckonctl itself: %s.", why);
}
