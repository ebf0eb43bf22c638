/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * startup: the steps of the start.
 *
 * Files or memory that are short for a moment are no reason to leave the machine unprotected, nor
 * to do without a part of the daemon for as long as it runs: a step that fails for that
 * (lib/base/errors.h) is taken again, some times, with a pause that doubles.  All pauses of a step
 * are less than two seconds.
 */
#pragma once

/* A step leaves nothing behind if it fails; -errno then. */
typedef int startup_fn(void *userdata);

/* what: "Cannot WHAT".  Returns what the step has returned the last time. */
int startup_try(const char *what, startup_fn *step, void *userdata);

/* The same for a step without which there is no start: what fails is logged as an error. */
int startup_require(const char *what, startup_fn *step, void *userdata);
