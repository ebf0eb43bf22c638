/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* program: reads the pages of the program's segments. */
#include "daemon/base/program.h"

#include <link.h>
#include <stdint.h>
#include <unistd.h>

#include "lib/base/util.h"

/* (What is around variables must not be read, by AddressSanitizer.) */
__attribute__((no_sanitize("address"))) static void touch(const volatile char *p, size_t size,
							  size_t page_size)
{
	for (size_t i = 0; i < size; i += page_size)
		(void)p[i];
}

/* The first object is the program itself. */
static int touch_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr, skew = start % page_size;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_R)
			touch((const char *)(start - skew), segment->p_filesz + skew, page_size);
	}
	return 1;
}

void program_touch(void)
{
	(void)dl_iterate_phdr(touch_object, NULL);
}
