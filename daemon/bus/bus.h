/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: the daemon on the D-Bus system bus, as org.reckond1(5) describes it: any user may query it,
 * root may change settings, and it sends signals.  And on a socket of its own, for root alone.
 *
 * Nothing here blocks: queries to the bus are asynchronous, sources have a lower priority than
 * those that call tick(), and there is at most one step a turn of the loop.  What takes long to
 * answer waits in a queue of a bounded length; while a kill is in progress it is refused, with an
 * error.  Without a bus, or when it disconnects, all else continues, and the bus is joined once it
 * is there.
 */
#pragma once

#include <systemd/sd-event.h>

#include "lib/base/util.h"

struct bus;
struct config;
struct conflicts;
struct in_flight;
struct machine;
struct policy_judgement;
struct probe_results;
struct recorder;
struct regime;
struct sampler;
struct selection;
struct self;
struct turns;
struct users;

/* What it reports; borrowed.  Of the sampler it reads memory and processes, and of the selection
 * it borrows the room for a choice, between two ticks. */
struct bus_subject {
	sd_event *event;
	const struct machine *machine;
	const struct config *config;
	struct users *users; /* of the configuration */
	const struct regime *regime;
	struct sampler *sampler;
	struct selection *selection;
	const struct in_flight *in_flight;
	const struct recorder *recorder;
	const struct probe_results *probed;
	const struct conflicts *conflicts;
	const struct turns *turns;
	const struct self *self;
	/* Loads the configuration anew, as config_reload(), once prepare_reload() is true:
	 * until then it is being read, from the last expire() on. */
	int (*reload)(void *userdata, char **ret_errors);
	bool (*prepare_reload)(void *userdata);
	void (*expire)(void *userdata);
	void *userdata;
};

/* Makes what it needs of the event loop; the bus itself is joined by bus_turn(). */
int bus_new(const struct bus_subject *subject, struct bus **ret);
struct bus *bus_free(struct bus *bus);

/* The private socket in the runtime directory, where root is answered without a bus.  0, or -errno
 * (-ENOENT: there is no such directory; -EBUSY: another reckond has it): it continues without. */
int bus_listen(struct bus *bus);

/* After each sample: joins the bus, or continues with what is to be reported and answered.  (bus
 * may be NULL in all of these.) */
void bus_turn(struct bus *bus, usec_t now);

/* What the tick has found.  Only sets marks. */
void bus_note_judgement(struct bus *bus, const struct policy_judgement *judgement, usec_t now);

/* The configuration is another now. */
void bus_note_reload(struct bus *bus);
/* Of a reload that was refused, its errors have. */
void bus_note_refusal(struct bus *bus);
