/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reckonctl: the command line: options, and the table of commands, each in a file of its own.
 */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/check.h"
#include "ctl/ctl.h"
#include "ctl/explain.h"
#include "ctl/history.h"
#include "ctl/reload.h"
#include "ctl/rules.h"
#include "ctl/status.h"
#include "lib/base/util.h"

static const char help[] =
	"Usage: reckonctl [OPTION...] COMMAND [ARGUMENT...]\n"
	"Query reckond: status, past kills, and which process would be killed next.\n"
	"\n"
	"  status           show memory, the next threshold and victim, and the last kill\n"
	"  explain [PID]    show the process that would be killed first; or why (not) PID\n"
	"  history [N]      show the last 20 kills and what they freed; or N (0: all)\n"
	"  rules            show the policies (when to kill) and rules (which process)\n"
	"  check [FILE...]  check the configuration for errors, or these files alone\n"
	"  reload           make reckond read its configuration again\n"
	"\n"
	"  --json           answer with one JSON object\n"
	"  --full           history: show all that is known of each\n"
	"  --config FILE    explain, rules, check: use FILE (and FILE.d/*.conf)\n"
	"  --subtree CGROUP explain: as if only processes in this cgroup were eligible\n"
	"  -V, --version    print the version and exit\n"
	"  -h, --help       print this and exit\n"
	"\n"
	"Exit status: 0; 1 for a failure; 2 for bad usage or a bad configuration.\n"
	"See reckonctl(1), reckond(8) and reckond.conf(5).\n";

/* clang-format off */
static const struct command {
	const char *name;
	enum ctl_status (*run)(const struct ctl_options *options, char **arguments,
			       int n_arguments);
	bool takes_config; /* the question can be about other files; else it is the daemon's */
	bool takes_subtree;
} commands[] = {
	{ "status", status },
	{ "explain", explain, .takes_config = true, .takes_subtree = true },
	{ "history", history },
	{ "rules", rules, .takes_config = true },
	{ "check", check, .takes_config = true },
	{ "reload", reload },
};
/* clang-format on */

/* false: there is nothing more to do but to exit with *status. */
static bool parse_options(int argc, char **argv, struct ctl_options *options,
			  enum ctl_status *status)
{
	enum {
		OPTION_JSON = 256,
		OPTION_FULL,
		OPTION_CONFIG,
		OPTION_SUBTREE,
		OPTION_VERSION,
		OPTION_HELP
	};
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "full", no_argument, NULL, OPTION_FULL },
		{ "config", required_argument, NULL, OPTION_CONFIG },
		{ "subtree", required_argument, NULL, OPTION_SUBTREE },
		{ "scope", required_argument, NULL, OPTION_SUBTREE }, /* its old name */
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ 0 },
	};
	bool is_bad = false;
	int c;

	*status = CTL_OK;
	while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
		switch (c) {
		case OPTION_JSON:
			options->json = true;
			break;
		case OPTION_FULL:
			options->full = true;
			break;
		case OPTION_CONFIG:
			options->config_file = optarg;
			break;
		case OPTION_SUBTREE:
			options->subtree = optarg;
			break;
		case OPTION_VERSION:
		case 'V':
			puts(PACKAGE_STRING);
			return false;
		case OPTION_HELP:
		case 'h':
			fputs(help, stdout);
			return false;
		default:
			is_bad = true; /* on: --json may follow */
			break;
		}
	if (is_bad)
		*status = ctl_fail(options, CTL_BAD_USAGE, "bad usage; try 'reckonctl --help'");
	return !is_bad;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

/* "explain" for "explian" or "exp"; NULL: nothing is near. */
static const char *find_meant(const char *name)
{
	const char *meant = NULL;
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(commands) && length > 1; i++) {
		const char *known = commands[i].name;
		size_t n_begin = 0, n_end = 0, n_known = strlen(known);

		while (name[n_begin] && name[n_begin] == known[n_begin])
			n_begin++;
		while (n_end < length && n_end < n_known &&
		       name[length - 1 - n_end] == known[n_known - 1 - n_end])
			n_end++;
		/* One letter is wrong, missing or too many, or two are exchanged; or it is a
		 * beginning. */
		if (n_begin == length || (n_begin + n_end + 2 >= n_known && length <= n_known + 1 &&
					  n_begin + n_end > 1))
			meant = known;
	}
	return meant;
}

static enum ctl_status fail_unknown(const struct ctl_options *options, const char *name)
{
	const char *meant = find_meant(name);

	if (meant)
		return ctl_fail(options, CTL_BAD_USAGE,
				"unknown command '%s': did you mean '%s'? (reckonctl --help)", name,
				meant);
	return ctl_fail(options, CTL_BAD_USAGE, "unknown command '%s'; try 'reckonctl --help'",
			name);
}

static enum ctl_status run(const struct ctl_options *options, char **arguments, int n_arguments)
{
	const struct command *command;

	if (n_arguments > 0 && strcmp(arguments[0], "help") == 0) {
		fputs(help, stdout);
		return CTL_OK;
	}
	if (n_arguments == 0)
		return ctl_fail(options, CTL_BAD_USAGE, "no command; try 'reckonctl --help'");
	command = find_command(arguments[0]);
	if (!command)
		return fail_unknown(options, arguments[0]);
	if (options->config_file && !*options->config_file)
		return ctl_fail(options, CTL_BAD_USAGE, "--config needs the name of a file");
	if ((options->config_file && !command->takes_config) ||
	    (options->subtree && !command->takes_subtree))
		return ctl_fail(options, CTL_BAD_USAGE, "%s: %s is not for it", command->name,
				options->config_file && !command->takes_config ? "--config"
									       : "--subtree");
	if (options->full && command->run != history)
		return ctl_fail(options, CTL_BAD_USAGE, "%s: --full is not for it", command->name);
	return command->run(options, arguments + 1, n_arguments - 1);
}

int main(int argc, char **argv)
{
	struct ctl_options options = { 0 };
	enum ctl_status status;

	(void)setlocale(LC_CTYPE, ""); /* and nothing more: numbers are written as ever */
	if (parse_options(argc, argv, &options, &status))
		status = run(&options, argv + optind, argc - optind);
	/* An answer that was not received is none. */
	if (fflush(stdout) == EOF || ferror(stdout)) {
		fputs("reckonctl: cannot write the answer\n", stderr);
		return CTL_FAILURE;
	}
	return status;
}
