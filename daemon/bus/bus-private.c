/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-private: the private socket: D-Bus without a bus, for root and the user that reckond runs as.
 *
 * dbus-daemon does not answer in time while it is flooded, and containers have none.  Clients get
 * the same objects, with the limits of the system bus, but with a queue, an allowance and a share
 * of CPU time of their own; there are no signals.  The user of a client is known from the kernel
 * (SO_PEERCRED).
 *
 * A lock beside the socket, held as long as it is used, tells a daemon that runs from one that was
 * killed and has left its socket behind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/runtime.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "lib/base/cleanup.h"

#define CLIENTS_MAX 8
/* Connections that wait to be accepted; one beyond that fails at once, without blocking. */
#define BACKLOG 16
/* Nothing is accepted for so long when that has failed: for want of files or memory, mostly. */
#define ACCEPT_AGAIN_USEC (100 * USEC_PER_MSEC)
/* The wait for the rest of what is behind BEGIN. */
#define PATIENCE_USEC (10 * USEC_PER_MSEC)
/* A client that sends more than this with its BEGIN is left. */
#define LOGIN_MAX 4096

static const char *const labels[CLIENTS_MAX] = {
	"private 1", "private 2", "private 3", "private 4",
	"private 5", "private 6", "private 7", "private 8"
};

struct bus_private {
	struct bus_link links[CLIENTS_MAX];
	struct quota quota;
	struct sockaddr_un address;
	sd_id128_t id;	     /* by which D-Bus knows a server */
	int lock_fd;	     /* holds the lock */
	int fd;		     /* that is listened to; <0: not yet */
	sd_event_source *io; /* of fd */
	sd_event_source *again;
};

/*
 * Connections
 */

struct bus_link *bus_link_of(struct bus *b, sd_bus_message *call)
{
	const sd_bus *bus = sd_bus_message_get_bus(call);

	for (unsigned i = 0; b->private && i < CLIENTS_MAX; i++)
		if (b->private->links[i].bus && b->private->links[i].bus == bus)
			return &b->private->links[i];
	return &b->link;
}

struct quota *bus_link_quota(struct bus_link *link)
{
	return link->label ? &link->owner->private->quota : &link->owner->quota;
}

bool bus_private_is_over(const struct bus *b)
{
	for (unsigned i = 0; b->private && i < CLIENTS_MAX; i++)
		if (bus_link_is_over(&b->private->links[i]))
			return true;
	return false;
}

bool bus_private_close_one(struct bus *b)
{
	for (unsigned i = 0; b->private && i < CLIENTS_MAX; i++) {
		struct bus_link *link = &b->private->links[i];

		if (!bus_link_is_over(link))
			continue;
		if (link->is_stuck)
			log_debug("bus: a client of the private socket %s; disconnecting",
				  link->was_ready ? "does not read, or sends half a message"
						  : "does not log in");
		bus_link_leave(link);
		return true;
	}
	return false;
}

void bus_private_update(struct bus *b)
{
	for (unsigned i = 0; b->private && i < CLIENTS_MAX; i++)
		bus_io_update(&b->private->links[i]);
}

/* A free one, or that of the client that has been idle for longest; NULL: all have calls waiting.
 */
static struct bus_link *find_place(struct bus_private *p)
{
	struct bus_link *oldest = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct bus_link *link = &p->links[i];

		if (!link->bus)
			return link;
		if (!bus_has_waiting(link) && (!oldest || link->called_at < oldest->called_at))
			oldest = link;
	}
	return oldest;
}

/*
 * Login
 */

int bus_private_behind_begin(const unsigned char *text, size_t n)
{
	static const char begin[] = "BEGIN\r\n";
	const unsigned char *at = memmem(text, n, begin, strlen(begin));
	size_t left = at ? n - (size_t)(at - text) - strlen(begin) : 0;
	int n_messages = 0;

	for (at = text + n - left; left > 0; n_messages++) {
		uint64_t size = left < BUS_HEADER_SIZE ? UINT64_MAX : bus_io_message_size(at);

		if (left < BUS_HEADER_SIZE)
			return -EAGAIN;
		if (size == 0 || size > BUS_MESSAGE_MAX)
			return -EBADMSG;
		if (size > left)
			return -EAGAIN;
		at += size;
		left -= size;
	}
	return n_messages;
}

/*
 * sd-bus reads what is there when a client logs in, and so the beginning of a message behind BEGIN;
 * what is next in the socket would be no beginning.  So it may do that only when all of the
 * messages there are complete, and has to have handled these before anything else is read.
 */
int bus_private_log_in(struct bus_link *link)
{
	static unsigned char text[LOGIN_MAX];
	ssize_t n = recv(sd_bus_get_fd(link->bus), text, sizeof(text), MSG_PEEK | MSG_DONTWAIT);
	int n_behind = n > 0 ? bus_private_behind_begin(text, (size_t)n) : 0;
	unsigned n_wanted, n_steps;
	int r;

	if (n == sizeof(text))
		return -EMSGSIZE;
	if (n_behind == -EAGAIN) {
		bus_io_pause(link, clock_now() + PATIENCE_USEC);
		return 0;
	}
	if (n_behind < 0)
		return n_behind;
	n_wanted = link->n_messages + (unsigned)n_behind;
	n_steps = 8 + 4 * (unsigned)n_behind;
	r = sd_bus_process(link->bus, NULL);
	while (r >= 0 && link->n_messages < n_wanted && n_steps-- > 0)
		r = sd_bus_process(link->bus, NULL);
	return link->n_messages < n_wanted ? -EBADMSG : r;
}

/* Takes the fd. */
static int connect_client(struct bus_link *link, int fd)
{
	_cleanup_close_ int client_fd = fd;
	int r;

	r = sd_bus_new(&link->bus);
	if (r >= 0)
		r = sd_bus_set_description(link->bus, link->label);
	if (r >= 0)
		r = sd_bus_set_server(link->bus, true, link->owner->private->id);
	if (r >= 0)
		r = sd_bus_negotiate_fds(link->bus, false);
	if (r >= 0)
		r = sd_bus_set_fd(link->bus, fd, fd);
	if (r < 0)
		return r;
	(void)take_fd(&client_fd); /* it is sd-bus's now */
	r = sd_bus_start(link->bus);
	if (r >= 0)
		r = bus_io_attach(link);
	if (r >= 0)
		r = bus_link_serve(link);
	/* What the client has sent already has been read; it may be logged in. */
	link->is_aligned = true;
	link->was_ready = r >= 0 && bus_io_is_ready(link);
	return r;
}

/*
 * The socket
 */

static void pause_listening(struct bus_private *p, usec_t until)
{
	/* All fail for a source that is none only. */
	(void)sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
	(void)sd_event_source_set_time(p->again, until);
	(void)sd_event_source_set_enabled(p->again, SD_EVENT_ONESHOT);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *b = userdata;

	(void)sd_event_source_set_enabled(b->private->io, SD_EVENT_ON);
	return 0;
}

/* (The mode of the socket may have been changed.) */
static bool is_permitted(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* Takes the fd. */
static void take_client(struct bus *b, int fd)
{
	struct bus_link *link = is_permitted(fd) ? find_place(b->private) : NULL;
	int r;

	if (!link) {
		log_debug("bus: a client of the private socket is refused");
		close(fd);
		return;
	}
	if (link->bus)
		bus_link_leave(link);
	r = connect_client(link, fd);
	if (r < 0) {
		log_debug("bus: cannot talk to a client of the private socket: %s", strerror(-r));
		bus_link_leave(link);
		return;
	}
	bus_io_count_cost(link);
	if (link->is_paused)
		pause_listening(b->private, link->paused_until);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct bus *b = userdata;
	/* cppcheck-suppress nullPointer ; accept4(2): the address is not wanted */
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client_fd < 0)
		pause_listening(b->private, clock_now() + ACCEPT_AGAIN_USEC);
	else
		take_client(b, client_fd);
	bus_schedule(b);
	return 0;
}

static int take_lock(struct bus_private *p, const char *directory)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[528];

	(void)snprintf(path, sizeof(path), "%s/private.lock", directory);
	p->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (p->lock_fd < 0)
		return -errno;
	/* Not inherited by children, so that none can keep it when the daemon has exited. */
	if (fcntl(p->lock_fd, F_SETLK, &lock) < 0)
		return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
	return 0;
}

/* With the lock: a socket that is there was left behind. */
static int open_socket(struct bus_private *p)
{
	_cleanup_close_ int fd = -EBADF;

	if (unlink(p->address.sun_path) < 0 && errno != ENOENT)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* bind() makes the file with the mode of the socket. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)&p->address, sizeof(p->address)) < 0)
		return -errno;
	if (listen(fd, BACKLOG) < 0) {
		int r = -errno;

		(void)unlink(p->address.sun_path);
		return r;
	}
	p->fd = take_fd(&fd);
	return 0;
}

static int add_sources(struct bus *b)
{
	struct bus_private *p = b->private;
	int r;

	r = sd_event_add_io(b->subject.event, &p->io, p->fd, EPOLLIN, on_client, b);
	if (r >= 0)
		r = sd_event_source_set_priority(p->io, BUS_PRIORITY);
	if (r >= 0)
		r = bus_add_timer(b, on_again, b, &p->again);
	for (unsigned i = 0; r >= 0 && i < CLIENTS_MAX; i++) {
		p->links[i].owner = b;
		p->links[i].label = labels[i];
		r = bus_add_timer(b, bus_io_on_check, &p->links[i], &p->links[i].check);
	}
	return r < 0 ? r : 0;
}

static int open_private(struct bus *b, const char *directory)
{
	struct bus_private *p = b->private;
	int n, r;

	if (!*directory)
		return -ENOENT;
	p->address.sun_family = AF_UNIX;
	n = snprintf(p->address.sun_path, sizeof(p->address.sun_path), "%s/private", directory);
	if (n >= (int)sizeof(p->address.sun_path))
		return -ENAMETOOLONG;
	r = sd_id128_randomize(&p->id);
	if (r == 0)
		r = take_lock(p, directory);
	if (r == 0)
		r = open_socket(p);
	return r < 0 ? r : add_sources(b);
}

int bus_listen(struct bus *b)
{
	char buf[512];
	int r;

	b->private = calloc(1, sizeof(*b->private));
	if (!b->private)
		return -ENOMEM;
	b->private->lock_fd = b->private->fd = -EBADF;
	quota_init(&b->private->quota, clock_now());
	r = open_private(b, runtime_directory(buf, sizeof(buf)));
	if (r < 0)
		bus_private_free(b);
	return r;
}

void bus_private_free(struct bus *b)
{
	struct bus_private *p = b->private;

	if (!p)
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (p->links[i].bus)
			bus_link_leave(&p->links[i]);
		sd_event_source_disable_unref(p->links[i].check);
	}
	sd_event_source_disable_unref(p->io);
	sd_event_source_disable_unref(p->again);
	if (p->fd >= 0)
		(void)unlink(p->address.sun_path);
	closep(&p->fd);
	closep(&p->lock_fd); /* after that another one may listen there */
	b->private = NULL;
	free(p);
}
