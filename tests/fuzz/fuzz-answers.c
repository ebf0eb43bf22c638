/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-answers: what reckonctl makes of answers from the bus, by one method or a whole command.
 *
 * A byte for the method or command, then for each answer: 'r', or 'e' for an error; a byte of
 * length and the signature, or the error's name; two bytes of length and the body.  What a command
 * finds out without the bus is not tested.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/check.h"
#include "ctl/explain.h"
#include "ctl/history.h"
#include "ctl/preview.h"
#include "ctl/reload.h"
#include "ctl/rules.h"
#include "ctl/running.h"
#include "ctl/status.h"
#include "lib/base/util.h"
#include "tests/fuzz/fuzz-socket.h"
#include "tests/fuzz/fuzz.h"

#define HEADER_SIZE 16
#define INPUT_MAX   (4 * KIB)
#define MESSAGE_MAX (8 * KIB)

struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t n;
};

static void put(struct message *m, const void *data, size_t size)
{
	FUZZ_CHECK(m->n + size <= sizeof(m->bytes));
	if (size > 0)
		memcpy(m->bytes + m->n, data, size);
	m->n += size;
}

static void put_u32(struct message *m, uint32_t value)
{
	put(m, &value, sizeof(value));
}

static void pad(struct message *m)
{
	while (m->n % 8 != 0)
		put(m, "", 1);
}

/* The header of a method return or an error in this machine's byte order; `text` is its signature
 * or name. */
static void put_header(struct message *m, bool is_error, uint32_t serial, const uint8_t *text,
		       uint8_t n_text, uint32_t n_body)
{
	const uint16_t one = 1;
	const uint8_t fixed[] = { *(const uint8_t *)&one ? 'l' : 'B', is_error ? 3 : 2, 1, 1 };
	uint32_t n_fields;

	put(m, fixed, sizeof(fixed));
	put_u32(m, n_body);
	put_u32(m, serial);
	put_u32(m, 0); /* the length of the fields, below */
	put(m, "\5\1u", 4);
	put_u32(m, serial); /* that of the call is the same */
	if (is_error) {
		put(m, "\4\1s", 4);
		put_u32(m, n_text);
		put(m, text, n_text);
		put(m, "", 1);
		pad(m);
		put(m, "\10\1g\0\1s", 7);
	} else {
		put(m, "\10\1g", 4);
		put(m, &n_text, 1);
		put(m, text, n_text);
		put(m, "", 1);
	}
	n_fields = (uint32_t)m->n - HEADER_SIZE;
	memcpy(m->bytes + 12, &n_fields, sizeof(n_fields));
	pad(m);
}

/* Takes one answer from the input; false: there is none. */
static bool send_answer(int fd, uint32_t serial, const uint8_t **data, size_t *size)
{
	struct message m = { .n = 0 };
	const uint8_t *p = *data;
	size_t n_text, n_body;

	if (*size < 2 || *size < 4 + (n_text = p[1]))
		return false;
	n_body = min_u64(p[2 + n_text] | (size_t)p[3 + n_text] << 8, *size - 4 - n_text);
	put_header(&m, p[0] == 'e', serial, p + 2, p[1], (uint32_t)n_body);
	put(&m, p + 4 + n_text, n_body);
	/* (It has left after a wrong answer, or reads no more.) */
	if (!fuzz_try_send(fd, m.bytes, m.n))
		return false;
	*data += 4 + n_text + n_body;
	*size -= 4 + n_text + n_body;
	return true;
}

static json_t *ask(struct bus *bus, char method)
{
	switch (method) {
	case 'P':
		return bus_properties(bus);
	case 'E':
		return explain_ask(bus, 0);
	case 'L':
		return rules_ask_policies(bus);
	case 'H':
		return bus_history_page(bus, 0, 0);
	default:
		return bus_call(bus, "Reload");
	}
}

/*
 * Whole commands.  These are in place of their own, by the linker (--wrap).
 */

static sd_bus *connection;

void __wrap_bus_open(struct bus *ret);
void __wrap_bus_open(struct bus *ret)
{
	*ret = (struct bus){ .connection = sd_bus_ref(connection), .error = SD_BUS_ERROR_NULL };
}

pid_t __wrap_running_find(int proc_fd);
pid_t __wrap_running_find(int proc_fd)
{
	return 0;
}

enum ctl_status __wrap_preview_new(const struct ctl_options *options, json_t **ret_errors,
				   struct preview **ret);
enum ctl_status __wrap_preview_new(const struct ctl_options *options, json_t **ret_errors,
				   struct preview **ret)
{
	if (ret_errors)
		*ret_errors = NULL;
	return ctl_fail(options, CTL_FAILURE, "not here");
}

enum ctl_status __wrap_check_load(const struct ctl_options *options, struct policy_set *ret);
enum ctl_status __wrap_check_load(const struct ctl_options *options, struct policy_set *ret)
{
	return ctl_fail(options, CTL_FAILURE, "not here");
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *ret);
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret)
{
	return 0;
}

static const struct {
	char letter;
	enum ctl_status (*run)(const struct ctl_options *options, char **arguments, int n);
	bool json, full;
	const char *argument;
} commands[] = {
	{ '0', status },
	{ '1', status, .json = true },
	{ '2', explain },
	{ '3', explain, .json = true },
	{ '4', explain, .argument = "812" },
	{ '5', history },
	{ '6', history, .full = true },
	{ '7', history, .json = true, .argument = "0" },
	{ '8', rules },
	{ '9', rules, .json = true },
	{ 'a', reload },
	{ 'b', reload, .json = true },
};

/* What is printed, to each of both: text without controls, or JSON. */
static void run(size_t i)
{
	const struct ctl_options options = { .json = commands[i].json, .full = commands[i].full };
	char *arguments[] = { (char *)commands[i].argument, NULL }, *out = NULL, *err = NULL;
	FILE *own_stdout = stdout, *own_stderr = stderr;
	size_t n_out, n_err;
	json_t *json;

	stdout = open_memstream(&out, &n_out);
	stderr = open_memstream(&err, &n_err);
	(void)commands[i].run(&options, arguments, commands[i].argument ? 1 : 0);
	fclose(stdout);
	fclose(stderr);
	stdout = own_stdout;
	stderr = own_stderr;
	FUZZ_CHECK(fuzz_is_utf8(out) && fuzz_is_utf8(err));
	FUZZ_CHECK(!fuzz_has_controls(err, true));
	FUZZ_CHECK(n_out + n_err > 0);
	if (options.json && n_out > 0) {
		json = json_loads(out, 0, NULL);
		FUZZ_CHECK(json);
		json_decref(json);
	}
	FUZZ_CHECK(!fuzz_has_controls(out, true));
	free(out);
	free(err);
}

static bool run_command(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].letter == letter) {
			run(i);
			return true;
		}
	return false;
}

/* An answer is a value that can be printed; else there is a reason that can. */
static void check_answer(struct bus *bus, json_t *answer)
{
	char text[BUS_TEXT_SIZE], *dump;

	bus_trouble_text(bus, text);
	FUZZ_CHECK(fuzz_is_utf8(text) && !fuzz_has_controls(text, false));
	if (!answer) {
		FUZZ_CHECK(bus->trouble != BUS_ANSWERED);
		return;
	}
	dump = json_dumps(answer, JSON_ENCODE_ANY);
	FUZZ_CHECK(dump);
	free(dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bus bus = { .error = SD_BUS_ERROR_NULL };
	char method;
	json_t *answer;
	int fd;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	method = (char)data[0];
	data++;
	size--;
	connection = fuzz_connect(&fd);
	for (uint32_t serial = 1; send_answer(fd, serial, &data, &size); serial++)
		;
	/* Replies to later calls are not waited for. */
	FUZZ_CHECK(shutdown(fd, SHUT_WR) == 0);
	if (!run_command(method)) {
		bus.connection = sd_bus_ref(connection);
		answer = ask(&bus, method);
		check_answer(&bus, answer);
		json_decref(answer);
		bus_done(&bus);
	}
	connection = sd_bus_close_unref(connection);
	close(fd);
	return 0;
}
