/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outlook: lib/explain/outlook.h by reckonctl alone: with a configuration, a census and readings of
 * its own.
 */
#pragma once

#include "ctl/ctl.h"
#include "lib/explain/outlook.h"

/* Anything but CTL_OK comes after having said why.  With ret_errors, errors in the configuration
 * and a scope that does not exist are no failure: *ret_errors is set to an array of the former. */
enum ctl_status outlook_new(const struct ctl_options *options, json_t **ret_errors,
			    struct outlook **ret);
struct outlook *outlook_free(struct outlook *outlook);
static inline void outlook_freep(struct outlook **outlook)
{
	outlook_free(*outlook);
}
