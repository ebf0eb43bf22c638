/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: connects to the system bus and disconnects from it.
 *
 * A disconnect is reported by the bus or its end of the socket, and a bus that is restarted is back
 * in a moment: for some seconds a timer tries to connect, and so it does while the machine starts.
 * After that it is tried at samples that are due anyway, in calm every ten seconds, so that a
 * machine that has no bus is not woken for it.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"

/* Between two attempts to join, twice as long after each that failed. */
#define JOIN_PAUSE_MIN (500 * USEC_PER_MSEC)
#define JOIN_PAUSE_MAX (10 * USEC_PER_SEC)
/* The timer is for pauses up to this; after that, samples have to do. */
#define JOIN_PAUSE_TIMER (2 * USEC_PER_SEC)
/* The same for a bus that accepts a connection and then does not answer (bus-io.c leaves it after
 * ten seconds): each attempt costs more than one at a bus that is not there. */
#define JOIN_PAUSE_SILENT_MAX (60 * USEC_PER_SEC)
/* The name was refused: that will not change soon. */
#define JOIN_PAUSE_REFUSED (60 * USEC_PER_SEC)
/* A bus that was joined this long is joined again at once. */
#define JOINED_WELL_USEC (10 * USEC_PER_SEC)
/* That the bus takes nothing is logged at most this often. */
#define STUCK_AGAIN_USEC (60 * USEC_PER_SEC)
/* After so long without a request for processes the census is not kept up to date. */
#define REST_USEC (10 * USEC_PER_SEC)
/* (0 would be sd-event's 250 ms: a pause of 10 ms would become one of 260.) */
#define TIMER_SLACK (1 * USEC_PER_MSEC)

int bus_append_foreign(struct bus *b, sd_bus_message *message, const char *text)
{
	_cleanup_free_ char *clean = NULL;
	size_t size = FORMAT_UTF8_SIZE(strlen(text));

	clean = malloc(size);
	if (!clean)
		return -ENOMEM;
	format_utf8(text, clean, size);
	b->n_bytes += strlen(clean) + 8;
	return sd_bus_message_append(message, "s", clean);
}

int bus_append_foreign_member(struct bus *b, sd_bus_message *message, const char *name,
			      const char *text)
{
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", name);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "s");
	if (r >= 0)
		r = bus_append_foreign(b, message, text);
	for (int i = 0; r >= 0 && i < 2; i++)
		r = sd_bus_message_close_container(message);
	b->n_bytes += 16;
	return r;
}

void bus_link_leave(struct bus_link *link)
{
	bus_drop_answers(link);
	bus_io_detach(link);
	if (link->is_half) {
		/* libsystemd (252) has the node of an object for which there was no memory still
		 * in its table, and asserts that there is none when it frees the bus. */
		sd_bus_close(link->bus);
		link->bus = NULL;
	}
	link->is_half = false;
	link->bus = sd_bus_close_unref(link->bus);
}

static void leave(struct bus *b)
{
	bus_drop_questions(b);
	bus_link_leave(&b->link);
}

/* Called for each message before sd-bus handles it.  Only calls are accepted from senders other
 * than the bus itself.  The last message, from sd-bus, is that the bus is closed; it is left
 * outside of its own callbacks. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct bus_link *link = userdata;
	const char *sender = sd_bus_message_get_sender(message);
	uint8_t type = 0;

	bus_io_count_cost(link);
	if (sd_bus_message_is_signal(message, "org.freedesktop.DBus.Local", "Disconnected") > 0) {
		bus_schedule(link->owner);
		return 0;
	}
	link->n_messages++;
	link->called_at = clock_now();
	(void)sd_bus_message_get_type(message, &type);
	if (type == SD_BUS_MESSAGE_METHOD_CALL)
		return bus_admit(link, message);
	return link->label || !sender || strcmp(sender, "org.freedesktop.DBus") != 0;
}

int bus_link_serve(struct bus_link *link)
{
	int r;

	r = sd_bus_add_filter(link->bus, NULL, on_message, link);
	if (r < 0)
		return r;
	r = bus_add_manager(link);
	if (r >= 0)
		r = bus_add_log_control(link);
	link->is_half = r < 0;
	return r;
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const sd_bus_error *refusal = sd_bus_message_get_error(reply);
	uint32_t answer = 0;

	if (refusal) {
		if (!b->has_reported_why)
			log_notice("bus: may not be " BUS_NAME " (run as root, and is " BUS_NAME
				   ".conf in /etc/dbus-1/system.d or "
				   "/usr/share/dbus-1/system.d?): %s",
				   refusal->message);
		b->is_refused = b->has_reported_why = true; /* left at the next turn, not in here */
		return 0;
	}
	b->has_reported_why = false;
	/* RequestName of the D-Bus specification: 2 is "in queue". */
	if (sd_bus_message_read(reply, "u", &answer) >= 0 && answer == 2)
		log_notice("bus: another process is " BUS_NAME
			   "; waiting for it to release the name");
	else
		log_info("bus: " BUS_NAME);
	return 0;
}

static const char *bus_address(void)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

	return address ? address : "unix:path=/run/dbus/system_bus_socket";
}

/* Nothing is where the bus would be: a tenth of what it takes to try.  (Addresses that are not of
 * one socket with a path are tried.) */
static bool is_absent(void)
{
	static const char prefix[] = "unix:path=";
	const char *address = bus_address();
	char path[128];

	if (strncmp(address, prefix, strlen(prefix)) != 0 || strpbrk(address, ",;%"))
		return false;
	snprintf(path, sizeof(path), "%s", address + strlen(prefix));
	return access(path, F_OK) < 0 && errno == ENOENT;
}

/* As sd_bus_open_system(), but without file descriptor passing: descriptors would be held while
 * their call is queued. */
static int open_bus(sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_description(bus, "reckond");
	if (r >= 0)
		r = sd_bus_set_address(bus, bus_address());
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(bus, false);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		*ret = take_ptr(bus);
	return r;
}

static int join(struct bus *b)
{
	int r;

	if (is_absent())
		return -ENOENT;
	r = open_bus(&b->link.bus);
	if (r >= 0)
		r = bus_io_attach(&b->link);
	if (r >= 0)
		r = bus_link_serve(&b->link);
	/* In the queue, should another object hold it: the bus is freed when that one drops it. */
	if (r >= 0)
		r = sd_bus_request_name_async(b->link.bus, NULL, BUS_NAME, SD_BUS_NAME_QUEUE,
					      on_name, b);
	bus_io_update(&b->link);
	return r < 0 ? r : 0;
}

usec_t bus_join_pause(usec_t last, enum bus_end end, usec_t joined_for)
{
	usec_t most = end == BUS_END_SILENT ? JOIN_PAUSE_SILENT_MAX : JOIN_PAUSE_MAX;

	if (end == BUS_END_REFUSED)
		return JOIN_PAUSE_REFUSED;
	if (end == BUS_END_LOST && joined_for >= JOINED_WELL_USEC)
		return 0;
	return min_u64(max_u64(2 * last, JOIN_PAUSE_MIN), most);
}

/* Not before, and, while the pauses are short, not later. */
static void join_after(struct bus *b, usec_t now, usec_t pause)
{
	b->join_at = now + pause;
	if (pause > JOIN_PAUSE_TIMER)
		return;
	/* Both fail for a source that is none only. */
	(void)sd_event_source_set_time(b->join_timer, b->join_at);
	(void)sd_event_source_set_enabled(b->join_timer, SD_EVENT_ONESHOT);
}

static void try_to_join(struct bus *b, usec_t now)
{
	int r;

	if (b->link.bus || now < b->join_at || bus_is_to_wait(b))
		return;
	r = join(b);
	bus_forget_news(b);
	if (r == 0)
		return;
	b->join_pause = bus_join_pause(b->join_pause, BUS_END_ABSENT, 0);
	join_after(b, now, b->join_pause);
	leave(b);
	if (!b->has_reported_why)
		log_info("bus: none (%s), continuing without it", strerror(-r));
	b->has_reported_why = true;
}

static int on_join_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *b = userdata;

	try_to_join(b, clock_now());
	bus_schedule(b);
	return 0;
}

bool bus_link_is_over(const struct bus_link *link)
{
	return link->bus && (link->is_stuck || link->is_lost || sd_bus_is_open(link->bus) <= 0);
}

static bool is_over(const struct bus *b)
{
	return (b->link.bus && b->is_refused) || bus_link_is_over(&b->link);
}

static void report_lost(struct bus *b, usec_t now)
{
	if (b->link.is_stuck &&
	    (b->stuck_reported_at == 0 || now - b->stuck_reported_at >= STUCK_AGAIN_USEC)) {
		log_notice("bus: %s; disconnecting, to connect again",
			   b->link.was_ready ? "accepts nothing of what is sent"
					     : "does not answer");
		b->stuck_reported_at = now;
	} else if (!b->link.is_stuck && !b->has_reported_why) {
		log_notice("bus: lost, continuing without it");
		b->has_reported_why = true;
	}
}

static enum bus_end end_of(const struct bus *b)
{
	if (b->is_refused)
		return BUS_END_REFUSED;
	return b->link.was_ready ? BUS_END_LOST : BUS_END_SILENT;
}

/* Not in the bus's own callbacks. */
static void leave_if_over(struct bus *b, usec_t now)
{
	enum bus_end end;

	if (!is_over(b))
		return;
	end = end_of(b);
	if (end != BUS_END_REFUSED)
		report_lost(b, now);
	b->join_pause = bus_join_pause(b->join_pause, end, sub_u64(now, b->link.joined_at));
	leave(b);
	join_after(b, now, b->join_pause);
	b->is_refused = false;
}

void bus_schedule(struct bus *b)
{
	bool can_say_news = bus_io_is_ready(&b->link) && !b->link.has_no_room && bus_has_news(b);
	bool has_work = is_over(b) || bus_private_is_over(b) || can_say_news || bus_can_answer(b);

	/* Fails for a source that is none only. */
	(void)sd_event_source_set_enabled(b->work, has_work ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	bus_io_update(&b->link);
	bus_private_update(b);
}

void bus_turn(struct bus *b, usec_t now)
{
	const struct bus_subject *subject;

	if (!b)
		return;
	subject = &b->subject;
	bus_io_begin_cost(b);
	bus_forget_preview(b);
	if (subject->sampler->census.swept_at != 0)
		b->n_processes = subject->sampler->census.n_processes;
	leave_if_over(b, now);
	try_to_join(b, now);
	if (b->has_caught_up && subject->regime->state == REGIME_CALM &&
	    now - b->asked_at >= REST_USEC) {
		sampler_release(subject->sampler);
		malloc_trim(0); /* answers may have been large */
		b->has_caught_up = false;
	}
	bus_schedule(b);
}

static int on_work(sd_event_source *source, void *userdata)
{
	struct bus *b = userdata;

	if (is_over(b))
		leave_if_over(b, clock_now());
	else if (bus_private_close_one(b))
		; /* one at a time */
	else if (bus_io_is_ready(&b->link) && bus_has_news(b) && bus_io_has_room(&b->link))
		bus_say_news(b);
	else if (bus_can_answer(b))
		bus_answer(b);
	bus_io_count_cost(&b->link);
	bus_schedule(b);
	return 0;
}

int bus_add_timer(struct bus *b, sd_event_time_handler_t callback, void *userdata,
		  sd_event_source **ret)
{
	int r = sd_event_add_time(b->subject.event, ret, CLOCK_MONOTONIC, 0, TIMER_SLACK, callback,
				  userdata);

	if (r >= 0)
		r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
	return r < 0 ? r : sd_event_source_set_priority(*ret, BUS_PRIORITY);
}

static int add_sources(struct bus *b)
{
	sd_event *event = b->subject.event;
	int r;

	r = sd_event_add_defer(event, &b->work, on_work, b);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->work, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(b->work, BUS_PRIORITY);
	if (r >= 0)
		r = bus_add_timer(b, bus_io_on_check, &b->link, &b->link.check);
	if (r >= 0)
		r = bus_add_timer(b, on_join_timer, b, &b->join_timer);
	return r;
}

int bus_new(const struct bus_subject *subject, struct bus **ret)
{
	struct bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->subject = *subject;
	b->link.owner = b;
	quota_init(&b->quota, clock_now());
	r = add_sources(b);
	if (r < 0) {
		bus_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

struct bus *bus_free(struct bus *b)
{
	if (!b)
		return NULL;
	leave(b);
	bus_private_free(b);
	bus_forget_preview(b);
	sd_event_source_disable_unref(b->work);
	sd_event_source_disable_unref(b->link.check);
	sd_event_source_disable_unref(b->join_timer);
	free(b);
	return NULL;
}
