/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rules: by which policies processes are killed, and which rules apply to them. */
#pragma once

#include "ctl/ctl.h"

struct bus;
struct screen;

/* reckonctl rules */
enum ctl_status rules(const struct ctl_options *options, char **arguments, int n_arguments);

/* The daemon's policies, objects with name, action, conditions and holds; NULL: bus->trouble, or no
 * memory. */
json_t *rules_ask_policies(struct bus *bus);

/* Prints the object of --json as text. */
enum ctl_status rules_print(const struct screen *screen, const json_t *answer);
