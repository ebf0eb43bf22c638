/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-calls: messages to the daemon, one behind the other, as bytes of its socket.  Their sizes,
 * as found by their first bytes, are those that sd-bus reads, and calls are queued or refused.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/record/recorder.h"
#include "tests/fuzz/fuzz-socket.h"
#include "tests/fuzz/fuzz.h"
#include "tests/manager-parts.h"

#define HEADER_SIZE 16
#define INPUT_MAX   (4 * KIB)

static struct manager *manager;
static struct bus bus;

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	uint8_t type = 0;

	(void)sd_bus_message_get_type(message, &type);
	return type == SD_BUS_MESSAGE_METHOD_CALL ? bus_admit(userdata, message) : 1;
}

static int on_method(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct bus_page page;

	if (bus_read_page(message, 20, 100, &page) < 0)
		return -EINVAL;
	FUZZ_CHECK(page.limit <= 100);
	return 0;
}

static size_t bytes_in(int fd)
{
	int n = 0;

	FUZZ_CHECK(ioctl(fd, FIONREAD, &n) == 0);
	return (size_t)n;
}

/* One turn of the loop; false: nothing more can be read. */
static bool read_one(void)
{
	int fd = sd_bus_get_fd(bus.link.bus);
	unsigned char header[HEADER_SIZE];
	size_t n_before, n_read;
	uint64_t size = bus.link.to_skip;

	if (size == 0 && recv(fd, header, sizeof(header), MSG_PEEK) == (ssize_t)sizeof(header))
		size = bus_io_message_size(header);
	FUZZ_CHECK(bus.link.to_skip > 0 || size == 0 || size >= HEADER_SIZE);
	n_before = bytes_in(fd);
	bus.link.is_aligned = true;
	if (bus_io_read(&bus.link) < 0 || bus.link.is_lost || sd_bus_is_open(bus.link.bus) <= 0)
		return false;
	n_read = n_before - bytes_in(fd);
	/* A message is read as a whole, and nothing after it; what is discarded is one. */
	FUZZ_CHECK(n_read == 0 || n_read == size || n_read + bus.link.to_skip == size);
	return n_read > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	if (!manager) {
		manager = manager_alloc();
		FUZZ_CHECK(manager);
		FUZZ_CHECK(recorder_new(manager->in_flight, &manager->tick->recorder) == 0);
	}
	bus = (struct bus){ .subject = manager_bus_subject(manager) };
	bus.link.owner = &bus;
	bus.link.bus = fuzz_connect(&fd);
	FUZZ_CHECK(sd_bus_add_filter(bus.link.bus, NULL, on_message, &bus.link) >= 0);
	FUZZ_CHECK(sd_bus_add_object(bus.link.bus, NULL, BUS_PATH, on_method, &bus) >= 0);
	fuzz_send(fd, data, size);
	while (read_one())
		;
	bus_drop_answers(&bus.link);
	FUZZ_CHECK(bus.n_waiting == 0);
	bus.link.bus = sd_bus_close_unref(bus.link.bus);
	close(fd);
	return 0;
}
