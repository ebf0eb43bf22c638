/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-access: which callers may change something: root, and the user that reckond runs as.
 *
 * sd-bus can check by itself (methods without SD_BUS_VTABLE_UNPRIVILEGED), but it queries the bus
 * for the caller's credentials and blocks until the reply (sd_bus_query_sender_privilege(), by
 * sd_bus_get_name_creds(), of libsystemd 252 to 257).  Nothing may block here, so the same query is
 * made asynchronously.  This is the second check: the first is the bus's policy file.  Clients of
 * the private socket are checked when they connect (bus-private.c).
 *
 * Where /proc is mounted with hidepid=, a user cannot see the processes of other users; what the
 * daemon reads as root is then returned to root only.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "lib/sys/hidepid.h"

/* A reading of the mounts is good for so long. */
#define HIDES_USEC (10 * USEC_PER_SEC)

/* At a time. */
#define QUESTIONS_MAX 16

struct question {
	struct question *next;
	struct bus *bus;
	sd_bus_slot *slot; /* of the answer */
	sd_bus_message *call;
	bus_answer_fn then;
	const char *why_not;
};

static void question_free(struct question *question)
{
	struct question **place = &question->bus->questions;

	while (*place != question)
		place = &(*place)->next;
	*place = question->next;
	question->bus->n_questions--;
	sd_bus_slot_unref(question->slot);
	sd_bus_message_unref(question->call);
	free(question);
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct question *question = userdata;
	sd_bus_message *call = question->call;
	uint32_t uid;
	int r;

	/* An error: the caller has disconnected. */
	if (sd_bus_message_get_error(reply) || sd_bus_message_read(reply, "u", &uid) < 0)
		uid = (uint32_t)-1;
	if (uid == 0 || uid == geteuid())
		r = question->then(question->bus, call);
	else
		r = sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "%s",
					       question->why_not);
	if (r < 0)
		(void)sd_bus_reply_method_errno(call, r, NULL);
	question_free(question);
	return 0;
}

/* The calls refer to the bus, which would keep them: to drop a reference is not enough. */
void bus_drop_questions(struct bus *b)
{
	while (b->questions)
		question_free(b->questions);
}

int bus_call_if_permitted(struct bus *b, sd_bus_message *call, bus_answer_fn then,
			  const char *why_not)
{
	struct question *question;
	int r;

	if (bus_link_of(b, call)->label) { /* it was checked when it connected */
		r = then(b, call);
		return r < 0 ? r : 1;
	}
	if (b->n_questions == QUESTIONS_MAX)
		return bus_refuse(b, call, "Too many calls are waiting.");
	question = malloc(sizeof(*question));
	if (!question)
		return -ENOMEM;
	*question =
		(struct question){ b->questions, b, NULL, sd_bus_message_ref(call), then, why_not };
	b->questions = question;
	b->n_questions++;
	r = sd_bus_call_method_async(b->link.bus, &question->slot, "org.freedesktop.DBus",
				     "/org/freedesktop/DBus", "org.freedesktop.DBus",
				     "GetConnectionUnixUser", on_user, question, "s",
				     sd_bus_message_get_sender(call));
	if (r < 0) {
		question_free(question);
		return r;
	}
	return 1;
}

bool bus_hides_processes(struct bus *b)
{
	usec_t now = clock_now();
	int r;

	if (b->hides_read_at != 0 && now - b->hides_read_at < HIDES_USEC)
		return b->hides_processes;
	r = hidepid_find(b->subject.machine->proc_fd);
	if (r < 0)
		log_debug("bus: cannot read the mounts: %s", strerror(-r));
	else
		b->hides_processes = r > 0;
	b->hides_read_at = now;
	return b->hides_processes;
}
