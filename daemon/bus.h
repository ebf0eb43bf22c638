/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: the daemon on the D-Bus system bus, as org.reckond1(5) describes it: asked by anyone, told
 * by root, and saying by itself what happens.
 *
 * Nothing here waits: what is asked of the bus is asked asynchronously, sources have a lower
 * priority than those that end in tick(), and there is at most one step a turn of the loop.  What
 * takes long to answer waits in a queue of a bounded length; while a victim is on its way it is not
 * done, and who asks is told so.  Without a bus, or when it has gone, all else goes on, and the bus
 * is joined once it is there.
 */
#pragma once

#include "lib/base/util.h"

struct bus;
struct manager;
struct policy_judgement;

/* Makes what it needs of the event loop; the bus itself is joined by bus_turn(). */
int bus_new(struct manager *manager, struct bus **ret);
struct bus *bus_free(struct bus *bus);

/* After each look: joins the bus, or goes on with what is to be said and answered.  (bus may be
 * NULL in all of these.) */
void bus_turn(struct bus *bus, usec_t now);

/* What the look has found.  Only takes note. */
void bus_note_judgement(struct bus *bus, const struct policy_judgement *judgement, usec_t now);

/* The configuration is another now. */
void bus_note_reload(struct bus *bus);
