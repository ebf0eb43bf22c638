/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-ledger: a ledger of thawed groups that has been damaged.
 *
 * The input is a row of changes to a good one: a byte that says what is changed, two bytes of place
 * or slot, and what is put there.  A checksum can be made to fit, as it protects from accidents and
 * from nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/kill/ledger.h"
#include "tests/fuzz/fuzz.h"

#define BOOT "0123456789abcdef0123456789abcdef"

static void enter(struct ledger *ledger, const uint8_t *data, size_t size)
{
	struct ledger_entry entry = { .cgroup_id = 7, .pid = 812, .v1 = size % 2 };
	int slot = ledger_enter(ledger, &entry, (const char *)data, size);

	FUZZ_CHECK(slot >= 0 || slot == -ENOSPC || slot == -ENAMETOOLONG);
	FUZZ_CHECK(slot < 0 || ledger_get(ledger, (unsigned)slot)->pid == 812);
}

/* FNV-1a, as in ledger.c. */
static void fit_checksum(struct ledger_slot *slot)
{
	const unsigned char *p = (const unsigned char *)&slot->entry;
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < sizeof(slot->entry); i++)
		sum = (sum ^ p[i]) * 16777619U;
	slot->checksum = sum;
}

static void change(struct ledger *ledger, uint8_t how, unsigned place, const uint8_t *data,
		   size_t size)
{
	struct ledger_slot *slot = &ledger->slots[place % LEDGER_ENTRIES];
	size_t at;

	switch (how % 5) {
	case 0:
		enter(ledger, data, size);
		break;
	case 1: /* bytes of the file */
		at = place % sizeof(*ledger);
		memcpy((char *)ledger + at, data, min_u64(size, sizeof(*ledger) - at));
		break;
	case 2: /* bytes of an entry that is then good by its checksum */
		memcpy(&slot->entry, data, min_u64(size, sizeof(slot->entry)));
		slot->state = 1;
		fit_checksum(slot);
		break;
	case 3: /* a path, likewise */
		memcpy(slot->entry.path, data, min_u64(size, sizeof(slot->entry.path)));
		fit_checksum(slot);
		break;
	default:
		ledger_strike(ledger, (int)(place % LEDGER_ENTRIES));
		break;
	}
}

static void check_entries(const struct ledger *ledger)
{
	for (unsigned i = 0; i < LEDGER_ENTRIES; i++) {
		const struct ledger_entry *entry = ledger_get(ledger, i);

		if (!entry)
			continue;
		FUZZ_CHECK(memchr(entry->path, '\0', sizeof(entry->path)));
		FUZZ_CHECK(entry->path[0] == '/' && entry->pid > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	int r;

	FUZZ_CHECK(ledger);
	FUZZ_CHECK(ledger_check(ledger, BOOT) == LEDGER_BLANK);
	ledger_init(ledger, BOOT);
	FUZZ_CHECK(ledger_check(ledger, BOOT) == 0);
	/* How, where (two bytes), how many bytes, and these. */
	while (size >= 4) {
		size_t n = min_u64(data[3], size - 4);

		change(ledger, data[0], data[1] | (unsigned)data[2] << 8, data + 4, n);
		data += 4 + n;
		size -= 4 + n;
	}
	r = ledger_check(ledger, BOOT);
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == LEDGER_OTHER_BOOT || r == LEDGER_BLANK);
	if (r == 0)
		check_entries(ledger);
	free(ledger);
	return 0;
}
