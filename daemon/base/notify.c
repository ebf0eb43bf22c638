/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: the messages that are left for the thread, and the thread that sends them.
 *
 * `put` and `taken` count the messages that have gone through the slots.  Where all slots are
 * taken, what is new is added to what is pending, of which there is one of each kind.  A message
 * that cannot be sent is tried again, as memory or files may be short only for a while: without
 * READY=1 the service manager kills the daemon after all.
 */
#include "daemon/base/notify.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/base/thread.h"

/* A reload is two messages. */
#define N_SLOTS 4
/* With the longest status (service.h). */
#define STATUS_SIZE  512
#define MESSAGE_SIZE (STATUS_SIZE + 64)
#define STACK_SIZE   (32 * KIB)
/* The exit of the daemon may be delayed so long. */
#define PATIENCE_SEC 1
/* Between attempts, doubled with each one. */
#define RETRY_MIN_MSEC 10
#define RETRY_MAX_MSEC 5120

static char slots[N_SLOTS][MESSAGE_SIZE];
static atomic_uint put;
static atomic_uint taken;

static struct {
	bool is_reloading; /* sent before what follows */
	usec_t reloading_since;
	bool is_ready;
	bool has_status;
	bool is_alive;
	bool is_stopping;
	char status[STATUS_SIZE];
} pending;

static bool has_thread;
static pthread_t thread;
static sem_t news;
static atomic_bool is_over;
static atomic_int error; /* of the last attempt; negative, or 0 */

static bool send_message(const char *message)
{
	int r = sd_notify(0, message);

	atomic_store(&error, r < 0 ? r : 0);
	return r >= 0;
}

static void wait_to_retry(unsigned *delay_msec)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(*delay_msec % 1000) * 1000000;
	until.tv_sec += *delay_msec / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)sem_clockwait(&news, CLOCK_MONOTONIC, &until); /* so that the end is not delayed */
	if (*delay_msec < RETRY_MAX_MSEC)
		*delay_msec *= 2;
}

static void *run(void *userdata)
{
	unsigned delay_msec = RETRY_MIN_MSEC;
	bool was_over;

	do {
		(void)sem_wait(&news); /* too early does no harm */
		was_over = atomic_load(&is_over);
		while (atomic_load(&taken) != atomic_load(&put)) {
			if (send_message(slots[atomic_load(&taken) % N_SLOTS])) {
				atomic_fetch_add(&taken, 1);
				delay_msec = RETRY_MIN_MSEC;
				continue;
			}
			if (was_over)
				break;
			wait_to_retry(&delay_msec);
			was_over = atomic_load(&is_over);
		}
	} while (!was_over);
	return NULL;
}

int notify_start(void)
{
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	atomic_store(&is_over, false);
	(void)sem_init(&news, 0, 0);
	r = thread_start(&(struct thread_options){ .name = "notify", .stack_size = STACK_SIZE },
			 run, NULL, &thread);
	has_thread = r == 0;
	return r;
}

static void compose(char message[static MESSAGE_SIZE])
{
	if (pending.is_reloading) {
		snprintf(message, MESSAGE_SIZE, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)pending.reloading_since);
		return;
	}
	/* All the others are one message, of a line each. */
	snprintf(message, MESSAGE_SIZE, "%s%s%s%s%s%s", pending.is_ready ? "READY=1\n" : "",
		 pending.has_status ? "STATUS=" : "", pending.has_status ? pending.status : "",
		 pending.has_status ? "\n" : "", pending.is_alive ? "WATCHDOG=1\n" : "",
		 pending.is_stopping ? "STOPPING=1\n" : "");
	message[strlen(message) - 1] = '\0'; /* the last line end */
}

/* What has been composed. */
static void forget_pending(void)
{
	if (pending.is_reloading)
		pending.is_reloading = false;
	else
		pending.is_ready = pending.has_status = pending.is_alive = pending.is_stopping =
			false;
}

static bool has_others(void)
{
	return pending.is_ready || pending.has_status || pending.is_alive || pending.is_stopping;
}

/* Once for each series of failures, by the thread that may log. */
static void report_error(void)
{
	static bool is_reported;
	int r = atomic_load(&error);

	if (r < 0 && !is_reported)
		log_warning("Cannot notify the service manager: %s; trying again.", strerror(-r));
	is_reported = r < 0;
}

static void send_pending(void)
{
	while ((pending.is_reloading || has_others()) &&
	       (!has_thread || atomic_load(&put) - atomic_load(&taken) < N_SLOTS)) {
		char *message = slots[atomic_load(&put) % N_SLOTS];

		compose(message);
		if (!has_thread && !send_message(message))
			return;
		forget_pending();
		if (!has_thread)
			continue;
		atomic_fetch_add(&put, 1);
		(void)sem_post(&news);
	}
}

void notify_turn(void)
{
	send_pending();
	report_error();
}

static void set_status(const char *status)
{
	snprintf(pending.status, sizeof(pending.status), "%s", status);
	pending.has_status = true;
}

void notify_ready(const char *status)
{
	pending.is_ready = true;
	set_status(status);
	notify_turn();
}

/* Another READY=1 follows: one that is still pending would end this reload. */
void notify_reloading(usec_t now)
{
	pending.is_reloading = true;
	pending.reloading_since = now;
	pending.is_ready = false;
	notify_turn();
}

void notify_status(const char *status)
{
	set_status(status);
	notify_turn();
}

void notify_watchdog(void)
{
	pending.is_alive = true;
	notify_turn();
}

void notify_stopping(void)
{
	pending.is_stopping = true;
	notify_turn();
}

void notify_stop(void)
{
	struct timespec until;

	if (!has_thread)
		return;
	atomic_store(&is_over, true);
	(void)sem_post(&news);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_SEC;
	if (thread_join_until(thread, &until) == 0)
		has_thread = false;
}
