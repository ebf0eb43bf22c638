/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * users: names of users, for answers.  Of passwd(5) alone: NSS may query another daemon and wait
 * for it, which may be the victim.  Read in good time, not when needed.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* The first so many lines of the file. */
#define USERS_MAX 1024

struct user {
	uid_t uid;
	char name[33]; /* useradd(8) has 32 at most */
};

struct users {
	struct user *items; /* owned */
	size_t n;
	char number[16]; /* the last one that was given out as text */
};

/* Reads them anew from path ("/etc/passwd"); without it, or without memory, there are none. */
void users_load(struct users *users, const char *path);
void users_done(struct users *users);

/* The name, harmless; the number as text where there is none; NULL for (uid_t)-1.  Good until the
 * next call. */
const char *users_name(struct users *users, uid_t uid);
