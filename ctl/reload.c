/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reload: see the header. */
#include "ctl/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/bus.h"
#include "lib/cleanup.h"
#include "lib/format.h"

/* All mistakes, a line each, as `reckonctl check` says them. */
static enum ctl_status fail_of_mistakes(const struct ctl_options *options, const char *mistakes)
{
	static const char summary[] =
		"the configuration has mistakes and was not loaded; the old one stays";
	_cleanup_free_ char *lines = strdup(mistakes ? mistakes : "");
	json_t *messages = json_array();
	char *rest = lines, *line, text[2048];

	while (lines && (line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		fprintf(stderr, "%s\n", format_foreign(line, text, sizeof(text)));
		json_append_to(&messages, json_of_foreign(line));
	}
	fprintf(stderr, "reckonctl: %s\n", summary);
	if (options->json)
		(void)ctl_print_json(
			json_pack("{s:s, s:o}", "error", summary, "messages", messages));
	else
		json_decref(messages);
	return CTL_BAD_USAGE;
}

enum ctl_status reload(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(bus_done) struct bus bus = { 0 };
	json_t *reply;

	if (n_arguments > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "reload: no arguments");
	bus_open(&bus);
	reply = bus_call(&bus, "Reload");
	if (!reply && bus.trouble == BUS_BAD_CONFIGURATION)
		return fail_of_mistakes(options, bus.error.message);
	if (!reply && bus.trouble == BUS_DENIED)
		return ctl_fail(options, CTL_FAILURE, "only root may have it reload");
	if (!reply)
		return bus_fail(options, &bus);
	json_decref(reply);
	if (options->json)
		return ctl_print_json(json_pack("{s:b}", "reloaded", true));
	puts("reckond has read its configuration again.");
	return CTL_OK;
}
