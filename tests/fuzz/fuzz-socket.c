/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-socket: makes the connection, and sends bytes to it. */
#include "tests/fuzz/fuzz-socket.h"

#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"

bool fuzz_try_send(int fd, const void *data, size_t size)
{
	return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

void fuzz_send(int fd, const void *data, size_t size)
{
	FUZZ_CHECK(fuzz_try_send(fd, data, size));
}

sd_bus *fuzz_connect(int *ret_fd)
{
	static const char greeting[] = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n";
	sd_bus *connection = NULL;
	int fds[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	fuzz_send(fds[0], greeting, sizeof(greeting) - 1);
	FUZZ_CHECK(sd_bus_new(&connection) >= 0);
	FUZZ_CHECK(sd_bus_set_fd(connection, fds[1], fds[1]) >= 0);
	FUZZ_CHECK(sd_bus_negotiate_fds(connection, false) >= 0);
	FUZZ_CHECK(sd_bus_start(connection) >= 0);
	for (int i = 0; i < 100 && sd_bus_is_ready(connection) == 0; i++)
		FUZZ_CHECK(sd_bus_process(connection, NULL) >= 0);
	FUZZ_CHECK(sd_bus_is_ready(connection) > 0);
	*ret_fd = fds[0];
	return connection;
}
