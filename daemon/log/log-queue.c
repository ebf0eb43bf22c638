/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log-queue: the ring of messages, and the thread that writes them.
 *
 * `put` and `taken` count the bytes that have gone through the ring.  A message lies in one piece,
 * so that it can be written from where it is; what is left at the end of the ring is skipped.  All
 * memory is there from the start, and nothing allocates (sd_journal_sendv() does not).
 */
#define SD_JOURNAL_SUPPRESS_LOCATION /* a file name, line and function would be of this file */
#include "daemon/log/log-queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "lib/base/thread.h"
#include "lib/base/util.h"

/* Some 500 lines, or 20 entries. */
#define RING_SIZE (48 * KIB)
/* (sd_journal_sendv() takes some 5 KiB for that many fields.) */
#define STACK_SIZE (64 * KIB)
/* The exit of the daemon may be delayed so long by readers. */
#define PATIENCE_SEC 1

struct message {
	uint32_t n_bytes; /* in the ring, with this */
	uint32_t n_text;  /* 0: there is nothing here */
	uint32_t outlet;
	uint32_t n_lost; /* before it */
	char text[];
};

static _Alignas(struct message) char ring[RING_SIZE];
static atomic_size_t put;
static atomic_size_t taken;
static size_t reserved; /* where put will be but for the new message */
static atomic_uint n_lost;
static void (*say_lost)(unsigned n);

static bool has_thread;
static pthread_t thread;
static sem_t news;
static atomic_bool is_over;

static struct message *message_at(size_t position)
{
	return (struct message *)(ring + position % RING_SIZE);
}

static size_t size_in_ring(size_t n_text)
{
	const size_t unit = sizeof(struct message); /* room for a header, wherever one ends */

	return unit + (n_text + unit - 1) / unit * unit;
}

char *log_queue_reserve(size_t size)
{
	size_t position = atomic_load(&put), read = atomic_load(&taken), n = size_in_ring(size);
	size_t offset = position % RING_SIZE;

	if (RING_SIZE - offset < n) /* in one piece: from the beginning again */
		position += RING_SIZE - offset;
	if (position + n - read > RING_SIZE) {
		atomic_fetch_add(&n_lost, 1);
		(void)sem_post(&news); /* all may have been written meanwhile */
		return NULL;
	}
	reserved = position;
	return message_at(position)->text;
}

/* Before the start nothing can report it: they are counted until then. */
static void report_lost(unsigned n)
{
	if (n > 0 && say_lost)
		say_lost(n);
	else
		atomic_fetch_add(&n_lost, n);
}

/* What there is, in order. */
static void take_all(void)
{
	size_t position = atomic_load(&taken);

	while (position != atomic_load(&put)) {
		const struct message *message = message_at(position);

		report_lost(message->n_lost);
		if (message->n_text > 0)
			log_queue_write(message->outlet, message->text, message->n_text);
		position += message->n_bytes;
		atomic_store(&taken, position);
	}
	report_lost(atomic_exchange(&n_lost, 0));
}

/* Before the thread starts: a pipe that is not read must not hold up the start.  What remains in
 * the ring is written by the thread. */
static bool is_writable(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) != 0;
}

void log_queue_commit(enum log_outlet outlet, size_t size)
{
	size_t position = atomic_load(&put);
	struct message *message = message_at(reserved);

	if (position != reserved)
		*message_at(position) =
			(struct message){ .n_bytes = (uint32_t)(reserved - position) };
	message->n_bytes = (uint32_t)size_in_ring(size);
	message->n_text = (uint32_t)size;
	message->outlet = outlet;
	message->n_lost = atomic_exchange(&n_lost, 0);
	atomic_store(&put, reserved + message->n_bytes);
	if (has_thread)
		(void)sem_post(&news);
	else if (is_writable())
		take_all();
}

static void write_text(const char *text, size_t size)
{
	struct pollfd writable = { .fd = STDERR_FILENO, .events = POLLOUT };
	unsigned n_interruptions = 0;
	ssize_t n;

	while (size > 0) {
		n = write(STDERR_FILENO, text, size);
		/* (Another process has made it so.) */
		if (n < 0 && errno == EAGAIN && poll(&writable, 1, -1) >= 0)
			continue;
		if (io_is_interrupted(n, &n_interruptions))
			continue;
		if (n <= 0)
			return; /* it is not read: no message can report that */
		text += n;
		size -= (size_t)n;
	}
}

static void write_entry(const char *fields, size_t size)
{
	struct iovec iov[LOG_QUEUE_FIELDS_MAX];
	const char *end = fields + size;
	int n = 0;

	while (fields < end && n < LOG_QUEUE_FIELDS_MAX) {
		size_t length = strnlen(fields, (size_t)(end - fields));

		iov[n++] = (struct iovec){ (char *)(uintptr_t)fields, length };
		fields += length + 1;
	}
	(void)sd_journal_sendv(iov, n);
}

void log_queue_write(enum log_outlet outlet, const char *text, size_t size)
{
	if (outlet == LOG_OUTLET_JOURNAL)
		write_entry(text, size);
	else
		write_text(text, size);
}

static void *run(void *userdata)
{
	bool was_over;

	do {
		(void)sem_wait(&news); /* too early does no harm */
		was_over = atomic_load(&is_over);
		take_all();
	} while (!was_over);
	return NULL;
}

int log_queue_start(void (*say)(unsigned n))
{
	bool is_empty = atomic_load(&put) == atomic_load(&taken);
	int r;

	say_lost = say;
	if (is_empty)
		memset(ring, 0, sizeof(ring)); /* there before it is needed */
	atomic_store(&is_over, false);
	(void)sem_init(&news, 0, is_empty ? 0 : 1);
	r = thread_start(&(struct thread_options){ .name = "log", .stack_size = STACK_SIZE }, run,
			 NULL, &thread);
	has_thread = r == 0;
	return r;
}

void log_queue_stop(void)
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
