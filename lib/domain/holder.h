/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holder: shared memory that did not die with the process that mapped it.
 *
 * A memfd lives as long as it is mapped, or a descriptor of it is open, in any process.  To examine
 * all descriptors before each kill would take too long.  So the first kill may be in vain; then it
 * is found out which process holds what none maps any more (where.h), and that is killed before
 * another one that holds less.  It may hold but a part: what remains is searched for again, until
 * nothing is missing or a holder was killed in vain.  Pure.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/sys/proc.h"

/* So long after the kill; what is held by then may be anything. */
#define HOLDER_USEC (10 * USEC_PER_SEC)
/* A choice waits until the survey has used so much CPU time: memory is low.  Where the survey is
 * starved, so is what fills memory. */
#define HOLDER_WAIT_USEC    (300 * USEC_PER_MSEC)
#define HOLDER_STARVED_USEC (1 * USEC_PER_SEC)
/* A smaller kill tells nothing: so much is freed or not by others. */
#define HOLDER_MIN (16 * MIB)

/* The last kill, and the last survey. */
struct holder_facts {
	struct proc_memory expected; /* the victim's */
	bool is_holder;		     /* it was a process that holds memory by descriptors */
	uint64_t freed;		     /* by the whole machine, whatever it was, until it was over */
	/* Of the machine, resident and swapped: at the choice, and now; 0: not known. */
	uint64_t shmem_before, shmem_now;
	uint64_t missing; /* is_holder: what was not freed when it was chosen (holder_missing()) */
	usec_t finished_at; /* 0: there was none, or it is not over */
	usec_t asked_at;    /* 0: never, as the next */
	usec_t surveyed_at; /* it was over */
	usec_t cpu_time;    /* that the one under way has used */
	usec_t now;
};

enum holder_step {
	HOLDER_NONE, /* there is no reason to search for one */
	HOLDER_ASK,  /* for a survey */
	HOLDER_ASK_AGAIN,
	HOLDER_WAIT,	/* it is under way */
	HOLDER_COMPARE, /* whatever it names is a candidate */
};

/* Of the shared memory of the victim, and of holders that were killed after it: what is not freed.
 * Others may hold that. */
uint64_t holder_missing(const struct holder_facts *facts);

enum holder_step holder_next(const struct holder_facts *facts);

/*
 * Before a process is killed: may another one hold more by descriptors alone?  What fills memory at
 * once is not known yet when memory is low.  So if what no process maps has grown by much, and by
 * more than the death of the chosen one frees, a survey is waited for, if there is none that may
 * know of it.
 */
#define HOLDER_GROWN_SHARE 8 /* of memory */
struct holder_doubt {
	uint64_t chosen;      /* what its death frees */
	uint64_t grown;	      /* what no process maps, since most was available */
	uint64_t grown_asked; /* the same when a survey was asked for: what is mapped is not held */
	uint64_t memory;
	usec_t asked_at;      /* 0: never */
	bool is_under_way;    /* the survey that was asked for */
	usec_t cpu_time;      /* that this has used */
	usec_t surveyed_from; /* the last that is over: it was asked for; 0: there was none */
	bool is_fresh;	      /* that one */
	usec_t killed_at;     /* the last one that a survey named was gone; 0: none */
	/* No other is asked for earlier; once in that time, if as much has been added since.  (What
	 * no process maps may go up and down as a process likes, and no kill may wait for that.) */
	usec_t pause;
	usec_t regrown_at; /* the last HOLDER_ASK_AGAIN; 0: none */
	usec_t now;
};
/* Is this survey waited for still? */
bool holder_is_waited_for(usec_t asked_at, usec_t cpu_time, usec_t now);

/* Not HOLDER_COMPARE. */
enum holder_step holder_before(const struct holder_doubt *doubt);
