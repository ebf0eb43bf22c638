/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: what would be killed now and why; or why this process would be killed, or not. */
#pragma once

#include <sys/types.h>

#include "ctl/ctl.h"

struct bus;
struct screen;

/* reckonctl explain [PID] */
enum ctl_status explain(const struct ctl_options *options, char **arguments, int n_arguments);

/* The object of --json; pid 0: of the machine.  From the daemon: NULL: bus->trouble. */
json_t *explain_ask(struct bus *bus, pid_t pid);
/* By this program itself, which prints what is wrong where it is not CTL_OK.  ret_errors: see
 * preview_new(); or NULL. */
enum ctl_status explain_find_out(const struct ctl_options *options, pid_t pid, json_t **ret_errors,
				 json_t **ret);

/* The user's name, or the number where there is none; NULL: not known.  Good until the next call
 * and for no thread but one. */
const char *explain_user(uid_t uid);

/* explain-print.c, explain-process.c: print such an object as text. */
enum ctl_status explain_print_machine(const struct screen *screen, const json_t *answer);
enum ctl_status explain_print_process(const struct screen *screen, const json_t *answer);

/* explain-protected.c: another array of the same processes, largest first (NULL: no memory), and
 * prints such an array as text, by rule. */
json_t *explain_by_size(const json_t *processes);
void explain_print_protected(const struct screen *screen, const json_t *answer,
			     const json_t *processes);
