/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load: what the parts of the load program share.  See load.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MIB (1UL << 20)

/* One kind of step: "NAME" or "NAME=VALUE".  value is "" where there is none. */
struct verb {
	const char *name;
	void (*run)(const char *value);
};

extern const struct verb memory_verbs[], process_verbs[]; /* the last has no name */

/* Exits with a message. */
void die(const char *what) __attribute__((noreturn));
double seconds_now(void); /* by the monotonic clock */
void pause_seconds(double seconds);
/* All that is left to do: waits for the children, then for ever. */
void hold(void) __attribute__((noreturn));

/* "PART,REST": the number PART, and *value is moved to REST, or to "". */
double take_number(const char **value);
/* The same for a word, which is to be freed. */
char *take_word(const char **value);

/* load-memory.c: for the verbs of the other file. */
void *map_anonymous(size_t size);
void fill(void *start, size_t size);

/* load-fuse.c: hold-mmap-lock=DIRECTORY, which is made and mounted.  To be the last step but mark.
 */
void hold_mmap_lock(const char *directory);

/* load-process.c: sends a descriptor through a socket. */
int receive_fd(int from);
void give_fd(int to, int fd);

/* load-hidden.c */
void hold_memfd_in_thread(const char *value);
void leave_memfd_in_flight(const char *value);
void make_queue(const char *path);
void receive_one(const char *value);
void send_memfd(const char *value);
void reserve(const char *value);

/* load-many.c */
void open_descriptors(const char *value);
void make_mappings(const char *value);
void make_thread_tables(const char *value);
void hold_small_memfds(const char *value);
void hold_small_deleted(const char *value);
