/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: what the daemon decided and what came of it.
 */
#pragma once

#include "ctl/ctl.h"

struct screen;

/* reckonctl history [N] */
enum ctl_status history(const struct ctl_options *options, char **arguments, int n_arguments);

/* Prints an array of entries, newest first, as text. */
enum ctl_status history_print(const struct screen *screen, const json_t *entries, bool full);
