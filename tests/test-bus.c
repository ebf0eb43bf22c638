/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: the daemon on a bus that is this test's own end of a socket: what it does when that bus
 * refuses, does not answer or disconnects, and with an allocation that fails at each place.  What a
 * client of a real bus sees is tested by check-bus.sh.
 *
 * A dry run of the real manager on the real /proc; its own timer is off, so that no process is read
 * but for an answer.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/bus-internal.h"
#include "daemon/bus.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define TURNS 64
/* An answer needs no more allocations than so many. */
#define N_MALLOCS_MAX 20000U
#define N_STEPS_MAX   2000U

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
	bool is_answered;
	char error[256]; /* of the last answer; "": none */
	char error_text[512];
	unsigned n_allowed; /* allocations of the daemon in a turn; UINT_MAX: all */
	bool is_counting;   /* the steps in which a message is put together */
	unsigned n_steps, n_steps_allowed;
} test;

/* The step fails, as the library does without memory (which it mostly has reserved). */
static bool step_fails(void)
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

static int answer_question(sd_bus_message *message)
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
							    "gone");
	return sd_bus_reply_method_return(message, NULL);
}

static int on_peer_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	uint8_t type = 0;

	(void)sd_bus_message_get_type(message, &type);
	if (type == SD_BUS_MESSAGE_SIGNAL) {
		size_t n = strlen(test.signals);

		test.n_signals++;
		snprintf(test.signals + n, sizeof(test.signals) - n, "%s\n",
			 sd_bus_message_get_member(message));
	}
	if (type == SD_BUS_MESSAGE_METHOD_CALL)
		assert_true(answer_question(message) >= 0);
	return 1;
}

static void accept_daemon(void)
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

static void allow_mallocs(bool all)
{
#if FAIL_MALLOC_WORKS
	if (!all)
		n_mallocs_allowed = test.n_allowed;
	fail_malloc = !all && test.n_allowed != UINT32_MAX;
#endif
}

/* The daemon and the bus take turns until neither has anything to do. */
static void pump(void)
{
	for (unsigned turn = 0, idle = 0; turn < TURNS && idle < 3; turn++) {
		int r, n = 0;

		accept_daemon();
		allow_mallocs(false);
		test.is_counting = test.n_steps_allowed != UINT32_MAX;
		r = sd_event_run(test.m->monitor.event, 0);
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
static void join(void)
{
	test.m->bus->join_at = 0;
	allow_mallocs(false);
	bus_turn(test.m->bus, clock_now());
	allow_mallocs(true);
	pump();
}

static bool is_joined(void)
{
	return test.m->bus->bus && bus_io_is_ready(test.m->bus);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error)
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

static void send_call(const struct call *call, const char *sender)
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
static void renew_quota(void)
{
	quota_init(&test.m->bus->quota, clock_now());
	test.m->bus->is_paused = false;
	test.m->bus->cpu_used = 0;
}

static void call(const struct call *call)
{
	renew_quota();
	send_call(call, ":1.7");
	for (int i = 0; i < 50 && !test.is_answered && test.peer; i++) {
		renew_quota();
		bus_schedule(test.m->bus);
		pump();
	}
}

static const struct call calls[] = {
	MANAGER("GetCandidates", "u", .numbers = { 5 }),
	MANAGER("ListCandidates", "uu", .numbers = { 0, 5 }),
	MANAGER("GetCgroups", "u", .numbers = { 5 }),
	MANAGER("ListCgroups", "uu", .numbers = { 0, 5 }),
	MANAGER("GetHistory", "u", .numbers = { 5 }),
	MANAGER("ListHistory", "tu", .numbers = { 0, 5 }),
	MANAGER("GetRules", ""),
	MANAGER("ListRules", "uu", .numbers = { 0, 5 }),
	MANAGER("GetPolicies", ""),
	MANAGER("ListPolicies", "uu", .numbers = { 0, 5 }),
	PROPERTIES("GetAll", "s", .text = { BUS_INTERFACE }),
	PROPERTIES("Get", "ss", .text = { BUS_INTERFACE, "State" }),
	MANAGER("Reload", ""),
	MANAGER("Explain", "u", .numbers = { 1 }),
	LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogLevel" }),
	LOG("Get", "ss", .text = { "org.freedesktop.LogControl1", "LogTarget" }),
};

static void write_conf(const char *text)
{
	FILE *f = fopen(test.conf, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define CONF "[Daemon]\nDryRun=yes\n[Protect mine]\nComm=^mine$\n"

static int setup(void **state)
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
	unsetenv("NOTIFY_SOCKET");
	log_set_target(LOG_TARGET_NULL);
	log_set_max_level(LOG_INFO);
	if (manager_new(&options, false, &kill_ops_system, &test.m) < 0)
		return -1;
	assert_true(sd_event_source_set_enabled(test.m->monitor.timer, SD_EVENT_OFF) >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "unix:path=%s", test.path);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address.sun_path, 1);
	return 0;
}

static int teardown(void **state)
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

static void test_all_is_answered(void **state)
{
	join();
	assert_true(is_joined());
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		call(&calls[i]);
		if (test.error[0])
			print_error("%s: %s: %s\n", calls[i].member, test.error, test.error_text);
		assert_true(test.is_answered);
		assert_string_equal(test.error, "");
	}
}

static void test_the_answer_to_the_name(void **state)
{
	struct bus *b = test.m->bus;

	test.name_answer = 2; /* another process has it: it comes to us when that exits */
	join();
	assert_true(is_joined());

	/* Refused: it leaves, and does not connect again soon. */
	assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
	pump();
	assert_false(is_joined());
	test.name_answer = 0;
	join();
	assert_false(is_joined());
	assert_true(b->join_at > clock_now() + 50 * USEC_PER_SEC);
	bus_turn(b, clock_now());
	pump();
	assert_false(is_joined());
	test.name_answer = 1; /* the policy file is there now */
	join();
	assert_true(is_joined());
}

/* It has accepted the connection, and does not say hello: it is not waited for for ever. */
static void test_a_bus_that_does_not_answer_is_left(void **state)
{
	struct bus *b = test.m->bus;

	test.says_hello = false;
	join();
	assert_int_equal(test.n_hellos, 1);
	assert_non_null(b->bus);
	assert_false(bus_io_is_ready(b));
	for (unsigned i = 0; i < 10; i++) { /* left, and joined again, later each time */
		usec_t now = clock_now();

		b->joined_at -= 11 * USEC_PER_SEC;
		bus_io_on_check(b->check, 0, b);
		bus_turn(b, now);
		assert_null(b->bus);
		assert_int_equal(b->join_at - now, b->join_pause);
		assert_int_equal(b->join_pause,
				 min_u64(500 * USEC_PER_MSEC << i, 60 * USEC_PER_SEC));
		join();
		assert_int_equal(test.n_hellos, 2 + i);
		assert_false(is_joined());
	}
	b->joined_at -= 11 * USEC_PER_SEC;
	bus_io_on_check(b->check, 0, b);
	bus_turn(b, clock_now());
	test.says_hello = true;
	join();
	assert_true(is_joined());
}

/* Nothing is there where the bus would be, or nothing that listens: tried again, later each time.
 */
static void test_a_bus_that_is_not_there(void **state)
{
	static const char *const addresses[] = { "unix:path=/nonexistent", "unix:path=/dev/null",
						 "nonsense", "unix:abstract=test-bus-nonesuch" };
	struct bus *b = test.m->bus;

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		usec_t pause = b->join_pause;

		setenv("DBUS_SYSTEM_BUS_ADDRESS", addresses[i], 1);
		join();
		assert_null(b->bus);
		assert_true(b->join_at > clock_now());
		assert_true(b->join_pause > pause);
	}
}

/* Root may, and the user that the daemon runs as; no other, and none that has disconnected. */
static void test_which_callers_may_change_something(void **state)
{
	static const struct {
		uint32_t uid;
		bool may;
	} cases[] = { { 0, true }, { 4242, false }, { UINT32_MAX, false }, { 0, true } };
	static const struct call reload = MANAGER("Reload", "");
	static const struct call set =
		LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogLevel" });

	join();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n_reloads = test.m->config.n_reloads;

		test.uid = cases[i].uid;
		call(&reload);
		assert_string_equal(test.error, cases[i].may ? "" : SD_BUS_ERROR_ACCESS_DENIED);
		assert_int_equal(test.m->config.n_reloads, n_reloads + cases[i].may);
		log_set_max_level(LOG_INFO);
		call(&set);
		assert_string_equal(test.error, cases[i].may ? "" : SD_BUS_ERROR_ACCESS_DENIED);
		assert_int_equal(log_get_max_level(), cases[i].may ? LOG_DEBUG : LOG_INFO);
	}
}

static void test_what_cannot_be_set(void **state)
{
	static const struct {
		struct call call;
		const char *error;
	} cases[] = {
		{ LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "SyslogIdentifier" }),
		  SD_BUS_ERROR_PROPERTY_READ_ONLY },
		{ LOG("Set", "ssv", .text = { "org.example.Other", "LogLevel" }),
		  SD_BUS_ERROR_PROPERTY_READ_ONLY },
		/* (there is no target "debug") */
		{ LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogTarget" }),
		  SD_BUS_ERROR_INVALID_ARGS },
	};

	join();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		call(&cases[i].call);
		assert_string_equal(test.error, cases[i].error);
	}
	assert_int_equal(log_get_max_level(), LOG_INFO);
}

/* What is wrong is in the answer, and the old one remains in use. */
static void test_a_reload_that_is_refused(void **state)
{
	static const struct call reload = MANAGER("Reload", "");
	size_t n_policies = test.m->config.policies.n_policies;

	join();
	write_conf(CONF "[Policy x]\nMemoryAvailable=plenty\n");
	call(&reload);
	assert_string_equal(test.error, BUS_ERROR_BAD_CONFIGURATION);
	assert_non_null(strstr(test.error_text, "MemoryAvailable="));
	assert_int_equal(test.m->config.policies.n_policies, n_policies);
	assert_int_equal(test.m->config.n_reloads, 0);
}

/* The bus does not report the caller: so many wait, no more; all are dropped with the bus. */
static void test_questions_that_are_not_answered(void **state)
{
	static const struct call reload = MANAGER("Reload", "");

	join();
	test.is_silent = true;
	for (int i = 0; i < 17; i++) {
		char sender[16];

		renew_quota();
		snprintf(sender, sizeof(sender), ":1.%d", 100 + i);
		send_call(&reload, sender);
		pump();
		assert_int_equal(test.is_answered, i == 16);
	}
	assert_string_equal(test.error, SD_BUS_ERROR_LIMITS_EXCEEDED);
	assert_int_equal(test.m->bus->n_questions, 16);
	assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
	pump();
	assert_null(test.m->bus->bus);
	assert_int_equal(test.m->bus->n_questions, 0);
	assert_int_equal(test.m->config.n_reloads, 0);
}

/* What would read processes is refused with the process that is being killed, and what to do. */
static void test_while_a_victim_exits(void **state)
{
	static const struct call candidates = MANAGER("GetCandidates", "u", .numbers = { 1 });
	static const struct call properties = PROPERTIES("GetAll", "s", .text = { BUS_INTERFACE });
	struct manager *m = test.m;
	struct decision *d = &m->in_flight.decision;

	join();
	m->regime.state = REGIME_KILLING;
	*d = (struct decision){ .pid = 812, .comm = "leak", .policy = "now", .signal = SIGKILL };
	d->signalled_at = clock_now() - 2 * USEC_PER_SEC;
	call(&candidates);
	assert_string_equal(test.error, BUS_ERROR_BUSY);
	assert_non_null(strstr(test.error_text, "leak (pid 812) was sent SIGKILL 2"));
	d->signal = SIGTERM;
	d->target = POLICY_TARGET_CGROUP;
	d->n_processes = 3;
	strcpy(d->cgroup, "/a/b");
	call(&candidates);
	assert_non_null(strstr(test.error_text, "cgroup /a/b (3 processes) was sent SIGTERM"));
	strcpy(d->group, "/a");
	d->n_processes = 1;
	call(&candidates);
	assert_non_null(strstr(test.error_text, "cgroup /a (1 process) was sent"));
	m->bus->hides_processes = true;
	m->bus->hides_read_at = clock_now();
	call(&candidates);
	assert_non_null(strstr(test.error_text, "A process was sent SIGTERM"));
	call(&properties); /* is in memory */
	assert_string_equal(test.error, "");

	/* Just now: it waits, as that is soon over. */
	m->bus->hides_processes = false;
	renew_quota();
	d->signalled_at = clock_now();
	send_call(&candidates, ":1.7");
	pump();
	if (clock_now() - d->signalled_at < USEC_PER_SEC) { /* else: a busy machine */
		assert_int_equal(m->bus->n_waiting, 1);
		assert_false(test.is_answered);
	}
	m->regime.state = REGIME_WATCH;
	bus_schedule(m->bus);
	for (int i = 0; i < 50 && !test.is_answered; i++)
		pump();
	assert_string_equal(test.error, "");
}

static void test_news_are_reported_once(void **state)
{
	struct manager *m = test.m;
	struct policy *policy = &m->config.policies.policies[0];
	const struct policy_judgement judgement = { .policy = policy }, none = { 0 };

	join();
	test.n_signals = 0;
	pump();
	assert_int_equal(test.n_signals, 0);
	m->regime.state = REGIME_WATCH;
	m->in_flight.n_kills++;
	m->conflicts.found = 1;
	bus_schedule(m->bus);
	pump();
	assert_string_equal(test.signals, "StateChanged\nPropertiesChanged\n");
	bus_schedule(m->bus);
	pump();
	assert_int_equal(test.n_signals, 2);

	test.signals[0] = '\0';
	policy->action = POLICY_ACTION_WARN;
	bus_note_judgement(m->bus, &judgement, 100 * USEC_PER_SEC);
	bus_note_judgement(m->bus, &judgement, 101 * USEC_PER_SEC);
	bus_schedule(m->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\n");
	bus_note_judgement(m->bus, &none, 102 * USEC_PER_SEC); /* too short a time */
	bus_note_judgement(m->bus, &judgement, 103 * USEC_PER_SEC);
	bus_schedule(m->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\n");
	bus_note_judgement(m->bus, &none, 113 * USEC_PER_SEC);
	bus_note_judgement(m->bus, &judgement, 114 * USEC_PER_SEC);
	bus_schedule(m->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\nLowMemory\n");
}

/* Joined, and it answers as before. */
static void check_recovers(void)
{
	static const struct call version =
		PROPERTIES("Get", "ss", .text = { BUS_INTERFACE, "Version" });

	test.n_allowed = UINT32_MAX;
	/* (A bus that is about to be left, for what failed before, does not answer.) */
	for (int i = 0; i < 3; i++) {
		pump();
		if (!is_joined())
			join();
		assert_true(is_joined());
		call(&version);
		if (test.is_answered && !test.error[0])
			return;
	}
	assert_string_equal(test.error, "");
	assert_true(test.is_answered);
}

/* Of each answer each step fails once: the caller gets an error, and the next call is answered. */
static void test_answers_that_cannot_be_put_together(void **state)
{
	struct history_entry entry;

	history_entry_init(&entry);
	history_set_text(entry.kind, sizeof(entry.kind), "killed");
	history_set_text(entry.outcome, sizeof(entry.outcome), "gone");
	history_put(recorder_history(test.m->tick.recorder), &entry);
	test.m->selection.stuck.since = 1;
	test.m->selection.stuck.account.n_rows = 1;
	test.m->selection.stuck.account.rows[0].text = "tmpfs";
	test.m->selection.stuck.largest_pid = 1;
	test.m->conflicts.found = 1;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		check_recovers();
		for (unsigned n = 0; n < N_STEPS_MAX; n++) {
			bus_forget_preview(test.m->bus);
			test.n_steps = 0;
			test.n_steps_allowed = n;
			call(&calls[i]);
			test.n_steps_allowed = UINT32_MAX;
			assert_true(test.is_answered);
			if (!test.error[0] && test.n_steps <= n)
				break;
			assert_true(n + 1 < N_STEPS_MAX);
		}
	}
	check_recovers();
}

/* All allocations but the first few fail, for each number of these: until there are enough. */
static void test_answers_without_memory(void **state)
{
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned step = 1, n = 0;

		check_recovers();
		for (; n < N_MALLOCS_MAX; n += step) {
			test.m->bus->caught_up_at = 0; /* it is all to be done anew */
			bus_forget_preview(test.m->bus);
			n_mallocs = 0;
			test.n_allowed = n;
			call(&calls[i]);
			test.n_allowed = UINT32_MAX;
			if (test.is_answered && !test.error[0] && n_mallocs == 0)
				break;
			check_recovers();
			step = n < 150 ? 1 : n / 50; /* JSON has thousands */
		}
		assert_true(n < N_MALLOCS_MAX);
	}
#endif
}

static void test_joining_without_memory(void **state)
{
	unsigned n = 0;

	(void)n;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (; n < N_MALLOCS_MAX; n++) {
		if (test.m->bus->bus) {
			assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
			pump();
		}
		assert_null(test.m->bus->bus);
		n_mallocs = 0;
		test.n_allowed = n;
		join();
		test.n_allowed = UINT32_MAX;
		if (is_joined() && n_mallocs == 0)
			break;
		check_recovers();
	}
	assert_true(n < N_MALLOCS_MAX);
#endif
}

static void test_news_without_memory(void **state)
{
	unsigned n = 0;

	(void)n;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (; n < N_MALLOCS_MAX; n++) {
		check_recovers();
		test.m->regime.state =
			test.m->regime.state == REGIME_WATCH ? REGIME_CALM : REGIME_WATCH;
		test.m->bus->has_low_memory = true;
		test.signals[0] = '\0';
		bus_schedule(test.m->bus);
		n_mallocs = 0;
		test.n_allowed = n;
		pump();
		test.n_allowed = UINT32_MAX;
		if (n_mallocs == 0)
			break;
	}
	assert_true(n > 0 && n < N_MALLOCS_MAX);
	assert_string_equal(test.signals, "StateChanged\nPropertiesChanged\nLowMemory\n");
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_answered),
		TEST(test_the_answer_to_the_name),
		TEST(test_a_bus_that_does_not_answer_is_left),
		TEST(test_a_bus_that_is_not_there),
		TEST(test_which_callers_may_change_something),
		TEST(test_what_cannot_be_set),
		TEST(test_a_reload_that_is_refused),
		TEST(test_questions_that_are_not_answered),
		TEST(test_while_a_victim_exits),
		TEST(test_news_are_reported_once),
		TEST(test_answers_that_cannot_be_put_together),
		TEST(test_answers_without_memory),
		TEST(test_joining_without_memory),
		TEST(test_news_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
