/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-flood: clients of a D-Bus bus that call org.reckond1 as fast as their sockets take it, and
 * never read an answer.
 *
 * usage: bus-flood CLIENTS SECONDS KIND, with DBUS_SYSTEM_BUS_ADDRESS=unix:path=...
 * KIND: "history", "explain", "properties" or "introspect": calls that are answered; "mixed": of
 * these, by turns; "noreply": calls that want no answer; "large": of 8 MiB each.
 * It says "ready" when all are connected, and at the end how many calls were sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/util.h"

#define CLIENTS_MAX 1000
#define LARGE_BYTES (8 * MIB)
#define KINDS	    6

struct message {
	unsigned char *bytes;
	size_t length;
};

struct client {
	int fd;
	unsigned n_sent;
	size_t at; /* of the message that is being sent */
};

static struct client clients[CLIENTS_MAX];
static struct message messages[KINDS];

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/*
 * Messages, as the D-Bus specification has them
 */

static void pad(struct message *m, size_t to)
{
	while (m->length % to != 0)
		m->bytes[m->length++] = 0;
}

static void put_u32(struct message *m, uint32_t number)
{
	pad(m, 4);
	memcpy(m->bytes + m->length, &number, 4);
	m->length += 4;
}

static void put_string(struct message *m, const char *text)
{
	put_u32(m, (uint32_t)strlen(text));
	memcpy(m->bytes + m->length, text, strlen(text) + 1);
	m->length += strlen(text) + 1;
}

/* A header field: a byte, and a variant. */
static void put_field(struct message *m, char code, char type, const char *text)
{
	pad(m, 8);
	memcpy(m->bytes + m->length, (char[]){ code, 1, type, 0 }, 4);
	m->length += 4;
	if (type != 'g') {
		put_string(m, text);
		return;
	}
	m->bytes[m->length++] = (unsigned char)strlen(text);
	memcpy(m->bytes + m->length, text, strlen(text) + 1);
	m->length += strlen(text) + 1;
}

/* The body begins at the end of it, which is a multiple of 8; its length is put in by end(). */
static void begin(struct message *m, const char *destination, const char *path,
		  const char *interface, const char *member, const char *signature,
		  bool wants_reply)
{
	uint32_t length;

	*m = (struct message){ calloc(1, LARGE_BYTES + 4096), 0 };
	if (!m->bytes)
		abort();
	memcpy(m->bytes,
	       (char[]){ __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B', 1,
			 wants_reply ? 0 : 1, 1 },
	       4);
	m->length = 4;
	put_u32(m, 0); /* of the body */
	put_u32(m, 1); /* the serial */
	put_u32(m, 0); /* of the fields */
	put_field(m, 1, 'o', path);
	put_field(m, 2, 's', interface);
	put_field(m, 3, 's', member);
	put_field(m, 6, 's', destination);
	if (*signature)
		put_field(m, 8, 'g', signature);
	length = (uint32_t)m->length - 16;
	memcpy(m->bytes + 12, &length, 4);
	pad(m, 8);
}

static void end(struct message *m, size_t body)
{
	uint32_t length = (uint32_t)(m->length - body);

	memcpy(m->bytes + 4, &length, 4);
}

static void make_call(struct message *m, const char *interface, const char *member,
		      bool wants_reply)
{
	bool is_ours = strcmp(interface, "org.reckond1.Manager") == 0;
	bool has_name = strcmp(member, "GetAll") == 0;
	size_t body;

	begin(m, "org.reckond1", "/org/reckond1", interface, member,
	      is_ours	 ? "u"
	      : has_name ? "s"
			 : "",
	      wants_reply);
	body = m->length;
	if (is_ours)
		put_u32(m, 0);
	else if (has_name)
		put_string(m, "org.reckond1.Manager");
	end(m, body);
}

/* GetHistory(), with text in place of a number. */
static void make_large_call(struct message *m)
{
	size_t body;

	begin(m, "org.reckond1", "/org/reckond1", "org.reckond1.Manager", "GetHistory", "s", true);
	body = m->length;
	put_u32(m, LARGE_BYTES);
	memset(m->bytes + m->length, 'x', LARGE_BYTES);
	m->length += LARGE_BYTES + 1;
	end(m, body);
}

/* How many kinds are sent by turns; 0: there is no such kind. */
static unsigned make_messages(const char *kind)
{
	static const struct {
		const char *kind, *interface, *member;
	} calls[] = {
		{ "history", "org.reckond1.Manager", "GetHistory" },
		{ "explain", "org.reckond1.Manager", "Explain" },
		{ "properties", "org.freedesktop.DBus.Properties", "GetAll" },
		{ "introspect", "org.freedesktop.DBus.Introspectable", "Introspect" },
	};
	bool is_mixed = strcmp(kind, "mixed") == 0, is_mute = strcmp(kind, "noreply") == 0;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (is_mixed || is_mute || strcmp(kind, calls[i].kind) == 0)
			make_call(&messages[n++], calls[i].interface, calls[i].member, !is_mute);
	if (strcmp(kind, "large") == 0)
		make_large_call(&messages[n++]);
	return n;
}

/*
 * Clients
 */

static int write_all(int fd, const void *bytes, size_t length)
{
	return write(fd, bytes, length) == (ssize_t)length ? 0 : -EIO;
}

static int join(struct client *client, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[256], uid[16];
	struct message hello;
	ssize_t n;
	int r, length;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (void *)&address, sizeof(address)) < 0)
		return -errno;
	length = snprintf(text, sizeof(text), "%cAUTH EXTERNAL ", '\0');
	snprintf(uid, sizeof(uid), "%u", geteuid());
	for (const char *p = uid; *p; p++)
		length += snprintf(text + length, sizeof(text) - (size_t)length, "%02x", *p);
	length += snprintf(text + length, sizeof(text) - (size_t)length, "\r\n");
	r = write_all(client->fd, text, (size_t)length);
	n = r < 0 ? r : read(client->fd, text, sizeof(text));
	if (n < 2 || strncmp(text, "OK", 2) != 0)
		return -EPROTO;
	r = write_all(client->fd, "BEGIN\r\n", 7);
	begin(&hello, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
	      "Hello", "", true);
	end(&hello, hello.length);
	if (r == 0)
		r = write_all(client->fd, hello.bytes, hello.length);
	free(hello.bytes);
	return r < 0 ? r : fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

/* As much as the socket takes; false: it is closed. */
static bool send_some(struct client *client, unsigned n_kinds)
{
	for (;;) {
		const struct message *m = &messages[client->n_sent % n_kinds];
		uint32_t serial = client->n_sent + 2; /* of Hello it was 1 */
		ssize_t n;

		memcpy(m->bytes + 8, &serial, 4);
		n = send(client->fd, m->bytes + client->at, m->length - client->at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		client->at += (size_t)n;
		if (client->at < m->length)
			continue;
		client->at = 0;
		client->n_sent++;
	}
}

static void run(unsigned n_clients, unsigned n_kinds, usec_t until)
{
	static struct pollfd polls[CLIENTS_MAX];

	for (unsigned i = 0; i < n_clients; i++)
		polls[i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLOUT };
	while (now() < until) {
		if (poll(polls, n_clients, 100) <= 0)
			continue;
		for (unsigned i = 0; i < n_clients; i++)
			if (polls[i].revents && !send_some(&clients[i], n_kinds))
				polls[i].fd = -1;
	}
}

int main(int argc, char **argv)
{
	const char *path = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	unsigned n_clients = argc == 4 ? (unsigned)atoi(argv[1]) : 0, n_kinds, n_sent = 0;
	int r = 0;

	n_kinds = n_clients > 0 && n_clients <= CLIENTS_MAX ? make_messages(argv[3]) : 0;
	if (n_kinds == 0 || !path || strncmp(path, "unix:path=", 10) != 0) {
		fputs("usage: bus-flood CLIENTS SECONDS KIND\n", stderr);
		return 2;
	}
	for (unsigned i = 0; i < n_clients && r >= 0; i++)
		r = join(&clients[i], path + 10);
	if (r < 0) {
		fprintf(stderr, "bus-flood: %s\n", strerror(-r));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	run(n_clients, n_kinds, now() + (usec_t)(atof(argv[2]) * USEC_PER_SEC));
	for (unsigned i = 0; i < n_clients; i++)
		n_sent += clients[i].n_sent;
	printf("%u calls\n", n_sent);
	return 0;
}
