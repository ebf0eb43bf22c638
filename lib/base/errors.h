/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errors: what a failed call says about its object.
 *
 * An object that is gone has no memory, no members and no settings any more.  A transient error
 * says nothing about the object: this process or the kernel was short of something, and the same
 * call may succeed later; what was known before still holds, and nothing may be concluded ("no
 * cgroup", "not protected") from it.  A final error repeats itself until something else changes.
 */
#pragma once

#include "lib/base/util.h"

enum error_class {
	ERROR_NONE, /* 0, or an outcome: r is positive */
	ERROR_GONE,
	ERROR_TRANSIENT,
	ERROR_FINAL,
};

static inline enum error_class error_classify(int r)
{
	if (r >= 0)
		return ERROR_NONE;
	if (errno_is_gone(r))
		return ERROR_GONE;
	switch (-r) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EINTR:
	case EAGAIN:
		return ERROR_TRANSIENT;
	default:
		return ERROR_FINAL;
	}
}

static inline bool error_is_transient(int r)
{
	return error_classify(r) == ERROR_TRANSIENT;
}

/* More privileges, or a mount that can be written to, would help. */
static inline bool error_is_denied(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* Of something by its path: it is not there for this process, which may not see it, or sees
 * something else (-ENODEV: of another file system).  Whatever else fails does not say that it is
 * not there. */
static inline bool error_is_unreachable(int r)
{
	switch (-r) {
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ELOOP:
	case EACCES:
	case EPERM:
		return true;
	default:
		return false;
	}
}
