/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * users: names of users, for answers.  Of passwd(5) alone: NSS may ask another daemon and wait for
 * it, which may be the one that memory was taken from.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define USERS_MAX 64

struct users {
	struct {
		bool is_known;
		uid_t uid;
		char name[33]; /* useradd(8) has 32 at most; "": there is none */
	} entries[USERS_MAX];  /* by uid modulo their number */
	char number[16];       /* the last one that was given out as text */
};

/* The name, or the number as text where there is none, or where the file would have to be read and
 * may not be.  NULL for (uid_t)-1.  Good until the next call. */
const char *users_name(struct users *users, uid_t uid, bool may_read);
