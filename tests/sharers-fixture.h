/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sharers-fixture: what a census needs that has no counters to correct. */
#pragma once

#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

static char everything[] = "/";
