/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config: the configuration that is in force, where it comes from, and what is wrong with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/config/policy.h"

/* From the command line. */
struct manager_options {
	const char *config_file; /* NULL: the usual places */
	const char *subtree;	 /* over the configuration's, or NULL */
	bool dry_run;		 /* whatever the configuration says */
	bool with_log;		 /* log_start(), once nothing is forked any more */
};

struct config {
	struct manager_options options;
	struct policy_set policies;
	char **files; /* that were read for them */
	size_t n_files;
	bool is_degraded; /* they had errors when they were last loaded */
	char **errors;
	size_t n_errors;
	unsigned n_reloads;
	bool reload_is_wanted; /* as soon as no kill is in progress */
};
