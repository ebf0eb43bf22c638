/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: see the header.  A line is formatted on the stack and written at once: no lock, no buffer,
 * nothing allocated.
 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"

/* $JOURNAL_STREAM names the device and inode that standard error has if it is the journal. */
bool log_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_line(int priority, const char *format, ...)
{
	char line[2048];
	size_t n = 0;
	va_list ap;
	int r;

	if (log_is_journal())
		n = (size_t)snprintf(line, sizeof(line), "<%d>", priority);
	va_start(ap, format);
	r = vsnprintf(line + n, sizeof(line) - n - 1, format, ap);
	va_end(ap);
	if (r < 0)
		return;
	n = min_u64(n + (size_t)r, sizeof(line) - 2);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody reads it: there is nobody to tell */
}
