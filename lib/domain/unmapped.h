/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unmapped: how much of a file of a tmpfs, or of a memfd, no process maps.
 *
 * No counter has that, and to read the mappings of all processes waits for their mmap locks.  So
 * some pages of the file are mapped for a moment: pagemap shows whether the only mapping is this
 * one (bit 56, from Linux 4.2).  Not more than UNMAPPED_SAMPLES are, and only such as are in
 * memory.  Never touched from here: a file can be truncated meanwhile (SIGBUS).
 *
 * To open the file does not block on a tmpfs, but it breaks a lease.  Other file systems are for
 * the caller to keep out: FUSE may block.
 */
#pragma once

#include <stdint.h>

#define UNMAPPED_SAMPLES 8

/* link: the magic link of a descriptor or of a mapping in dir_fd.  pagemap_fd: of this process.
 * *ret: what of the bytes that it has in memory or swap no process maps.  0 or -errno; -ENODATA:
 * nothing of it can be seen, e.g. as all is swapped out. */
int unmapped_measure(int dir_fd, const char *link, int pagemap_fd, uint64_t bytes, uint64_t *ret);
