/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config: the configuration that is in force, where it comes from, and what is wrong with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/users.h"
#include "lib/config/policy.h"

struct cgroup_fs;
struct config_loader;
struct domain;

/* From the command line. */
struct config_options {
	const char *config_file; /* NULL: the usual places */
	const char *subtree;	 /* over the configuration's, or NULL */
	bool dry_run;		 /* whatever the configuration says */
};

struct config {
	struct config_options options;
	struct policy_set policies;
	char **files; /* that were read for them */
	size_t n_files;
	struct users users; /* for answers */
	bool is_degraded;   /* they had errors when they were last loaded */
	char **errors;
	size_t n_errors;
	unsigned n_reloads;
	bool reload_was_refused; /* the last one */
	int reload_error;	 /* ... for this -errno, where it has no errors of its own */
	char **reload_errors;
	size_t n_reload_errors;
	usec_t retry_pause;	  /* ... for now: it is tried again after so long; 0: it is not */
	unsigned n_retries;	  /* since a reload was asked for */
	bool reload_is_wanted;	  /* as soon as no kill is in progress */
	usec_t reload_not_before; /* by a signal */
	struct config_loader *loader; /* NULL: a reload reads the files itself */
	uint64_t read_bytes;	      /* that the loader had allocated for the last reload */
};

/* For the start, by config->options: what can be used of it, the rest is logged (is_degraded).  0,
 * and the domain has room for its policies; -ENOMEM; -EINVAL if a file that was named cannot be
 * used; -errno if it cannot be read for now. */
int config_load(struct config *config, struct domain *domain);

/* Anew; with errors the old one stays.  0, and the domain has room for its policies, and knows
 * since when those hold that are the same; 1 if it has errors, with all of them in *ret_errors, a
 * line each (to be freed; NULL: no memory for it); -errno.  Of what may be over soon
 * (lib/base/errors.h), it is to be tried again after config->retry_pause, some times. */
int config_reload(struct config *config, struct domain *domain, char **ret_errors);

/* In words: config->reload_error, and whether it is tried again.  Returns buf. */
#define CONFIG_ERROR_SIZE 128
const char *config_describe_error(const struct config *config, char buf[static CONFIG_ERROR_SIZE]);

/* A reload begins: that the last one was refused is known no longer. */
void config_forget_refusal(struct config *config);

/*
 * From then on a thread reads the files, and the names of users, for a reload: disks, file systems
 * and name services may be slow, most of all when memory is short, and the old configuration stays
 * in force meanwhile.  Once config_prepare_reload() returns true, config_reload() waits for
 * nothing; false: they are being read, and config_loader_fd() becomes readable.  config_expire():
 * a reload is asked for, so what has been read until now is too old.
 */
int config_start_loader(struct config *config);
bool config_prepare_reload(struct config *config);
void config_expire(struct config *config);

/* Reads it, and no more: 0, 1 if it has errors (each printed on standard error), -errno. */
int config_load_policies(const struct config_options *options, struct policy_set *ret);

void config_done(struct config *config);

/* At start: the subtree is a path, and where it was given by hand, for this run, it is there.  0,
 * or -errno, which has been logged. */
int config_check_subtree(const struct config *config, const struct cgroup_fs *cgroups);

/* Is there a cgroup of that path now?  If not, no process may be killed until there is. */
bool config_subtree_exists(const struct config *config, const struct cgroup_fs *cgroups);
void config_warn_of_subtree(const struct config *config, const struct cgroup_fs *cgroups);
