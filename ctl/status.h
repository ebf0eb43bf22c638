/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: whether reckond runs, how it stands with memory, and what would come next.
 */
#pragma once

#include "ctl/ctl.h"

struct screen;

/* reckonctl status */
enum ctl_status status(const struct ctl_options *options, char **arguments, int n_arguments);

/* status-print.c: prints the object of --json as text. */
void status_print(const struct screen *screen, const json_t *answer);
