/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* program: reads the pages of the segments of the program and of its libraries. */
#include "daemon/base/program.h"

#include <gnu/libc-version.h>
#include <ini.h>
#include <jansson.h>
#include <libproc2/meminfo.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "lib/base/util.h"

/* (What is around variables must not be read, by AddressSanitizer.) */
__attribute__((no_sanitize("address"))) static void touch(const volatile char *p, size_t size,
							  size_t page_size)
{
	for (size_t i = 0; i < size; i += page_size)
		(void)p[i];
}

/* One address in each object that is read. */
static const void *const places[] = {
	program_touch,	    ini_parse_stream, json_object,
	procps_meminfo_new, sd_event_new,     gnu_get_libc_version,
};

static bool has_place(const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		for (size_t k = 0; segment->p_type == PT_LOAD && k < ARRAY_SIZE(places); k++)
			if ((uintptr_t)places[k] - start < segment->p_memsz)
				return true;
	}
	return false;
}

static int touch_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; i < info->dlpi_phnum && has_place(info); i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr, skew = start % page_size;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_R)
			touch((const char *)(start - skew), segment->p_filesz + skew, page_size);
	}
	return 0;
}

void program_touch(void)
{
	(void)dl_iterate_phdr(touch_object, NULL);
}
