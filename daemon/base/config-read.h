/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-read: a configuration from its files and the command line.  Logs nothing. */
#pragma once

#include "daemon/base/config.h"
#include "daemon/base/users.h"
#include "lib/config/conf.h"

/* What reading a configuration results in. */
struct loaded {
	struct policy_set policies;
	char **files;
	size_t n_files;
	struct users users;
};
void loaded_done(struct loaded *loaded);

/* 0, 1 if it has errors (*ret is not set then), -errno. */
int config_read(const struct config_options *options, struct conf_messages *messages,
		struct loaded *ret);

/* For the start: what can be used of it.  0, 1 if it has errors, -errno if it cannot be had now, or
 * if a file that was named cannot be used: the built-in defaults would be another configuration. */
int config_read_lenient(const struct config_options *options, struct conf_messages *messages,
			struct loaded *ret);
