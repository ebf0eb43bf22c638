/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-fixture: a bus daemon of our own, calls to the daemon, and its answers; each step of an
 * answer can fail.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/bus/bus.h"
#include "daemon/log/log.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define TURNS 64

static struct {
	char path[64], conf[64];
	int listen_fd;
	struct manager *m;
	sd_bus *peer; /* the bus's end; NULL: nothing has connected */

	/* What the bus does. */
	bool says_hello;
	uint32_t name_answer; /* of RequestName; 0: refuses it */
	uint32_t uid;	      /* of any caller; UINT32_MAX: it has disconnected */
	bool is_silent;	      /* answers no question */

	/* What it has seen. */
	unsigned n_hellos, n_questions, n_signals;
	char signals[512]; /* their names, a line each */
	char changes[512]; /* of PropertiesChanged: "NAME=N\n", N: of an array of texts */
	bool is_answered;
	char error[256]; /* of the last answer; "": none */
	char error_text[512];
	unsigned n_allowed; /* allocations of the daemon in a turn; UINT_MAX: all */
	bool is_counting;   /* the steps in which a message is put together */
	unsigned n_steps, n_steps_allowed;
} test;

/* The step fails, as the library does without memory (which it mostly has reserved). */
static inline bool step_fails(void)
{
	return test.is_counting && test.n_steps++ >= test.n_steps_allowed;
}

int __wrap_sd_bus_message_append(sd_bus_message *message, const char *types, ...);
int __wrap_sd_bus_message_append(sd_bus_message *message, const char *types, ...)
{
	va_list ap;
	int r;

	if (step_fails())
		return -ENOMEM;
	va_start(ap, types);
	r = sd_bus_message_appendv(message, types, ap);
	va_end(ap);
	return r;
}

int __real_sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents);
int __wrap_sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents);
int __wrap_sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents)
{
	return step_fails() ? -ENOMEM
			    : __real_sd_bus_message_open_container(message, type, contents);
}

int __real_sd_bus_message_close_container(sd_bus_message *message);
int __wrap_sd_bus_message_close_container(sd_bus_message *message);
int __wrap_sd_bus_message_close_container(sd_bus_message *message)
{
	return step_fails() ? -ENOMEM : __real_sd_bus_message_close_container(message);
}

int __real_sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret);
int __wrap_sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret);
int __wrap_sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret)
{
	return step_fails() ? -ENOMEM : __real_sd_bus_message_new_method_return(call, ret);
}

static inline int answer_question(sd_bus_message *message)
{
	const char *member = sd_bus_message_get_member(message);

	if (strcmp(member, "Hello") == 0) {
		test.n_hellos++;
		return test.says_hello ? sd_bus_reply_method_return(message, "s", ":1.1") : 0;
	}
	test.n_questions++;
	if (test.is_silent || !test.says_hello)
		return 0;
	if (strcmp(member, "RequestName") == 0)
		return test.name_answer != 0
			       ? sd_bus_reply_method_return(message, "u", test.name_answer)
			       : sd_bus_reply_method_errorf(message, SD_BUS_ERROR_ACCESS_DENIED,
							    "no name for you");
	if (strcmp(member, "GetConnectionUnixUser") == 0)
		return test.uid != UINT32_MAX
			       ? sd_bus_reply_method_return(message, "u", test.uid)
			       : sd_bus_reply_method_errorf(message, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
							    "exited");
	return sd_bus_reply_method_return(message, NULL);
}

/* Properties whose values are arrays of texts. */
static inline void note_changes(sd_bus_message *signal)
{
	const char *name, *types;
	char type;

	assert_true(sd_bus_message_skip(signal, "s") > 0);
	assert_true(sd_bus_message_enter_container(signal, 'a', "{sv}") > 0);
	while (sd_bus_message_enter_container(signal, 'e', "sv") > 0) {
		size_t n = strlen(test.changes);
		unsigned n_texts = 0;

		assert_true(sd_bus_message_read(signal, "s", &name) > 0);
		assert_true(sd_bus_message_peek_type(signal, &type, &types) > 0);
		if (strcmp(types, "as") != 0) {
			assert_true(sd_bus_message_skip(signal, "v") > 0);
		} else {
			assert_true(sd_bus_message_enter_container(signal, 'v', "as") > 0);
			assert_true(sd_bus_message_enter_container(signal, 'a', "s") > 0);
			for (; sd_bus_message_skip(signal, "s") > 0; n_texts++)
				;
			assert_true(sd_bus_message_exit_container(signal) >= 0);
			assert_true(sd_bus_message_exit_container(signal) >= 0);
			snprintf(test.changes + n, sizeof(test.changes) - n, "%s=%u\n", name,
				 n_texts);
		}
		assert_true(sd_bus_message_exit_container(signal) >= 0);
	}
}

static inline int on_peer_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	uint8_t type = 0;

	(void)sd_bus_message_get_type(message, &type);
	if (type == SD_BUS_MESSAGE_SIGNAL) {
		size_t n = strlen(test.signals);

		test.n_signals++;
		snprintf(test.signals + n, sizeof(test.signals) - n, "%s\n",
			 sd_bus_message_get_member(message));
		if (strcmp(sd_bus_message_get_member(message), "PropertiesChanged") == 0)
			note_changes(message);
	}
	if (type == SD_BUS_MESSAGE_METHOD_CALL)
		assert_true(answer_question(message) >= 0);
	return 1;
}

static inline void accept_daemon(void)
{
	int fd = accept4(test.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	sd_id128_t id = { .bytes = { 1 } };

	if (fd < 0)
		return;
	test.peer = sd_bus_close_unref(test.peer);
	assert_true(sd_bus_new(&test.peer) >= 0);
	assert_true(sd_bus_set_fd(test.peer, fd, fd) >= 0);
	assert_true(sd_bus_set_server(test.peer, true, id) >= 0);
	assert_true(sd_bus_set_anonymous(test.peer, true) >= 0);
	assert_true(sd_bus_start(test.peer) >= 0);
	assert_true(sd_bus_add_filter(test.peer, NULL, on_peer_message, NULL) >= 0);
}

static inline void allow_mallocs(bool all)
{
#if FAIL_MALLOC_WORKS
	if (!all)
		n_mallocs_allowed = test.n_allowed;
	fail_malloc = !all && test.n_allowed != UINT32_MAX;
#endif
}

/* The daemon and the bus take turns until neither has anything to do. */
static inline void pump(void)
{
	for (unsigned turn = 0, idle = 0; turn < TURNS && idle < 3; turn++) {
		int r, n = 0;

		accept_daemon();
		allow_mallocs(false);
		test.is_counting = test.n_steps_allowed != UINT32_MAX;
		r = sd_event_run(test.m->monitor->event, 0);
		test.is_counting = false;
		allow_mallocs(true);
		assert_true(r >= 0 || (r == -ENOMEM && test.n_allowed != UINT32_MAX));
		while (test.peer && (n = sd_bus_process(test.peer, NULL)) > 0)
			r = 1;
		if (n < 0)
			test.peer = sd_bus_close_unref(test.peer);
		idle = r > 0 ? 0 : idle + 1;
	}
}

/* As at a sample, at which it may join at once. */
static inline void join(void)
{
	test.m->monitor->bus->join_at = 0;
	allow_mallocs(false);
	bus_turn(test.m->monitor->bus, clock_now());
	allow_mallocs(true);
	pump();
}

static inline bool is_joined(void)
{
	return test.m->monitor->bus->link.bus && bus_io_is_ready(&test.m->monitor->bus->link);
}

static inline int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(answer);

	test.is_answered = true;
	snprintf(test.error, sizeof(test.error), "%s", e ? e->name : "");
	snprintf(test.error_text, sizeof(test.error_text), "%s", e && e->message ? e->message : "");
	return 0;
}

struct call {
	const char *path, *interface, *member, *types;
	const char *text[2];
	uint32_t numbers[2];
};

#define MANAGER(...)                                                                               \
	{                                                                                          \
		BUS_PATH, BUS_INTERFACE, __VA_ARGS__                                               \
	}
#define PROPERTIES(...)                                                                            \
	{                                                                                          \
		BUS_PATH, "org.freedesktop.DBus.Properties", __VA_ARGS__                           \
	}
#define LOG(...)                                                                                   \
	{                                                                                          \
		"/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", __VA_ARGS__     \
	}

static inline void send_call(const struct call *call, const char *sender)
{
	sd_bus_message *message = NULL;
	unsigned n_texts = 0, n_numbers = 0;
	int r;

	assert_non_null(test.peer);
	r = sd_bus_message_new_method_call(test.peer, &message, BUS_NAME, call->path,
					   call->interface, call->member);
	assert_true(r >= 0);
	assert_true(sd_bus_message_set_sender(message, sender) >= 0);
	for (const char *type = call->types; *type; type++) {
		if (*type == 's')
			r = sd_bus_message_append(message, "s", call->text[n_texts++]);
		else if (*type == 'v') /* a text in it */
			r = sd_bus_message_append(message, "v", "s", "debug");
		else if (*type == 't')
			r = sd_bus_message_append(message, "t",
						  (uint64_t)call->numbers[n_numbers++]);
		else
			r = sd_bus_message_append(message, "u", call->numbers[n_numbers++]);
		assert_true(r >= 0);
	}
	test.is_answered = false;
	test.error[0] = test.error_text[0] = '\0';
	assert_true(sd_bus_call_async(test.peer, NULL, message, on_answer, NULL, 0) >= 0);
	sd_bus_message_unref(message);
}

/* No client has sent too many calls. */
static inline void renew_quota(void)
{
	quota_init(&test.m->monitor->bus->quota, clock_now());
	test.m->monitor->bus->link.is_paused = false;
	test.m->monitor->bus->cpu.used = test.m->monitor->bus->private_cpu.used = 0;
}

static inline void call(const struct call *call)
{
	renew_quota();
	send_call(call, ":1.7");
	for (int i = 0; i < 50 && !test.is_answered && test.peer; i++) {
		renew_quota();
		bus_schedule(test.m->monitor->bus);
		pump();
	}
}

static const struct call calls[] = {
	MANAGER("ListCandidates", "uu", .numbers = { 0, 5 }),
	MANAGER("ListCgroups", "uu", .numbers = { 0, 5 }),
	MANAGER("GetHistory", "u", .numbers = { 5 }),
	MANAGER("ListHistory", "tu", .numbers = { 0, 5 }),
	MANAGER("ListRules", "uu", .numbers = { 0, 5 }),
	MANAGER("ListPolicies", "uu", .numbers = { 0, 5 }),
	PROPERTIES("GetAll", "s", .text = { BUS_INTERFACE }),
	PROPERTIES("Get", "ss", .text = { BUS_INTERFACE, "State" }),
	MANAGER("Reload", ""),
	MANAGER("Explain", "u", .numbers = { 1 }),
	LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogLevel" }),
	LOG("Get", "ss", .text = { "org.freedesktop.LogControl1", "LogTarget" }),
};

static inline void write_conf(const char *text)
{
	FILE *f = fopen(test.conf, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define CONF "[Daemon]\nDryRun=yes\n[Protect mine]\nComm=^mine$\n"

static inline int setup(void **state)
{
	struct config_options options = { .config_file = test.conf, .dry_run = true };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(&test, 0, sizeof(test));
	test.says_hello = true;
	test.name_answer = 1;
	test.n_allowed = test.n_steps_allowed = UINT32_MAX;
	snprintf(test.path, sizeof(test.path), "/tmp/test-bus-%d", getpid());
	snprintf(test.conf, sizeof(test.conf), "/tmp/test-bus-%d.conf", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test.path);
	write_conf(CONF);
	test.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(test.listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(test.listen_fd, 8) < 0)
		return -1;
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	setenv("STATE_DIRECTORY", "", 1);
	setenv("RUNTIME_DIRECTORY", "", 1);
	unsetenv("NOTIFY_SOCKET");
	log_set_target(LOG_TARGET_NULL);
	log_set_max_level(LOG_INFO);
	if (manager_new(&options, false, &kill_ops_system, &test.m) < 0)
		return -1;
	assert_true(sd_event_source_set_enabled(test.m->monitor->timer, SD_EVENT_OFF) >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "unix:path=%s", test.path);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address.sun_path, 1);
	return 0;
}

static inline int teardown(void **state)
{
	fail_malloc = false;
	test.m = manager_free(test.m);
	test.peer = sd_bus_close_unref(test.peer);
	close(test.listen_fd);
	(void)unlink(test.path);
	(void)unlink(test.conf);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}
