/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup-unit: which unit of systemd a cgroup belongs to, by its path alone.
 *
 * As systemd names them: slices nest, the first component that is no slice is the unit of the
 * system's manager.  If that is user@UID.service, what follows below it, again after slices, is a
 * unit of that user's manager.  A component that could be taken for a file of the kernel has '_' in
 * front, which is not part of the unit's name.  All other escapes ("\x2d") are part of the name.
 */
#pragma once

#include <stddef.h>

/* The longest name that systemd accepts, and NUL. */
#define CGROUP_UNIT_NAME_SIZE 256

struct cgroup_unit {
	char system[CGROUP_UNIT_NAME_SIZE]; /* "": of no unit, but a slice */
	char user[CGROUP_UNIT_NAME_SIZE];   /* of the user's manager; "": none */
	/* How much of the path is the cgroup of the innermost of the two, which its manager
	 * watches.  0: none. */
	size_t length;
	size_t system_length; /* the same of `system` */
};

void cgroup_unit_find(const char *path, struct cgroup_unit *ret);
