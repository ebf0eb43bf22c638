/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-io: the bus's socket, or a client's: when it is read, and when something may be sent.
 *
 * sd-bus queues in memory, without limit, what the socket does not take, and reads messages of any
 * size.  So it is not attached to the event loop directly.  Calls are always read, and queued
 * (bus-queue.c).  An answer is built only when the socket is writable, which for a Unix socket
 * means that three quarters of its buffer are free: the whole answer fits.  The buffer is small,
 * because dbus-daemon reads 2 KiB from it per turn of its loop, and the next answer waits behind
 * what is in it.  A bus that takes nothing is left and joined again.  The size of a message is read
 * before sd-bus reads the message, and one that is too large is discarded.
 *
 * The loop runs at the highest priority, so a caller could use it to take CPU time from all others:
 * the bus gets at most a fifth of each tenth of a second, and so do all clients of the private
 * socket.
 *
 * Unlike the bus, a client that does not log in, or does not send the rest of a message, is left.
 */
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"

/* Per turn of the loop. */
#define SKIP_READS 8

#define BUDGET_USEC	   (20 * USEC_PER_MSEC)
#define BUDGET_PERIOD_USEC (100 * USEC_PER_MSEC)
/* The wait for the rest of a message. */
#define PATIENCE_USEC (10 * USEC_PER_MSEC)
/* How long the bus may take nothing, and how long it may take to let us in.  (With 250 clients that
 * flood it, a turn of dbus-daemon's loop takes seconds.  To leave it then would give them back all
 * the calls that they may have under way: docs/benchmarks.md.) */
#define DRAIN_USEC (15 * USEC_PER_SEC)
#define JOIN_USEC  (10 * USEC_PER_SEC)

/* The kernel doubles it and counts its own overhead.  The socket is writable while it holds less
 * than 16 KiB; it then takes at least 48 KiB more. */
#define SEND_BUFFER_BYTES (32 * KIB)

void bus_io_begin_cost(struct bus *b)
{
	b->cpu_at = clock_cpu_time();
}

void bus_io_pause(struct bus_link *link, usec_t until)
{
	link->is_paused = true;
	link->paused_until = until;
}

void bus_io_count_cost(struct bus_link *link)
{
	struct bus *b = link->owner;
	struct bus_cpu *account = link->label ? &b->private_cpu : &b->cpu;
	usec_t now = clock_now(), cpu = clock_cpu_time();

	account->used += cpu - b->cpu_at;
	b->cpu_at = cpu;
	if (now - account->began >= BUDGET_PERIOD_USEC) {
		account->began = now;
		account->used = 0;
	} else if (account->used > BUDGET_USEC && !link->is_paused) {
		bus_io_pause(link, account->began + BUDGET_PERIOD_USEC);
	}
}

bool bus_io_is_ready(const struct bus_link *link)
{
	return link->bus && !link->is_lost && sd_bus_is_ready(link->bus) > 0;
}

/* Sent and not yet taken; negative: not known. */
static int bytes_in_socket(const struct bus_link *link)
{
	int n = 0;

	return ioctl(sd_bus_get_fd(link->bus), TIOCOUTQ, &n) < 0 ? -1 : n;
}

bool bus_io_has_room(struct bus_link *link)
{
	struct pollfd pollfd = { .fd = sd_bus_get_fd(link->bus), .events = POLLOUT };
	uint64_t n_queued = 0;

	if (link->has_no_room)
		return false;
	if (poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLOUT &&
	    sd_bus_get_n_queued_write(link->bus, &n_queued) >= 0 && n_queued == 0)
		return true;
	link->has_no_room = true;
	link->moved_at = clock_now();
	link->n_unsent = bytes_in_socket(link);
	return false;
}

static uint32_t wanted_events(const struct bus_link *link)
{
	int events;

	if (!bus_io_is_ready(link)) {
		events = link->label && link->is_paused ? 0 : sd_bus_get_events(link->bus);
		return events < 0 ? 0 : (uint32_t)events;
	}
	return (link->is_paused ? 0 : EPOLLIN) | (link->has_no_room ? EPOLLOUT : 0);
}

/* When to check what the socket does not report. */
static usec_t next_check(const struct bus_link *link)
{
	usec_t next = USEC_INFINITY;

	if (!bus_io_is_ready(link))
		next = link->joined_at + JOIN_USEC;
	if (link->is_paused)
		next = min_u64(next, link->paused_until);
	if (link->has_no_room)
		next = min_u64(next, link->moved_at + DRAIN_USEC);
	if (link->label && link->partial_since != 0)
		next = min_u64(next, link->partial_since + JOIN_USEC);
	return next;
}

void bus_io_update(struct bus_link *link)
{
	usec_t next;

	if (!link->bus || !link->io)
		return;
	/* All three fail for a source that is none only. */
	(void)sd_event_source_set_io_events(link->io, wanted_events(link));
	next = next_check(link);
	(void)sd_event_source_set_time(link->check, next == USEC_INFINITY ? 0 : next);
	(void)sd_event_source_set_enabled(link->check,
					  next == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static bool takes_nothing(struct bus_link *link, usec_t now)
{
	int n;

	if (!link->has_no_room || now - link->moved_at < DRAIN_USEC)
		return false;
	n = bytes_in_socket(link);
	if (n == link->n_unsent)
		return true;
	link->n_unsent = n;
	link->moved_at = now;
	return false;
}

/* Of a client: it has begun a message.  (The bus may take long for the rest.) */
static bool sends_no_more(const struct bus_link *link, usec_t now)
{
	return link->label && link->partial_since != 0 && now - link->partial_since >= JOIN_USEC;
}

int bus_io_on_check(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus_link *link = userdata;
	usec_t now = clock_now();

	if (link->is_paused && now >= link->paused_until)
		link->is_paused = false;
	if (link->bus && bus_io_is_ready(link))
		link->is_stuck |= takes_nothing(link, now) || sends_no_more(link, now);
	else if (link->bus && now - link->joined_at >= JOIN_USEC)
		link->is_stuck = true;
	bus_schedule(link->owner);
	return 0;
}

static uint32_t read_u32(const unsigned char *p, bool little)
{
	return little ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
		      : p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

uint64_t bus_io_message_size(const unsigned char header[static BUS_HEADER_SIZE])
{
	bool little = header[0] == 'l';
	uint64_t fields;

	if (!little && header[0] != 'B')
		return 0;
	fields = read_u32(header + 12, little);
	return BUS_HEADER_SIZE + (fields + 7) / 8 * 8 + read_u32(header + 4, little);
}

/* What the next message is. */
enum head {
	HEAD_WHOLE,   /* it can be read; or an error, which sd-bus reports */
	HEAD_PARTIAL, /* not all of it is there */
	HEAD_LARGE,   /* to be discarded */
	HEAD_NONE,
};

static enum head peek_head(int fd, uint64_t *ret_size)
{
	unsigned char header[BUS_HEADER_SIZE];
	ssize_t n = recv(fd, header, sizeof(header), MSG_PEEK | MSG_DONTWAIT);
	int n_there = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? HEAD_NONE : HEAD_WHOLE;
	if (n == 0)
		return HEAD_WHOLE; /* end of file, which sd-bus finds too */
	if (n < (ssize_t)sizeof(header))
		return HEAD_PARTIAL;
	*ret_size = bus_io_message_size(header);
	if (*ret_size > BUS_MESSAGE_MAX)
		return HEAD_LARGE;
	if (ioctl(fd, FIONREAD, &n_there) < 0)
		return HEAD_WHOLE;
	return (uint64_t)n_there < *ret_size ? HEAD_PARTIAL : HEAD_WHOLE;
}

/* Discards more of a message that is too large. */
static void skip_some(struct bus_link *link)
{
	static char buf[16384];

	for (int i = 0; i < SKIP_READS && link->to_skip > 0; i++) {
		ssize_t n = recv(sd_bus_get_fd(link->bus), buf, min_u64(sizeof(buf), link->to_skip),
				 MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			link->is_lost = true;
		if (n <= 0)
			return;
		link->to_skip -= (uint64_t)n;
	}
	if (link->to_skip == 0)
		link->partial_since = 0;
}

static int process(struct bus_link *link)
{
	return sd_bus_process(link->bus, NULL);
}

static uint64_t bytes_to_read(const struct bus_link *link)
{
	int n = 0;

	return ioctl(sd_bus_get_fd(link->bus), FIONREAD, &n) < 0 || n < 0 ? 0 : (uint64_t)n;
}

/*
 * sd-bus drops what it takes for no valid message, and then reads on in the same call: another
 * message of any size, or a part of it.  A bus that sends such is left.  (Not seen if as much
 * arrives meanwhile.)
 */
static int process_one(struct bus_link *link, uint64_t size)
{
	uint64_t n_before = bytes_to_read(link);
	int r = process(link);

	if (r >= 0 && size > 0 && bytes_to_read(link) + size < n_before)
		return -EBADMSG;
	return r;
}

/*
 * Reads one message.  sd-bus reads a message that is there as a whole in one call, and no byte
 * after it, so the next bytes in the socket are always the start of a message.  Where that is not
 * certain, nothing is discarded; the bus is left instead.
 */
static int read_one(struct bus_link *link)
{
	uint64_t size = 0;

	switch (peek_head(sd_bus_get_fd(link->bus), &size)) {
	case HEAD_WHOLE:
		link->partial_since = 0;
		return process_one(link, size);
	case HEAD_PARTIAL:
		if (link->partial_since == 0)
			link->partial_since = clock_now();
		bus_io_pause(link, clock_now() + PATIENCE_USEC);
		return 0;
	case HEAD_LARGE:
		log_debug("bus: a message of %llu bytes is not read", (unsigned long long)size);
		if (!link->is_aligned)
			return -EMSGSIZE;
		link->to_skip = size;
		link->partial_since = clock_now();
		skip_some(link);
		return 0;
	case HEAD_NONE:
		break;
	}
	return 0;
}

int bus_io_read(struct bus_link *link)
{
	if (link->to_skip == 0)
		return read_one(link);
	skip_some(link);
	return 0;
}

/* There is room again.  sd-bus has queued something only if several messages were sent in one turn.
 */
static int on_room(struct bus_link *link)
{
	uint64_t n_queued = 0, n_before, size;
	bool is_whole;
	int r;

	r = sd_bus_get_n_queued_write(link->bus, &n_queued);
	if (r >= 0 && n_queued > 0) {
		n_before = n_queued;
		is_whole = peek_head(sd_bus_get_fd(link->bus), &size) == HEAD_WHOLE;
		r = process(link);
		if (r >= 0)
			r = sd_bus_get_n_queued_write(link->bus, &n_queued);
		/* If nothing could be sent, sd-bus has read, perhaps half a message. */
		link->is_aligned &= is_whole || n_queued < n_before;
	}
	if (r < 0)
		return r;
	link->has_no_room = n_queued > 0;
	return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct bus_link *link = userdata;
	int r = 0;

	if (revents & (EPOLLHUP | EPOLLERR)) {
		link->is_lost = true;
	} else if (!bus_io_is_ready(link)) {
		r = link->label ? bus_private_log_in(link) : process(link);
		link->is_aligned = true;
		link->was_ready |= bus_io_is_ready(link);
	} else if (revents & EPOLLOUT && link->has_no_room) {
		r = on_room(link);
	} else {
		r = bus_io_read(link);
	}
	if (r < 0)
		link->is_lost = true;
	bus_io_count_cost(link);
	bus_schedule(link->owner);
	return 0;
}

int bus_io_attach(struct bus_link *link)
{
	int fd = sd_bus_get_fd(link->bus), bytes = SEND_BUFFER_BYTES, r;

	if (fd < 0)
		return fd;
	/* (sd-bus has set it to 8 MiB.) */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	link->joined_at = link->called_at = clock_now();
	link->was_ready = false;
	r = sd_event_add_io(link->owner->subject.event, &link->io, fd, wanted_events(link), on_io,
			    link);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(link->io, BUS_PRIORITY);
}

void bus_io_detach(struct bus_link *link)
{
	link->io = sd_event_source_disable_unref(link->io);
	(void)sd_event_source_set_enabled(link->check, SD_EVENT_OFF);
	link->is_paused = link->has_no_room = link->is_lost = link->is_stuck = link->is_aligned =
		false;
	link->to_skip = link->partial_since = 0;
}
