/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf: configuration files to policies, by inih.
 *
 * inih alone cuts long lines, swallows junk and knows no line numbers (Debian's build); so it is
 * fed by a line reader of ours that counts lines and refuses what is malformed.  All errors of all
 * files are collected, each with its place; a configuration with errors changes nothing.  The
 * format is reckond.conf(5).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/config/policy.h"
#include "lib/sys/cgroup.h"

/* Longer lines are an error (comments may have any length). */
#define CONF_LINE_MAX 1024
/* Larger files are an error. */
#define CONF_FILE_MAX MIB
/* More are counted, and not kept. */
#define CONF_MESSAGES_MAX 100

/* Policies, built-in ones included: each sample judges all of them, and one answer on the bus has
 * them all. */
#define CONF_POLICIES_MAX 64

/* Rules, likewise: all of them are matched against each process. */
#define CONF_RULES_MAX 1024

/*
 * What is not linear in the size of the files has a budget: regular expressions
 * (rule_comm_cost()), which are also matched in slices that end between two processes; and names of
 * users, of which each is searched for in all of /etc/passwd and takes one unit.
 */
#define CONF_COST_MAX 128

/* Of a policy or rule.  inih keeps 49 bytes of a section: "Protect " and this fit. */
#define CONF_NAME_MAX 40

struct conf_message {
	char *file;
	unsigned line; /* 0: the file as a whole */
	bool warning;  /* can never match, repeated, ...: reported, but no error */
	char *text;    /* what is wrong, and what was meant; printable ASCII, one line */
};

struct conf_messages {
	struct conf_message *items;
	size_t n;
	size_t n_errors; /* with those that are not kept; likewise the next */
	size_t n_warnings;
	size_t n_left_out; /* not kept */
};

/* For conf and its caller: put in its place, files in the order in which they are read, lines in
 * order.  0 or -ENOMEM. */
__attribute__((format(printf, 5, 0))) int conf_messages_addv(struct conf_messages *messages,
							     const char *file, unsigned line,
							     bool warning, const char *format,
							     va_list ap);
__attribute__((format(printf, 5, 6))) int conf_messages_add(struct conf_messages *messages,
							    const char *file, unsigned line,
							    bool warning, const char *format, ...);
/* That a directory of drop-ins cannot be listed: an error (-errno), with its name.  0 or -ENOMEM.
 */
int conf_messages_add_unlisted(struct conf_messages *messages, const char *directory, int error);
void conf_messages_done(struct conf_messages *messages);

/* "FILE:LINE: [warning: ]text" and a newline; without ":LINE" for the file as a whole. */
void conf_message_print(const struct conf_message *message, FILE *stream);

/*
 * Reads the given files (absolute or relative to the working directory), in that order, later ones
 * over earlier ones, starting from the built-in defaults.  Returns 0 with *ret set if there was no
 * error, 1 if there were some (*ret is not set; *messages says which), or -errno: -ENOMEM, or that
 * of a file that could not be read for now (lib/base/errors.h), or was changed while it was read
 * (-EAGAIN): its content is not known, so it is to be tried again; likewise where a user could not
 * be looked up for now.  0 may have warnings.  *messages must be initialised ({}) and is added to.
 * Asks NSS for user names.
 */
int conf_load(const char *const *files, size_t n_files, struct policy_set *ret,
	      struct conf_messages *messages);

/*
 * The same for a start, where no protection is worse than less than was written.  0 with *ret set,
 * or 1 with *ret set if there were errors; each policy or rule that is not used as it is written,
 * and a dry run because a value is not known, is an error more.  -errno as above.  What is made of
 * a section with errors never makes a process a victim that is none as written, but for the
 * built-in policies, of which no error takes anything away (conf-lenient.c).
 */
int conf_load_lenient(const char *const *files, size_t n_files, struct policy_set *ret,
		      struct conf_messages *messages);

/*
 * A file that was named is to be there and readable, also for a start.  0; 1 if it cannot be used,
 * for a reason that was added to *messages; -ENOMEM, or -errno if it cannot be opened for now.
 */
int conf_check_named(const char *file, struct conf_messages *messages);

/*
 * Warns of a Subtree= that does not exist now: it may be created later, as the slice of a user is,
 * or be an error.  cgroups: of the machine on which the configuration is to be used.  0 or -ENOMEM.
 */
int conf_check_subtree(const struct policy_set *set, const struct cgroup_fs *cgroups,
		       struct conf_messages *messages);
/* The same for the cgroups of that /proc; without any, or if they cannot be found, all is fine. */
int conf_check_subtree_at(const struct policy_set *set, int proc_fd,
			  struct conf_messages *messages);

/*
 * The files to read, in order.  With file: that one and file.d / *.conf, sorted by name.  Without:
 * the first of {etc,run,usr/lib}/reckond/reckond.conf that exists (none is fine), and the drop-ins
 * reckond.conf.d / *.conf of all three, sorted by name, where /etc masks /run masks /usr/lib, and a
 * symlink to /dev/null or an empty file masks altogether (systemd's order).  All of the second
 * form is looked up below root_prefix ("" for the real root, a fixture in tests).
 *
 * 0, and *ret is an array of n strings, freed by conf_files_free().  1, with *ret set to the other
 * files, if a directory of drop-ins cannot be listed: each is an error in *messages.  -ENOMEM, or
 * the -errno of one that cannot be listed for now (lib/base/errors.h), whatever is wrong with the
 * others: what is in it is not known, so it is to be tried again.  *ret is not set then.
 */
int conf_find_files(const char *file, const char *root_prefix, struct conf_messages *messages,
		    char ***ret, size_t *ret_n);
char **conf_files_free(char **files, size_t n);

/* Is it one of the files that are read if none is named: a main file, or a drop-in? */
bool conf_is_standard(const char *file);
