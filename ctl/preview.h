/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preview: lib/explain/preview.h by reckonctl alone: with a configuration, a census and readings of
 * its own.
 */
#pragma once

#include "ctl/ctl.h"
#include "lib/explain/preview.h"

/* Anything but CTL_OK is returned after printing the reason.  With ret_errors, errors in the
 * configuration and a subtree that does not exist are no failure: *ret_errors is set to an array of
 * the former. */
enum ctl_status preview_new(const struct ctl_options *options, json_t **ret_errors,
			    struct preview **ret);
struct preview *preview_free(struct preview *preview);
static inline void preview_freep(struct preview **preview)
{
	preview_free(*preview);
}
