/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* remove-entry: a step of nftw() with FTW_DEPTH that removes a directory with all that is in it. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}
