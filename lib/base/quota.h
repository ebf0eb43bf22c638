/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota: how many bytes of answers each sender may get.
 *
 * A client that asks and does not read cannot be recognised from here: its answers pile up in the
 * message bus, which limits the memory it holds for messages of one connection; once that is used
 * up it takes nothing more from us, for any client.  So each sender has an allowance in bytes that
 * refills slowly, large enough for every command of reckonctl, and all senders share a second one.
 * Refusals cost too: after some of them a sender gets no answer at all.
 *
 * A sender is known by its unique name, which the bus never reuses.  The table is of fixed size.
 * Where it is full, a new sender replaces the one with the largest allowance left, and gets what
 * that one had left: using many names gains nothing.
 */
#pragma once

#include "lib/base/util.h"

/* A hash of the name selects a set: with 250 senders one new sender in a thousand finds its set
 * full. */
#define QUOTA_SETS 128
#define QUOTA_WAYS 8

/* Of one sender.  (`reckonctl history 0` takes 400 KB, `status` 50 KB.) */
#define QUOTA_SENDER_BYTES	   (128 * KIB)
#define QUOTA_SENDER_BYTES_PER_SEC (1 * KIB)
/* What refusals may take besides: some ten, and then two a second. */
#define QUOTA_ERROR_BYTES	  2560
#define QUOTA_ERROR_BYTES_PER_SEC 512
/* Of all.  With 250 senders that never read, this is some 80 MiB in the first minute and 45 MiB in
 * each that follows: dbus-daemon holds 127 MiB for a connection. */
#define QUOTA_ALL_BYTES		(2 * MIB)
#define QUOTA_ALL_BYTES_PER_SEC (512 * KIB)

struct quota_bucket {
	int64_t bytes; /* negative: overdrawn, by the last answer */
	usec_t filled_at;
};

struct quota_sender {
	uint64_t name; /* its hash; 0: a free place */
	struct quota_bucket own, errors;
};

struct quota {
	struct quota_sender senders[QUOTA_SETS][QUOTA_WAYS];
	struct quota_bucket common;
};

enum quota_verdict {
	QUOTA_GRANTED,
	QUOTA_REFUSED, /* the sender gets an error */
	QUOTA_IGNORED, /* it had errors enough: no answer at all */
};

void quota_init(struct quota *quota, usec_t now);

/* May the sender be answered?  Nothing is charged: the size of the answer is not known yet. */
enum quota_verdict quota_ask(struct quota *quota, const char *sender, usec_t now);

/* An answer of this size was sent to it: charged to its own allowance, and beyond that to the
 * common one while there is some. */
void quota_charge(struct quota *quota, const char *sender, uint64_t bytes, usec_t now);
/* A refusal of this size was sent to it. */
void quota_charge_error(struct quota *quota, const char *sender, uint64_t bytes, usec_t now);

/* Its allowance now: senders with more left come first. */
int64_t quota_left(struct quota *quota, const char *sender, usec_t now);
