/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-io: what is read of a socket whose other end sends parts of messages, messages that are too
 * large, or nothing, and does not read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/log/log.h"
#include "daemon/record/recorder.h"
#include "tests/fuzz/fuzz-socket.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	struct manager *manager;
	struct bus *bus;
	int fd; /* the other end */
	unsigned n_messages;
} test;

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	test.n_messages++;
	return 1;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	test.bus = calloc(1, sizeof(*test.bus));
	if (!test.bus)
		return -1;
	log_set_target(LOG_TARGET_NULL);
	test.manager = manager_alloc();
	if (!test.manager ||
	    recorder_new(test.manager->in_flight, &test.manager->tick->recorder) < 0)
		return -1;
	test.bus->link.owner = test.bus;
	test.bus->subject = manager_bus_subject(test.manager);
	test.bus->link.bus = fuzz_connect(&test.fd);
	test.bus->link.is_aligned = true;
	/* What was sent to log in. */
	while (recv(test.fd, &(char[256]){ 0 }, 256, MSG_DONTWAIT) > 0)
		;
	return sd_bus_add_filter(test.bus->link.bus, NULL, on_message, NULL) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	sd_bus_close_unref(test.bus->link.bus);
	if (test.fd >= 0)
		close(test.fd);
	free(test.bus);
	recorder_free(test.manager->tick->recorder);
	free(test.manager);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

/* A signal "a.b.c" of the object "/"; so many bytes in its body, which are a string. */
static unsigned char message[256 * 1024];

static size_t make_message(uint32_t body)
{
	static const unsigned char fields[] = {
		1, 1, 'o', 0, 1, 0,   0, 0, '/', 0,   0,   0, 0, 0, 0, 0, /* path */
		2, 1, 's', 0, 3, 0,   0, 0, 'a', '.', 'b', 0, 0, 0, 0, 0, /* interface */
		3, 1, 's', 0, 1, 0,   0, 0, 'c', 0,   0,   0, 0, 0, 0, 0, /* member */
		8, 1, 'g', 0, 1, 's', 0,				  /* signature */
	};
	uint32_t n_fields = sizeof(fields), n_text = body - 5, serial = 7;
	size_t at = 16 + (sizeof(fields) + 7) / 8 * 8;

	memset(message, 0, sizeof(message));
	memcpy(message, "l\4\0\1", 4);
	memcpy(message + 4, &body, 4);
	memcpy(message + 8, &serial, 4);
	memcpy(message + 12, &n_fields, 4);
	memcpy(message + 16, fields, sizeof(fields));
	memcpy(message + at, &n_text, 4);
	memset(message + at + 4, 'x', n_text);
	assert_int_equal(bus_io_message_size(message), at + body);
	return at + body;
}

static void send_bytes(size_t from, size_t to)
{
	assert_int_equal(send(test.fd, message + from, to - from, MSG_NOSIGNAL | MSG_DONTWAIT),
			 to - from);
}

/* Until it is read: sd-bus dispatches in the turn after it has read. */
static void read_all(void)
{
	for (int i = 0; i < 4; i++) {
		test.bus->link.is_paused = false;
		assert_true(bus_io_read(&test.bus->link) >= 0);
	}
}

/* A client that sends the first bytes of a message does not make the loop wait, or spin. */
static void test_a_message_in_parts(void **state)
{
	static const size_t cuts[] = { 1, 15, 16, 40, 99 };
	size_t size = make_message(64);

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		unsigned n = test.n_messages;

		send_bytes(0, cuts[i]);
		test.bus->link.is_paused = false;
		assert_true(bus_io_read(&test.bus->link) >= 0);
		assert_true(test.bus->link.is_paused);
		assert_true(test.bus->link.paused_until > 0);
		assert_int_equal(test.n_messages, n);
		send_bytes(cuts[i], size);
		read_all();
		assert_int_equal(test.n_messages, n + 1);
	}
	assert_int_equal(bus_io_read(&test.bus->link), 0); /* nothing is there */
	assert_false(test.bus->link.is_lost);
}

/* It is discarded, a piece in each turn, and the one after it is read. */
static void test_a_message_that_is_too_large(void **state)
{
	size_t size = make_message(100 * 1024), sent = 32768;
	unsigned turns = 0;

	send_bytes(0, sent);
	assert_int_equal(bus_io_read(&test.bus->link), 0);
	assert_int_equal(test.bus->link.to_skip, size - sent);
	while (sent < size) {
		size_t n = size - sent < 32768 ? size - sent : 32768;

		send_bytes(sent, sent + n);
		sent += n;
		assert_int_equal(bus_io_read(&test.bus->link), 0);
		turns++;
	}
	assert_true(turns >= 3);
	assert_int_equal(test.bus->link.to_skip, 0);
	send_bytes(0, make_message(64));
	read_all();
	assert_int_equal(test.n_messages, 1);

	/* It is not certain that a message begins there: nothing is discarded, the bus is left. */
	test.bus->link.is_aligned = false;
	(void)make_message(100 * 1024);
	send_bytes(0, 32768);
	assert_int_equal(bus_io_read(&test.bus->link), -EMSGSIZE);
}

static void test_the_bus_disconnects(void **state)
{
	(void)make_message(100 * 1024);
	send_bytes(0, 100);
	assert_int_equal(bus_io_read(&test.bus->link), 0);
	assert_int_equal(bus_io_read(&test.bus->link), 0); /* the rest is not there yet */
	assert_false(test.bus->link.is_lost);
	close(test.fd);
	test.fd = -1;
	assert_int_equal(bus_io_read(&test.bus->link), 0);
	assert_true(test.bus->link.is_lost);

	/* Between two messages sd-bus finds it. */
	test.bus->link.to_skip = 0;
	(void)bus_io_read(&test.bus->link);
	(void)bus_io_read(&test.bus->link);
	assert_true(sd_bus_is_open(test.bus->link.bus) <= 0);
	assert_false(bus_io_is_ready(&test.bus->link));
}

/* Not a message: sd-bus drops it, and what it has read besides is not known. */
static void test_nonsense_is_not_read_on(void **state)
{
	size_t size = make_message(64);

	message[0] = 'x';
	assert_int_equal(bus_io_message_size(message), 0);
	send_bytes(0, size);
	for (int i = 0; i < 4 && sd_bus_is_open(test.bus->link.bus) > 0; i++)
		if (bus_io_read(&test.bus->link) < 0)
			break;
	assert_int_equal(test.n_messages, 0);
}

/* What is sent is not read: no answer is built any more, and after a while the bus is left; not
 * while it reads a little. */
static void test_a_bus_that_takes_nothing(void **state)
{
	struct bus_link *b = &test.bus->link;
	int unsent, fd = sd_bus_get_fd(b->bus);
	char buf[4096] = { 0 };

	assert_true(bus_io_has_room(b));
	while (send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_false(bus_io_has_room(b));
	assert_true(b->has_no_room);
	unsent = b->n_unsent;
	assert_true(unsent > 0);
	assert_false(bus_io_has_room(b)); /* not requested again */

	bus_io_on_check(NULL, 0, b);
	assert_false(b->is_stuck); /* too early */
	assert_true(recv(test.fd, buf, sizeof(buf), 0) > 0);
	b->moved_at -= 16 * USEC_PER_SEC;
	bus_io_on_check(NULL, 0, b);
	assert_false(b->is_stuck); /* it has moved */
	assert_true(b->n_unsent < unsent);
	b->moved_at -= 16 * USEC_PER_SEC;
	bus_io_on_check(NULL, 0, b);
	assert_true(b->is_stuck);
}

/* It is read again when the pause is over, and not before. */
static void test_a_pause_ends(void **state)
{
	struct bus_link *b = &test.bus->link;

	b->is_paused = true;
	b->paused_until = clock_now() + 3600 * USEC_PER_SEC;
	bus_io_on_check(NULL, 0, b);
	assert_true(b->is_paused);
	b->paused_until = clock_now();
	bus_io_on_check(NULL, 0, b);
	assert_false(b->is_paused);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_message_in_parts),	     TEST(test_a_message_that_is_too_large),
		TEST(test_the_bus_disconnects),	     TEST(test_nonsense_is_not_read_on),
		TEST(test_a_bus_that_takes_nothing), TEST(test_a_pause_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
