/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus-latency: the property Latency of org.reckond1.Manager: how late samples of memory are. */
#include "daemon/bus-internal.h"

static int append_counts(sd_bus_message *reply, const struct latency *latency)
{
	int r = sd_bus_message_open_container(reply, 'e', "sv");

	if (r >= 0)
		r = sd_bus_message_append(reply, "s", "Counts");
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'v', "at");
	if (r >= 0)
		r = sd_bus_message_append_array(reply, 't', latency->counts,
						sizeof(latency->counts));
	for (int i = 0; r >= 0 && i < 2; i++)
		r = sd_bus_message_close_container(reply);
	return r;
}

static int append_latency(struct bus *b, sd_bus_message *reply, const char *kind,
			  const struct latency *latency)
{
	uint64_t n_late = latency_n_late(latency);
	int r = sd_bus_message_open_container(reply, 'a', "{sv}");

	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Kind", "s", kind, "MaxUSec",
					  "t", latency->max, "Late", "t", n_late, "Cause", "s",
					  n_late > 0 ? latency_cause_to_string(latency->cause)
						     : "");
	if (r >= 0)
		r = append_counts(reply, latency);
	b->n_bytes += 256;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_latency(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct turns *turns = b->subject.turns;
	int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

	if (r >= 0)
		r = append_latency(b, reply, "delay", &turns->delays);
	if (r >= 0)
		r = append_latency(b, reply, "duration", &turns->durations);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}
