/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mock-reckond: the bus interface of reckond with answers from a file, for tests of reckonctl.
 *
 * usage: mock-reckond FILE, with DBUS_SYSTEM_BUS_ADDRESS in the environment The file is one JSON
 * object: "properties" by name; "explain": the objects by pid; "history", newest first; "rules" and
 * "policies" as rows; "errors": by method its name and message, and for how many calls, if not for
 * all; "silent": methods that are never answered.  Negative points in time are before now.  It
 * prints "ready" when it has the name, and is stopped by a signal.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"

#define SERVICE "org.reckond1"

static int64_t point_in_time(const json_t *value)
{
	int64_t usec = json_integer_value(value);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return usec < 0 ? usec + now.tv_sec * 1000000L + now.tv_nsec / 1000 : usec;
}

static const json_t *member(const json_t *file, const char *key)
{
	return json_object_get(file, key);
}

static int append_number(sd_bus_message *m, char type, int64_t number)
{
	return type == 't'   ? sd_bus_message_append(m, "t", (uint64_t)number)
	       : type == 'u' ? sd_bus_message_append(m, "u", (uint32_t)number)
			     : sd_bus_message_append(m, "i", (int32_t)number);
}

/* Of org.reckond1(5), by the form of the name. */
static char type_of(const char *name, const json_t *value)
{
	static const char *const bytes[] = { "bytes", "_usec", "id" };

	if (json_is_string(value))
		return 's';
	if (json_is_boolean(value))
		return 'b';
	if (json_is_real(value) || strcmp(name, "weight") == 0)
		return 'd';
	if (strcmp(name, "oom_score_adj") == 0 || strcmp(name, "refrozen") == 0)
		return 'i';
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		size_t n = strlen(name), n_end = strlen(bytes[i]);

		if (n >= n_end && strcmp(name + n - n_end, bytes[i]) == 0 &&
		    strcmp(name, "pid") != 0 && strcmp(name, "uid") != 0)
			return 't';
	}
	return 'u';
}

/* "footprint_bytes" as "FootprintBytes". */
static const char *bus_name(const char *name, char *buf)
{
	size_t n = 0;
	bool begins = true;

	for (; *name; name++) {
		if (*name != '_')
			buf[n++] = begins ? (char)toupper(*name) : *name;
		begins = *name == '_';
	}
	buf[n] = '\0';
	return buf;
}

static int append_entries(sd_bus_message *m, const json_t *entries, size_t first, size_t limit);

static int append_member(sd_bus_message *m, const char *key, const json_t *value)
{
	char name[128], type = type_of(key, value);
	int r;

	r = sd_bus_message_open_container(m, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", bus_name(key, name));
	if (r >= 0 && json_is_array(value)) {
		r = sd_bus_message_open_container(m, 'v', "aa{sv}");
		if (r >= 0)
			r = append_entries(m, value, 0, SIZE_MAX);
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	} else if (r >= 0 && type == 's') {
		r = sd_bus_message_append(m, "v", "s", json_string_value(value));
	} else if (r >= 0 && type == 'b') {
		r = sd_bus_message_append(m, "v", "b", json_is_true(value));
	} else if (r >= 0 && type == 'd') {
		r = sd_bus_message_append(m, "v", "d", json_number_value(value));
	} else if (r >= 0) {
		r = sd_bus_message_open_container(m, 'v', (char[]){ type, '\0' });
		if (r >= 0)
			r = append_number(m, type,
					  strcmp(key, "time_usec") == 0
						  ? point_in_time(value)
						  : json_integer_value(value));
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_entries(sd_bus_message *m, const json_t *entries, size_t first, size_t limit)
{
	int r = sd_bus_message_open_container(m, 'a', "a{sv}");
	const json_t *entry, *value;
	const char *key;
	size_t i;

	json_array_foreach((json_t *)entries, i, entry)
	{
		if (i < first)
			continue;
		if (r < 0 || i - first >= limit)
			break;
		r = sd_bus_message_open_container(m, 'a', "{sv}");
		json_object_foreach((json_t *)entry, key, value)
		{
			if (r >= 0)
				r = append_member(m, key, value);
		}
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Rows as they are in the file, as objects with these names. */
static json_t *name_rows(const json_t *rows, const char *const *names)
{
	json_t *objects = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row)
	{
		json_t *object = json_object();

		for (size_t k = 0; names[k]; k++)
			if (names[k][0])
				(void)json_object_set(object, names[k], json_array_get(row, k));
		(void)json_array_append_new(objects, object);
	}
	return objects;
}

/* "uu": from the first on, two at a time, so that there are pages. */
static int list(sd_bus_message *call, sd_bus_message *reply, const json_t *rows,
		const char *const *names)
{
	json_t *objects;
	uint32_t first, limit;
	int r = sd_bus_message_read(call, "uu", &first, &limit);

	if (r < 0)
		return r;
	objects = name_rows(rows, names);
	r = append_entries(reply, objects, first, limit > 0 ? limit : 2);
	json_decref(objects);
	return r;
}

/* "tu": older than that id, at most two at a time. */
static int list_history(sd_bus_message *call, sd_bus_message *reply, const json_t *entries)
{
	uint64_t before;
	uint32_t limit;
	size_t first = 0;
	int r = sd_bus_message_read(call, "tu", &before, &limit);

	while (before > 0 && first < json_array_size(entries) &&
	       json_integer_value(json_object_get(json_array_get(entries, first), "id")) >=
		       (json_int_t)before)
		first++;
	return r < 0 ? r
		     : append_entries(reply, entries, first, limit > 0 && limit < 2 ? limit : 2);
}

static int explain(sd_bus_message *call, sd_bus_message *reply, const json_t *file,
		   sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	const json_t *answer;
	char pid[16];
	uint32_t number;
	int r;

	r = sd_bus_message_read(call, "u", &number);
	if (r < 0)
		return r;
	snprintf(pid, sizeof(pid), "%u", number);
	answer = json_object_get(member(file, "explain"), pid);
	if (!answer)
		return sd_bus_error_setf(error, SERVICE ".Error.NoSuchProcess",
					 "No such process: %s", pid);
	text = json_is_string(answer) ? strdup(json_string_value(answer))
				      : json_dumps(answer, JSON_COMPACT);
	return sd_bus_message_append(reply, "a{sv}", 2, "Json", "s", text, "Victim", "u", 812);
}

static int answer(sd_bus_message *call, sd_bus_message *reply, const json_t *file,
		  sd_bus_error *error)
{
	static const char *const rules[] = { "kind",   "name",	  "conditions", "",
					     "weight", "builtin", NULL };
	static const char *const policies[] = { "name", "action", "conditions", "holds", NULL };
	const char *method = sd_bus_message_get_member(call);

	if (strcmp(method, "Explain") == 0)
		return explain(call, reply, file, error);
	if (strcmp(method, "ListHistory") == 0)
		return list_history(call, reply, member(file, "history"));
	if (strcmp(method, "ListRules") == 0)
		return list(call, reply, member(file, "rules"), rules);
	if (strcmp(method, "ListPolicies") == 0)
		return list(call, reply, member(file, "policies"), policies);
	return 0; /* Reload */
}

static bool is_silent(const json_t *file, const char *method)
{
	const json_t *name;
	size_t i;

	json_array_foreach((json_t *)member(file, "silent"), i, name)
	{
		if (strcmp(json_string_value(name), method) == 0)
			return true;
	}
	return false;
}

/* Of this call; NULL: none. */
static const json_t *error_of(const json_t *file, const char *method)
{
	json_t *its_error = json_object_get(member(file, "errors"), method);
	json_t *left = json_array_get(its_error, 2);

	if (!left)
		return its_error;
	if (json_integer_value(left) == 0)
		return NULL;
	json_integer_set(left, json_integer_value(left) - 1);
	return its_error;
}

static int on_method(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *method = sd_bus_message_get_member(call);
	const json_t *file = userdata;
	const json_t *its_error;
	int r;

	if (is_silent(file, method))
		return 1;
	its_error = error_of(file, method);
	if (its_error)
		return sd_bus_error_set(error, json_string_value(json_array_get(its_error, 0)),
					json_string_value(json_array_get(its_error, 1)));
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = answer(call, reply, file, error);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_property(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const json_t *value = json_object_get(member(userdata, "properties"), property), *item;
	size_t i;
	int r;

	if (json_is_string(value))
		return sd_bus_message_append(reply, "s", json_string_value(value));
	if (json_is_boolean(value))
		return sd_bus_message_append(reply, "b", json_is_true(value));
	if (json_is_integer(value))
		return append_number(reply,
				     strncmp(property, "Pressure", 8) == 0 ||
						     strcmp(property, "Processes") == 0 ||
						     strcmp(property, "Kills") == 0
					     ? 'u'
					     : 't',
				     point_in_time(value));
	if (strcmp(property, "MemoryHeldBy") == 0 || strcmp(property, "Latency") == 0)
		return append_entries(reply, value, 0, SIZE_MAX);
	r = sd_bus_message_open_container(reply, 'a', "s");
	json_array_foreach((json_t *)value, i, item)
	{
		if (r >= 0)
			r = sd_bus_message_append(reply, "s", json_string_value(item));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", on_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("DryRun", "b", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Subtree", "s", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("ConfigFiles", "as", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Degraded", "b", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("ConfigErrors", "as", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("ReloadErrors", "as", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Conflicts", "as", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("MissingPrivileges", "as", on_property, 0, 0),
	SD_BUS_PROPERTY("Limitations", "as", on_property, 0, 0),
	SD_BUS_PROPERTY("MemoryTotal", "t", on_property, 0, 0),
	SD_BUS_PROPERTY("MemoryAvailable", "t", on_property, 0, 0),
	SD_BUS_PROPERTY("SwapTotal", "t", on_property, 0, 0),
	SD_BUS_PROPERTY("SwapFree", "t", on_property, 0, 0),
	SD_BUS_PROPERTY("PressureSome", "u", on_property, 0, 0),
	SD_BUS_PROPERTY("PressureFull", "u", on_property, 0, 0),
	SD_BUS_PROPERTY("HasPressure", "b", on_property, 0, 0),
	SD_BUS_PROPERTY("Processes", "u", on_property, 0, 0),
	SD_BUS_PROPERTY("MinVictim", "t", on_property, 0, 0),
	SD_BUS_PROPERTY("MemoryHeldBy", "aa{sv}", on_property, 0,
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Latency", "aa{sv}", on_property, 0, 0),
	SD_BUS_PROPERTY("Kills", "u", on_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("StartedUSec", "t", on_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("ReadUSec", "t", on_property, 0, 0),
	SD_BUS_METHOD("Explain", "u", "a{sv}", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListHistory", "tu", "aa{sv}", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListRules", "uu", "aa{sv}", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListPolicies", "uu", "aa{sv}", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reload", "", "", on_method, 0),
	SD_BUS_VTABLE_END
};
/* A daemon of another time: it has the name and its version, and nothing else that is known. */
static const sd_bus_vtable old_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", on_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END
};
/* clang-format on */

static int serve(json_t *file)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(
			bus, NULL, "/org/reckond1", SERVICE ".Manager",
			json_is_true(member(file, "old")) ? old_vtable : vtable, file);
	if (r >= 0)
		r = sd_bus_request_name(bus, SERVICE, 0);
	if (r >= 0) {
		puts("ready");
		fflush(stdout);
	}
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	return r;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *file = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
	int r;

	if (!file) {
		fprintf(stderr, "usage: mock-reckond FILE (a JSON object)\n");
		return 2;
	}
	r = serve(file);
	json_decref(file);
	fprintf(stderr, "mock-reckond: %s\n", strerror(-r));
	return 1;
}
