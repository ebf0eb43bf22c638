/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reload: has the daemon read its configuration again.
 */
#pragma once

#include "ctl/ctl.h"

/* reckonctl reload */
enum ctl_status reload(const struct ctl_options *options, char **arguments, int n_arguments);
