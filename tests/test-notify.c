/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/base/notify.c: messages to a socket that is read in time, late, or not at all.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/notify.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A call that waits ends the test. */
#define PATIENCE_SEC 20

static struct {
	struct sockaddr_un address;
	int fd;
} test;

static int setup(void **state)
{
	test.address.sun_family = AF_UNIX;
	snprintf(test.address.sun_path, sizeof(test.address.sun_path), "/tmp/test-notify-%d",
		 getpid());
	test.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (test.fd < 0 ||
	    bind(test.fd, (const struct sockaddr *)&test.address, sizeof(test.address)) < 0)
		return -1;
	setenv("NOTIFY_SOCKET", test.address.sun_path, 1);
	(void)alarm(PATIENCE_SEC);
	return 0;
}

static int teardown(void **state)
{
	(void)alarm(0);
	notify_stop();
	close(test.fd);
	(void)unlink(test.address.sun_path);
	return 0;
}

/* As many as the socket takes: what others have sent. */
static unsigned fill_queue(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unsigned n = 0;

	while (sendto(fd, "X=1", 3, 0, (const struct sockaddr *)&test.address,
		      sizeof(test.address)) == 3)
		n++;
	close(fd);
	assert_true(n > 0);
	return n;
}

/* The next message; what is pending is sent meanwhile, as by the ticks. */
static const char *next_message(void)
{
	static char text[1024];
	struct pollfd pollfd = { .fd = test.fd, .events = POLLIN };
	ssize_t n;

	while (poll(&pollfd, 1, 10) == 0)
		notify_turn();
	n = recv(test.fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void assert_no_message(void)
{
	struct pollfd pollfd = { .fd = test.fd, .events = POLLIN };

	notify_turn();
	assert_int_equal(poll(&pollfd, 1, 50), 0);
}

static void test_messages_arrive_in_order(void **state)
{
	for (unsigned with_thread = 0; with_thread < 2; with_thread++) {
		if (with_thread)
			assert_int_equal(notify_start(), 0);
		notify_ready("Watching");
		assert_string_equal(next_message(), "READY=1\nSTATUS=Watching");
		notify_reloading(12345);
		notify_ready("Anew");
		assert_string_equal(next_message(), "RELOADING=1\nMONOTONIC_USEC=12345");
		assert_string_equal(next_message(), "READY=1\nSTATUS=Anew");
		notify_watchdog();
		assert_string_equal(next_message(), "WATCHDOG=1");
		notify_status("Stuck");
		assert_string_equal(next_message(), "STATUS=Stuck");
		notify_stopping();
		assert_string_equal(next_message(), "STOPPING=1");
		assert_no_message();
	}
}

/* No call waits; when it reads again, the last reload ends with READY=1, the last status counts,
 * and the loop is alive. */
static void test_a_service_manager_that_does_not_read(void **state)
{
	char status[64] = "", last[64] = "";
	bool is_reloading = false, is_ready = false, is_alive = false;
	unsigned n;

	assert_int_equal(notify_start(), 0);
	n = fill_queue();
	for (unsigned i = 0; i < 100; i++) {
		snprintf(status, sizeof(status), "STATUS=Reload %u", i);
		notify_reloading(1000 + i);
		notify_watchdog();
		notify_ready(status + strlen("STATUS="));
		notify_turn();
	}
	for (unsigned i = 0; i < n; i++)
		assert_string_equal(next_message(), "X=1");
	while (strcmp(last, status) != 0) {
		const char *message = next_message();
		const char *found = strstr(message, "STATUS=");
		unsigned long long since = 0;

		if (sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%llu", &since) == 1) {
			is_reloading = since == 1099;
			is_ready = is_alive = false;
		}
		is_ready |= strstr(message, "READY=1") != NULL;
		is_alive |= strstr(message, "WATCHDOG=1") != NULL;
		if (found)
			snprintf(last, sizeof(last), "%.*s", (int)strcspn(found, "\n"), found);
	}
	assert_true(is_reloading && is_ready && is_alive);
	assert_no_message();
}

/* Binds again what was unlinked, as a service manager that has been executed again does. */
static void listen_again(void)
{
	close(test.fd);
	test.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(test.fd, (const struct sockaddr *)&test.address, sizeof(test.address)), 0);
}

/* Without READY=1 the daemon would be killed. */
static void test_what_cannot_be_sent_is_sent_later(void **state)
{
	for (unsigned with_thread = 0; with_thread < 2; with_thread++) {
		if (with_thread)
			assert_int_equal(notify_start(), 0);
		(void)unlink(test.address.sun_path);
		notify_reloading(12345);
		notify_ready("Watching");
		(void)usleep(50000); /* the thread has tried it */
		notify_turn();
		listen_again();
		notify_turn();
		assert_string_equal(next_message(), "RELOADING=1\nMONOTONIC_USEC=12345");
		assert_string_equal(next_message(), "READY=1\nSTATUS=Watching");
		assert_no_message();
	}
}

/* What cannot be sent does not delay the end. */
static void test_the_stop_does_not_retry(void **state)
{
	assert_int_equal(notify_start(), 0);
	(void)unlink(test.address.sun_path);
	notify_ready("Watching");
	notify_stopping();
	notify_stop();
	notify_stop();
	listen_again();
	assert_no_message();
}

/* It is not waited for at the end, either. */
static void test_the_stop_does_not_wait_for_ever(void **state)
{
	assert_int_equal(notify_start(), 0);
	(void)fill_queue();
	notify_stopping();
	notify_stop();
	while (strcmp(next_message(), "STOPPING=1") != 0)
		;
}

static void test_no_service_manager(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_start(), 0);
	notify_ready("Watching");
	notify_watchdog();
	assert_no_message();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages_arrive_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_service_manager_that_does_not_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_service_manager, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_stop_does_not_wait_for_ever, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_sent_is_sent_later, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_stop_does_not_retry, setup, teardown),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
