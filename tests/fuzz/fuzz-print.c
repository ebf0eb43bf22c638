/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-print: what reckonctl prints for people, of any JSON.
 *
 * The first byte chooses the answer, the second the screen ('0'...: bits), and the rest is JSON, as
 * --json prints it.  Nothing that is in it may reach a terminal but text: all controls are ours.
 */
#include <jansson.h>
#include <locale.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/explain.h"
#include "ctl/history.h"
#include "ctl/rules.h"
#include "ctl/screen.h"
#include "ctl/status.h"
#include "ctl/words.h"
#include "lib/base/util.h"
#include "tests/fuzz/fuzz.h"

enum {
	SCREEN_IS_TERMINAL = 1,
	SCREEN_IS_UTF8 = 2,
	SCREEN_IS_NARROW = 4,
	SCREEN_IS_FULL = 8, /* --full */
};

/* In place of libc's: quick, and a name that is not harmless. */
struct passwd *getpwuid(uid_t uid)
{
	static struct passwd passwd = { .pw_name = (char *)"a\033[1ml\xff" };

	return uid == 1000 ? &passwd : NULL;
}

static void print(char what, const struct screen *screen, const json_t *answer, bool full)
{
	switch (what) {
	case 's':
		status_print(screen, answer);
		break;
	case 'm':
		(void)explain_print_machine(screen, answer);
		words_say_source(screen, answer, "as --config asks for");
		break;
	case 'p':
		(void)explain_print_process(screen, answer);
		break;
	case 'r':
		(void)rules_print(screen, answer);
		break;
	default:
		(void)history_print(screen, json_object_get(answer, "entries"), full);
		break;
	}
}

/* Takes out what gives a style: "\033[", digits and ';', "m", as screen.c writes it. */
static void remove_styles(char *text)
{
	char *to = text;

	for (const char *from = text; *from;) {
		size_t n = strncmp(from, "\033[", 2) == 0 ? 2 + strspn(from + 2, "0123456789;") : 0;

		if (n > 2 && from[n] == 'm')
			from += n + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80)
			return false;
	return true;
}

static void check_output(char *text, const struct screen *screen)
{
	if (screen->has_colour)
		remove_styles(text);
	FUZZ_CHECK(fuzz_is_utf8(text));
	FUZZ_CHECK(!fuzz_has_controls(text, true));
	if (screen->width > 0 && !screen->is_utf8)
		FUZZ_CHECK(is_ascii(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flags = size > 1 ? (unsigned)data[1] - '0' : 0;
	bool is_utf8 = flags & SCREEN_IS_UTF8;
	struct screen screen = {
		.width = flags & SCREEN_IS_TERMINAL ? (flags & SCREEN_IS_NARROW ? 20 : 100) : 0,
		.has_colour = flags & SCREEN_IS_TERMINAL,
		.is_utf8 = is_utf8,
	};
	json_t *answer = NULL;
	char *text = NULL;
	size_t length;

	if (size > 2)
		answer = json_loadb((const char *)data + 2, size - 2, 0, NULL);
	if (!answer)
		return 0;
	FUZZ_CHECK(setlocale(LC_CTYPE, is_utf8 ? "C.UTF-8" : "C"));
	screen.file = open_memstream(&text, &length);
	FUZZ_CHECK(screen.file);
	print((char)data[0], &screen, answer, flags & SCREEN_IS_FULL);
	fclose(screen.file);
	FUZZ_CHECK(strlen(text) == length);
	check_output(text, &screen);
	free(text);
	json_decref(answer);
	return 0;
}
