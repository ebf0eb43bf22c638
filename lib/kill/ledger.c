/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ledger: a fixed table of thawed cgroups in mapped memory: entering, removing and checking
 * entries. */
#include "lib/kill/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* To be changed with the layout: another version's is not read. */
static const char magic[16] = "reckond thawed1";

enum { SLOT_FREE = 0, SLOT_TAKEN = 1 };

static_assert(sizeof(struct ledger) <= 64 * KIB, "the file is small");
static_assert(offsetof(struct ledger, magic) == 0, "known by its first bytes");

/* FNV-1a: against accidental corruption, not against tampering. */
static uint32_t checksum(const struct ledger_entry *entry)
{
	const unsigned char *p = (const unsigned char *)entry;
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < sizeof(*entry); i++)
		sum = (sum ^ p[i]) * 16777619U;
	return sum;
}

void ledger_init(struct ledger *ledger, const char *boot_id)
{
	memset(ledger, 0, sizeof(*ledger));
	strncpy(ledger->boot_id, boot_id, sizeof(ledger->boot_id) - 1);
	atomic_thread_fence(memory_order_release);
	memcpy(ledger->magic, magic, sizeof(magic));
}

static bool entry_is_good(const struct ledger_slot *slot)
{
	const struct ledger_entry *entry = &slot->entry;

	return slot->checksum == checksum(entry) && entry->path[0] == '/' &&
	       memchr(entry->path, '\0', sizeof(entry->path)) && entry->v1 <= 1 &&
	       entry->moved <= entry->v1 && entry->pid > 0;
}

int ledger_check(const struct ledger *ledger, const char *boot_id)
{
	static const char blank[sizeof(magic)];

	if (memcmp(ledger->magic, blank, sizeof(blank)) == 0)
		return LEDGER_BLANK;
	if (memcmp(ledger->magic, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	if (strncmp(ledger->boot_id, boot_id, sizeof(ledger->boot_id)) != 0)
		return LEDGER_OTHER_BOOT;
	for (unsigned i = 0; i < LEDGER_ENTRIES; i++) {
		uint32_t state = atomic_load(&ledger->slots[i].state);

		if (state > SLOT_TAKEN ||
		    (state == SLOT_TAKEN && !entry_is_good(&ledger->slots[i])))
			return -EBADMSG;
	}
	return 0;
}

static int find_free(const struct ledger *ledger)
{
	for (int i = 0; i < LEDGER_ENTRIES; i++)
		if (atomic_load(&ledger->slots[i].state) == SLOT_FREE)
			return i;
	return -ENOSPC;
}

int ledger_enter(struct ledger *ledger, const struct ledger_entry *entry, const char *path,
		 size_t length)
{
	int i = find_free(ledger);
	struct ledger_slot *slot;

	if (i < 0)
		return i;
	if (length >= sizeof(slot->entry.path))
		return -ENAMETOOLONG;
	slot = &ledger->slots[i];
	slot->entry = *entry;
	memset(slot->entry.path, 0, sizeof(slot->entry.path));
	memcpy(slot->entry.path, path, length);
	slot->checksum = checksum(&slot->entry);
	atomic_store_explicit(&slot->state, SLOT_TAKEN, memory_order_release);
	return i;
}

void ledger_strike(struct ledger *ledger, int slot)
{
	if (slot >= 0)
		atomic_store_explicit(&ledger->slots[slot].state, SLOT_FREE, memory_order_release);
}

const struct ledger_entry *ledger_get(const struct ledger *ledger, unsigned slot)
{
	const struct ledger_slot *s = &ledger->slots[slot];

	return atomic_load(&s->state) == SLOT_TAKEN ? &s->entry : NULL;
}
