/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-properties: the properties of org.reckond1.Manager.  What is read for them is read at most
 * ten times a second, however many clients ask.
 */
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "lib/base/cleanup.h"
#include "lib/sys/conflict.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

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

	return sd_bus_message_append(reply, "s", regime_to_string(b->subject.regime->state));
}

int bus_get_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus_subject *subject = &((const struct bus *)userdata)->subject;
	bool value = strcmp(property, "Degraded") == 0 ? subject->config->is_degraded
						       : subject->config->policies.dry_run;

	return sd_bus_message_append(reply, "b", (int)value);
}

int bus_get_subtree(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;

	return bus_append_foreign(b, reply, b->subject.config->policies.subtree);
}

/* The first one always: that it is empty says that there is none. */
static int append_foreign_array(struct bus *b, sd_bus_message *reply, char *const *items, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < n && (i == 0 || !bus_page_is_full(b)); i++)
		r = bus_append_foreign(b, reply, items[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_config_files(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct bus_subject *subject = &b->subject;

	return append_foreign_array(b, reply, subject->config->files, subject->config->n_files);
}

int bus_get_config_errors(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *userdata,
			  sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct bus_subject *subject = &b->subject;

	return append_foreign_array(b, reply, subject->config->errors, subject->config->n_errors);
}

int bus_get_reload_errors(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *userdata,
			  sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct config *config = b->subject.config;
	char text[CONFIG_ERROR_SIZE];

	if (config->reload_error < 0)
		return sd_bus_message_append(reply, "as", 1, config_describe_error(config, text));
	return append_foreign_array(b, reply, config->reload_errors, config->n_reload_errors);
}

int bus_get_missing_privileges(sd_bus *bus, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct probe_lines *kept = &b->subject.probed->missing_privileges;

	return append_foreign_array(b, reply, kept->lines, kept->n);
}

int bus_get_limitations(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct bus_subject *subject = &b->subject;
	const struct probe_lines *kept = &subject->probed->limitations;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < kept->n; i++)
		r = bus_append_foreign(b, reply, kept->lines[i]);
	if (r >= 0 && !config_subtree_exists(subject->config, &subject->machine->cgroups))
		r = sd_bus_message_append(
			reply, "s",
			"no process is eligible: the cgroup of the subtree does not exist");
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_conflicts(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (unsigned i = 0; r >= 0 && i < CONFLICT_MAX; i++)
		if (b->subject.conflicts->found & 1U << i)
			r = sd_bus_message_append(reply, "s", conflict_units[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* No older than FRESH_USEC; what fails leaves the last one. */
void bus_read_memory(struct bus *b)
{
	const struct bus_subject *subject = &b->subject;
	usec_t now = clock_now();

	if (b->read_at < subject->sampler->sampled_at) {
		b->reading = subject->sampler->domain.reading;
		b->read_at = subject->sampler->sampled_at;
	}
	if (now - b->read_at < FRESH_USEC)
		return;
	if (sampler_read_levels(subject->sampler, &b->reading) == 0)
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
	usec_t now = clock_now();

	if (now - b->pressure_read_at >= FRESH_USEC && b->subject.sampler->domain.has_psi &&
	    psi_read_fd(b->subject.sampler->psi_fd, &b->pressure) == 0)
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

	return sd_bus_message_append(reply, "b", (int)b->subject.sampler->domain.has_psi);
}

int bus_get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct census *census = &b->subject.sampler->census;
	size_t value;

	if (strcmp(property, "Kills") == 0)
		value = b->subject.in_flight->n_kills;
	else
		value = census->swept_at != 0 ? census->n_processes : b->n_processes;
	return sd_bus_message_append(reply, "u", (uint32_t)value);
}

int bus_get_min_victim(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct bus_subject *subject = &b->subject;

	bus_read_memory(b);
	return sd_bus_message_append(
		reply, "t",
		worth_min_victim(&subject->config->policies.min_victim, b->reading.total));
}

/* "path": of a tmpfs; pid 0: no process is known. */
struct held {
	const char *kind, *text, *path, *comm;
	uint64_t bytes;
	pid_t pid;
};

static int append_held(struct bus *b, sd_bus_message *reply, const struct held *held)
{
	int r = sd_bus_message_open_container(reply, 'a', "{sv}");

	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Kind", "s", held->kind,
					  "Text", "s", held->text, "Bytes", "t", held->bytes, "Pid",
					  "u", (uint32_t)held->pid);
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Path", held->path);
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Command", held->comm);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Where memory is, and the largest process; empty unless stuck. */
int bus_get_memory_held_by(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *userdata,
			   sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct stuck *stuck = &b->subject.selection->stuck;
	unsigned n_rows = stuck->since != 0 ? stuck->account.n_rows : 0;
	int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

	for (unsigned i = 0; r >= 0 && i < n_rows; i++) {
		const struct where_row *row = &stuck->account.rows[i];
		struct held held = { where_kind_to_string(row->kind),
				     row->text,
				     row->path,
				     row->comm,
				     row->bytes,
				     row->pid };

		r = append_held(b, reply, &held);
	}
	if (r >= 0 && n_rows > 0 && stuck->largest_pid != 0) {
		struct held held = {
			"largest_process",   stuck_largest_why(stuck), "",
			stuck->largest_comm, stuck->largest_bytes,     stuck->largest_pid
		};

		r = append_held(b, reply, &held);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* CLOCK_REALTIME of a time of CLOCK_MONOTONIC. */
static uint64_t realtime_of(usec_t then)
{
	return clock_realtime() - (clock_now() - then);
}

int bus_get_times(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint64_t value;

	if (strcmp(property, "StartedUSec") == 0)
		value = b->subject.self->started_usec;
	else if (strcmp(property, "TimerLatencyMaxUSec") == 0)
		value = b->subject.turns->delays.max;
	else
		value = realtime_of(max_u64(b->read_at, b->subject.sampler->sampled_at));
	return sd_bus_message_append(reply, "t", value);
}

/* As in the table of the interface (bus-manager.c). */
static const struct {
	const char *name, *type;
	bus_property_fn *get;
} properties[] = {
	{ "Version", "s", bus_get_version },
	{ "State", "s", bus_get_state },
	{ "DryRun", "b", bus_get_flag },
	{ "Subtree", "s", bus_get_subtree },
	{ "ConfigFiles", "as", bus_get_config_files },
	{ "Degraded", "b", bus_get_flag },
	{ "ConfigErrors", "as", bus_get_config_errors },
	{ "ReloadErrors", "as", bus_get_reload_errors },
	{ "Conflicts", "as", bus_get_conflicts },
	{ "MissingPrivileges", "as", bus_get_missing_privileges },
	{ "Limitations", "as", bus_get_limitations },
	{ "MemoryTotal", "t", bus_get_memory },
	{ "MemoryAvailable", "t", bus_get_memory },
	{ "SwapTotal", "t", bus_get_memory },
	{ "SwapFree", "t", bus_get_memory },
	{ "PressureSome", "u", bus_get_pressure },
	{ "PressureFull", "u", bus_get_pressure },
	{ "HasPressure", "b", bus_get_has_pressure },
	{ "MinVictim", "t", bus_get_min_victim },
	{ "MemoryHeldBy", "aa{sv}", bus_get_memory_held_by },
	{ "Processes", "u", bus_get_count },
	{ "Kills", "u", bus_get_count },
	{ "StartedUSec", "t", bus_get_times },
	{ "ReadUSec", "t", bus_get_times },
	{ "TimerLatencyMaxUSec", "t", bus_get_times },
	{ "Latency", "aa{sv}", bus_get_latency },
};

static bool is_property(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		if (strcmp(properties[i].name, name) == 0)
			return true;
	return false;
}

/* Get(interface, property) or GetAll(interface), of ours; *ret_name is NULL for the second. */
static bool read_call(sd_bus_message *call, const char **ret_name)
{
	bool is_all = sd_bus_message_is_method_call(call, PROPERTIES_INTERFACE, "GetAll") > 0;
	const char *interface, *path = sd_bus_message_get_path(call);
	bool is_ours;
	int r;

	*ret_name = NULL;
	if (!path || strcmp(path, BUS_PATH) != 0 ||
	    (!is_all && sd_bus_message_is_method_call(call, PROPERTIES_INTERFACE, "Get") <= 0) ||
	    !sd_bus_message_has_signature(call, is_all ? "s" : "ss"))
		return false;
	r = sd_bus_message_read(call, "s", &interface);
	if (r >= 0 && !is_all)
		r = sd_bus_message_read(call, "s", ret_name);
	is_ours = r >= 0 && strcmp(interface, BUS_INTERFACE) == 0;
	(void)sd_bus_message_rewind(call, true);
	return is_ours;
}

bool bus_is_of_properties(sd_bus_message *call)
{
	const char *name;

	return read_call(call, &name) && (!name || is_property(name));
}

static int append_property(struct bus *b, sd_bus_message *reply, size_t i)
{
	int r = sd_bus_message_open_container(reply, 'v', properties[i].type);

	if (r >= 0)
		r = properties[i].get(b->link.bus, BUS_PATH, BUS_INTERFACE, properties[i].name,
				      reply, b, NULL);
	b->n_bytes += 64;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_all(struct bus *b, sd_bus_message *reply)
{
	int r = sd_bus_message_open_container(reply, 'a', "{sv}");

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(properties); i++) {
		r = sd_bus_message_open_container(reply, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append(reply, "s", properties[i].name);
		if (r >= 0)
			r = append_property(b, reply, i);
		if (r >= 0)
			r = sd_bus_message_close_container(reply);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_answer_properties(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *name;
	int r;

	(void)read_call(call, &name); /* it was one when it was queued */
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0 && !name)
		r = append_all(b, reply);
	for (size_t i = 0; r >= 0 && name && i < ARRAY_SIZE(properties); i++)
		if (strcmp(properties[i].name, name) == 0)
			r = append_property(b, reply, i);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
