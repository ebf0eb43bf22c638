/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc-scan: numbers in texts of the kernel.
 *
 * A number counts only if its terminator is there too, so a text that was cut can be refused but is
 * never misread.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "lib/base/util.h"

/* Digits, up to max, followed by the byte `end`; *p is moved behind that. */
static inline int proc_scan_number(const char **p, char end, uint64_t max, uint64_t *ret)
{
	const char *s = *p;
	uint64_t value = 0;

	if (*s < '0' || *s > '9')
		return -EBADMSG;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return -EBADMSG;
	if (*s != end || value > max)
		return -EBADMSG;

	*p = s + 1;
	*ret = value;
	return 0;
}

/* "   1234 kB", as in status and smaps, up to the byte `end` of the line. */
static inline int proc_scan_kib(const char *text, char end, uint64_t *ret_bytes)
{
	uint64_t kib, bytes;

	while (*text == ' ' || *text == '\t')
		text++;
	if (proc_scan_number(&text, ' ', UINT64_MAX, &kib) < 0 || text[0] != 'k' ||
	    text[1] != 'B' || text[2] != end || __builtin_mul_overflow(kib, KIB, &bytes))
		return -EBADMSG;

	*ret_bytes = bytes;
	return 0;
}

/* What follows the name (with its colon) if the line begins with it, else NULL. */
static inline const char *proc_after_name(const char *line, const char *name)
{
	size_t length = strlen(name);

	return strncmp(line, name, length) == 0 ? line + length : NULL;
}

/* A line of "Name: 1234 kB", and where its value goes. */
struct proc_kib_field {
	const char *name; /* with its colon */
	uint64_t *value;
};

/* Those of the whole lines of the text that are fields: a bit for each, by index, in *ret_seen.  0,
 * or -EBADMSG. */
int proc_scan_kib_lines(const char *text, const struct proc_kib_field *fields, size_t n_fields,
			unsigned *ret_seen);

/* 0, or PROC_GONE for what a process that is gone looks like, at open as at read. */
int proc_fold_gone(int r);
