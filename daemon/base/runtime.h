/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runtime: the runtime directory: $RUNTIME_DIRECTORY, else /run/reckond. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNTIME_DIRECTORY "/run/reckond"

/* "": there is none.  Returns buf, or the standard. */
static inline const char *runtime_directory(char *buf, size_t size)
{
	const char *directories = getenv("RUNTIME_DIRECTORY");

	if (!directories)
		return RUNTIME_DIRECTORY;
	/* There may be several, systemd.exec(5). */
	(void)snprintf(buf, size, "%.*s", (int)strcspn(directories, ":"), directories);
	return buf;
}
