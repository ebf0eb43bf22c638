/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * process: what a person wants to know of a process beside its memory: its command line, its
 * executable, its unit, its container.  By libproc2, which reads more than the daemon may.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

/*
 * Sets command_line, executable, unit and container of the object: text safe to print
 * (format_foreign), or null where there is none or it may not be read.  unit: the user's where it
 * is in one of a user's service manager.  Does nothing where there is no such process.
 */
void process_describe(json_t *object, pid_t pid);
