/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory-fixture: samples of a fixture that is mounted on /proc in a child. */
#pragma once

#include "lib/sys/memory.h"

#define PAGE 4096

int open_fixture(const char *fixture, const char *directory);

/* Samples the fixture in a child and gets the reading back by a pipe. */
void sample_fixture_by(int (*sample)(struct memory_source *, struct memory_reading *),
		       const char *fixture, struct memory_reading *ret);
void sample_fixture(const char *fixture, struct memory_reading *ret);
