/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status-setup: prints what the daemon works with: configuration, privileges, other daemons. */
#include <stdio.h>
#include <string.h>

#include "ctl/screen.h"
#include "ctl/status.h"
#include "ctl/words.h"

/* A line for each. */
static void print_list(const struct screen *screen, const char *label, enum screen_style style,
		       const json_t *texts)
{
	char text[4096];
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)texts, i, item)
	{
		const char *value = json_string_value(item);

		screen_item(screen, i == 0 ? label : "", style, "%s",
			    screen_foreign(screen, value ? value : "", text, sizeof(text)));
	}
}

void status_print_errors(const struct screen *screen, const json_t *answer)
{
	const json_t *errors = json_object_get(answer, "config_errors");
	char named[WORDS_NAME_SIZE];
	size_t n = json_array_size(errors);

	words_named_file(screen, json_object_get(answer, "config_files"), named);
	if (words_bool(answer, "degraded"))
		screen_item(
			screen, "Degraded", SCREEN_RED,
			"the configuration has errors and is used in part (reckonctl check%s%s)",
			*named ? " " : "", named);
	if (n > 0)
		print_list(screen, words_bool(answer, "degraded") ? "" : "Errors", SCREEN_RED,
			   errors);
}

/* Of the file that the daemon does not use. */
static void print_refusal(const struct screen *screen, const json_t *answer)
{
	const json_t *errors = json_object_get(answer, "reload_errors");
	const char *first = json_string_value(json_array_get(errors, 0));
	char named[WORDS_NAME_SIZE], text[4096], more[32] = "";
	size_t n = json_array_size(errors);

	if (!first)
		return;
	words_named_file(screen, json_object_get(answer, "config_files"), named);
	if (n > 1)
		snprintf(more, sizeof(more), ", and %zu more", n - 1);
	screen_item(screen, "", SCREEN_RED,
		    "the last reload was refused (reckonctl check%s%s): %s%s", *named ? " " : "",
		    named, screen_foreign(screen, first, text, sizeof(text)), more);
}

void status_print_setup(const struct screen *screen, const json_t *answer)
{
	const json_t *files = json_object_get(answer, "config_files");
	const json_t *conflicts = json_object_get(answer, "conflicts");
	const char *subtree = words_text(answer, "subtree");
	char text[4096];

	print_list(screen, "Missing", SCREEN_YELLOW, json_object_get(answer, "missing_privileges"));
	print_list(screen, "Limitations", SCREEN_YELLOW, json_object_get(answer, "limitations"));
	print_list(screen, "Conflicts", SCREEN_YELLOW, conflicts);
	if (json_array_size(conflicts) > 0)
		screen_item(screen, "", SCREEN_PLAIN,
			    "both may kill for one shortage: stop one of them");
	if (*subtree && strcmp(subtree, "/") != 0)
		screen_item(screen, "Subtree", SCREEN_PLAIN, "%s",
			    screen_foreign(screen, subtree, text, sizeof(text)));
	if (json_is_array(files) && json_array_size(files) == 0)
		screen_item(screen, "Configuration", SCREEN_PLAIN,
			    "none: the built-in defaults are used");
	print_list(screen, "Configuration", SCREEN_PLAIN, files);
	print_refusal(screen, answer);
}
