/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reload: calls Reload(), and prints the errors in the configuration. */
#include "ctl/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"

/* While a kill is in progress no files are read.  The call is repeated twice a second, for so long:
 * more than any sensible Grace. */
#define TRIES	   120
#define PAUSE_MSEC 500

/* All errors, a line each, as `reckonctl check` prints them. */
static enum ctl_status fail_of_errors(const struct ctl_options *options, const char *errors)
{
	static const char summary[] =
		"the configuration has errors and was not loaded; the old one stays in use";
	_cleanup_free_ char *lines = strdup(errors ? errors : "");
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

static void print_why(struct bus *bus)
{
	char text[BUS_TEXT_SIZE];

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "reckonctl: %s\nreckonctl: retrying for up to one minute\n",
			bus_trouble_text(bus, text));
}

/* NULL: bus->trouble. */
static json_t *ask(struct bus *bus)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_MSEC * 1000000L };
	json_t *reply = bus_call(bus, "Reload");

	for (unsigned i = 0; !reply && bus->trouble == BUS_BUSY && i < TRIES; i++) {
		if (i == 0)
			print_why(bus);
		nanosleep(&pause, NULL);
		reply = bus_call(bus, "Reload");
	}
	return reply;
}

enum ctl_status reload(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(bus_done) struct bus bus = { 0 };
	json_t *reply;

	if (n_arguments > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "reload: no arguments");
	bus_open(&bus);
	reply = ask(&bus);
	if (!reply && bus.trouble == BUS_BAD_CONFIGURATION)
		return fail_of_errors(options, bus.error.message);
	if (!reply && bus.trouble == BUS_DENIED)
		return ctl_fail(options, CTL_FAILURE,
				"only root may have it reload (sudo reckonctl reload)");
	if (!reply)
		return bus_fail(options, &bus);
	json_decref(reply);
	if (options->json)
		return ctl_print_json(json_pack("{s:b}", "reloaded", true));
	puts("reckond has reloaded its configuration.");
	return CTL_OK;
}
