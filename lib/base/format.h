/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format: numbers for people, and untrusted text.
 *
 * Whatever a process may choose itself (its name, its cgroup's name) can hold any byte: terminal
 * escapes, line ends, half a character.  It is never printed as it is.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/util.h"

/* "1.4 GiB"; returns buf. */
#define FORMAT_BYTES_SIZE 24
const char *format_bytes(uint64_t bytes, char buf[static FORMAT_BYTES_SIZE]);

/* "1.3 - 1.5 GiB", "900 MiB - 1.1 GiB"; "1.4 GiB" where both ends read the same; returns buf. */
#define FORMAT_INTERVAL_SIZE (2 * FORMAT_BYTES_SIZE + 4)
const char *format_interval(struct interval interval, char buf[static FORMAT_INTERVAL_SIZE]);

/* "340 us", "2.4 ms", "43 s", "5 min 3 s", "3 h 12 min", "2 d 5 h": its two largest units, cut off
 * below; returns buf. */
#define FORMAT_DURATION_SIZE 32
const char *format_duration(usec_t duration, char buf[static FORMAT_DURATION_SIZE]);

/* "9.8%" of permyriad, integers only. */
#define PERCENT_FORMAT	"%u.%u%%"
#define PERCENT_ARGS(p) (unsigned)(p) / 100, (unsigned)(p) / 10 % 10

/* A text that grows to the end of its buffer and no further; n: its length. */
struct format_text {
	char *buf;
	size_t size;
	size_t n;
};

/* What does not fit is cut off, as whole characters. */
__attribute__((format(printf, 2, 3))) void format_add(struct format_text *text, const char *format,
						      ...);
__attribute__((format(printf, 2, 0))) void format_addv(struct format_text *text, const char *format,
						       va_list ap);

/*
 * For a terminal, a log, one cell of a table: control characters (those of C1, and what turns the
 * direction of writing, too) and bytes that are not UTF-8 become '?'.  What does not fit into size
 * is left off, by whole characters.  Returns buf.
 */
const char *format_foreign(const char *text, char *buf, size_t size);

/* For formats that have escapes of their own (JSON), and for the bus: only what is not UTF-8 is
 * replaced, and noncharacters (U+FFFE and the like), by U+FFFD for each byte, so that up to three
 * times the length is needed.  Returns buf. */
#define FORMAT_UTF8_SIZE(length) (3 * (length) + 1)
const char *format_utf8(const char *text, char *buf, size_t size);
