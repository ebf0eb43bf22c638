/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus: calls to org.reckond1, and their replies as JSON. */
#include "ctl/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctl/bus-value.h"
#include "ctl/running.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/util.h"

#define SERVICE	  "org.reckond1"
#define OBJECT	  "/org/reckond1"
#define INTERFACE "org.reckond1.Manager"

/* In the runtime directory. */
#define PRIVATE_SOCKET	  "private"
#define RUNTIME_DIRECTORY "/run/reckond"

/* The daemon answers within milliseconds, or after a sample of all processes. */
#define TIMEOUT_USEC (5 * USEC_PER_SEC)

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* sd-bus itself would wait for a bus that does not talk for a minute and a half. */
static int wait_until_ready(sd_bus *connection)
{
	usec_t end = now() + TIMEOUT_USEC;

	for (;;) {
		usec_t left = sub_u64(end, now());
		int r = sd_bus_is_ready(connection);

		if (r != 0)
			return r < 0 ? r : 0;
		if (left == 0)
			return -ETIMEDOUT;
		r = sd_bus_process(connection, NULL);
		if (r == 0)
			r = sd_bus_wait(connection, left);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

/* Where the daemon's own socket is; -ENOENT: the bus is given by the environment, or there is no
 * directory. */
static int find_private(struct sockaddr_un *ret)
{
	const char *directories = getenv("RUNTIME_DIRECTORY");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n;

	if (!directories)
		directories = getenv("DBUS_SYSTEM_BUS_ADDRESS") ? "" : RUNTIME_DIRECTORY;
	/* There may be several, systemd.exec(5). */
	n = (int)strcspn(directories, ":");
	if (n == 0)
		return -ENOENT;
	n = snprintf(address.sun_path, sizeof(address.sun_path), "%.*s/" PRIVATE_SOCKET, n,
		     directories);
	if (n >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	*ret = address;
	return 0;
}

static int connect_private(sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *connection = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_un address;
	int r;

	r = find_private(&address);
	if (r < 0)
		return r;
	/* Where too many wait to be accepted, connect() does not: EAGAIN. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = sd_bus_new(&connection);
	if (r >= 0)
		r = sd_bus_negotiate_fds(connection, false);
	if (r >= 0)
		r = sd_bus_set_fd(connection, fd, fd);
	if (r < 0)
		return r;
	(void)take_fd(&fd);
	r = sd_bus_start(connection);
	if (r >= 0)
		r = wait_until_ready(connection);
	if (r >= 0)
		*ret = take_ptr(connection);
	return r < 0 ? r : 0;
}

static int connect_system(sd_bus **ret)
{
	int r = sd_bus_open_system(ret);

	return r < 0 ? r : r == 0 ? wait_until_ready(*ret) : 0;
}

void bus_open(struct bus *ret)
{
	struct bus bus = { .error = SD_BUS_ERROR_NULL };
	int r;

	if (geteuid() == 0)
		bus.private_error = connect_private(&bus.connection);
	bus.is_private = bus.connection;
	r = bus.is_private ? 0 : connect_system(&bus.connection);
	if (r < 0) {
		bus.connection = sd_bus_close_unref(bus.connection);
		bus.trouble = BUS_NO_BUS;
		sd_bus_error_set_errno(&bus.error, r);
	}
	*ret = bus;
}

const char *bus_connection(const struct bus *bus)
{
	return bus->is_private ? "private" : "system-bus";
}

void bus_done(struct bus *bus)
{
	bus->connection = sd_bus_flush_close_unref(bus->connection);
	sd_bus_error_free(&bus->error);
}

static enum bus_trouble trouble_of(const sd_bus_error *error)
{
	static const struct {
		const char *name;
		enum bus_trouble trouble;
	} known[] = {
		{ SD_BUS_ERROR_SERVICE_UNKNOWN, BUS_NOT_RUNNING },
		{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, BUS_NOT_RUNNING },
		{ SD_BUS_ERROR_UNKNOWN_METHOD, BUS_TOO_OLD },
		{ SD_BUS_ERROR_UNKNOWN_PROPERTY, BUS_TOO_OLD },
		{ SD_BUS_ERROR_UNKNOWN_INTERFACE, BUS_TOO_OLD },
		{ SD_BUS_ERROR_UNKNOWN_OBJECT, BUS_TOO_OLD },
		{ SD_BUS_ERROR_INVALID_ARGS, BUS_TOO_OLD },
		{ SD_BUS_ERROR_ACCESS_DENIED, BUS_DENIED },
		{ SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, BUS_DENIED },
		{ SD_BUS_ERROR_TIMEOUT, BUS_LATE },
		{ SERVICE ".Error.NoSuchProcess", BUS_NO_SUCH_PROCESS },
		{ SERVICE ".Error.BadConfiguration", BUS_BAD_CONFIGURATION },
		{ SERVICE ".Error.Busy", BUS_BUSY },
		{ SD_BUS_ERROR_LIMITS_EXCEEDED, BUS_CROWDED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (sd_bus_error_has_name(error, known[i].name))
			return known[i].trouble;
	return BUS_FAILED;
}

/* No process owns the name: is there no daemon? */
static void find_daemon(struct bus *bus)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = proc_fd < 0 ? -errno : running_find(proc_fd);

	bus->daemon_pid = pid > 0 ? pid : 0;
	if (pid != 0)
		bus->trouble = BUS_NOT_JOINED;
}

static void note_unreadable(struct bus *bus)
{
	bus->trouble = BUS_FAILED;
	sd_bus_error_set_const(&bus->error, SD_BUS_ERROR_INCONSISTENT_MESSAGE,
			       "its answer cannot be read");
}

/* Sends m and reads the answer; takes m. */
static json_t *call(struct bus *bus, const char *member, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = call, *reply = NULL;
	json_t *value;
	int r;

	sd_bus_error_free(&bus->error);
	bus->member = member;
	/* A daemon that was stopped on purpose is not started. */
	r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = sd_bus_call(bus->connection, m, TIMEOUT_USEC, &bus->error, &reply);
	if (r < 0) {
		if (!sd_bus_error_is_set(&bus->error))
			sd_bus_error_set_errno(&bus->error, r);
		bus->trouble = trouble_of(&bus->error);
		if (bus->trouble == BUS_NOT_RUNNING)
			find_daemon(bus);
		return NULL;
	}
	bus->trouble = BUS_ANSWERED;
	value = sd_bus_message_at_end(reply, true) > 0 ? json_null() : bus_read_value(reply);
	if (!value)
		note_unreadable(bus);
	return value;
}

/* The value if it is of the type, else NULL, and bus->trouble is set. */
static json_t *of_type(struct bus *bus, json_t *value, json_type type)
{
	if (!value || json_typeof(value) == type)
		return value;
	json_decref(value);
	note_unreadable(bus);
	return NULL;
}

static json_t *call_on(struct bus *bus, const char *interface, const char *member,
		       const char *types, ...)
{
	sd_bus_message *m = NULL;
	va_list ap;
	int r;

	if (!bus->connection)
		return NULL;
	r = sd_bus_message_new_method_call(bus->connection, &m, SERVICE, OBJECT, interface, member);
	if (r >= 0 && *types) {
		va_start(ap, types);
		r = sd_bus_message_appendv(m, types, ap);
		va_end(ap);
	}
	if (r < 0) {
		sd_bus_message_unref(m);
		bus->trouble = BUS_FAILED;
		sd_bus_error_set_errno(&bus->error, r);
		return NULL;
	}
	return call(bus, member, m);
}

json_t *bus_properties(struct bus *bus)
{
	json_t *answer = call_on(bus, "org.freedesktop.DBus.Properties", "GetAll", "s", INTERFACE);

	return of_type(bus, answer, JSON_OBJECT);
}

json_t *bus_call(struct bus *bus, const char *method)
{
	return call_on(bus, INTERFACE, method, "");
}

json_t *bus_call_number(struct bus *bus, const char *method, uint32_t number)
{
	return call_on(bus, INTERFACE, method, "u", number);
}

/* Rows, to the end of the list: more than any has. */
#define ROWS_MAX 100000

json_t *bus_list(struct bus *bus, const char *method)
{
	json_t *rows = json_array(), *page;
	size_t n = 0;

	do {
		page = call_on(bus, INTERFACE, method, "uu", (uint32_t)json_array_size(rows), 0);
		page = of_type(bus, page, JSON_ARRAY);
		n = json_array_size(page);
		if (!page || json_array_extend(rows, page) < 0) {
			json_decref(page);
			json_decref(rows);
			return NULL;
		}
		json_decref(page);
	} while (n > 0 && json_array_size(rows) < ROWS_MAX);
	return rows;
}

json_t *bus_history_page(struct bus *bus, uint64_t before, uint32_t limit)
{
	json_t *page = call_on(bus, INTERFACE, "ListHistory", "tu", before, limit);

	return of_type(bus, page, JSON_ARRAY);
}

bool bus_is_occupied(const struct bus *bus)
{
	return bus->trouble == BUS_BUSY || bus->trouble == BUS_CROWDED || bus->trouble == BUS_LATE;
}

/* The running daemon's version, for a complaint about it. */
static const char *version_of(struct bus *bus, char *buf, size_t size)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *version = NULL;

	buf[0] = '\0';
	if (sd_bus_get_property_string(bus->connection, SERVICE, OBJECT, INTERFACE, "Version",
				       &error, &version) >= 0) {
		buf[0] = ' ';
		format_foreign(version, buf + 1, size - 1);
	}
	return buf;
}

static void describe_not_joined(const struct bus *bus, char buf[static BUS_TEXT_SIZE])
{
	if (bus->daemon_pid > 0)
		snprintf(buf, BUS_TEXT_SIZE,
			 "reckond runs (pid %d) but is not on the bus (journalctl -u reckond)",
			 bus->daemon_pid);
	else
		snprintf(buf, BUS_TEXT_SIZE,
			 "reckond is not on the bus (is it running? systemctl status reckond)");
}

static void describe_no_bus(const struct bus *bus, const char *why, char buf[static BUS_TEXT_SIZE])
{
	char private[128] = "";

	if (bus->private_error < 0)
		snprintf(private, sizeof(private), "; no private socket: %s",
			 strerror(-bus->private_error));
	snprintf(buf, BUS_TEXT_SIZE,
		 "cannot query reckond: no system bus (%s%s; systemctl status dbus reckond)", why,
		 private);
}

const char *bus_trouble_text(struct bus *bus, char buf[static BUS_TEXT_SIZE])
{
	char text[256];

	format_foreign(bus->error.message ? bus->error.message : "", text, sizeof(text));
	switch (bus->trouble) {
	case BUS_NO_BUS:
		describe_no_bus(bus, text, buf);
		break;
	case BUS_NOT_RUNNING:
		snprintf(buf, BUS_TEXT_SIZE,
			 "reckond is not running (systemctl start reckond; "
			 "if that fails: reckonctl check; journalctl -u reckond)");
		break;
	case BUS_NOT_JOINED:
		describe_not_joined(bus, buf);
		break;
	case BUS_LATE:
		snprintf(buf, BUS_TEXT_SIZE,
			 "reckond has not answered within %u s (journalctl -u reckond)",
			 (unsigned)(TIMEOUT_USEC / USEC_PER_SEC));
		break;
	case BUS_TOO_OLD:
		snprintf(buf, BUS_TEXT_SIZE,
			 "reckond%s is older than this reckonctl: it does not know %s",
			 version_of(bus, text, sizeof(text)), bus->member);
		break;
	case BUS_DENIED:
		snprintf(buf, BUS_TEXT_SIZE, "%s is not permitted to you: %s", bus->member, text);
		break;
	case BUS_BUSY:
		snprintf(buf, BUS_TEXT_SIZE, "reckond is busy: %s", text);
		break;
	case BUS_ANSWERED:
	case BUS_NO_SUCH_PROCESS:
	case BUS_BAD_CONFIGURATION:
	case BUS_CROWDED:
	case BUS_FAILED:
		snprintf(buf, BUS_TEXT_SIZE, "reckond cannot answer %s: %s", bus->member, text);
		break;
	}
	return buf;
}

enum ctl_status bus_fail(const struct ctl_options *options, struct bus *bus)
{
	char text[BUS_TEXT_SIZE];

	return ctl_fail(options, CTL_FAILURE, "%s", bus_trouble_text(bus, text));
}
