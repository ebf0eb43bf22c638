/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config: loads the configuration: at the start, where errors in it are no reason to do without
 * protection (lib/config/conf-lenient.c), and on a reload, where they are one to keep what is in
 * force.
 */
#include "daemon/base/config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/config/conf.h"
#include "lib/domain/domain.h"

/* One error of the configuration, with its place. */
#define MESSAGE_SIZE (PATH_MAX + 1024)

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

/* What loading a configuration results in. */
struct loaded {
	struct policy_set policies;
	char **files;
	size_t n_files;
};

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

/* 0, 1 if it has errors (*ret is not set then), -errno. */
static int load(const struct config_options *options, struct conf_messages *messages,
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
		return finish_load(options, &loaded, 0, ret);
	if (r == 0)
		policy_set_done(&loaded.policies);
	conf_files_free(loaded.files, loaded.n_files);
	return r < 0 ? r : 1;
}

/* For the start: what can be used of it.  0, 1 if it has errors, -errno if it cannot be had now, or
 * if a file that was named cannot be used: the built-in defaults would be another configuration. */
static int load_lenient(const struct config_options *options, struct conf_messages *messages,
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
		return finish_load(options, &loaded, found > 0 ? 1 : r, ret);
	conf_files_free(loaded.files, loaded.n_files);
	return r;
}

static const char *print_message(const struct conf_message *message, char *buf, size_t size)
{
	char line[16] = "";

	if (message->line > 0)
		snprintf(line, sizeof(line), ":%u", message->line);
	snprintf(buf, size, "%s%s: %s%s", message->file, line, message->warning ? "warning: " : "",
		 message->text);
	return buf;
}

static void log_messages(const struct conf_messages *messages)
{
	char text[MESSAGE_SIZE];

	for (size_t i = 0; i < messages->n; i++)
		log_line(messages->items[i].warning ? LOG_WARNING : LOG_ERR, "%s",
			 print_message(&messages->items[i], text, sizeof(text)));
	if (messages->n_left_out > 0)
		log_error("(%zu more are not listed)", messages->n_left_out);
}

/* For the bus, in the place of others; what there is no memory for is left out. */
static void keep_errors(const struct conf_messages *messages, char ***errors, size_t *n_errors)
{
	char text[MESSAGE_SIZE];

	*errors = conf_files_free(*errors, *n_errors);
	*n_errors = 0;
	if (messages->n_errors > 0)
		*errors = calloc(messages->n_errors, sizeof(char *));
	for (size_t i = 0; *errors && i < messages->n; i++) {
		char *copy;

		if (messages->items[i].warning)
			continue;
		copy = strdup(print_message(&messages->items[i], text, sizeof(text)));
		if (copy)
			(*errors)[(*n_errors)++] = copy;
	}
}

/* A user that can write to a file of the configuration decides what is killed. */
static void warn_of_writers(const struct loaded *loaded)
{
	for (size_t i = 0; i < loaded->n_files; i++) {
		struct stat st;

		if (stat(loaded->files[i], &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mode & S_IWOTH)
			log_warning("%s: warning: every user can change it.", loaded->files[i]);
		else if (st.st_uid != 0 && st.st_uid != geteuid())
			log_warning("%s: warning: user %u can change it.", loaded->files[i],
				    st.st_uid);
	}
}

/* 0, or -ENOMEM: the old one stays. */
static int take(struct config *config, struct domain *domain, struct loaded *loaded,
		const struct conf_messages *messages)
{
	int r = domain_change_policies(domain, &config->policies, &loaded->policies);

	if (r < 0) {
		policy_set_done(&loaded->policies);
		conf_files_free(loaded->files, loaded->n_files);
		return r;
	}
	policy_set_done(&config->policies);
	conf_files_free(config->files, config->n_files);
	config->policies = loaded->policies;
	config->files = loaded->files;
	config->n_files = loaded->n_files;
	config->is_degraded = messages->n_errors > 0;
	keep_errors(messages, &config->errors, &config->n_errors);
	warn_of_writers(loaded);
	return 0;
}

/* --check-config: is the subtree there? */
static int check_subtree_of(const struct policy_set *set, struct conf_messages *messages)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return conf_check_subtree_at(set, proc_fd, messages);
}

int config_load_policies(const struct config_options *options, struct policy_set *ret)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	r = load(options, &messages, &loaded);
	if (r == 0)
		(void)check_subtree_of(&loaded.policies, &messages);
	for (size_t i = 0; i < messages.n; i++)
		conf_message_print(&messages.items[i], stderr);
	if (messages.n_left_out > 0)
		fprintf(stderr, "%zu more are not listed\n", messages.n_left_out);
	if (r != 0)
		return r;
	conf_files_free(loaded.files, loaded.n_files);
	*ret = loaded.policies;
	return 0;
}

/* As they are printed, but in UTF-8: names of files may be anything. */
static char *list_errors(const struct conf_messages *messages)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	char *clean;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (size_t i = 0; i < messages->n; i++)
		if (!messages->items[i].warning)
			conf_message_print(&messages->items[i], f);
	if (fclose(f) == EOF)
		return NULL;
	if (size > 0)
		text[size - 1] = '\0'; /* the last line end */
	clean = malloc(FORMAT_UTF8_SIZE(size));
	if (clean)
		format_utf8(text, clean, FORMAT_UTF8_SIZE(size));
	return clean;
}

bool config_subtree_exists(const struct config *config, const struct cgroup_fs *cgroups)
{
	return cgroup_find(cgroups, config->policies.subtree) != -ENOENT;
}

/* It may come later, as the slice of a user does. */
void config_warn_of_subtree(const struct config *config, const struct cgroup_fs *cgroups)
{
	if (!config_subtree_exists(config, cgroups))
		log_warning(
			"Subtree %s: there is no such cgroup; until there is, no process is eligible.",
			config->policies.subtree);
}

void config_forget_refusal(struct config *config)
{
	config->reload_was_refused = false;
	config->reload_error = 0;
	config->reload_errors = conf_files_free(config->reload_errors, config->n_reload_errors);
	config->n_reload_errors = 0;
}

/* r: as of config_reload(). */
static void keep_refusal(struct config *config, const struct conf_messages *messages, int r)
{
	config->reload_was_refused = true;
	if (r > 0)
		keep_errors(messages, &config->reload_errors, &config->n_reload_errors);
	if (config->n_reload_errors == 0)
		config->reload_error = r < 0 ? r : -ENOMEM;
}

int config_reload(struct config *config, struct domain *domain, char **ret_errors)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	config_forget_refusal(config);
	r = load(&config->options, &messages, &loaded);
	log_messages(&messages);
	if (r == 0)
		r = take(config, domain, &loaded, &messages);
	if (r != 0) {
		keep_refusal(config, &messages, r);
		log_event(MESSAGE_ID_CONFIG_REFUSED, LOG_ERR,
			  "The configuration was not reloaded%s%s; the old one stays in use.",
			  r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
		*ret_errors = r > 0 ? list_errors(&messages) : NULL;
		return r;
	}
	config->n_reloads++;
	return 0;
}

int config_load(struct config *config, struct domain *domain)
{
	_cleanup_(conf_messages_done) struct conf_messages messages = { 0 };
	struct loaded loaded;
	int r;

	r = load_lenient(&config->options, &messages, &loaded);
	log_messages(&messages);
	if (r == -EINVAL)
		log_error("Cannot start: the file that --config names cannot be used.");
	else if (r < 0 && r != -ENOMEM)
		log_error("Cannot read the configuration for now: %s.", strerror(-r));
	if (r >= 0)
		r = take(config, domain, &loaded, &messages);
	if (r < 0)
		return r;
	if (config->is_degraded)
		log_event(MESSAGE_ID_DEGRADED, LOG_ERR,
			  "Degraded: the configuration has %zu error%s; what has none is in use, "
			  "and the built-in policies are.",
			  messages.n_errors, messages.n_errors == 1 ? "" : "s");
	return 0;
}

void config_done(struct config *config)
{
	policy_set_done(&config->policies);
	conf_files_free(config->files, config->n_files);
	conf_files_free(config->errors, config->n_errors);
	config_forget_refusal(config);
}
