/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot: reads the boot id.  The file is described in random(4); the dashes are left out. */
#include "lib/sys/boot.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "lib/base/io.h"

/* "3a60a1b2-8f45-4d0e-9d3c-6f1f0a5d0f7e", a line end, and the NUL. */
#define FILE_SIZE (36 + 2)

int boot_read_id(int proc_fd, char ret[static BOOT_ID_SIZE])
{
	char text[FILE_SIZE], id[BOOT_ID_SIZE];
	size_t n = 0;
	ssize_t r;

	r = io_read_at(proc_fd, "sys/kernel/random/boot_id", text, sizeof(text));
	if (r < 0)
		return r == -ENOBUFS ? -EBADMSG : (int)r;
	for (const char *c = text; *c && *c != '\n'; c++) {
		if (*c == '-')
			continue;
		if (!isxdigit((unsigned char)*c) || n == sizeof(id) - 1)
			return -EBADMSG;
		id[n++] = *c;
	}
	if (n != sizeof(id) - 1)
		return -EBADMSG;
	id[n] = '\0';
	memcpy(ret, id, sizeof(id));
	return 0;
}
