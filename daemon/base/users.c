/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* users: reads /etc/passwd, and finds a name by uid. */
#include "daemon/base/users.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/format.h"

/* So many entries at a time. */
#define BLOCK 32
/* A line that is longer stops the reading. */
#define PASSWD_LINE_MAX 4096

static int add(struct users *users, const struct passwd *entry)
{
	struct user *grown;

	if (users->n % BLOCK == 0) {
		grown = reallocarray(users->items, users->n + BLOCK, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		users->items = grown;
	}
	grown = &users->items[users->n++];
	grown->uid = entry->pw_uid;
	format_foreign(entry->pw_name, grown->name, sizeof(grown->name));
	return 0;
}

void users_load(struct users *users, const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	struct passwd entry, *found;
	char line[PASSWD_LINE_MAX];

	users_done(users);
	/* cppcheck-suppress uninitvar ; fgetpwent_r() sets it */
	while (f && users->n < USERS_MAX && fgetpwent_r(f, &entry, line, sizeof(line), &found) == 0)
		if (add(users, &entry) < 0)
			return;
}

void users_done(struct users *users)
{
	free(users->items);
	*users = (struct users){ 0 };
}

const char *users_name(struct users *users, uid_t uid)
{
	if (uid == (uid_t)-1)
		return NULL;
	for (size_t i = 0; i < users->n; i++)
		if (users->items[i].uid == uid)
			return users->items[i].name;
	snprintf(users->number, sizeof(users->number), "%u", uid);
	return users->number;
}
