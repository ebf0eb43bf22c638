/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-read: a configuration from its files and the command line. */
#include "daemon/base/config-read.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWD "/etc/passwd"

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

/* A user that can write to a file of the configuration decides what is killed. */
static int warn_of_writers(const struct loaded *loaded, struct conf_messages *messages)
{
	int r = 0;

	for (size_t i = 0; i < loaded->n_files && r >= 0; i++) {
		const char *file = loaded->files[i];
		struct stat st;

		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mode & S_IWOTH)
			r = conf_messages_add(messages, file, 0, true, "every user can change it");
		else if (st.st_uid != 0 && st.st_uid != geteuid())
			r = conf_messages_add(messages, file, 0, true, "user %u can change it",
					      st.st_uid);
	}
	return r;
}

/* Takes loaded apart if the options cannot be applied. */
static int finish_load(const struct config_options *options, struct loaded *loaded, int r,
		       struct conf_messages *messages, struct loaded *ret)
{
	int error = apply_options(options, &loaded->policies);

	if (error == 0)
		error = warn_of_writers(loaded, messages);
	if (error < 0) {
		loaded_done(loaded);
		return error;
	}
	users_load(&loaded->users, PASSWD);
	*ret = *loaded;
	return r;
}

int config_read(const struct config_options *options, struct conf_messages *messages,
		struct loaded *ret)
{
	struct loaded loaded = { 0 };
	int r, found;

	found = conf_find_files(options->config_file, "", messages, &loaded.files, &loaded.n_files);
	if (found < 0)
		return found;
	r = conf_load((const char *const *)loaded.files, loaded.n_files, &loaded.policies,
		      messages);
	if (r == 0 && found == 0)
		return finish_load(options, &loaded, 0, messages, ret);
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
	found = conf_find_files(options->config_file, "", messages, &loaded.files, &loaded.n_files);
	if (found < 0)
		return found;
	r = conf_load_lenient((const char *const *)loaded.files, loaded.n_files, &loaded.policies,
			      messages);
	if (r >= 0)
		return finish_load(options, &loaded, found > 0 ? 1 : r, messages, ret);
	conf_files_free(loaded.files, loaded.n_files);
	return r;
}

void loaded_done(struct loaded *loaded)
{
	policy_set_done(&loaded->policies);
	conf_files_free(loaded->files, loaded->n_files);
	users_done(&loaded->users);
	*loaded = (struct loaded){ 0 };
}
