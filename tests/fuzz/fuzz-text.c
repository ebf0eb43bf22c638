/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-text: parsers and printers of one text each: files of /proc, of /sys and of cgroups, values
 * of a configuration, text of strangers.  The first byte chooses; the rest is the text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/format.h"
#include "lib/base/parse.h"
#include "lib/kill/freezer-level.h"
#include "lib/kill/unit-mark.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/cgroup-unit.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/hidepid.h"
#include "lib/sys/proc.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaimable.h"
#include "lib/sys/vmstat.h"
#include "tests/fuzz/fuzz.h"

/* What a parser that refuses has to leave as it was. */
#define UNTOUCHED 0xa5

static bool is_untouched(const void *object, size_t size)
{
	const unsigned char *p = object;

	for (size_t i = 0; i < size; i++)
		if (p[i] != UNTOUCHED)
			return false;
	return true;
}

/* 0, or -EBADMSG without having written anything. */
#define CHECK_PARSER(r, object)                                                                    \
	do {                                                                                       \
		FUZZ_CHECK((r) == 0 || (r) == -EBADMSG);                                           \
		FUZZ_CHECK((r) == 0 || is_untouched(&(object), sizeof(object)));                   \
	} while (0)

/* Half of a text gives no other number. */
static char *half_of(const char *text)
{
	return fuzz_text((const uint8_t *)text, strlen(text) / 2);
}

static void try_stat(char *text)
{
	char *half = half_of(text);
	struct proc_stat stat, other;
	int r;

	memset(&stat, UNTOUCHED, sizeof(stat));
	r = proc_stat_parse(text, &stat);
	CHECK_PARSER(r, stat);
	if (r == 0) {
		FUZZ_CHECK(memchr(stat.comm, '\0', sizeof(stat.comm)));
		FUZZ_CHECK(stat.pid >= 0 && stat.ppid >= 0);
		/* (The name of a process has 15 bytes; a longer one has room for another stat.) */
		if (strlen(stat.comm) < 16 && proc_stat_parse(half, &other) == 0)
			FUZZ_CHECK(other.pid == stat.pid && other.start_ticks == stat.start_ticks);
	}
	free(half);
}

static void try_statm(char *text)
{
	char *half = half_of(text);
	struct proc_statm statm, other;
	int r;

	memset(&statm, UNTOUCHED, sizeof(statm));
	r = proc_statm_parse(text, &statm);
	CHECK_PARSER(r, statm);
	if (r == 0 && proc_statm_parse(half, &other) == 0)
		FUZZ_CHECK(memcmp(&statm, &other, sizeof(statm)) == 0);
	free(half);
}

static void try_status(char *text)
{
	struct proc_status status;
	int r;

	memset(&status, UNTOUCHED, sizeof(status));
	r = proc_status_parse(text, &status);
	CHECK_PARSER(r, status);
	if (r == 0)
		FUZZ_CHECK(status.tgid >= 0 && status.ppid >= 0);
}

/* As shares, and as sums of it, which never contradict each other. */
static void try_rollup(char *text)
{
	static const struct proc_status status = { .rss_anon = 5 * MIB };
	static const struct reclaimable_shmem shmem = { .how = RECLAIMABLE_ALL_DIES };
	struct reclaimable_rollup rollup;
	struct reclaimable reclaimable;
	struct proc_memory memory;
	int r;

	memset(&memory, UNTOUCHED, sizeof(memory));
	r = proc_rollup_parse(text, &memory);
	CHECK_PARSER(r, memory);
	memset(&rollup, UNTOUCHED, sizeof(rollup));
	r = reclaimable_rollup_parse(text, &rollup);
	if (r == -EOPNOTSUPP)
		return;
	CHECK_PARSER(r, rollup);
	if (r < 0)
		return;
	reclaimable_sum(&rollup, &status, &shmem, &reclaimable);
	FUZZ_CHECK(reclaimable.alone <= reclaimable_total(&reclaimable));
}

static void try_vmstat(char *text)
{
	struct vmstat_counters counters;
	int r;

	memset(&counters, UNTOUCHED, sizeof(counters));
	r = vmstat_parse(text, &counters);
	CHECK_PARSER(r, counters);
}

static void try_psi(char *text)
{
	struct psi_reading reading;
	int r;

	memset(&reading, UNTOUCHED, sizeof(reading));
	r = psi_parse(text, &reading);
	CHECK_PARSER(r, reading);
	if (r == 0)
		FUZZ_CHECK(reading.some.avg10 <= PERMYRIAD && reading.some.avg60 <= PERMYRIAD &&
			   reading.some.avg300 <= PERMYRIAD && reading.full.avg10 <= PERMYRIAD);
}

static void try_cpu_list(char *text)
{
	unsigned n;
	int r;

	memset(&n, UNTOUCHED, sizeof(n));
	r = accuracy_parse_cpu_list(text, &n);
	CHECK_PARSER(r, n);
	if (r == 0)
		FUZZ_CHECK(n > 0 && accuracy_batch(n) >= 32);
}

static void try_mountinfo(char *text)
{
	struct cgroup_mount mount;
	int r;

	text[strcspn(text, "\n")] = '\0';
	(void)hidepid_is_set(text);
	r = cgroup_parse_mountinfo(text, &mount);
	FUZZ_CHECK(r == 0 || r == 1 || r == -EBADMSG || r == -ENOBUFS);
	if (r == 1)
		FUZZ_CHECK(memchr(mount.path, '\0', sizeof(mount.path)));
}

static void try_membership(char *text)
{
	static const char *const controllers[] = { NULL, "freezer", "memory" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		int r = cgroup_parse_membership(text, controllers[i], path, sizeof(path));

		FUZZ_CHECK(r == 0 || r == -ENOENT || r == -ENOBUFS || r == -EBADMSG);
		if (r == 0)
			FUZZ_CHECK(path[0] == '/' && strlen(path) < sizeof(path));
	}
}

static void try_unit(char *text)
{
	struct cgroup_unit unit;
	size_t length;

	cgroup_unit_find(text, &unit);
	FUZZ_CHECK(unit.length <= strlen(text) && unit.system_length <= unit.length);
	FUZZ_CHECK(memchr(unit.system, '\0', sizeof(unit.system)));
	FUZZ_CHECK(memchr(unit.user, '\0', sizeof(unit.user)));
	FUZZ_CHECK((unit.length > 0) == (unit.system[0] != '\0'));
	/* A name of a unit is harmless. */
	FUZZ_CHECK(fuzz_is_utf8(unit.system) && !fuzz_has_controls(unit.system, false));
	FUZZ_CHECK(fuzz_is_utf8(unit.user) && !fuzz_has_controls(unit.user, false));
	/* The unit's own cgroup is in the same unit. */
	length = unit.length;
	text[length] = '\0';
	cgroup_unit_find(text, &unit);
	FUZZ_CHECK(unit.length == length);
}

static void try_unit_mark(char *text)
{
	uint64_t next = unit_mark_next(text, 1, 1000);

	FUZZ_CHECK(next >= 1000);
	FUZZ_CHECK(unit_mark_next(text, 0, 0) <= next);
}

static void try_events(char *text)
{
	(void)freezer_level_events_report_frozen(text);
}

/* A path, and in the next line a pattern. */
static void try_path(char *text)
{
	char *pattern = strchr(text, '\n');

	if (pattern)
		*pattern++ = '\0';
	(void)cgroup_path_matches(text, pattern ? pattern : "/user.slice/*");
	if (text[0] != '/')
		return;
	FUZZ_CHECK(cgroup_path_is_below(text, "/"));
	FUZZ_CHECK(cgroup_path_is_below(text, text));
	if (!strpbrk(text, "*?[]"))
		FUZZ_CHECK(cgroup_path_matches(text, text));
}

static void try_numbers(const char *text)
{
	const uint64_t untouched = UINT64_C(0xa5a5a5a5a5a5a5a5);
	uint64_t number = untouched;
	usec_t duration = untouched;
	unsigned permyriad = 12345;
	double weight = -1;
	bool truth;
	int r;

	r = parse_unsigned(text, 1000, &number);
	FUZZ_CHECK(r == 0 ? number <= 1000 : number == untouched);
	r = parse_permyriad(text, &permyriad);
	FUZZ_CHECK(r == 0 ? permyriad <= PERMYRIAD : permyriad == 12345);
	r = parse_duration(text, &duration);
	FUZZ_CHECK(r == 0 || duration == untouched);
	r = parse_weight(text, &weight);
	FUZZ_CHECK(r == 0 ? weight > 0 && weight <= 1000 : weight < 0);
	(void)parse_bool(text, &truth);
}

/* What one of them takes, the other does. */
static void try_value(char *text)
{
	struct parse_level level;
	unsigned permyriad;
	int r;

	try_numbers(text);
	r = parse_level(text, &level);
	FUZZ_CHECK(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r == 0)
		FUZZ_CHECK((level.has_share || level.has_size) && level.permyriad <= PERMYRIAD);
	if (parse_permyriad(text, &permyriad) == 0)
		FUZZ_CHECK(r == 0 && level.has_share && level.permyriad == permyriad);
}

/* Eight bytes are a number. */
static void try_format_numbers(const char *text)
{
	char bytes[FORMAT_BYTES_SIZE], duration[FORMAT_DURATION_SIZE];
	char range[FORMAT_INTERVAL_SIZE];
	uint64_t number = 0, other;

	memcpy(&number, text, min_u64(strlen(text), sizeof(number)));
	other = number << 7;
	FUZZ_CHECK(strlen(format_bytes(number, bytes)) < sizeof(bytes) - 1);
	FUZZ_CHECK(strlen(format_duration(number, duration)) < sizeof(duration) - 1);
	FUZZ_CHECK(strlen(format_interval((struct interval){ number, other }, range)) <
		   sizeof(range) - 1);
}

static void try_format(char *text)
{
	size_t length = strlen(text);
	char *out = malloc(FORMAT_UTF8_SIZE(length)), *again = malloc(FORMAT_UTF8_SIZE(length));

	FUZZ_CHECK(out && again);
	try_format_numbers(text);
	format_foreign(text, out, length + 1);
	FUZZ_CHECK(fuzz_is_utf8(out) && !fuzz_has_controls(out, false));
	FUZZ_CHECK(strcmp(format_foreign(out, again, length + 1), out) == 0);
	for (size_t size = 1; size <= min_u64(length, 32); size++) {
		format_foreign(text, again, size);
		FUZZ_CHECK(strlen(again) < size && fuzz_is_utf8(again));
		FUZZ_CHECK(strncmp(again, out, strlen(again)) == 0);
	}
	format_utf8(text, out, FORMAT_UTF8_SIZE(length));
	FUZZ_CHECK(fuzz_is_utf8(out) && strlen(out) >= length);
	FUZZ_CHECK(strcmp(format_utf8(out, again, FORMAT_UTF8_SIZE(length)), out) == 0);
	free(out);
	free(again);
}

static const struct {
	char letter;
	void (*try)(char *text);
} targets[] = {
	{ 'a', try_stat },	 { 'b', try_statm }, { 'c', try_status },    { 'd', try_rollup },
	{ 'e', try_vmstat },	 { 'f', try_psi },   { 'g', try_cpu_list },  { 'h', try_mountinfo },
	{ 'i', try_membership }, { 'j', try_unit },  { 'k', try_unit_mark }, { 'l', try_events },
	{ 'm', try_path },	 { 'n', try_value }, { 'o', try_format },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	for (size_t i = 0; size > 0 && i < ARRAY_SIZE(targets); i++) {
		if (targets[i].letter != (char)data[0])
			continue;
		text = fuzz_text(data + 1, size - 1);
		targets[i].try(text);
		free(text);
	}
	return 0;
}
