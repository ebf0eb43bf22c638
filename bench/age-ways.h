/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * age-ways: the ways in which a process may come to have more memory, for age-bound.
 *
 * Each is tried in a process of its own, the subject: prepare() there, a sample from outside,
 * grow() there (or reach_in() from outside), another sample.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WAY_SIZE  ((size_t)64 << 20)
#define PAGE_SIZE ((size_t)4096)
#define HUGE_SIZE ((size_t)2 << 20)

/* Of one try; shared between the subject and the measuring process. */
struct scene {
	char why[128];	/* not possible here, because */
	pid_t child;	/* of the subject, where it plays a part */
	int control_fd; /* the subject's end */
	char *at;	/* what the subject has set up, and how much */
	size_t size;
	char *other;
	int fd;
};

enum way_subject {
	WAY_SELF,
	WAY_CHILD, /* its child is sampled */
	WAY_BOTH,  /* the two together */
};

struct way {
	const char *name;
	int (*prepare)(struct scene *scene); /* may be NULL; 0, or negative after way_fails() */
	int (*grow)(struct scene *scene);
	int (*reach_in)(pid_t pid, struct scene *scene);
	enum way_subject subject;
	const char *breaks; /* the bound is known not to hold, and what is done about it */
};

/* ways_outside: pages come from outside of the process.  ways_machine: change settings of the whole
 * machine, or fill its memory: for a VM. */
extern const struct way ways[], ways_outside[], ways_machine[];
extern const size_t n_ways, n_ways_outside, n_ways_machine;

/* Notes what failed, with errno; returns a negative number. */
int way_fails(struct scene *scene, const char *what);
/* Anonymous memory in small pages; NULL after way_fails(). */
char *way_map(struct scene *scene, size_t size);
/* WAY_SIZE of it, as prepare(). */
int way_map_small(struct scene *scene);
/* The same in huge pages, on their boundary. */
char *way_map_huge(struct scene *scene, size_t size);
void way_touch(char *at, size_t size);	    /* writes */
void way_touch_read(char *at, size_t size); /* reads */
/* A child that sleeps (or first calls `first`, then reports it); -1 after way_fails(). */
int way_fork(struct scene *scene, int (*first)(struct scene *scene));
/* What the image does that the subject has become by exec. */
_Noreturn void way_after_exec(int control_fd);
