/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main: the command line, setup, run, the exit code; nothing else. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/config.h"
#include "daemon/base/notify.h"
#include "daemon/log/log.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "lib/base/cleanup.h"
#include "lib/kill/kill.h"

enum { EXIT_BAD_USAGE = 2 };

static const char help[] =
	"Usage: reckond [OPTION...]\n"
	"Kills the process whose death frees the most memory, before memory runs out.\n"
	"\n"
	"  --config FILE     read FILE (and FILE.d/*.conf), not /etc/reckond/reckond.conf\n"
	"  --dry-run         choose and log, but kill no process\n"
	"  --subtree CGROUP  only processes in this cgroup or below are eligible\n"
	"  --check-config    check the configuration for errors and exit\n"
	"  -V, --version     print the version and exit\n"
	"  -h, --help        print this and exit\n"
	"\n"
	"Exit status: 0; 1 for a failure; 2 for bad usage, or --check-config and errors.\n"
	"See reckond(8), reckond.conf(5) and reckonctl(1).\n";

struct arguments {
	struct config_options config;
	bool check_config;
};

/* What no restart corrects. */
static int check_arguments(const struct arguments *arguments)
{
	const char *subtree = arguments->config.subtree;
	const char *file = arguments->config.config_file;

	if (subtree && *subtree != '/')
		fprintf(stderr,
			"reckond: --subtree '%s': a cgroup's path begins with '/', as in "
			"/proc/PID/cgroup\n",
			subtree);
	else if (file && !*file)
		fputs("reckond: --config needs the name of a file\n", stderr);
	else
		return 0;
	return -EINVAL;
}

/* 0 to continue, 1 to exit with success, -EINVAL after printing the reason. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
	enum {
		OPTION_CONFIG = 256,
		OPTION_DRY_RUN,
		OPTION_SUBTREE,
		OPTION_CHECK_CONFIG,
		OPTION_VERSION,
		OPTION_HELP,
	};
	static const struct option options[] = {
		{ "config", required_argument, NULL, OPTION_CONFIG },
		{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
		{ "subtree", required_argument, NULL, OPTION_SUBTREE },
		{ "scope", required_argument, NULL, OPTION_SUBTREE }, /* its old name */
		{ "check-config", no_argument, NULL, OPTION_CHECK_CONFIG },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1)
		switch (c) {
		case OPTION_CONFIG:
			ret->config.config_file = optarg;
			break;
		case OPTION_DRY_RUN:
			ret->config.dry_run = true;
			break;
		case OPTION_SUBTREE:
			ret->config.subtree = optarg;
			break;
		case OPTION_CHECK_CONFIG:
			ret->check_config = true;
			break;
		case OPTION_VERSION:
		case 'V':
			puts(PACKAGE_STRING);
			return 1;
		case OPTION_HELP:
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			fputs("Try 'reckond --help'.\n", stderr);
			return -EINVAL;
		}
	if (optind < argc) {
		fprintf(stderr, "reckond: unexpected argument '%s'\nTry 'reckond --help'.\n",
			argv[optind]);
		return -EINVAL;
	}
	return check_arguments(ret);
}

static int check_config(const struct config_options *options)
{
	struct policy_set set;
	int r;

	r = config_load_policies(options, &set);
	if (r < 0)
		log_error("Cannot read the configuration: %s", strerror(-r));
	if (r != 0)
		return r < 0 ? EXIT_FAILURE : EXIT_BAD_USAGE;
	policy_set_done(&set);
	return EXIT_SUCCESS;
}

static int run(const struct config_options *options)
{
	_cleanup_(manager_freep) struct manager *m = NULL;
	int r;

	r = manager_new(options, true, &kill_ops_system, &m);
	if (r < 0) /* which has been logged */
		return EXIT_FAILURE;
	r = monitor_run(m->monitor);
	if (r < 0 && r != -E2BIG) /* self_is_too_large() has logged that */
		log_error("The event loop failed: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	int r;

	r = parse_arguments(argc, argv, &arguments);
	if (r < 0)
		return EXIT_BAD_USAGE;
	if (r > 0) /* a help that was not read is none */
		return fflush(stdout) == EOF || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (arguments.check_config)
		return check_config(&arguments.config);

	monitor_block_signals();
	r = run(&arguments.config);
	notify_stop();
	log_stop();
	return r;
}
