/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* program: the daemon's own code and constants, in memory. */
#pragma once

/*
 * Reads each page of them once, so that it is there, and locked (mlockall(2) with MCL_ONFAULT locks
 * what is touched).  What is executed for the first time in an emergency would have to be read from
 * a disk that is busy, as its page was dropped like any other of a file.  Not that of libraries:
 * other processes use it too.
 */
void program_touch(void);
