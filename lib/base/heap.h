/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heap: what is allocated now, by all threads, to tell what a call has allocated. */
#pragma once

#include <malloc.h>
#include <stdint.h>

static inline uint64_t heap_used(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}
