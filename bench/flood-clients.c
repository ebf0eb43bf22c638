/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flood-clients: calls of all kinds to org.reckond1 from many connections at once; how many were
 * answered, how long the longest waited, and how late reckond's samples of memory were meanwhile.
 *
 * usage: flood-clients [CALLS [CLIENTS]]   (10,000 by 50; bench/flood makes the bus and the daemon)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "bench/mark.h"
#include "lib/base/cleanup.h"
#include "lib/base/util.h"

#define DESTINATION   "org.reckond1"
#define OBJECT	      "/org/reckond1"
#define MANAGER	      "org.reckond1.Manager"
#define PROPERTIES    "org.freedesktop.DBus.Properties"
#define CLIENTS_MAX   200
#define AT_ONCE	      8 /* calls of one client that are not answered yet */
#define DELAY_MAX_MS  10.0
#define PATIENCE_USEC (60 * USEC_PER_SEC)
/* A call without an answer by then gets none: its sender has sent too many. */
#define IGNORED_USEC (2 * USEC_PER_SEC)

struct client {
	sd_bus *bus;
	unsigned n_open;
};

static struct {
	unsigned n_wanted, n_sent, n_answered, n_refused, n_ignored, n_failed;
	usec_t longest;
	struct client clients[CLIENTS_MAX];
	unsigned n_clients;
} flood;

/* One that is not answered yet. */
struct call {
	struct client *client;
	usec_t sent_at;
};

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct call *call = userdata;
	const sd_bus_error *refusal = sd_bus_message_get_error(reply);

	if (!refusal)
		flood.longest = max_u64(flood.longest, now() - call->sent_at);
	call->client->n_open--;
	free(call);
	if (!refusal) {
		flood.n_answered++;
	} else if (sd_bus_error_has_name(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED)) {
		flood.n_refused++;
	} else if (sd_bus_error_has_name(refusal, SD_BUS_ERROR_NO_REPLY)) {
		flood.n_ignored++;
	} else {
		if (flood.n_failed++ == 0)
			fprintf(stderr, "%s: %s\n", refusal->name, refusal->message);
	}
	return 0;
}

static int send_call(struct client *client, unsigned number)
{
	static const struct {
		const char *method, *types;
		bool of_self; /* else all that fits, or of the machine */
	} calls[] = {
		{ "ListCandidates", "uu" }, { "Explain", "u" },	      { "ListCgroups", "uu" },
		{ "ListRules", "uu" },	    { "Explain", "u", true }, { "ListPolicies", "uu" },
	};
	unsigned kind = number % (ARRAY_SIZE(calls) + 2);
	struct call *call = malloc(sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	*call = (struct call){ client, now() };
	if (kind == ARRAY_SIZE(calls))
		r = sd_bus_call_method_async(client->bus, NULL, DESTINATION, OBJECT, PROPERTIES,
					     "GetAll", on_answer, call, "s", MANAGER);
	else if (kind > ARRAY_SIZE(calls))
		r = sd_bus_call_method_async(client->bus, NULL, DESTINATION, OBJECT, PROPERTIES,
					     "Get", on_answer, call, "ss", MANAGER,
					     "MemoryAvailable");
	else
		r = sd_bus_call_method_async(client->bus, NULL, DESTINATION, OBJECT, MANAGER,
					     calls[kind].method, on_answer, call, calls[kind].types,
					     calls[kind].of_self ? (uint32_t)getpid() : 0, 0);
	if (r < 0) {
		free(call);
		return r;
	}
	client->n_open++;
	flood.n_sent++;
	return 0;
}

/* As many as may be open; 1 if there was something to do. */
static int turn(struct client *client)
{
	int r, did = 0;

	while (client->n_open < AT_ONCE && flood.n_sent < flood.n_wanted) {
		r = send_call(client, flood.n_sent);
		if (r < 0)
			return r;
		did = 1;
	}
	while ((r = sd_bus_process(client->bus, NULL)) > 0)
		did = 1;
	return r < 0 ? r : did;
}

static int run(void)
{
	usec_t began = now();
	int r = 0;

	while (flood.n_answered + flood.n_refused + flood.n_ignored + flood.n_failed <
	       flood.n_wanted) {
		int did = 0;

		for (unsigned i = 0; i < flood.n_clients && r >= 0; i++) {
			r = turn(&flood.clients[i]);
			did |= r;
		}
		if (r < 0)
			return r;
		if (now() - began > PATIENCE_USEC)
			return -ETIMEDOUT;
		if (!did)
			usleep(500);
	}
	return 0;
}

static int read_delay(uint64_t *ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	r = sd_bus_get_property_trivial(flood.clients[0].bus, DESTINATION, OBJECT, MANAGER,
					"TimerLatencyMaxUSec", &error, 't', ret);
	if (r < 0)
		fprintf(stderr, "TimerLatencyMaxUSec: %s\n", error.message);
	return r;
}

int main(int argc, char **argv)
{
	uint64_t before = 0, after = 0;
	usec_t began, took;
	int r = 0;

	flood.n_wanted = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	flood.n_clients = argc > 2 ? (unsigned)atoi(argv[2]) : 50;
	if (flood.n_wanted == 0 || flood.n_clients == 0 || flood.n_clients > CLIENTS_MAX) {
		fputs("usage: flood-clients [CALLS [CLIENTS]]\n", stderr);
		return 2;
	}
	for (unsigned i = 0; i < flood.n_clients && r >= 0; i++) {
		r = sd_bus_open_system(&flood.clients[i].bus);
		if (r >= 0)
			r = sd_bus_set_method_call_timeout(flood.clients[i].bus, IGNORED_USEC);
	}
	if (r >= 0)
		r = read_delay(&before);
	began = now();
	if (r >= 0)
		r = run();
	took = now() - began;
	if (r >= 0)
		r = read_delay(&after);
	for (unsigned i = 0; i < flood.n_clients; i++)
		sd_bus_close_unref(flood.clients[i].bus);
	printf("%u calls by %u clients in %.1f s: %u answered, %u refused as too many or too much, "
	       "%u ignored, %u failed; the longest answer took %.0f ms\n",
	       flood.n_sent, flood.n_clients, (double)took / USEC_PER_SEC, flood.n_answered,
	       flood.n_refused, flood.n_ignored, flood.n_failed,
	       (double)flood.longest / USEC_PER_MSEC);
	if (r < 0) {
		fprintf(stderr, "flood-clients: %s\n", strerror(-r));
		return 1;
	}
	printf("a sample was late by %.2f ms at most before, %.2f ms in all\n",
	       (double)before / USEC_PER_MSEC, (double)after / USEC_PER_MSEC);
	mark("flood_unanswered", flood.n_failed, "calls", 0, true);
	mark("flood_sample_delay", (double)after / USEC_PER_MSEC, "ms", DELAY_MAX_MS, true);
	return marks_short > 0;
}
