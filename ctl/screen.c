/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* screen: width and encoding of the terminal, wrapping, and colours. */
#include "ctl/screen.h"

#include <ctype.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/parse.h"

#define WIDTH_DEFAULT 80
/* Below that nothing can be laid out; the terminal then breaks lines itself. */
#define WIDTH_MIN 20
#define WIDTH_MAX 1000

static bool is_utf8_locale(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static unsigned terminal_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (!columns || parse_unsigned(columns, WIDTH_MAX, &width) < 0 || width == 0)
		width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
									     : WIDTH_DEFAULT;
	return (unsigned)min_u64(max_u64(width, WIDTH_MIN), WIDTH_MAX);
}

/* no-color.org: NO_COLOR counts when it is not empty. */
static bool wants_colour(void)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	return term && *term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
}

void screen_init(struct screen *screen, FILE *file)
{
	bool is_terminal = isatty(fileno(file));

	*screen = (struct screen){
		.file = file,
		.width = is_terminal ? terminal_width(fileno(file)) : 0,
		.has_colour = is_terminal && wants_colour(),
		.is_utf8 = is_utf8_locale(),
	};
}

const char *screen_foreign(const struct screen *screen, const char *text, char *buf, size_t size)
{
	char *to = buf;

	format_foreign(text, buf, size);
	if (screen->width == 0 || screen->is_utf8)
		return buf;
	for (const char *from = buf; *from; from++) {
		if (*from & 0x80 && (*from & 0xc0) == 0x80)
			continue; /* it continues the character before */
		*to++ = *from & 0x80 ? '?' : *from;
	}
	*to = '\0';
	return buf;
}

/* The columns of the character at text, and its bytes. */
static unsigned char_width(const char *text, bool is_utf8, size_t *ret_n)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = 1;
	int width;

	if (is_utf8) {
		n = mbrtowc(&c, text, MB_CUR_MAX, &state);
		if (n != 0 && n <= MB_CUR_MAX) {
			*ret_n = n;
			width = wcwidth(c);
			return width < 0 ? 1 : (unsigned)width;
		}
		n = 1;
	}
	while ((text[n] & 0xc0) == 0x80)
		n++;
	*ret_n = n;
	return 1;
}

unsigned screen_text_width(const char *text)
{
	bool is_utf8 = is_utf8_locale();
	unsigned width = 0;
	size_t n;

	for (; *text; text += n)
		width += char_width(text, is_utf8, &n);
	return width;
}

/* Not between a number and its unit. */
static bool may_break(const char *text, const char *blank)
{
	return blank == text || !isdigit((unsigned char)blank[-1]) ||
	       !(isalpha((unsigned char)blank[1]) || blank[1] == '%');
}

size_t screen_fit(const char *text, unsigned width, const char **ret_next)
{
	bool is_utf8 = is_utf8_locale();
	const char *p = text, *blank = NULL;
	unsigned column = 0;
	size_t n;

	for (; *p; p += n) {
		column += char_width(p, is_utf8, &n);
		if (*p == ' ' && may_break(text, p))
			blank = p;
		else if (*p != ' ' && column > width && p > text)
			break;
	}
	if (*p == '\0' || !blank) {
		*ret_next = p;
		return (size_t)(p - text);
	}
	*ret_next = blank + strspn(blank, " ");
	while (blank > text && blank[-1] == ' ')
		blank--;
	return (size_t)(blank - text);
}

static const char *escape(enum screen_style style)
{
	static const char *const escapes[] = {
		[SCREEN_PLAIN] = "",	      [SCREEN_DIM] = "\033[2m",
		[SCREEN_BOLD] = "\033[1m",    [SCREEN_GREEN] = "\033[32m",
		[SCREEN_YELLOW] = "\033[33m", [SCREEN_RED] = "\033[1;31m",
	};

	return escapes[style];
}

void screen_begin(const struct screen *screen, enum screen_style style)
{
	if (screen->has_colour)
		fputs(escape(style), screen->file);
}

void screen_end(const struct screen *screen, enum screen_style style)
{
	if (screen->has_colour && style != SCREEN_PLAIN)
		fputs("\033[0m", screen->file);
}

/* The text in lines, of which all but the first begin in the given column. */
static void print_wrapped(const struct screen *screen, enum screen_style style, const char *text,
			  unsigned column)
{
	unsigned width = screen->width > column + WIDTH_MIN / 2 ? screen->width - column : 0;
	const char *next;
	size_t n;

	do {
		n = screen_fit(text, width > 0 ? width : UINT32_MAX, &next);
		screen_begin(screen, style);
		fprintf(screen->file, "%.*s", (int)n, text);
		screen_end(screen, style);
		text = next;
		fprintf(screen->file, "\n%*s", *text ? (int)column : 0, "");
	} while (*text);
}

__attribute__((format(printf, 2, 0))) static void text_addv(struct screen_text *text,
							    const char *format, va_list ap)
{
	struct format_text grown = { .buf = text->text, .size = sizeof(text->text), .n = text->n };

	format_addv(&grown, format, ap);
	text->n = grown.n;
}

void screen_say(const struct screen *screen, enum screen_style style, const char *format, ...)
{
	struct screen_text text = { .n = 0 };
	va_list ap;

	va_start(ap, format);
	text_addv(&text, format, ap);
	va_end(ap);
	print_wrapped(screen, style, text.text, 0);
}

void screen_item(const struct screen *screen, const char *label, enum screen_style style,
		 const char *format, ...)
{
	struct screen_text text = { .n = 0 };
	va_list ap;

	va_start(ap, format);
	text_addv(&text, format, ap);
	va_end(ap);
	if (*label)
		screen_begin(screen, SCREEN_BOLD);
	fprintf(screen->file, "%-*s", SCREEN_ITEM_COLUMN, label);
	if (*label)
		screen_end(screen, SCREEN_BOLD);
	print_wrapped(screen, style, text.text, SCREEN_ITEM_COLUMN);
}

void screen_text_add(struct screen_text *text, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	text_addv(text, format, ap);
	va_end(ap);
}
