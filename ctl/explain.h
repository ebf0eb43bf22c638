/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain: who would go now and why; or why this process would, or would not.
 */
#pragma once

#include "ctl/ctl.h"
#include "lib/explain.h"

/* reckonctl explain [PID] */
enum ctl_status explain(const struct ctl_options *options, char **arguments, int n_arguments);

/* The user's name, or the number where there is none; NULL: not known.  Good until the next call
 * and for no thread but one. */
const char *explain_user(uid_t uid);

/* explain-text.c: for people, on standard output. */
enum ctl_status explain_text_machine(const struct outlook *outlook);
enum ctl_status explain_text_process(const struct outlook *outlook, const struct explanation *e);
