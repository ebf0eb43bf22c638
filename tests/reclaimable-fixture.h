/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reclaimable-fixture: a smaps_rollup of which all fields differ. */
#pragma once

#define ROLLUP                                                                                     \
	"1000-2000 ---p 00000000 00:00 0    [rollup]\nRss: 100 kB\nPss: 70 kB\nPss_Dirty: 50 kB\n" \
	"Pss_Anon: 40 kB\nPss_File: 10 kB\nPss_Shmem: 20 kB\nPrivate_Clean: 1 kB\n"                \
	"Private_Dirty: 2 kB\nAnonymous: 50 kB\nSwap: 30 kB\nSwapPss: 20 kB\n"
