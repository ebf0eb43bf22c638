/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-comm: patterns of names that are valid, and cannot mean what they seem to.
 *
 * Common errors are lists with commas, quotes as in a shell, paths, and the escapes of Perl.  A
 * rule that never matches protects nothing, and nothing else would report it.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/config/conf-keys.h"

/* The kernel's TASK_COMM_LEN, less the NUL. */
#define COMM_LENGTH_MAX 15

/* GNU's of POSIX extended expressions (regex(7) does not have them). */
#define GNU_ESCAPES "wWsSbB"

/* "[]abc]", "[^[:alpha:]_]": past its end, or the end of the text. */
static const char *skip_bracket(const char *p)
{
	p++;
	p += *p == '^';
	p += *p == ']';
	while (*p != '\0' && *p != ']') {
		char kind = *p == '[' ? p[1] : '\0';

		if (kind == ':' || kind == '.' || kind == '=') {
			const char end[] = { kind, ']', '\0' };

			const char *found = strstr(p + 2, end);

			p = found ? found + 1 : p + strlen(p) - 1;
		}
		p++;
	}
	return *p == ']' ? p + 1 : p;
}

/* Past one character of the pattern, a bracket expression, or a count in braces. */
static const char *skip_one(const char *p)
{
	const char *end;

	if (*p == '[')
		return skip_bracket(p);
	if (*p == '{') {
		end = strchr(p, '}');
		return end ? end + 1 : p + strlen(p);
	}
	return *p == '\\' && p[1] != '\0' ? p + 2 : p + 1;
}

/* May what is before p, or at p, occur 0 times? */
static bool is_optional(char quantifier)
{
	return quantifier == '*' || quantifier == '?' || quantifier == '{';
}

static bool begins_alternative(const char *previous)
{
	return !previous || *previous == '(' || *previous == '|';
}

static bool check_quotes(const char *pattern, char *text)
{
	char first = *pattern;

	if (first != '"' && first != '\'')
		return false;
	snprintf(text, CONF_TEXT_MAX,
		 "Comm=%.80s: the quotes are part of the pattern, which can never match a name "
		 "without them; there is no quoting here",
		 pattern);
	return true;
}

static bool check_commas(const char *pattern, char *text)
{
	for (const char *p = pattern; *p != '\0'; p = skip_one(p)) {
		if (*p != ',')
			continue;
		snprintf(text, CONF_TEXT_MAX,
			 "Comm=%.80s: the ',' is part of the pattern; names are separated by '|', "
			 "as in ^(one|two)$",
			 pattern);
		return true;
	}
	return false;
}

static bool check_escapes(const char *pattern, char *text)
{
	for (const char *p = pattern; *p != '\0'; p = skip_one(p)) {
		if (*p != '\\' || !isalpha((unsigned char)p[1]) || strchr(GNU_ESCAPES, p[1]))
			continue;
		snprintf(text, CONF_TEXT_MAX,
			 "Comm=%.80s: \\%c is a plain '%c' in a POSIX regular expression%s",
			 pattern, p[1], p[1], p[1] == 'd' ? "; a digit is [0-9]" : "");
		return true;
	}
	return false;
}

static bool check_paths(const char *pattern, char *text)
{
	const char *previous = NULL;

	for (const char *p = pattern; *p != '\0'; previous = p, p = skip_one(p)) {
		if (*p != '/' || !(begins_alternative(previous) || *previous == '^'))
			continue;
		snprintf(text, CONF_TEXT_MAX,
			 "Comm=%.80s can never match: the name of a process has no path", pattern);
		return true;
	}
	return false;
}

/* '^' not at the beginning of an alternative, '$' not at its end; unless what is before or behind
 * may be missing. */
static bool is_misplaced(const char *p, const char *previous)
{
	const char *behind = p + 1;

	if (*p == '^')
		return !begins_alternative(previous) && *previous != '^' && !is_optional(*previous);
	if (*p != '$' || *behind == '\0' || strchr(")|$*+?{", *behind))
		return false;
	return !is_optional(*skip_one(behind));
}

static bool check_anchors(const char *pattern, char *text)
{
	const char *previous = NULL;

	for (const char *p = pattern; *p != '\0'; previous = p, p = skip_one(p)) {
		if (!is_misplaced(p, previous))
			continue;
		snprintf(text, CONF_TEXT_MAX,
			 "Comm=%.80s: the '%c' in the middle can never match: it is the %s of the "
			 "name",
			 pattern, *p, *p == '^' ? "beginning" : "end");
		return true;
	}
	return false;
}

/* A run of plain characters that is longer than a name can be. */
static bool check_length(const char *pattern, char *text)
{
	const char *run = pattern;

	for (const char *p = pattern;; p++) {
		/* What may occur 0 times is not part of the run. */
		if (*p != '\0' && !strchr(".*+?()[]{}|\\^$", *p))
			continue;
		if (p - run - is_optional(*p) > COMM_LENGTH_MAX) {
			snprintf(
				text, CONF_TEXT_MAX,
				"'%.*s' can never match: the kernel keeps %d bytes of a name, here "
				"'%.*s'",
				(int)min_u64((uint64_t)(p - run), 80), run, COMM_LENGTH_MAX,
				COMM_LENGTH_MAX, run);
			return true;
		}
		if (*p == '\0')
			return false;
		run = skip_one(p);
		p = run - 1;
	}
}

void conf_check_comm(const char *pattern, char *text)
{
	static bool (*const checks[])(const char *pattern, char *text) = {
		check_quotes, check_commas, check_escapes, check_paths, check_anchors, check_length,
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (checks[i](pattern, text))
			return;
}
