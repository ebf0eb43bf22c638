/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format: numbers for people, and untrusted text.
 *
 * Allocates nothing and ignores the locale: the decimal point is '.', and text is UTF-8 (RFC 3629,
 * table 3-7 of the Unicode standard) without noncharacters, or it is replaced.
 */
#include "lib/base/format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *format_bytes(uint64_t bytes, char buf[static FORMAT_BYTES_SIZE])
{
	static const struct {
		uint64_t size;
		const char *name;
	} units[] = { { GIB, "GiB" }, { MIB, "MiB" }, { KIB, "KiB" } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (bytes < units[i].size)
			continue;
		snprintf(buf, FORMAT_BYTES_SIZE, "%.*f %s", bytes < 100 * units[i].size ? 1 : 0,
			 (double)bytes / (double)units[i].size, units[i].name);
		return buf;
	}
	snprintf(buf, FORMAT_BYTES_SIZE, "%u B", (unsigned)bytes);
	return buf;
}

const char *format_interval(struct interval interval, char buf[static FORMAT_INTERVAL_SIZE])
{
	char lo[FORMAT_BYTES_SIZE], hi[FORMAT_BYTES_SIZE];
	const char *lo_unit, *hi_unit;

	lo_unit = strchr(format_bytes(interval.lo, lo), ' ');
	hi_unit = strchr(format_bytes(interval.hi, hi), ' ');
	if (strcmp(lo, hi) == 0)
		snprintf(buf, FORMAT_INTERVAL_SIZE, "%s", hi);
	else if (strcmp(lo_unit, hi_unit) == 0)
		snprintf(buf, FORMAT_INTERVAL_SIZE, "%.*s - %s", (int)(lo_unit - lo), lo, hi);
	else
		snprintf(buf, FORMAT_INTERVAL_SIZE, "%s - %s", lo, hi);
	return buf;
}

/* Below ten of its unit with a tenth, which matters: 1.9 ms or 1.0 ms. */
static const char *format_short(usec_t duration, usec_t unit, const char *name,
				char buf[static FORMAT_DURATION_SIZE])
{
	if (duration < 10 * unit)
		snprintf(buf, FORMAT_DURATION_SIZE, "%u.%u %s", (unsigned)(duration / unit),
			 (unsigned)(duration % unit * 10 / unit), name);
	else
		snprintf(buf, FORMAT_DURATION_SIZE, "%u %s", (unsigned)(duration / unit), name);
	return buf;
}

const char *format_duration(usec_t duration, char buf[static FORMAT_DURATION_SIZE])
{
	static const struct {
		uint64_t seconds;
		const char *name;
		uint64_t next_seconds;
		const char *next_name;
	} units[] = { { 86400, "d", 3600, "h" }, { 3600, "h", 60, "min" }, { 60, "min", 1, "s" } };
	uint64_t seconds = duration / USEC_PER_SEC;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t n_next = seconds % units[i].seconds / units[i].next_seconds;
		int n;

		if (seconds < units[i].seconds)
			continue;
		n = snprintf(buf, FORMAT_DURATION_SIZE, "%llu %s",
			     (unsigned long long)(seconds / units[i].seconds), units[i].name);
		if (n_next > 0)
			snprintf(buf + n, FORMAT_DURATION_SIZE - (size_t)n, " %u %s",
				 (unsigned)n_next, units[i].next_name);
		return buf;
	}
	if (duration >= USEC_PER_SEC)
		return format_short(duration, USEC_PER_SEC, "s", buf);
	if (duration >= USEC_PER_MSEC)
		return format_short(duration, USEC_PER_MSEC, "ms", buf);
	snprintf(buf, FORMAT_DURATION_SIZE, "%u us", (unsigned)duration);
	return buf;
}

/* Reserved code points, never part of a text.  sd-bus refuses a string that has one. */
static bool is_noncharacter(uint32_t c)
{
	return (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

/* The length of a text that has been cut at n bytes, without the piece of a character at its end.
 */
static size_t whole_characters(const char *text, size_t n)
{
	size_t start = n, length;

	while (start > 0 && (text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0 || (text[start - 1] & 0xc0) != 0xc0)
		return n;
	start--;
	length = (text[start] & 0xf0) == 0xf0 ? 4 : (text[start] & 0xe0) == 0xe0 ? 3 : 2;
	return n - start < length ? start : n;
}

void format_addv(struct format_text *text, const char *format, va_list ap)
{
	size_t left = text->size - text->n;
	int n = vsnprintf(text->buf + text->n, left, format, ap);

	if (n >= 0 && (size_t)n < left)
		text->n += (size_t)n;
	else if (n >= 0)
		text->n = whole_characters(text->buf, text->size - 1);
	text->buf[text->n] = '\0';
}

void format_add(struct format_text *text, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	format_addv(text, format, ap);
	va_end(ap);
}

/* The length of the character at text, and which one it is; 0 if it is none. */
static size_t utf8_decode(const char *text, uint32_t *ret)
{
	/* By length: what the first byte looks like, and the least value that needs it. */
	static const struct {
		unsigned char mask, first;
		uint32_t least;
	} forms[] = {
		{ 0x80, 0x00, 0 },
		{ 0xe0, 0xc0, 0x80 },
		{ 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 },
	};
	const unsigned char *p = (const unsigned char *)text;

	for (size_t n = 1; n <= ARRAY_SIZE(forms); n++) {
		uint32_t c = p[0] & (unsigned char)~forms[n - 1].mask;

		if ((p[0] & forms[n - 1].mask) != forms[n - 1].first)
			continue;
		for (size_t i = 1; i < n; i++) {
			if ((p[i] & 0xc0) != 0x80) /* the NUL at the end too */
				return 0;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < forms[n - 1].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
		    is_noncharacter(c))
			return 0;
		*ret = c;
		return n;
	}
	return 0;
}

/* C0, DEL and C1; line and paragraph separators; embeddings, overrides and isolates, by which the
 * rest of the line could be made to read as something else. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static const char *copy_text(const char *text, bool keep_controls, const char *replacement,
			     char *buf, size_t size)
{
	size_t n_buf = 0;

	while (*text) {
		uint32_t c = 0;
		size_t n_text = utf8_decode(text, &c), n = n_text;
		const char *source = text;

		if (n_text == 0 || (!keep_controls && is_control(c))) {
			source = replacement;
			n = strlen(replacement);
		}
		if (n_buf + n >= size)
			break;
		memcpy(buf + n_buf, source, n);
		n_buf += n;
		text += n_text > 0 ? n_text : 1;
	}
	buf[n_buf] = '\0';
	return buf;
}

const char *format_foreign(const char *text, char *buf, size_t size)
{
	return copy_text(text, false, "?", buf, size);
}

const char *format_utf8(const char *text, char *buf, size_t size)
{
	return copy_text(text, true, "\xef\xbf\xbd", buf, size);
}
