/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parse: one strict parser for each kind of value that people write.
 *
 * All: the whole text must be the value (leading and trailing blanks are the caller's business);
 * -EINVAL for what is not of the form, -ERANGE for what does not fit.  *ret is written only on
 * success.  None depends on the locale.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/util.h"

/* "no", "off", "false", "0" and their opposites, in any case. */
int parse_bool(const char *text, bool *ret);

/* Decimal digits only, 0..max. */
int parse_unsigned(const char *text, uint64_t max, uint64_t *ret);

/* A percentage, a size, or both in either order with blanks or a comma between: "10%", "2G",
 * "10% 2G", "2.4 GiB, 10 %".  A size: "4096", "64K", "1.5G", "1.5 GiB": base 1024; unit optional,
 * but for a fraction (at most six digits).  "MB" and "kB" are of 1024 too, as in /proc/meminfo. */
struct parse_level {
	bool has_share;
	unsigned permyriad;
	bool has_size;
	uint64_t bytes;
	bool is_loose; /* the size is in "MB" and the like, which elsewhere is decimal */
};
int parse_level(const char *text, struct parse_level *ret);

/* "10%", "12.5 %", 0 to 100%, at most two digits after the point. */
int parse_permyriad(const char *text, unsigned *ret_permyriad);

/* "5s", "5 seconds", "250ms", "1min 30s", "2h", "0"; a bare number is seconds; "1.5s" too.  Units:
 * us, ms, s, min, h, d, and systemd.time(7)'s longer words for them; at most six digits after a
 * point. */
int parse_duration(const char *text, usec_t *ret_usec);

/* A positive factor such as "2" or "0.25", in (0, 1000]; at most six digits after the point. */
int parse_weight(const char *text, double *ret);
