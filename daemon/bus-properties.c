/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-properties: the properties of org.reckond1.Manager.  What is read for them is read at most
 * ten times a second, however many ask.
 */
#include <string.h>
#include <time.h>

#include "daemon/bus-internal.h"
#include "daemon/monitor.h"
#include "lib/conflict.h"

/* A reading of memory is good for so long. */
#define FRESH_USEC (100 * USEC_PER_MSEC)

int bus_get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", PACKAGE_VERSION);
}

int bus_get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", manager_state_to_string(b->manager->state));
}

int bus_get_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "b", (int)b->manager->policies.dry_run);
}

int bus_get_scope(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return bus_append_foreign(reply, b->manager->policies.scope);
}

static int append_foreign_array(sd_bus_message *reply, char *const *items, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = bus_append_foreign(reply, items[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_config_files(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct manager *m = ((const struct bus *)userdata)->manager;

	return append_foreign_array(reply, m->config_files, m->n_config_files);
}

int bus_get_limits(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct manager *m = ((const struct bus *)userdata)->manager;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < m->n_limits; i++)
		r = bus_append_foreign(reply, m->limits[i]);
	if (r >= 0 && !manager_scope_exists(m))
		r = sd_bus_message_append(
			reply, "s",
			"nobody may be ended: the scope is of a cgroup that is not there");
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_conflicts(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (unsigned i = 0; r >= 0 && i < CONFLICT_MAX; i++)
		if (b->manager->conflicts & 1U << i)
			r = sd_bus_message_append(reply, "s", conflict_units[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* No older than FRESH_USEC; what fails leaves the last one. */
void bus_read_memory(struct bus *b)
{
	struct manager *m = b->manager;
	usec_t now = monitor_now();

	if (b->read_at < m->sampled_at) {
		b->reading = m->reading;
		b->read_at = m->sampled_at;
	}
	if (now - b->read_at < FRESH_USEC)
		return;
	if (memory_sample_levels(m->memory, &b->reading) == 0)
		b->read_at = now;
}

int bus_get_memory(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint64_t value;

	bus_read_memory(b);
	if (strcmp(property, "MemoryTotal") == 0)
		value = b->reading.total;
	else if (strcmp(property, "MemoryAvailable") == 0)
		value = b->reading.available;
	else if (strcmp(property, "SwapTotal") == 0)
		value = b->reading.swap_total;
	else
		value = b->reading.swap_free;
	return sd_bus_message_append(reply, "t", value);
}

/* The kernel's own average of 10 s: ours begins anew after each victim. */
int bus_get_pressure(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	usec_t now = monitor_now();

	if (now - b->pressure_read_at >= FRESH_USEC && b->manager->abilities.psi &&
	    psi_read_fd(b->manager->psi_fd, &b->pressure) == 0)
		b->pressure_read_at = now;
	return sd_bus_message_append(reply, "u",
				     strcmp(property, "PressureSome") == 0
					     ? b->pressure.some.avg10
					     : b->pressure.full.avg10);
}

int bus_get_has_pressure(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "b", (int)b->manager->abilities.psi);
}

int bus_get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct census *census = &b->manager->census;
	size_t value;

	if (strcmp(property, "Kills") == 0)
		value = b->manager->n_kills;
	else
		value = census->swept_at != 0 ? census->n_processes : b->n_processes;
	return sd_bus_message_append(reply, "u", (uint32_t)value);
}

/* CLOCK_REALTIME of a time of CLOCK_MONOTONIC. */
static uint64_t realtime_of(usec_t then)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000 -
	       (monitor_now() - then);
}

int bus_get_times(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint64_t value;

	if (strcmp(property, "StartedUSec") == 0)
		value = b->manager->started_usec;
	else if (strcmp(property, "LookDelayMaxUSec") == 0)
		value = b->manager->look_delay_max;
	else
		value = realtime_of(max_u64(b->read_at, b->manager->sampled_at));
	return sd_bus_message_append(reply, "t", value);
}
