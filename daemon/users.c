/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* users: see the header. */
#include "daemon/users.h"

#include <pwd.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "lib/format.h"

/* A line with a longer one is not to be found. */
#define LINE_MAX_SIZE 4096

static void look_up(uid_t uid, char *name, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
	struct passwd entry, *found;
	char line[LINE_MAX_SIZE];

	name[0] = '\0';
	while (f && fgetpwent_r(f, &entry, line, sizeof(line), &found) == 0)
		if (entry.pw_uid == uid) {
			format_foreign(entry.pw_name, name, size);
			return;
		}
}

const char *users_name(struct users *users, uid_t uid, bool may_read)
{
	__typeof__(users->entries[0]) *entry = &users->entries[uid % USERS_MAX];

	if (uid == (uid_t)-1)
		return NULL;
	if (may_read && (!entry->is_known || entry->uid != uid)) {
		look_up(uid, entry->name, sizeof(entry->name));
		entry->uid = uid;
		entry->is_known = true;
	}
	if (entry->is_known && entry->uid == uid && entry->name[0])
		return entry->name;
	snprintf(users->number, sizeof(users->number), "%u", uid);
	return users->number;
}
