/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain-protected: which processes a rule protects, as text; see explain.h. */
#include <stdlib.h>
#include <string.h>

#include "ctl/explain.h"
#include "ctl/screen.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"

/* So many commands of those that a rule protects are named. */
#define NAMED_MAX 4

static int compare_sizes(const void *a, const void *b)
{
	uint64_t size_a = words_number(*(json_t *const *)a, "footprint_bytes");
	uint64_t size_b = words_number(*(json_t *const *)b, "footprint_bytes");

	return size_a < size_b ? 1 : size_a > size_b ? -1 : 0;
}

json_t *explain_by_size(const json_t *processes)
{
	size_t n = json_array_size(processes);
	_cleanup_free_ json_t **sorted = calloc(n + 1, sizeof(json_t *));
	json_t *array = json_array();

	if (!sorted) {
		json_decref(array);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(processes, i);
	qsort(sorted, n, sizeof(json_t *), compare_sizes);
	for (size_t i = 0; i < n; i++)
		json_append_to(&array, json_incref(sorted[i]));
	return array;
}

/* Neither says its rule, or both say the same.  (To jansson nothing is equal to nothing.) */
static bool is_of_same_rule(const json_t *a, const json_t *b)
{
	const json_t *rule_a = json_object_get(a, "rule"), *rule_b = json_object_get(b, "rule");

	return rule_a == rule_b || json_equal(rule_a, rule_b);
}

/* All of them that the rule of the first protects; each command once. */
static void print_protected_by(const struct screen *screen, const json_t *processes, size_t first)
{
	const json_t *one = json_array_get(processes, first), *process;
	const json_t *rule = json_object_get(one, "rule");
	const char *named[NAMED_MAX];
	char name[64], command[WORDS_COMMAND_SIZE];
	struct screen_text text = { .n = 0 };
	unsigned n_named = 0, n = 0;
	bool has_more = false;
	size_t i;

	json_array_foreach((json_t *)processes, i, process)
	{
		const char *its = words_text(process, "command");
		unsigned k = 0;

		if (!is_of_same_rule(process, one))
			continue;
		n++;
		while (k < n_named && strcmp(named[k], its) != 0)
			k++;
		if (k == NAMED_MAX)
			has_more = true;
		if (k < n_named || k == NAMED_MAX)
			continue;
		named[n_named++] = its;
		screen_text_add(&text, "%s%s", k > 0 ? ", " : "",
				words_command(screen, its, command));
	}
	screen_say(screen, SCREEN_PLAIN, "  %u by rule %s%s: %s%s", n,
		   screen_foreign(screen, words_text(rule, "name"), name, sizeof(name)),
		   words_bool(rule, "builtin") ? " (built in)" : "", text.text,
		   has_more ? ", ..." : "");
}

void explain_print_protected(const struct screen *screen, const json_t *answer,
			     const json_t *processes)
{
	size_t n = json_array_size(processes);
	uint64_t n_all = words_number(json_object_get(answer, "excluded"), "protected");

	if (n == 0)
		return;
	fputs("Protected:\n", screen->file);
	for (size_t i = 0; i < json_array_size(processes); i++) {
		const json_t *process = json_array_get(processes, i);
		size_t before = 0;

		while (!is_of_same_rule(json_array_get(processes, before), process))
			before++;
		if (before == i)
			print_protected_by(screen, processes, i);
	}
	if (n_all > n)
		screen_say(screen, SCREEN_PLAIN, "  %u more", (unsigned)(n_all - n));
}
