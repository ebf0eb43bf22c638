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

#include "daemon/base/config-loader.h"
#include "daemon/base/config-read.h"
#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/domain/domain.h"

/* One error of the configuration, with its place. */
#define MESSAGE_SIZE (PATH_MAX + 1024)

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

/* 0, or -ENOMEM: the old one stays. */
static int take(struct config *config, struct domain *domain, struct loaded *loaded,
		const struct conf_messages *messages)
{
	int r = domain_change_policies(domain, &config->policies, &loaded->policies);

	if (r < 0) {
		loaded_done(loaded);
		return r;
	}
	policy_set_done(&config->policies);
	conf_files_free(config->files, config->n_files);
	config->policies = loaded->policies;
	config->files = loaded->files;
	config->n_files = loaded->n_files;
	users_done(&config->users);
	config->users = loaded->users;
	config->is_degraded = messages->n_errors > 0;
	keep_errors(messages, &config->errors, &config->n_errors);
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

	r = config_read(options, &messages, &loaded);
	if (r == 0)
		(void)check_subtree_of(&loaded.policies, &messages);
	for (size_t i = 0; i < messages.n; i++)
		conf_message_print(&messages.items[i], stderr);
	if (messages.n_left_out > 0)
		fprintf(stderr, "%zu more are not listed\n", messages.n_left_out);
	if (r != 0)
		return r;
	*ret = loaded.policies;
	loaded.policies = (struct policy_set){ 0 };
	loaded_done(&loaded);
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
	config->read_bytes = 0;
	if (!config->loader ||
	    !config_loader_take(config->loader, &messages, &loaded, &r, &config->read_bytes))
		r = config_read(&config->options, &messages, &loaded);
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

	r = config_read_lenient(&config->options, &messages, &loaded);
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
			  "Degraded: the configuration has %zu error%s; the sections without "
			  "errors and the built-in policies are in use.",
			  messages.n_errors, messages.n_errors == 1 ? "" : "s");
	return 0;
}

int config_start_loader(struct config *config)
{
	return config_loader_new(&config->options, &config->loader);
}

bool config_prepare_reload(struct config *config)
{
	return !config->loader || config_loader_prepare(config->loader);
}

void config_expire(struct config *config)
{
	if (config->loader)
		config_loader_expire(config->loader);
}

void config_done(struct config *config)
{
	config->loader = config_loader_free(config->loader);
	policy_set_done(&config->policies);
	conf_files_free(config->files, config->n_files);
	conf_files_free(config->errors, config->n_errors);
	config_forget_refusal(config);
	users_done(&config->users);
}
