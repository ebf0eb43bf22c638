/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* quota: a hash table of senders, each with token buckets in bytes. */
#include "lib/base/quota.h"

#include <string.h>

#include "lib/base/hash.h"

static void fill(struct quota_bucket *bucket, usec_t now, uint64_t per_sec, uint64_t most)
{
	uint64_t gained =
		(uint64_t)((__uint128_t)sub_u64(now, bucket->filled_at) * per_sec / USEC_PER_SEC);

	if (gained == 0)
		return; /* what is less than a byte is not lost */
	bucket->filled_at = now;
	if (gained > most || bucket->bytes + (int64_t)gained > (int64_t)most)
		bucket->bytes = (int64_t)most;
	else
		bucket->bytes += (int64_t)gained;
}

static void fill_sender(struct quota_sender *sender, usec_t now)
{
	fill(&sender->own, now, QUOTA_SENDER_BYTES_PER_SEC, QUOTA_SENDER_BYTES);
	fill(&sender->errors, now, QUOTA_ERROR_BYTES_PER_SEC, QUOTA_ERROR_BYTES);
}

static void fill_common(struct quota *quota, usec_t now)
{
	fill(&quota->common, now, QUOTA_ALL_BYTES_PER_SEC, QUOTA_ALL_BYTES);
}

/* FNV-1a and the last step of MurmurHash3, since names differ in their last digits only; never 0.
 */
static uint64_t hash_name(const char *name)
{
	uint64_t hash = hash_bytes(HASH_BEGIN, name, strlen(name));

	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdU;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53U;
	return (hash ^ hash >> 33) | 1;
}

static struct quota_sender *find_fullest(struct quota_sender *set, usec_t now)
{
	struct quota_sender *fullest = &set[0];

	for (size_t i = 0; i < QUOTA_WAYS; i++) {
		fill_sender(&set[i], now);
		if (set[i].own.bytes > fullest->own.bytes)
			fullest = &set[i];
	}
	return fullest;
}

/* The sender's entry, refilled.  A new sender has its full allowance, or what the replaced one had
 * left. */
static struct quota_sender *find(struct quota *quota, const char *name, usec_t now)
{
	uint64_t hash = hash_name(name);
	struct quota_sender *set = quota->senders[(hash >> 32) % QUOTA_SETS], *sender = set;
	struct quota_bucket own = { QUOTA_SENDER_BYTES, now };

	/* Entries are filled in order, and never freed. */
	while (sender < set + QUOTA_WAYS && sender->name != 0 && sender->name != hash)
		sender++;
	if (sender < set + QUOTA_WAYS && sender->name == hash) {
		fill_sender(sender, now);
		return sender;
	}
	if (sender == set + QUOTA_WAYS) {
		sender = find_fullest(set, now);
		own = sender->own;
	}
	*sender = (struct quota_sender){
		.name = hash,
		.own = own,
		.errors = { QUOTA_ERROR_BYTES, now },
	};
	return sender;
}

void quota_init(struct quota *quota, usec_t now)
{
	*quota = (struct quota){ .common = { QUOTA_ALL_BYTES, now } };
}

enum quota_verdict quota_ask(struct quota *quota, const char *name, usec_t now)
{
	const struct quota_sender *sender = find(quota, name, now);

	fill_common(quota, now);
	if (sender->own.bytes > 0 || quota->common.bytes > 0)
		return QUOTA_GRANTED;
	return sender->errors.bytes > 0 ? QUOTA_REFUSED : QUOTA_IGNORED;
}

void quota_charge(struct quota *quota, const char *name, uint64_t bytes, usec_t now)
{
	struct quota_sender *sender = find(quota, name, now);
	int64_t own = (int64_t)bytes;

	fill_common(quota, now);
	if (quota->common.bytes > 0) {
		own = sender->own.bytes > 0 ? (int64_t)min_u64(bytes, (uint64_t)sender->own.bytes)
					    : 0;
		quota->common.bytes -= (int64_t)bytes - own;
	}
	sender->own.bytes -= own;
}

void quota_charge_error(struct quota *quota, const char *name, uint64_t bytes, usec_t now)
{
	find(quota, name, now)->errors.bytes -= (int64_t)bytes;
}

int64_t quota_left(struct quota *quota, const char *name, usec_t now)
{
	return find(quota, name, now)->own.bytes;
}
