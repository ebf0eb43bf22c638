/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-read: a configuration from its files and the command line. */
#include "daemon/base/config-read.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/errors.h"

/* The command line over the files. */
static int apply_options(const struct config_options *options, struct policy_set *set)
{
	char *subtree;

	set->dry_run = set->dry_run || options->dry_run;
	if (!options->subtree)
		return 0;
	subtree = strdup(options->subtree);
	if (!subtree)
		return -ENOMEM;
	free(set->subtree);
	free(set->subtree_file);
	set->subtree = subtree;
	set->subtree_file = NULL;
	set->subtree_line = 0;
	return 0;
}

/* Takes loaded apart if the options cannot be applied. */
static int finish_load(const struct config_options *options, struct loaded *loaded, int r,
		       struct loaded *ret)
{
	int error = apply_options(options, &loaded->policies);

	if (error < 0) {
		policy_set_done(&loaded->policies);
		conf_files_free(loaded->files, loaded->n_files);
		return error;
	}
	*ret = *loaded;
	return r;
}

/* The files of it.  0, or 1 if a directory of drop-ins cannot be listed, which is an error in
 * *messages; -errno if it cannot be had now. */
static int find_files(const struct config_options *options, struct conf_messages *messages,
		      struct loaded *ret)
{
	const char *named = options->config_file;
	int r = conf_find_files(named, "", &ret->files, &ret->n_files);

	if (error_is_transient(r)) {
		conf_files_free(ret->files, ret->n_files);
		return r;
	}
	if (r == 0)
		return 0;
	(void)conf_messages_add(
		messages, named ? named : "configuration", 0, false,
		"%s cannot be listed: %s; it is left out",
		named ? "its directory of drop-ins (.d)" : "a directory of drop-ins", strerror(-r));
	return 1;
}

int config_read(const struct config_options *options, struct conf_messages *messages,
		struct loaded *ret)
{
	struct loaded loaded = { 0 };
	int r, found;

	found = find_files(options, messages, &loaded);
	if (found < 0)
		return found;
	r = conf_load((const char *const *)loaded.files, loaded.n_files, &loaded.policies,
		      messages);
	if (r == 0 && found == 0)
		return finish_load(options, &loaded, 0, ret);
	if (r == 0)
		policy_set_done(&loaded.policies);
	conf_files_free(loaded.files, loaded.n_files);
	return r < 0 ? r : 1;
}

int config_read_lenient(const struct config_options *options, struct conf_messages *messages,
			struct loaded *ret)
{
	struct loaded loaded = { 0 };
	int r, found;

	r = options->config_file ? conf_check_named(options->config_file, messages) : 0;
	if (r != 0)
		return r < 0 ? r : -EINVAL;
	found = find_files(options, messages, &loaded);
	if (found < 0)
		return found;
	r = conf_load_lenient((const char *const *)loaded.files, loaded.n_files, &loaded.policies,
			      messages);
	if (r >= 0)
		return finish_load(options, &loaded, found > 0 ? 1 : r, ret);
	conf_files_free(loaded.files, loaded.n_files);
	return r;
}
