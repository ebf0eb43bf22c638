/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eligibility-fixture: rules. */
#pragma once

#include "lib/snapshot/census-tree.h"

static const struct rule of_the_admin = { .kind = RULE_PROTECT };
