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

/* status-setup.c: its parts.  The errors are those of the running daemon's configuration, or of the
 * files where there is no daemon. */
void status_print_errors(const struct screen *screen, const json_t *answer);
void status_print_setup(const struct screen *screen, const json_t *answer);
