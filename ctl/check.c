/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check: the command, and loading the configuration for others: prints its errors and warnings. */
#include "ctl/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/config/conf.h"
#include "lib/sys/cgroup.h"

/* What one reading found, and its sums. */
struct report {
	json_t *files;
	json_t *messages;
	size_t n_files;
	size_t n_errors;
	size_t n_warnings;
};

static void add_files(struct report *report, char **files, size_t n_files)
{
	for (size_t i = 0; i < n_files; i++)
		json_append_to(&report->files, json_of_foreign(files[i]));
	report->n_files += n_files;
}

static void add_messages(struct report *report, const struct conf_messages *messages)
{
	for (size_t i = 0; i < messages->n; i++) {
		const struct conf_message *message = &messages->items[i];

		conf_message_print(message, stderr);
		json_append_to(&report->messages,
			       json_pack("{s:o, s:o, s:s, s:o}", "file",
					 json_of_foreign(message->file), "line",
					 message->line ? json_integer(message->line) : json_null(),
					 "kind", message->warning ? "warning" : "error", "text",
					 json_of_foreign(message->text)));
	}
	report->n_errors += messages->n_errors;
	report->n_warnings += messages->n_warnings;
	if (messages->n_left_out > 0)
		fprintf(stderr, "%zu more are not listed\n", messages->n_left_out);
}

static int check_subtree(const struct policy_set *set, struct conf_messages *messages)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return conf_check_subtree_at(set, proc_fd, messages);
}

/* How it is read: strictly, by its own; and is the subtree there?  Or as at a start of the daemon.
 */
enum load_mode {
	LOAD_STRICT,
	LOAD_WITH_SUBTREE,
	LOAD_LENIENT,
};

/* As conf_load(), or conf_load_lenient(); what it finds is printed, and added to the report. */
static int load(const char *config_file, enum load_mode mode, struct policy_set *ret,
		struct report *report)
{
	struct conf_messages messages = { 0 };
	char **files = NULL;
	size_t n_files = 0;
	int r;

	r = conf_find_files(config_file, "", &messages, &files, &n_files);
	if (r < 0) {
		conf_messages_done(&messages);
		return r;
	}
	r = (mode == LOAD_LENIENT ? conf_load_lenient : conf_load)((const char *const *)files,
								   n_files, ret, &messages);
	if (r == 0 && messages.n_errors > 0 && mode != LOAD_LENIENT) {
		policy_set_done(ret);
		r = 1;
	}
	if (r == 0 && mode == LOAD_WITH_SUBTREE) {
		r = check_subtree(ret, &messages);
		if (r < 0)
			policy_set_done(ret);
	}
	add_files(report, files, n_files);
	add_messages(report, &messages);
	conf_messages_done(&messages);
	conf_files_free(files, n_files);
	return r;
}

static void report_done(struct report *report)
{
	json_decref(report->files);
	json_decref(report->messages);
}

/* The errors that were printed, as strings. */
static json_t *list_errors(const struct report *report)
{
	json_t *errors = json_array(), *message;
	size_t i;

	json_array_foreach(report->messages, i, message)
	{
		char line[16] = "";

		if (strcmp(json_string_value(json_object_get(message, "kind")), "error") != 0)
			continue;
		if (json_is_integer(json_object_get(message, "line")))
			snprintf(line, sizeof(line), ":%d",
				 (int)json_integer_value(json_object_get(message, "line")));
		json_append_to(&errors,
			       json_sprintf("%s%s: %s",
					    json_string_value(json_object_get(message, "file")),
					    line,
					    json_string_value(json_object_get(message, "text"))));
	}
	return errors;
}

enum ctl_status check_load_lenient(const struct ctl_options *options, struct policy_set *ret,
				   json_t **ret_errors)
{
	_cleanup_(report_done) struct report report = { json_array(), json_array() };
	int r;

	r = load(options->config_file, LOAD_LENIENT, ret, &report);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot read the configuration: %s",
				strerror(-r));
	*ret_errors = list_errors(&report);
	return CTL_OK;
}

enum ctl_status check_load(const struct ctl_options *options, struct policy_set *ret)
{
	_cleanup_(report_done) struct report report = { json_array(), json_array() };
	struct policy_set set;
	char *subtree;
	int r;

	r = load(options->config_file, LOAD_STRICT, &set, &report);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot read the configuration: %s",
				strerror(-r));
	if (r > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "the configuration has %zu error%s",
				report.n_errors, report.n_errors == 1 ? "" : "s");
	if (options->subtree) {
		subtree = strdup(options->subtree);
		if (!subtree) {
			policy_set_done(&set);
			return ctl_fail(options, CTL_FAILURE, "no memory");
		}
		free(set.subtree);
		set.subtree = subtree;
	}
	*ret = set;
	return CTL_OK;
}

static int check_one(const char *config_file, struct report *report)
{
	struct policy_set set;
	int r;

	r = load(config_file, LOAD_WITH_SUBTREE, &set, report);
	if (r == 0)
		policy_set_done(&set);
	return r < 0 ? r : 0;
}

static void print_report(const struct report *report)
{
	if (report->n_files == 0)
		fputs("No files, the built-in defaults are used: ", stdout);
	else
		printf("%zu file%s read: ", report->n_files, report->n_files == 1 ? "" : "s");
	if (report->n_errors > 0)
		printf("%zu error%s", report->n_errors, report->n_errors == 1 ? "" : "s");
	else
		fputs("no errors", stdout);
	if (report->n_warnings > 0)
		printf(", %zu warning%s", report->n_warnings, report->n_warnings == 1 ? "" : "s");
	puts(".");
}

enum ctl_status check(const struct ctl_options *options, char **arguments, int n_arguments)
{
	_cleanup_(report_done) struct report report = { json_array(), json_array() };
	enum ctl_status status = CTL_OK;
	int r;

	if (options->config_file && n_arguments > 0)
		return ctl_fail(options, CTL_BAD_USAGE, "check: either --config or FILE");
	r = n_arguments == 0 ? check_one(options->config_file, &report) : 0;
	/* Each on its own: they need not belong together. */
	for (int i = 0; i < n_arguments && r == 0; i++)
		r = check_one(arguments[i], &report);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot read the configuration: %s",
				strerror(-r));
	if (options->json)
		status = ctl_print_json(json_pack("{s:O, s:O}", "files", report.files, "messages",
						  report.messages));
	else
		print_report(&report);
	return report.n_errors > 0 ? CTL_BAD_USAGE : status;
}
