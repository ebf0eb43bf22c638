/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus-value: values of the bus as JSON, with members named as in reckonctl(1). */
#include "ctl/bus-value.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "lib/base/format.h"
#include "lib/base/json.h"
#include "lib/base/util.h"

const char *bus_member_name(const char *name, char buf[static BUS_NAME_SIZE])
{
	size_t n = 0;

	for (const char *p = name; *p && n < BUS_NAME_SIZE - 2; p++) {
		unsigned char c = (unsigned char)*p;
		unsigned char last = p > name ? (unsigned char)p[-1] : 0;
		bool begins = p > name &&
			      ((isupper(c) && !isupper(last)) || (isdigit(c) && isalpha(last)));

		if (begins && last != '_')
			buf[n++] = '_';
		buf[n++] = (char)tolower(c);
	}
	buf[n] = '\0';
	return buf;
}

static json_t *of_unsigned(uint64_t value)
{
	return json_integer((json_int_t)min_u64(value, INT64_MAX));
}

static json_t *read_basic(sd_bus_message *m, char type)
{
	union {
		uint8_t y;
		int b;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
		double d;
		const char *s;
	} value;

	if (sd_bus_message_read_basic(m, type, &value) < 0)
		return NULL;
	switch (type) {
	case SD_BUS_TYPE_BYTE:
		return json_integer(value.y);
	case SD_BUS_TYPE_BOOLEAN:
		return json_boolean(value.b);
	case SD_BUS_TYPE_INT16:
		return json_integer(value.n);
	case SD_BUS_TYPE_UINT16:
		return json_integer(value.q);
	case SD_BUS_TYPE_INT32:
		return json_integer(value.i);
	case SD_BUS_TYPE_UINT32:
		return json_integer(value.u);
	case SD_BUS_TYPE_INT64:
		return json_integer(value.x);
	case SD_BUS_TYPE_UINT64:
		return of_unsigned(value.t);
	case SD_BUS_TYPE_DOUBLE:
		return isfinite(value.d) ? json_real(value.d) : json_null();
	case SD_BUS_TYPE_STRING:
	case SD_BUS_TYPE_OBJECT_PATH:
	case SD_BUS_TYPE_SIGNATURE:
		return json_string(value.s);
	default:
		return json_null();
	}
}

/* Values up to the end of the container that was entered. */
static json_t *read_array(sd_bus_message *m)
{
	json_t *array = json_array();

	while (array && sd_bus_message_at_end(m, false) == 0)
		json_append_to(&array, bus_read_value(m));
	return array;
}

static json_t *read_object(sd_bus_message *m, const char *entry)
{
	json_t *object = json_object();
	char name[BUS_NAME_SIZE];
	const char *key;

	while (object && sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, entry) > 0) {
		if (sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &key) < 0 ||
		    json_object_set_new(object, bus_member_name(key, name), bus_read_value(m)) <
			    0 ||
		    sd_bus_message_exit_container(m) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *read_container(sd_bus_message *m, char type, const char *contents)
{
	char entry[256];
	json_t *value;

	if (sd_bus_message_enter_container(m, type, contents) < 0)
		return NULL;
	if (type == SD_BUS_TYPE_VARIANT) {
		value = bus_read_value(m);
	} else if (type == SD_BUS_TYPE_ARRAY && strncmp(contents, "{s", 2) == 0) {
		/* The braces are the entry's, not part of what is in it; 255 is the bus's limit. */
		snprintf(entry, sizeof(entry), "%.*s", (int)strlen(contents) - 2, contents + 1);
		value = read_object(m, entry);
	} else {
		value = read_array(m);
	}
	if (value && sd_bus_message_exit_container(m) < 0) {
		json_decref(value);
		return NULL;
	}
	return value;
}

json_t *bus_read_value(sd_bus_message *m)
{
	const char *contents;
	char type;

	if (sd_bus_message_peek_type(m, &type, &contents) <= 0)
		return NULL;
	switch (type) {
	case SD_BUS_TYPE_VARIANT:
	case SD_BUS_TYPE_ARRAY:
	case SD_BUS_TYPE_STRUCT:
		return read_container(m, type, contents);
	case SD_BUS_TYPE_UNIX_FD:
		return sd_bus_message_skip(m, "h") < 0 ? NULL : json_null();
	default:
		return read_basic(m, type);
	}
}
