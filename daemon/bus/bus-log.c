/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-log: org.freedesktop.LogControl1(5), by which systemctl service-log-level sets how much is
 * logged, and service-log-target where.
 *
 * Setting is for root.  sd-bus would check the caller by itself, but it blocks (bus-access.c); so
 * Set is handled before it gets to the table.
 */
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"

#define LOG_CONTROL_PATH      "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", log_level_to_string(log_get_max_level()));
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", log_target_to_string(log_get_target()));
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *userdata,
			  sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", program_invocation_short_name);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *value, void *userdata, sd_bus_error *error)
{
	const char *text;
	int r;

	r = sd_bus_message_read(value, "s", &text);
	if (r < 0)
		return r;
	r = log_level_from_string(text);
	if (r < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "There is no log level '%s'.", text);
	log_set_max_level(r);
	log_info("log: level %s", log_level_to_string(r));
	return 1;
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *value, void *userdata, sd_bus_error *error)
{
	const char *text;
	int r;

	r = sd_bus_message_read(value, "s", &text);
	if (r < 0)
		return r;
	r = log_target_from_string(text);
	if (r < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "There is no log target '%s' here.", text);
	log_set_target((enum log_target)r);
	return 1;
}

/* clang-format off */
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
	SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
	SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

/* The caller may: Set(interface, property, value). */
static int set(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	const char *interface, *property;
	sd_bus_property_set_t setter;
	int r;

	r = sd_bus_message_read(call, "ss", &interface, &property);
	if (r < 0)
		return r;
	setter = strcmp(property, "LogLevel") == 0    ? set_level
		 : strcmp(property, "LogTarget") == 0 ? set_target
						      : NULL;
	if (strcmp(interface, LOG_CONTROL_INTERFACE) != 0 || !setter)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_PROPERTY_READ_ONLY,
						  "%s.%s cannot be set.", interface, property);
	r = sd_bus_message_enter_container(call, 'v', "s");
	if (r <= 0)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_INVALID_ARGS,
						  "%s.%s is a string.", interface, property);
	r = setter(sd_bus_message_get_bus(call), LOG_CONTROL_PATH, interface, property, call, b,
		   &error);
	return r < 0 ? sd_bus_reply_method_errno(call, r, &error)
		     : sd_bus_reply_method_return(call, NULL);
}

/* Called before the table is searched, with all calls for this object. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Set") ||
	    !sd_bus_message_has_signature(call, "ssv"))
		return 0;
	return bus_call_if_permitted(userdata, call, set, "Only root may do this.");
}

int bus_add_log_control(struct bus_link *link)
{
	int r;

	r = sd_bus_add_object(link->bus, NULL, LOG_CONTROL_PATH, on_call, link->owner);
	if (r < 0)
		return r;
	return sd_bus_add_object_vtable(link->bus, NULL, LOG_CONTROL_PATH, LOG_CONTROL_INTERFACE,
					vtable, link->owner);
}
