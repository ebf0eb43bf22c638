/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-internal: what the files of the bus share; included by them alone.
 *
 * bus.c connects and disconnects; bus-private.c has the connections of the private socket; bus-io.c
 * reads a socket and decides when something may be sent; bus-queue.c admits calls and queues them.
 * bus-manager.c has the interface's table and what is answered at once, bus-properties.c its
 * properties; bus-answer.c, bus-cgroups.c and bus-history.c what has to wait; bus-signals.c the
 * signals; bus-access.c which callers may change something; bus-log.c org.freedesktop.LogControl1.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/base/config.h"
#include "daemon/base/conflicts.h"
#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/base/self.h"
#include "daemon/base/turns.h"
#include "daemon/bus/bus.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/self-test.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/quota.h"
#include "lib/explain/preview.h"
#include "lib/history/history.h"

#define BUS_NAME      "org.reckond1"
#define BUS_PATH      "/org/reckond1"
#define BUS_INTERFACE "org.reckond1.Manager"

#define BUS_ERROR_NO_SUCH_PROCESS   "org.reckond1.Error.NoSuchProcess"
#define BUS_ERROR_BAD_CONFIGURATION "org.reckond1.Error.BadConfiguration"
#define BUS_ERROR_BUSY		    "org.reckond1.Error.Busy"

/* Behind the timer, triggers and signals, all of which are at NORMAL or before. */
#define BUS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* Calls that wait for their answer: of the bus, and as many of all clients of the private socket.
 */
#define BUS_WAITING_MAX 64
/* No row is added to an answer of this size.  A row is at most as large, so that a whole answer
 * fits into the socket's buffer (bus-io.c). */
#define BUS_PAGE_BYTES (16 * KIB)

/* Answers the call, in one turn or in several: >= 0: done, BUS_NOT_DONE, or -errno (which is then
 * the answer). */
typedef int (*bus_answer_fn)(struct bus *bus, sd_bus_message *call);
#define BUS_NOT_DONE INT_MAX

enum bus_need {
	BUS_NEEDS_NOTHING,   /* but what is in memory */
	BUS_NEEDS_FILES,     /* which are not read while a kill is in progress */
	BUS_NEEDS_CONFIG,    /* that has been read, likewise */
	BUS_NEEDS_PROCESSES, /* a fresh census, likewise */
};

struct bus_waiting {
	struct bus_link *link; /* that it came by */
	sd_bus_message *call;
	bus_answer_fn answer;
	enum bus_need need;
};

/* What is to be reported of low memory. */
struct bus_low_memory {
	char policy[64];
	enum policy_action action;
	uint64_t available;
	uint64_t swap_free;
	char next_policy[64];
	usec_t forecast_usec;
};

/* CPU time that was used since. */
struct bus_cpu {
	usec_t used, began;
};

/* A connection: to the system bus, or of a client of the private socket. */
struct bus_link {
	struct bus *owner;
	sd_bus *bus;	   /* NULL: there is none */
	const char *label; /* of a client, as the sender of its calls; NULL: the system bus */

	/* bus-io.c */
	sd_event_source *io;	/* its socket; NULL: there is none */
	sd_event_source *check; /* by the clock */
	usec_t joined_at;
	usec_t called_at;     /* of a client: the last message, or joined_at */
	usec_t partial_since; /* of a client: the rest of a message is waited for; 0: it is not */
	unsigned n_messages;
	bool is_paused;
	usec_t paused_until;
	bool has_no_room; /* for an answer */
	int n_unsent;	  /* bytes in the socket at moved_at */
	usec_t moved_at;  /* when something was last taken from it */
	bool was_ready;	  /* this connection, at some time */
	bool is_stuck;	  /* nothing was taken for too long */
	bool is_lost;	  /* it is closed, or cannot be used */
	bool is_half;	  /* an object could not be added to it: it cannot be freed */
	bool is_aligned;  /* a message begins at what is next in the socket */
	uint64_t to_skip; /* of a message that is too large */
};

struct bus {
	struct bus_subject subject;
	struct bus_link link;	     /* to the system bus */
	struct bus_private *private; /* NULL: there is no private socket */
	sd_event_source *work;	     /* one step at a time of all that is below */
	usec_t cpu_at;
	struct bus_cpu cpu, private_cpu; /* of the system bus, and of all clients */

	sd_event_source *join_timer; /* for the first attempts */
	usec_t join_at;
	usec_t join_pause;     /* the last: bus_join_pause() */
	bool is_refused;       /* the name: nothing to gain by staying */
	bool has_reported_why; /* we are not on the bus */
	usec_t stuck_reported_at;

	struct quota quota;
	struct bus_waiting waiting[2 * BUS_WAITING_MAX]; /* in the order in which they came */
	unsigned n_waiting;
	struct question *questions; /* of ours: bus-access.c */
	unsigned n_questions;
	bool hides_processes; /* of one user from another */
	usec_t hides_read_at;
	size_t n_bytes; /* of the answer that is being built, roughly */

	/* Of the census as of the last step; invalid after each sample. */
	struct preview preview;
	bool has_preview;
	char *preview_json; /* of the machine, at the last request */
	usec_t caught_up_at;
	usec_t asked_at;
	bool has_caught_up; /* the census was caught up with, and not released since */

	size_t n_processes;	       /* as last known: a reload drops them */
	struct memory_reading reading; /* for properties */
	struct psi_reading pressure;
	usec_t read_at;
	usec_t pressure_read_at;

	/* What was reported last, and what is to be reported. */
	enum regime_state state;
	unsigned n_kills;
	unsigned conflicts;
	usec_t held_since; /* stuck, and where memory is was reported so often */
	unsigned held_reports;
	bool has_reloaded;
	bool dry_run;
	bool is_degraded;
	/* hash_text() of them */
	uint64_t subtree, config_files, config_errors, reload_errors;
	uint64_t reported_id;	      /* of the last victim that was reported, in the history */
	uint64_t history_generation;  /* as of which there is none to report */
	enum policy_action low_level; /* of the low memory that was reported */
	usec_t low_at;		      /* when a policy last held */
	bool has_low_memory;
	struct bus_low_memory low_memory;
};

/* bus.c */

/* Enables the work if there is some. */
void bus_schedule(struct bus *bus);
/* One that is off. */
int bus_add_timer(struct bus *bus, sd_event_time_handler_t callback, void *userdata,
		  sd_event_source **ret);
/* Of a connection that has its sd_bus: our objects, and the filter of what comes. */
int bus_link_serve(struct bus_link *link);
/* It is to be left. */
bool bus_link_is_over(const struct bus_link *link);
/* Does not wait for what has not been sent. */
void bus_link_leave(struct bus_link *link);

/* What became of an attempt to join, or of a connection. */
enum bus_end {
	BUS_END_ABSENT, /* there is nothing to connect to */
	BUS_END_SILENT, /* it accepted, and never answered */
	BUS_END_LOST,	/* it had answered */
	BUS_END_REFUSED,
};
/* So long until the next attempt.  last: the pause before; joined_for: since the connection was
 * made. Pure. */
usec_t bus_join_pause(usec_t last, enum bus_end end, usec_t joined_for);

/* bus-private.c */

/* The connection that the call came by. */
struct bus_link *bus_link_of(struct bus *bus, sd_bus_message *call);
/* What its sender may get: clients have an allowance of their own. */
struct quota *bus_link_quota(struct bus_link *link);
/* Closes one that is over; false: none is. */
bool bus_private_close_one(struct bus *bus);
bool bus_private_is_over(const struct bus *bus);
/* Sets the events and the times that are waited for. */
void bus_private_update(struct bus *bus);
void bus_private_free(struct bus *bus);
/* How many whole messages are behind BEGIN in this part of a client's login; -EAGAIN: the last is
 * not complete; -EBADMSG: they are not messages, or too large.  Pure. */
int bus_private_behind_begin(const unsigned char *text, size_t n);

/* bus-io.c */
int bus_io_attach(struct bus_link *link);
void bus_io_detach(struct bus_link *link);
int bus_io_on_check(sd_event_source *source, uint64_t usec, void *link);
/* Sets the events and the time that are waited for. */
void bus_io_update(struct bus_link *link);
/* Connected, authenticated, and Hello was answered. */
bool bus_io_is_ready(const struct bus_link *link);
/* An answer would fit into the socket as a whole, and not be queued in memory. */
bool bus_io_has_room(struct bus_link *link);
/* CPU time from the first call to the second is charged to the connection. */
void bus_io_begin_cost(struct bus *bus);
void bus_io_count_cost(struct bus_link *link);
/* Nothing is read, or answered, until then. */
void bus_io_pause(struct bus_link *link, usec_t until);
/* Reads one message, or discards more of one that is too large.  -errno: the connection is to be
 * left. */
int bus_io_read(struct bus_link *link);
/* The length of the message with this header, all of it; 0: not a message. */
uint64_t bus_io_message_size(const unsigned char header[static 16]);
/* No call needs more. */
#define BUS_MESSAGE_MAX (64 * KIB)
/* The fixed part of a message, which has the lengths of the rest (D-Bus specification, "Message
 * Format"). */
#define BUS_HEADER_SIZE 16
/* Logs in, or continues with it; as sd_bus_process(). */
int bus_private_log_in(struct bus_link *link);

/* bus-manager.c */
int bus_add_manager(struct bus_link *link);

/* bus-properties.c: each an sd_bus_property_get_t. */
typedef int bus_property_fn(sd_bus *bus, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *userdata,
			    sd_bus_error *error);
extern bus_property_fn bus_get_version, bus_get_state, bus_get_flag, bus_get_subtree,
	bus_get_config_files, bus_get_config_errors, bus_get_reload_errors,
	bus_get_missing_privileges, bus_get_limitations, bus_get_conflicts, bus_get_memory,
	bus_get_pressure, bus_get_has_pressure, bus_get_count, bus_get_times, bus_get_min_victim,
	bus_get_memory_held_by, bus_get_latency /* bus-latency.c */;
/* Get() of a property that exists, or GetAll()?  These are queued like other calls. */
bool bus_is_of_properties(sd_bus_message *call);
int bus_answer_properties(struct bus *bus, sd_bus_message *call); /* a bus_answer_fn */
/* bus->reading is no older than properties may be; what fails leaves the last one. */
void bus_read_memory(struct bus *bus);

/* bus-queue.c */

/* May this call be answered?  Returns what a filter does: 0: continue; 1: it is handled. */
int bus_admit(struct bus_link *link, sd_bus_message *call);
/* Answers with LimitsExceeded, if there is room.  Returns what a method handler does. */
int bus_refuse(struct bus *bus, sd_bus_message *call, const char *why);
/* Takes the call: it is answered later, or refused now.  What a method handler returns. */
int bus_wait(struct bus *bus, sd_bus_message *call, bus_answer_fn answer, enum bus_need need);
/* A victim was signalled a moment ago, and has probably exited soon: what can wait waits. */
bool bus_is_to_wait(const struct bus *bus);
/* A call whose turn it is waits. */
bool bus_can_answer(struct bus *bus);
/* One step towards the next answer, or that answer. */
void bus_answer(struct bus *bus);
/* The connection is left: its calls are dropped. */
void bus_drop_answers(struct bus_link *link);
bool bus_has_waiting(const struct bus_link *link);

/* The part of a list that was requested. */
struct bus_page {
	uint32_t first; /* rows to skip */
	uint32_t limit;
};
/* "uu": first, limit; a limit of 0 is the standard. */
int bus_read_page(sd_bus_message *call, uint32_t standard, uint32_t most, struct bus_page *ret);
static inline bool bus_page_is_full(const struct bus *bus)
{
	return bus->n_bytes >= BUS_PAGE_BYTES;
}

/* bus-answer.c: each a bus_answer_fn, as those in bus-cgroups.c and bus-history.c. */

/* 1: the census is as fresh as it is to be; 0: there is more to do; -errno. */
int bus_catch_up(struct bus *bus);
/* What was found out of the census is void: it has changed. */
void bus_forget_preview(struct bus *bus);
int bus_list_candidates(struct bus *bus, sd_bus_message *call);
int bus_answer_explain(struct bus *bus, sd_bus_message *call);

/* bus-cgroups.c */
int bus_list_cgroups(struct bus *bus, sd_bus_message *call);

/* bus-signals.c */
bool bus_has_news(struct bus *bus);
void bus_say_news(struct bus *bus);
/* As if all had been reported. */
void bus_forget_news(struct bus *bus);

/* bus-history.c */
int bus_answer_history(struct bus *bus, sd_bus_message *call);
int bus_list_history(struct bus *bus, sd_bus_message *call);
/* The oldest victim whose record is complete and that was not reported, or NULL. */
const struct history_entry *bus_next_killed(struct bus *bus);
int bus_say_killed(struct bus *bus, const struct history_entry *entry);
void bus_forget_killed(struct bus *bus);

/* bus-access.c: answers by then() if the caller is root (or the user that the daemon runs as), else
 * with the error.  What a method handler returns.  (No other user is a client of the private
 * socket.)
 */
int bus_call_if_permitted(struct bus *bus, sd_bus_message *call, bus_answer_fn then,
			  const char *why_not);
/* The bus is left: no answer will come. */
void bus_drop_questions(struct bus *bus);
/* Does /proc hide processes of other users here (hidepid)?  Then only root can list processes. */
bool bus_hides_processes(struct bus *bus);

/* bus-log.c */
int bus_add_log_control(struct bus_link *link);

/* Text that other programs chose, as the bus requires it: valid UTF-8; as "s", and as "{sv}". */
int bus_append_foreign(struct bus *bus, sd_bus_message *message, const char *text);
int bus_append_foreign_member(struct bus *bus, sd_bus_message *message, const char *name,
			      const char *text);
