/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroup-unit: finds the names of units in a cgroup's path. */
#include "lib/sys/cgroup-unit.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/util.h"

/* Those that have processes. */
static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

static bool is_name_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr(":-_.\\@", c);
}

static bool ends_with(const char *text, size_t length, const char *suffix)
{
	size_t n = strlen(suffix);

	return length > n && memcmp(text + length - n, suffix, n) == 0;
}

static bool is_slice(const char *text, size_t length)
{
	return ends_with(text, length, ".slice");
}

/* Without the escape; false: no name of a unit. */
static bool decode(const char *text, size_t length, char *ret)
{
	bool is_unit = false;

	if (length > 0 && text[0] == '_') {
		text++;
		length--;
	}
	if (length >= CGROUP_UNIT_NAME_SIZE)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_name_character(text[i]))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		is_unit = is_unit || ends_with(text, length, suffixes[i]);
	/* "foo@.service" is a template: it has no processes. */
	if (!is_unit || text[0] == '@' || strstr(text, "@.") == text + strcspn(text, "@/"))
		return false;
	memcpy(ret, text, length);
	ret[length] = '\0';
	return true;
}

/* Skips slices.  Where the unit's component ends, and its name; 0: there is none. */
static size_t find_from(const char *path, size_t at, char *ret)
{
	while (path[at] == '/') {
		const char *component = path + at + 1;
		size_t length = strcspn(component, "/");

		at += 1 + length;
		if (!is_slice(component, length))
			return decode(component, length, ret) ? at : 0;
	}
	return 0;
}

static bool is_user_manager(const char *unit)
{
	static const char prefix[] = "user@";
	const char *uid = unit + strlen(prefix);
	size_t n = strspn(uid, "0123456789");

	return strncmp(unit, prefix, strlen(prefix)) == 0 && n > 0 &&
	       strcmp(uid + n, ".service") == 0;
}

void cgroup_unit_find(const char *path, struct cgroup_unit *ret)
{
	size_t user_length;

	*ret = (struct cgroup_unit){ .length = 0 };
	ret->system_length = ret->length = find_from(path, 0, ret->system);
	if (ret->length == 0 || !is_user_manager(ret->system))
		return;
	user_length = find_from(path, ret->length, ret->user);
	if (user_length > 0)
		ret->length = user_length;
}
