/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report-fixture: what is reported on, made by hand, and what is logged of it. */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log/log.h"
#include "daemon/record/report.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOW  (1000 * USEC_PER_SEC)
#define MSEC USEC_PER_MSEC

static struct {
	struct manager *m;
	struct policy policy;
	struct policy_judgement judgement;
	char said[8192];   /* a line each */
	char entry[4096];  /* the fields of the last journal entry, a line each */
	uint64_t returned; /* 0: nothing is known yet */
	usec_t returned_in;
} test;

__attribute__((format(printf, 3, 0))) static void keep(char *buf, size_t size, const char *format,
						       va_list ap)
{
	size_t n = strlen(buf);

	(void)vsnprintf(buf + n, size - n, format, ap);
	n = strlen(buf);
	(void)snprintf(buf + n, size - n, "\n");
}

__attribute__((format(printf, 2, 3))) void __wrap_log_line(int priority, const char *format, ...);
void __wrap_log_line(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	keep(test.said, sizeof(test.said), format, ap);
	va_end(ap);
}

__attribute__((format(printf, 3, 4))) void __wrap_log_event(const char *message_id, int priority,
							    const char *format, ...);
void __wrap_log_event(const char *message_id, int priority, const char *format, ...)
{
	va_list ap;

	assert_int_equal(strlen(message_id), 32);
	va_start(ap, format);
	keep(test.said, sizeof(test.said), format, ap);
	va_end(ap);
}

void __wrap_log_entry_begin(struct log_entry *entry);
void __wrap_log_entry_begin(struct log_entry *entry)
{
	test.entry[0] = '\0';
}

__attribute__((format(printf, 2, 3))) void __wrap_log_entry_add(struct log_entry *entry,
								const char *format, ...);
void __wrap_log_entry_add(struct log_entry *entry, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	keep(test.entry, sizeof(test.entry), format, ap);
	va_end(ap);
}

void __wrap_log_entry_end(struct log_entry *entry);
void __wrap_log_entry_end(struct log_entry *entry)
{
}

bool __wrap_recorder_reclaimed(const struct recorder *recorder, uint64_t *ret_bytes,
			       usec_t *ret_within);
bool __wrap_recorder_reclaimed(const struct recorder *recorder, uint64_t *ret_bytes,
			       usec_t *ret_within)
{
	*ret_bytes = test.returned;
	*ret_within = test.returned_in;
	return test.returned > 0;
}

static inline int setup(void **state)
{
	static char name[] = "now", subtree[] = "/";
	struct manager *m;

	memset(&test, 0, sizeof(test));
	m = test.m = manager_alloc();
	if (!m)
		return -1;
	test.policy = (struct policy){ .name = name, .action = POLICY_ACTION_KILL };
	m->config->policies.subtree = subtree;
	m->regime->state = REGIME_WATCH;
	m->reporter->warned = true;
	m->sampler->domain.reading =
		(struct memory_reading){ .total = 8 * GIB, .available = 2 * GIB };
	m->in_flight->decision = (struct decision){
		.pid = 812,
		.uid = 1000,
		.comm = "leak",
		.cgroup = "/a/b",
		.policy = "now",
		.kill.signal = SIGKILL,
		.others.n_processes = 1,
		.n_candidates = 40,
		.n_reads = 3,
		.memory = { .anon = 512 * MIB },
		.before = { .total = 8 * GIB, .available = GIB },
		.decided_at = NOW,
		.kill.finished_at = NOW + 30 * MSEC,
		.kill.outcome = KILL_PROGRESS_EXITED,
	};
	kill_victim_init(&m->in_flight->victim);
	log_set_target(LOG_TARGET_CONSOLE);
	log_set_max_level(LOG_INFO);
	return 0;
}

static inline int teardown(void **state)
{
	fail_malloc = false;
	probe_lines_done(&test.m->probed->missing_privileges);
	probe_lines_done(&test.m->probed->limitations);
	free(test.m);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

static inline void say(enum report_event event)
{
	test.said[0] = '\0';
	report(test.m->reporter, event, &test.judgement, test.m->regime->state, NOW);
}

static inline void check_said(const char *text)
{
	if (!strstr(test.said, text))
		print_error("'%s' is not in '%s'\n", text, test.said);
	assert_non_null(strstr(test.said, text));
}

static inline void check_not_said(const char *text)
{
	if (strstr(test.said, text))
		print_error("'%s' is in '%s'\n", text, test.said);
	assert_null(strstr(test.said, text));
}

/* One thing about the decision is changed; the text has to have this, and not that. */
struct change {
	void (*apply)(struct decision *d, struct manager *m);
	const char *says, *says_not;
};

static inline void check_changes(enum report_event event, const struct change *changes, size_t n)
{
	void *state = NULL;

	for (size_t i = 0; i < n; i++) {
		teardown(&state);
		assert_int_equal(setup(&state), 0);
		if (changes[i].apply)
			changes[i].apply(&test.m->in_flight->decision, test.m);
		say(event);
		if (changes[i].says)
			check_said(changes[i].says);
		if (changes[i].says_not)
			check_not_said(changes[i].says_not);
	}
}

#define CHANGE(name) static void name(struct decision *d, struct manager *m)

static inline void of_group(struct decision *d, struct manager *m)
{
	d->target = POLICY_TARGET_CGROUP;
	d->others.n_processes = 3;
	strcpy(d->others.group, "/a");
}
