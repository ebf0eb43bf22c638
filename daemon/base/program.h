/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* program: the code and constants of the daemon and of its libraries, in memory. */
#pragma once

/*
 * Reads each page of the program and of the libraries that it calls once, so that it is there, and
 * locked (mlockall(2) with MCL_ONFAULT locks what is touched).  What is executed for the first time
 * in an emergency would have to be read from a disk that is busy, as its page was dropped like any
 * other of a file.  Most of it is mapped in any case, with what is next to it: it costs 0.5 MiB.
 * Not the libraries of libraries: libsystemd's, to compress and to sign, are not used here.
 */
void program_touch(void);
