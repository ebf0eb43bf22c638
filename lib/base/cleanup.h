/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cleanup: owners that free themselves.
 *
 * A local that owns something carries _cleanup_(x); moving it out is spelled take_ptr() or
 * take_fd(), which leave the local empty.  Every destructor here accepts the empty value.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _cleanup_free_	 _cleanup_(freep)
#define _cleanup_close_	 _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_dir_	 _cleanup_(closedirp)

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_owner = &(p);                                                      \
		__typeof__(p) _taken = *_owner;                                                    \
		*_owner = NULL;                                                                    \
		_taken;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}
