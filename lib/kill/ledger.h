/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger: what has been thawed and has to be frozen again, in memory that outlives the process.
 *
 * A table of fixed size, meant to be a mapped file on a tmpfs.  A cgroup is entered before it is
 * thawed and removed when it is frozen again; both are stores to mapped memory: nothing is
 * allocated, no system call is made, no disk is waited for.  An entry counts from the store of its
 * state, which is the last one, so that a process that is killed in the middle of it leaves a
 * complete entry or none.  freezer writes it; daemon/kill/thaw-state.c owns the file and reads it
 * at start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/util.h"

#define LEDGER_ENTRIES	63
#define LEDGER_PATH_MAX 960 /* with the NUL; nested containers stay below half of it */

struct ledger_entry {
	uint64_t cgroup_id; /* its directory's inode: never reused (fs/kernfs/dir.c) */
	uint64_t start_ticks;
	int32_t pid; /* the process for which it was thawed */
	uint8_t v1;
	uint8_t moved; /* not thawed: the process was taken out of it */
	char path[LEDGER_PATH_MAX];
};

struct ledger_slot {
	_Atomic uint32_t state;
	uint32_t checksum;
	struct ledger_entry entry;
};

/* 32 hexadecimal digits. */
#define LEDGER_BOOT_SIZE 33

struct ledger {
	char magic[16];
	char boot_id[LEDGER_BOOT_SIZE];
	struct ledger_slot slots[LEDGER_ENTRIES];
};

/* Makes it an empty one of this boot; touches all of it. */
void ledger_init(struct ledger *ledger, const char *boot_id);

enum { LEDGER_BLANK = 1, LEDGER_OTHER_BOOT };
/* Is it a good one of this boot: 0, LEDGER_BLANK (all zeros: not yet begun), LEDGER_OTHER_BOOT, or
 * -EBADMSG for one that is damaged or another version's. */
int ledger_check(const struct ledger *ledger, const char *boot_id);

/* The slot taken, -ENOSPC if there is none, or -ENAMETOOLONG.  path has length bytes. */
int ledger_enter(struct ledger *ledger, const struct ledger_entry *entry, const char *path,
		 size_t length);
/* Nothing if slot is negative. */
void ledger_strike(struct ledger *ledger, int slot);

/* The entry in a slot, or NULL if it is free.  Borrowed. */
const struct ledger_entry *ledger_get(const struct ledger *ledger, unsigned slot);
