/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-queue: which calls are answered, and in which order.
 *
 * The call of the sender with the largest allowance left is answered first (lib/base/quota.h), so
 * that a sender of one call does not wait behind the senders of many; and when the queue is full, a
 * call of those is dropped for it.  Clients of the private socket have places of their own.
 *
 * While a kill is in progress, neither processes nor files are read: the loop has more urgent work,
 * and the census is about to change.  Mostly that takes a moment; a caller that would have to wait
 * longer gets an error which names the victim.
 */
#include <signal.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "lib/base/format.h"

/* Of one sender. */
#define WAITING_OF_SENDER_MAX 8
/* How long after its signal calls wait for a victim to exit before they get an error: most victims
 * have exited by then. */
#define PATIENCE_USEC USEC_PER_SEC
/* Of an answer without its contents, and of an error. */
#define ENVELOPE_BYTES 256

/*
 * Admission
 */

/* Calls that have an effect may come without a wish for a reply. */
static bool is_action(sd_bus_message *call)
{
	return sd_bus_message_is_method_call(call, BUS_INTERFACE, "Reload") > 0 ||
	       sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Set") > 0;
}

/* In advance: what sd-bus answers by itself is charged here, the rest when it is answered. */
static uint64_t price_of(sd_bus_message *call)
{
	return sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Introspectable", NULL) > 0
		       ? 8 * KIB
		       : ENVELOPE_BYTES;
}

/* What a client writes there by itself does not count. */
static const char *sender_by(const struct bus_link *link, sd_bus_message *call)
{
	return link->label ? link->label : sd_bus_message_get_sender(call);
}

int bus_refuse(struct bus *b, sd_bus_message *call, const char *why)
{
	struct bus_link *link = bus_link_of(b, call);

	if (!bus_io_has_room(link))
		return 1;
	quota_charge_error(bus_link_quota(link), sender_by(link, call), ENVELOPE_BYTES,
			   clock_now());
	return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED, "%s", why);
}

int bus_admit(struct bus_link *link, sd_bus_message *call)
{
	struct bus *b = link->owner;
	const char *sender = sender_by(link, call);
	struct quota *quota = bus_link_quota(link);
	usec_t now = clock_now();
	int r = 0;

	if (!sender || (!sd_bus_message_get_expect_reply(call) && !is_action(call)))
		return 1;
	switch (quota_ask(quota, sender, now)) {
	case QUOTA_GRANTED:
		quota_charge(quota, sender, price_of(call), now);
		if (bus_is_of_properties(call))
			r = bus_wait(b, call, bus_answer_properties, BUS_NEEDS_NOTHING);
		else if (sd_bus_message_is_method_call(call, BUS_INTERFACE, NULL) <= 0)
			r = !bus_io_has_room(link); /* sd-bus answers it now, or it is dropped */
		break;
	case QUOTA_REFUSED:
		r = bus_refuse(b, call, "Too many requests in too short a time.");
		break;
	case QUOTA_IGNORED:
		r = 1;
		break;
	}
	return r;
}

/*
 * Pages
 */

int bus_read_page(sd_bus_message *call, uint32_t standard, uint32_t most, struct bus_page *ret)
{
	struct bus_page page;
	int r = sd_bus_message_read(call, "uu", &page.first, &page.limit);

	if (r < 0)
		return r;
	page.limit = (uint32_t)min_u64(page.limit ? page.limit : standard, most);
	*ret = page;
	return 0;
}

/*
 * The queue
 */

static const char *sender_of(const struct bus_waiting *waiting)
{
	return sender_by(waiting->link, waiting->call);
}

/* The allowance that its sender has left. */
static int64_t left_of(const struct bus_waiting *waiting, usec_t now)
{
	return quota_left(bus_link_quota(waiting->link), sender_of(waiting), now);
}

static struct bus_waiting take(struct bus *b, unsigned i)
{
	struct bus_waiting taken = b->waiting[i];

	b->n_waiting--;
	memmove(&b->waiting[i], &b->waiting[i + 1],
		(b->n_waiting - i) * sizeof(struct bus_waiting));
	return taken;
}

/* Clients of the private socket and the bus do not take the places of each other. */
static bool is_of_kind(const struct bus_waiting *waiting, const struct bus_link *link)
{
	return (waiting->link->label != NULL) == (link->label != NULL);
}

static bool is_full(const struct bus *b, const struct bus_link *link)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_waiting; i++)
		n += is_of_kind(&b->waiting[i], link);
	return n >= BUS_WAITING_MAX;
}

static unsigned count_waiting(const struct bus *b, const char *sender)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_waiting; i++)
		n += strcmp(sender_of(&b->waiting[i]), sender) == 0;
	return n;
}

/* The queue is full: drops the last call of the sender with the smallest allowance left, if that is
 * smaller than this sender's. */
static bool make_place(struct bus *b, struct bus_link *link, const char *sender)
{
	usec_t now = clock_now();
	int64_t least = quota_left(bus_link_quota(link), sender, now);
	unsigned found = b->n_waiting;
	struct bus_waiting taken;

	for (unsigned i = 0; i < b->n_waiting; i++) {
		int64_t left = left_of(&b->waiting[i], now);

		if (!is_of_kind(&b->waiting[i], link) || left > least ||
		    (left == least && found == b->n_waiting))
			continue;
		least = left;
		found = i;
	}
	if (found == b->n_waiting)
		return false;
	taken = take(b, found);
	(void)bus_refuse(b, taken.call, "Too many calls are waiting.");
	sd_bus_message_unref(taken.call);
	return true;
}

int bus_wait(struct bus *b, sd_bus_message *call, bus_answer_fn answer, enum bus_need need)
{
	struct bus_link *link = bus_link_of(b, call);
	const char *sender = sender_by(link, call);

	if (count_waiting(b, sender) >= WAITING_OF_SENDER_MAX)
		return bus_refuse(b, call, "Too many of your calls are waiting already.");
	if (is_full(b, link) && !make_place(b, link, sender))
		return bus_refuse(b, call, "Too many calls are waiting.");
	b->waiting[b->n_waiting++] =
		(struct bus_waiting){ link, sd_bus_message_ref(call), answer, need };
	bus_schedule(b);
	return 1;
}

void bus_drop_answers(struct bus_link *link)
{
	struct bus *b = link->owner;

	for (unsigned i = b->n_waiting; i-- > 0;)
		if (b->waiting[i].link == link)
			sd_bus_message_unref(take(b, i).call);
}

bool bus_has_waiting(const struct bus_link *link)
{
	const struct bus *b = link->owner;

	for (unsigned i = 0; i < b->n_waiting; i++)
		if (b->waiting[i].link == link)
			return true;
	return false;
}

/*
 * Answering
 */

bool bus_is_to_wait(const struct bus *b)
{
	const struct bus_subject *subject = &b->subject;

	return subject->regime->state == REGIME_KILLING &&
	       clock_now() - subject->in_flight->decision.kill.signalled_at < PATIENCE_USEC;
}

/* May it be answered now?  (While a kill is in progress, but for longer, it is answered that.) */
static bool is_due(const struct bus *b, const struct bus_waiting *waiting, bool is_to_wait)
{
	const struct bus_subject *subject = &b->subject;
	const struct bus_link *link = waiting->link;

	if (!bus_io_is_ready(link) || link->has_no_room || link->is_paused)
		return false;
	if (waiting->need == BUS_NEEDS_NOTHING)
		return true;
	if (is_to_wait)
		return false;
	return waiting->need != BUS_NEEDS_CONFIG || subject->regime->state == REGIME_KILLING ||
	       subject->prepare_reload(subject->userdata);
}

/* Those of the private socket do: their CPU time has a limit of its own. */
static bool comes_before(const struct bus_waiting *waiting, int64_t left,
			 const struct bus_waiting *other, int64_t left_of_other)
{
	if (!is_of_kind(waiting, other->link))
		return waiting->link->label;
	return left > left_of_other;
}

/* The call to answer next, by the largest allowance, then by age.  n_waiting: none. */
static unsigned find_next(struct bus *b)
{
	bool is_to_wait = bus_is_to_wait(b);
	usec_t now = clock_now();
	unsigned next = b->n_waiting;
	int64_t most = 0;

	for (unsigned i = 0; i < b->n_waiting; i++) {
		int64_t left;

		if (!is_due(b, &b->waiting[i], is_to_wait))
			continue;
		left = left_of(&b->waiting[i], now);
		if (next < b->n_waiting &&
		    !comes_before(&b->waiting[i], left, &b->waiting[next], most))
			continue;
		next = i;
		most = left;
	}
	return next;
}

bool bus_can_answer(struct bus *b)
{
	bool is_to_wait = bus_is_to_wait(b);

	for (unsigned i = 0; i < b->n_waiting; i++)
		if (is_due(b, &b->waiting[i], is_to_wait))
			return true;
	return false;
}

/* In words that can be shown as they are. */
static int answer_busy(struct bus *b, sd_bus_message *call)
{
	const struct decision *d = &b->subject.in_flight->decision;
	char name[512], text[480], policy[128], since[FORMAT_DURATION_SIZE];

	if (bus_hides_processes(b))
		snprintf(name, sizeof(name), "A process");
	else if (d->target == POLICY_TARGET_CGROUP)
		snprintf(name, sizeof(name), "cgroup %s (%u process%s)",
			 format_foreign(d->others.group[0] ? d->others.group : d->cgroup, text,
					sizeof(text)),
			 d->others.n_processes, d->others.n_processes == 1 ? "" : "es");
	else
		snprintf(name, sizeof(name), "%s (pid %d)",
			 format_foreign(d->comm, text, sizeof(text)), d->pid);
	return sd_bus_reply_method_errorf(
		call, BUS_ERROR_BUSY,
		"%s was sent %s %s ago by policy %s; ask again when it has exited.", name,
		d->kill.signal == SIGKILL ? "SIGKILL" : "SIGTERM",
		format_duration(clock_now() - d->kill.signalled_at, since),
		format_foreign(d->policy, policy, sizeof(policy)));
}

/* Returns what a bus_answer_fn does. */
static int answer_one(struct bus *b, const struct bus_waiting *waiting)
{
	int r = 1;

	if (waiting->need != BUS_NEEDS_NOTHING && b->subject.regime->state == REGIME_KILLING)
		return answer_busy(b, waiting->call);
	if (waiting->need == BUS_NEEDS_PROCESSES)
		r = bus_catch_up(b);
	if (r == 0)
		return BUS_NOT_DONE;
	return r < 0 ? r : waiting->answer(b, waiting->call);
}

void bus_answer(struct bus *b)
{
	unsigned i = find_next(b);
	struct bus_waiting waiting;
	int r;

	if (i == b->n_waiting || !bus_io_has_room(b->waiting[i].link))
		return; /* an event will tell when that changes */
	waiting = b->waiting[i];

	b->n_bytes = 0;
	r = answer_one(b, &waiting);
	bus_io_count_cost(waiting.link);
	if (r == BUS_NOT_DONE)
		return;
	/* If the caller has disconnected, the bus drops the answer. */
	if (r < 0)
		(void)sd_bus_reply_method_errno(waiting.call, r, NULL);
	quota_charge(bus_link_quota(waiting.link), sender_of(&waiting), b->n_bytes, clock_now());
	sd_bus_message_unref(take(b, i).call);
}
