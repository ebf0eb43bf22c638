/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parse: one strict parser for each kind of value that people write.
 *
 * strtod(3) and strtoull(3) take blanks, signs, hexadecimal, exponents and the locale's point, and
 * none of these is meant in a configuration file; so all numbers here are parsed by decimal_take(),
 * which takes digits and at most one point and keeps the value exact.  Used by conf, and by the
 * command lines of both programs.
 */
#include "lib/base/parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define FRACTION_DIGITS_MAX 6

/* value / 10^fraction_digits */
struct decimal {
	uint64_t value;
	unsigned fraction_digits;
};

static const uint64_t power_of_ten[FRACTION_DIGITS_MAX + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000,
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int digit_append(uint64_t *value, char c)
{
	if (__builtin_mul_overflow(*value, 10, value) ||
	    __builtin_add_overflow(*value, (uint64_t)(c - '0'), value))
		return -ERANGE;
	return 0;
}

/* Takes digits, and a point with 1 to max_fraction digits after it, from the front of *text. */
static int decimal_take(const char **text, unsigned max_fraction, struct decimal *ret)
{
	struct decimal d = {};
	const char *p = *text;
	int r;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++) {
		r = digit_append(&d.value, *p);
		if (r < 0)
			return r;
	}
	if (*p == '.') {
		if (!is_digit(*++p))
			return -EINVAL;
		for (; is_digit(*p); p++) {
			if (++d.fraction_digits > max_fraction)
				return -EINVAL;
			r = digit_append(&d.value, *p);
			if (r < 0)
				return r;
		}
	}
	*text = p;
	*ret = d;
	return 0;
}

/* d * unit, rounded down. */
static int decimal_scale(const struct decimal *d, uint64_t unit, uint64_t *ret)
{
	__uint128_t scaled = (__uint128_t)d->value * unit / power_of_ten[d->fraction_digits];

	if (scaled > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)scaled;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	static const char *const words[][2] = {
		{ "no", "yes" },
		{ "off", "on" },
		{ "false", "true" },
		{ "0", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (size_t truth = 0; truth < 2; truth++) {
			if (strcasecmp(text, words[i][truth]) != 0)
				continue;
			*ret = truth;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_unsigned(const char *text, uint64_t max, uint64_t *ret)
{
	struct decimal d;
	int r;

	r = decimal_take(&text, 0, &d);
	if (r < 0)
		return r;
	if (*text != '\0')
		return -EINVAL;
	if (d.value > max)
		return -ERANGE;
	*ret = d.value;
	return 0;
}

static void skip_blanks(const char **text)
{
	while (is_blank(**text))
		(*text)++;
}

/* Takes a unit of size, of 1024, from the front of *text: "K", "KiB", "KB", "kB" as in
 * /proc/meminfo, "B"; 0 if there is none. */
static uint64_t size_unit_take(const char **text, bool *ret_loose)
{
	static const char letters[] = "KMGT";
	const char *p = *text, *letter;
	uint64_t unit = 1;

	*ret_loose = false;
	letter = *p != '\0' ? strchr(letters, *p == 'k' && p[1] == 'B' ? 'K' : *p) : NULL;
	if (letter) {
		unit = KIB << (10 * (letter - letters));
		*ret_loose = *p != 'k' && p[1] == 'B';
		p++;
		p += *p == 'i' && p[1] == 'B';
	}
	p += *p == 'B';
	if (p == *text)
		return 0;
	*text = p;
	return unit;
}

/* "2G", "10 %": sets what it is of in *level. */
static int level_part_take(const char **text, struct parse_level *level)
{
	const char *behind;
	struct decimal d;
	uint64_t unit;
	int r;

	r = decimal_take(text, FRACTION_DIGITS_MAX, &d);
	if (r < 0)
		return r;
	behind = *text;
	skip_blanks(&behind);
	if (*behind == '%') {
		uint64_t permyriad;

		if (level->has_share || d.fraction_digits > 2)
			return -EINVAL;
		r = decimal_scale(&d, PERMYRIAD / 100, &permyriad);
		if (r < 0 || permyriad > PERMYRIAD)
			return -ERANGE;
		level->has_share = true;
		level->permyriad = (unsigned)permyriad;
		*text = behind + 1;
		return 0;
	}
	unit = size_unit_take(&behind, &level->is_loose);
	if (level->has_size || (unit == 0 && d.fraction_digits > 0))
		return -EINVAL;
	level->has_size = true;
	if (unit > 0)
		*text = behind;
	return decimal_scale(&d, unit > 0 ? unit : 1, &level->bytes);
}

int parse_level(const char *text, struct parse_level *ret)
{
	struct parse_level level = {};

	for (;;) {
		const char *end;
		int r;

		r = level_part_take(&text, &level);
		if (r < 0)
			return r;
		if (*text == '\0')
			break;
		end = text;
		skip_blanks(&text);
		text += *text == ',';
		skip_blanks(&text);
		if (text == end)
			return -EINVAL;
	}
	*ret = level;
	return 0;
}

int parse_permyriad(const char *text, unsigned *ret_permyriad)
{
	struct parse_level level;
	int r;

	r = parse_level(text, &level);
	if (r < 0)
		return r;
	if (level.has_size)
		return -EINVAL;
	*ret_permyriad = level.permyriad;
	return 0;
}

/* Takes a unit of time from the front of *text; 0 if there is none. */
static usec_t time_unit_take(const char **text)
{
	static const struct {
		const char *name;
		usec_t usec;
	} units[] = {
		{ "us", 1 },
		{ "usec", 1 },
		{ "ms", USEC_PER_MSEC },
		{ "msec", USEC_PER_MSEC },
		{ "s", USEC_PER_SEC },
		{ "sec", USEC_PER_SEC },
		{ "second", USEC_PER_SEC },
		{ "seconds", USEC_PER_SEC },
		{ "min", 60 * USEC_PER_SEC },
		{ "minute", 60 * USEC_PER_SEC },
		{ "minutes", 60 * USEC_PER_SEC },
		{ "h", 3600 * USEC_PER_SEC },
		{ "hr", 3600 * USEC_PER_SEC },
		{ "hour", 3600 * USEC_PER_SEC },
		{ "hours", 3600 * USEC_PER_SEC },
		{ "d", 24 * 3600 * USEC_PER_SEC },
		{ "day", 24 * 3600 * USEC_PER_SEC },
		{ "days", 24 * 3600 * USEC_PER_SEC },
	};
	size_t length = 0;

	while (((*text)[length] | 0x20) >= 'a' && ((*text)[length] | 0x20) <= 'z')
		length++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) != length || strncmp(*text, units[i].name, length) != 0)
			continue;
		*text += length;
		return units[i].usec;
	}
	return 0;
}

int parse_duration(const char *text, usec_t *ret_usec)
{
	bool first = true;
	usec_t sum = 0;

	for (;; first = false) {
		const char *behind;
		struct decimal d;
		usec_t unit, part;
		int r;

		r = decimal_take(&text, FRACTION_DIGITS_MAX, &d);
		if (r < 0)
			return r;
		behind = text;
		skip_blanks(&behind);
		unit = time_unit_take(&behind);
		if (unit > 0)
			text = behind;
		if (unit == 0) {
			if (!first || *text != '\0')
				return -EINVAL;
			unit = USEC_PER_SEC;
		}
		r = decimal_scale(&d, unit, &part);
		if (r < 0)
			return r;
		sum = add_u64(sum, part);
		if (sum == USEC_INFINITY)
			return -ERANGE;
		if (*text == '\0')
			break;
		skip_blanks(&text);
	}
	*ret_usec = sum;
	return 0;
}

int parse_weight(const char *text, double *ret)
{
	struct decimal d;
	double weight;
	int r;

	r = decimal_take(&text, FRACTION_DIGITS_MAX, &d);
	if (r < 0)
		return r;
	if (*text != '\0')
		return -EINVAL;
	weight = (double)d.value / (double)power_of_ten[d.fraction_digits];
	if (weight <= 0 || weight > 1000)
		return -ERANGE;
	*ret = weight;
	return 0;
}
