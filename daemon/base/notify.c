/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: the messages that are left for the thread, and the thread that sends them.
 *
 * `put` and `taken` count the messages that have gone through the slots.  Where all slots are
 * taken, what is new is added to what is pending, of which there is one of each kind.
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

#include "lib/base/thread.h"

/* A reload is two messages. */
#define N_SLOTS 4
/* With the longest status (service.h). */
#define STATUS_SIZE  512
#define MESSAGE_SIZE (STATUS_SIZE + 64)
#define STACK_SIZE   (32 * KIB)
/* The exit of the daemon may be delayed so long. */
#define PATIENCE_SEC 1

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

static void *run(void *userdata)
{
	bool was_over;

	do {
		(void)sem_wait(&news); /* too early does no harm */
		was_over = atomic_load(&is_over);
		while (atomic_load(&taken) != atomic_load(&put)) {
			(void)sd_notify(0, slots[atomic_load(&taken) % N_SLOTS]);
			atomic_fetch_add(&taken, 1);
		}
	} while (!was_over);
	return NULL;
}

static int start_thread(void)
{
	const size_t size = (size_t)sysconf(_SC_THREAD_STACK_MIN) + STACK_SIZE;
	pthread_attr_t attributes;
	int r;

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attributes, size);
	if (r == 0) /* (signals are blocked in all threads: see monitor_block_signals()) */
		r = pthread_create(&thread, &attributes, run, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (r == 0)
		(void)pthread_setname_np(thread, "notify");
	return -r;
}

int notify_start(void)
{
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	atomic_store(&is_over, false);
	(void)sem_init(&news, 0, 0);
	r = start_thread();
	has_thread = r == 0;
	return r;
}

/* Without a reload: all the others are one message, of a line each. */
static void compose(char message[static MESSAGE_SIZE])
{
	snprintf(message, MESSAGE_SIZE, "%s%s%s%s%s%s", pending.is_ready ? "READY=1\n" : "",
		 pending.has_status ? "STATUS=" : "", pending.has_status ? pending.status : "",
		 pending.has_status ? "\n" : "", pending.is_alive ? "WATCHDOG=1\n" : "",
		 pending.is_stopping ? "STOPPING=1\n" : "");
	message[strlen(message) - 1] = '\0'; /* the last line end */
	pending.is_ready = pending.has_status = pending.is_alive = pending.is_stopping = false;
}

static bool has_others(void)
{
	return pending.is_ready || pending.has_status || pending.is_alive || pending.is_stopping;
}

void notify_turn(void)
{
	while ((pending.is_reloading || has_others()) &&
	       (!has_thread || atomic_load(&put) - atomic_load(&taken) < N_SLOTS)) {
		char *message = slots[atomic_load(&put) % N_SLOTS];

		if (pending.is_reloading)
			snprintf(message, MESSAGE_SIZE, "RELOADING=1\nMONOTONIC_USEC=%llu",
				 (unsigned long long)pending.reloading_since);
		else
			compose(message);
		pending.is_reloading = false;
		if (!has_thread) {
			(void)sd_notify(0, message);
			continue;
		}
		atomic_fetch_add(&put, 1);
		(void)sem_post(&news);
	}
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
