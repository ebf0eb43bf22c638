/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history: what the daemon decided and what came of it.
 */
#pragma once

#include "ctl/ctl.h"

/* reckonctl history [N] */
enum ctl_status history(const struct ctl_options *options, char **arguments, int n_arguments);
