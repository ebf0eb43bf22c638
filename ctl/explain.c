/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: the command.  The answer is the daemon's, or preview's; the other files print it. */
#include "ctl/explain.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/held.h"
#include "ctl/preview.h"
#include "ctl/process.h"
#include "ctl/running.h"
#include "ctl/screen.h"
#include "ctl/words.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/parse.h"
#include "lib/explain/explain.h"

const char *explain_user(uid_t uid)
{
	static char name[64];
	const struct passwd *passwd;

	if (uid == (uid_t)-1)
		return NULL;
	/* cppcheck-suppress getpwuidCalled ; there is one thread */
	passwd = getpwuid(uid);
	if (passwd)
		return format_foreign(passwd->pw_name, name, sizeof(name));
	snprintf(name, sizeof(name), "%u", uid);
	return name;
}

/* It has no memory of its own, or is none. */
static enum ctl_status fail_absent(const struct ctl_options *options, pid_t pid, bool hides_others)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_zombie = false;
	pid_t process = running_process_of(proc_fd, pid, &is_zombie);

	if (process > 0 && process != pid)
		return ctl_fail(options, CTL_FAILURE,
				"%d is a thread of process %d (reckonctl explain %d)", pid, process,
				process);
	if (process == pid && is_zombie)
		return ctl_fail(options, CTL_FAILURE,
				"process %d has exited: it is a zombie, and has no memory", pid);
	return ctl_fail(options, CTL_FAILURE, "no such process%s: %d",
			hides_others ? ", or it is hidden (hidepid)" : "", pid);
}

/* By this program itself. */
static enum ctl_status find_out(const struct ctl_options *options, pid_t pid, json_t **ret_errors,
				json_t **ret)
{
	_cleanup_(preview_freep) struct preview *o = NULL;
	struct explanation e;
	enum ctl_status status;

	status = preview_new(options, ret_errors, &o);
	if (status != CTL_OK)
		return status;
	if (pid != 0 && explain_process(o, pid, &e) != 0)
		return fail_absent(options, pid, o->hides_others);
	*ret = pid != 0 ? explain_json_process(o, &e) : explain_json_machine(o);
	return CTL_OK;
}

json_t *explain_ask(struct bus *bus, pid_t pid)
{
	json_t *reply = bus_call_number(bus, "Explain", (uint32_t)pid), *answer;

	if (!reply)
		return NULL;
	answer = json_loads(words_text(reply, "json"), 0, NULL);
	json_decref(reply);
	if (answer && !json_object_set_new(answer, "source", json_string("daemon")) &&
	    !json_object_set_new(answer, "connection", json_string(bus_connection(bus))))
		return answer;
	json_decref(answer);
	bus->trouble = BUS_FAILED;
	sd_bus_error_set_const(&bus->error, SD_BUS_ERROR_INCONSISTENT_MESSAGE,
			       "its answer cannot be read");
	return NULL;
}

enum ctl_status explain_find_out(const struct ctl_options *options, pid_t pid, json_t **ret_errors,
				 json_t **ret)
{
	enum ctl_status status = find_out(options, pid, ret_errors, ret);

	if (status == CTL_OK &&
	    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): with CTL_OK it is set */
	    (!*ret || json_object_set_new(*ret, "source", json_string("reckonctl")) < 0 ||
	     json_object_set_new(*ret, "connection", json_null()) < 0)) {
		json_decref(*ret);
		return ctl_fail(options, CTL_FAILURE, "no memory");
	}
	return status;
}

/* The daemon decides, so its answer is preferred; but the question can be another one. */
static enum ctl_status get_answer(const struct ctl_options *options, pid_t pid, json_t **ret,
				  char source[static BUS_TEXT_SIZE])
{
	enum ctl_status status;
	struct bus bus;

	if (options->config_file || options->subtree) {
		snprintf(source, BUS_TEXT_SIZE, "as %s asks for",
			 options->config_file ? "--config" : "--subtree");
		return explain_find_out(options, pid, NULL, ret);
	}
	bus_open(&bus);
	*ret = explain_ask(&bus, pid);
	bus_trouble_text(&bus, source);
	if (*ret)
		status = CTL_OK;
	else if (bus.trouble == BUS_NO_SUCH_PROCESS)
		status = fail_absent(options, pid, false);
	else if (bus_is_occupied(&bus))
		status = bus_fail(options, &bus);
	else
		status = explain_find_out(options, pid, NULL, ret);
	bus_done(&bus);
	return status;
}

enum ctl_status explain(const struct ctl_options *options, char **arguments, int n_arguments)
{
	char source[BUS_TEXT_SIZE];
	struct screen screen;
	enum ctl_status status;
	uint64_t pid = 0;
	json_t *answer;

	if (n_arguments > 1)
		return ctl_fail(options, CTL_BAD_USAGE, "explain: one process at a time");
	if (n_arguments == 1 && (parse_unsigned(arguments[0], INT_MAX, &pid) < 0 || pid == 0))
		return ctl_fail(options, CTL_BAD_USAGE,
				"explain: '%s' is not a pid (see pgrep, or reckonctl explain)",
				arguments[0]);
	status = get_answer(options, (pid_t)pid, &answer, source);
	if (status != CTL_OK)
		return status;
	held_describe(answer);
	if (pid != 0)
		process_describe(json_object_get(answer, "process"), (pid_t)pid);
	if (options->json)
		return ctl_print_json(answer);
	screen_init(&screen, stdout);
	status = pid == 0 ? explain_print_machine(&screen, answer)
			  : explain_print_process(&screen, answer);
	words_say_source(&screen, answer, source);
	json_decref(answer);
	return status;
}
