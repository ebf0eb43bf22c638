/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log-queue: what is to be written to standard error or to the journal.
 *
 * Either may be read late, or not at all: most likely so when memory is short, and a journal that
 * is starved blocks its writers.  So a thread of its own writes, in the order of the messages, and
 * the callers never wait: where there is no more room, a message is lost, but counted.
 *
 * A ring of bytes with one writer and one reader, without locks.  All functions are for one thread
 * alone, but for log_queue_write().  Until log_queue_start(), each message is written at once.
 */
#pragma once

#include <stddef.h>

enum log_outlet {
	LOG_OUTLET_STDERR,  /* the text as it is, with its line end */
	LOG_OUTLET_JOURNAL, /* the fields of one entry, "NAME=value", each with a NUL behind it */
};

/* Fields of one entry; the others are left out. */
#define LOG_QUEUE_FIELDS_MAX 40

/* Room for a message of so many bytes at most, until it is committed; NULL: there is none, and one
 * more is lost. */
char *log_queue_reserve(size_t size);
/* The message that has been written there is to be sent, with the size that it came to. */
void log_queue_commit(enum log_outlet outlet, size_t size);

/* Writes at once, and waits until that is done; for say_lost() and the queue itself. */
void log_queue_write(enum log_outlet outlet, const char *text, size_t size);

/* Starts the thread: 0 or -errno.  In place of n messages that were lost it calls say_lost(n). */
int log_queue_start(void (*say_lost)(unsigned n));

/* Waits until all is written, but no longer than a second: what is left then is never written, nor
 * is what follows. */
void log_queue_stop(void);
