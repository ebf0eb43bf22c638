/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: calls to the running daemon (org.reckond1, see org.reckond1(5)): by root on its private
 * socket, which needs no bus and is not shared; else, or where that fails, on the system bus.
 *
 * An answer is returned as JSON, of which commands make text or print it: a dictionary becomes an
 * object whose members are named as in reckonctl(1) ("FootprintBytes": "footprint_bytes"), so that
 * what a newer daemon adds is not lost.  Where there is none, the error says why. Nothing is waited
 * for longer than 5 s, and a call never starts the daemon.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "ctl/ctl.h"

enum bus_trouble {
	BUS_ANSWERED,
	BUS_NO_BUS,
	BUS_NOT_RUNNING,
	BUS_NOT_JOINED, /* it is not on the bus, but runs, or may run: daemon_pid */
	BUS_LATE,
	BUS_TOO_OLD, /* it does not know that method */
	BUS_DENIED,
	BUS_NO_SUCH_PROCESS,
	BUS_BAD_CONFIGURATION, /* error.message: a line for each error */
	BUS_BUSY,	       /* a kill is in progress: error.message says of which process */
	BUS_CROWDED,	       /* too many calls */
	BUS_FAILED,	       /* error says why */
};

struct bus {
	sd_bus *connection;
	bool is_private;	  /* to the private socket */
	int private_error;	  /* why it is not, -errno; 0: that was not tried */
	enum bus_trouble trouble; /* of the last call */
	pid_t daemon_pid;	  /* of BUS_NOT_JOINED; 0: not known */
	const char *member;	  /* that was called, borrowed */
	sd_bus_error error;
};

/* Each call below may come after one that failed.  bus_open() always sets *ret. */
void bus_open(struct bus *ret);
void bus_done(struct bus *bus);

/* All properties; NULL: bus->trouble. */
json_t *bus_properties(struct bus *bus);

/* What the method returns: one value as it is; null where it returns nothing.  NULL: trouble. */
json_t *bus_call(struct bus *bus, const char *method);
json_t *bus_call_number(struct bus *bus, const char *method, uint32_t number);

/* All rows of a list, which comes in pages: an array of objects.  NULL: trouble, or no memory. */
json_t *bus_list(struct bus *bus, const char *method);
/* Entries of the history that are older than the one of that id (0: the newest), no more than limit
 * (0: as many as fit into one reply).  An empty array is the end. */
json_t *bus_history_page(struct bus *bus, uint64_t before, uint32_t limit);

/* It runs, and would answer, only not now.  So what is found out without it, by files and a subtree
 * that may be others, does not stand for its answer. */
bool bus_is_occupied(const struct bus *bus);

/* "private" or "system-bus": what was asked by. */
const char *bus_connection(const struct bus *bus);

/* Why there was no answer, in one line, harmless. */
#define BUS_TEXT_SIZE 512
const char *bus_trouble_text(struct bus *bus, char buf[static BUS_TEXT_SIZE]);

/* Prints the error; returns CTL_FAILURE. */
enum ctl_status bus_fail(const struct ctl_options *options, struct bus *bus);

/* "FootprintBytes" as "footprint_bytes", "ReadUSec" as "read_usec". */
#define BUS_NAME_SIZE 128
const char *bus_member_name(const char *name, char buf[static BUS_NAME_SIZE]);
