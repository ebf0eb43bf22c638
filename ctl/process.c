/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process: asks libproc2 for the texts that describe a process. */
#include "ctl/process.h"

#include <libproc2/pids.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/base/util.h"

enum { COMMAND_LINE, EXECUTABLE, UNIT, USER_UNIT, CONTAINER, N_ITEMS };

/* libproc2 has "-" for a text that there is not. */
static const char *text_of(const struct pids_stack *stack, unsigned item)
{
	const char *text = stack->head[item].result.str;

	return text && text[0] != '\0' && strcmp(text, "-") != 0 ? text : NULL;
}

static void set(json_t *object, const char *name, const char *text)
{
	(void)json_object_set_new(object, name, json_of_foreign(text));
}

void process_describe(json_t *object, pid_t pid)
{
	enum pids_item items[N_ITEMS] = {
		[COMMAND_LINE] = PIDS_CMDLINE, [EXECUTABLE] = PIDS_EXE,	   [UNIT] = PIDS_SD_UNIT,
		[USER_UNIT] = PIDS_SD_UUNIT,   [CONTAINER] = PIDS_LXCNAME,
	};
	struct pids_info *info = NULL;
	struct pids_fetch *fetch;
	unsigned one = (unsigned)pid;

	if (procps_pids_new(&info, items, N_ITEMS) < 0)
		return;
	fetch = procps_pids_select(info, &one, 1, PIDS_SELECT_PID);
	if (fetch && fetch->counts->total == 1) {
		const struct pids_stack *stack = fetch->stacks[0];
		const char *user_unit = text_of(stack, USER_UNIT);

		set(object, "command_line", text_of(stack, COMMAND_LINE));
		set(object, "executable", text_of(stack, EXECUTABLE));
		set(object, "unit", user_unit ? user_unit : text_of(stack, UNIT));
		set(object, "container", text_of(stack, CONTAINER));
	}
	procps_pids_unref(&info);
}
