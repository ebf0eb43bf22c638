/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl: what the commands of reckonctl share: the options, failing, and JSON.
 *
 * An answer is printed on standard output, as text or, with --json, as one object; an error on
 * standard error in words either way, and with --json on standard output too, as {"error": ...}.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/json.h"

struct ctl_options {
	bool json;
	bool full;
	const char *config_file; /* NULL: the usual places */
	const char *subtree;	 /* over the configuration's, or NULL */
};

/* Commands return one of these: the exit status. */
enum ctl_status {
	CTL_OK,
	CTL_FAILURE,
	CTL_BAD_USAGE, /* or a bad configuration */
};

/* Prints what is wrong; returns status. */
__attribute__((format(printf, 3, 4))) enum ctl_status
ctl_fail(const struct ctl_options *options, enum ctl_status status, const char *format, ...);

/* Prints the object and drops the reference; NULL (there was no memory to make it) is a failure. */
enum ctl_status ctl_print_json(json_t *object);
