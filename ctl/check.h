/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: the configuration, as reckond would read it, and what is wrong with it.
 */
#pragma once

#include "ctl/ctl.h"

struct policy_set;

/* reckonctl check [FILE...] */
enum ctl_status check(const struct ctl_options *options, char **arguments, int n_arguments);

/* The configuration, with the options over it, for other commands; prints what is wrong. */
enum ctl_status check_load(const struct ctl_options *options, struct policy_set *ret);
/* As reckond loads it at its start: what has errors is left out.  *ret_errors: an array of them. */
enum ctl_status check_load_lenient(const struct ctl_options *options, struct policy_set *ret,
				   json_t **ret_errors);
