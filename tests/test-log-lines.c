/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: where a line and an entry go, and in what form: standard error is a file of the test's, the
 * journal and the clock are its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define ID "0123456789abcdef0123456789abcdef"

static struct {
	int stderr_fd; /* the real one */
	int file_fd;
	char entry[4096]; /* fields of the last, a line each */
	unsigned n_entries;
	time_t second;
	char said[65536];
} test;

int sd_journal_sendv(const struct iovec *iov, int n);
int sd_journal_sendv(const struct iovec *iov, int n)
{
	size_t length = 0;

	test.n_entries++;
	for (int i = 0; i < n; i++)
		length +=
			(size_t)snprintf(test.entry + length, sizeof(test.entry) - length, "%.*s\n",
					 (int)iov[i].iov_len, (const char *)iov[i].iov_base);
	return 0;
}

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (test.second == 0)
		return __real_clock_gettime(clock, ret);
	*ret = (struct timespec){ .tv_sec = test.second };
	return 0;
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	test.stderr_fd = dup(STDERR_FILENO);
	test.file_fd = memfd_create("stderr", MFD_CLOEXEC);
	if (test.stderr_fd < 0 || test.file_fd < 0 || dup2(test.file_fd, STDERR_FILENO) < 0)
		return -1;
	unsetenv("JOURNAL_STREAM");
	log_set_target(LOG_TARGET_AUTO);
	log_set_max_level(LOG_INFO);
	return 0;
}

static int teardown(void **state)
{
	dup2(test.stderr_fd, STDERR_FILENO);
	close(test.stderr_fd);
	close(test.file_fd);
	log_set_target(LOG_TARGET_AUTO);
	log_set_max_level(LOG_INFO);
	return 0;
}

static const char *said(void)
{
	ssize_t n = pread(test.file_fd, test.said, sizeof(test.said) - 1, 0);

	test.said[n < 0 ? 0 : n] = '\0';
	return test.said;
}

/* Standard error is what JOURNAL_STREAM says, or another file. */
static void set_journal(const char *format, bool is_it)
{
	char text[64];
	struct stat st;

	assert_int_equal(fstat(test.file_fd, &st), 0);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + !is_it);
	setenv("JOURNAL_STREAM", format ? format : text, 1);
}

static void test_which_stream_is_the_journal(void **state)
{
	assert_false(log_is_journal());
	set_journal(NULL, true);
	assert_true(log_is_journal());
	log_warning("full of %s", "it");
	assert_string_equal(said(), "<4>full of it\n");
	set_journal(NULL, false);
	assert_false(log_is_journal());
	set_journal("nonsense", false);
	assert_false(log_is_journal());
	log_warning("plain");
	assert_string_equal(said(), "<4>full of it\nplain\n");
}

static void test_where_an_event_is_recorded(void **state)
{
	static const struct {
		enum log_target target;
		bool is_journal;
		bool has_line, has_entry;
	} cases[] = {
		{ LOG_TARGET_AUTO, false, true, true },
		{ LOG_TARGET_AUTO, true, false, true }, /* once */
		{ LOG_TARGET_CONSOLE, false, true, false },
		{ LOG_TARGET_JOURNAL, false, false, true },
		{ LOG_TARGET_NULL, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ftruncate(test.file_fd, 0), 0);
		assert_int_equal(lseek(test.file_fd, 0, SEEK_SET), 0);
		test.n_entries = 0;
		test.entry[0] = '\0';
		set_journal(NULL, cases[i].is_journal);
		log_set_target(cases[i].target);
		log_event(ID, LOG_NOTICE, "event %d", 7);
		assert_string_equal(said(), cases[i].has_line ? "event 7\n" : "");
		assert_string_equal(test.entry, cases[i].has_entry
							? "MESSAGE=event 7\nMESSAGE_ID=" ID
							  "\nPRIORITY=5\n"
							: "");
		log_event(ID, LOG_DEBUG, "too little");
		assert_int_equal(test.n_entries, cases[i].has_entry);
	}
}

/* All to the journal, as by systemctl service-log-target: lines are entries, without an id. */
static void test_lines_as_entries(void **state)
{
	log_set_target(LOG_TARGET_JOURNAL);
	log_info("line");
	assert_string_equal(said(), "");
	assert_string_equal(test.entry, "MESSAGE=line\nPRIORITY=6\n");
	/* Where standard error is the journal it is simply written there. */
	set_journal(NULL, true);
	log_info("line");
	assert_string_equal(said(), "<6>line\n");
	assert_int_equal(test.n_entries, 1);
}

static void test_what_does_not_fit_is_left_out(void **state)
{
	char *large = malloc(32768);
	struct log_entry entry;

	assert_non_null(large);
	memset(large, 'x', 32767);
	large[32767] = '\0';
	log_entry_begin(&entry);
	log_entry_add(&entry, "A=%d", 1);
	log_entry_add(&entry, "LARGE=%s", large);
	log_entry_add(&entry, "B=%d", 2);
	log_entry_end(&entry);
	assert_string_equal(test.entry, "A=1\nB=2\n");
	free(large);
}

static unsigned count_lines(void)
{
	unsigned n = 0;

	for (const char *p = said(); *p; p++)
		n += *p == '\n';
	return n;
}

static void test_debugging_is_limited_by_the_second(void **state)
{
	log_set_max_level(LOG_DEBUG);
	test.second = 1000;
	for (unsigned i = 0; i < LOG_DEBUG_BURST + 10; i++)
		log_debug("line");
	assert_int_equal(count_lines(), LOG_DEBUG_BURST);
	log_info("not debugging");
	assert_int_equal(count_lines(), LOG_DEBUG_BURST + 1);
	test.second++;
	log_debug("again");
	assert_non_null(strstr(said(), "not debugging\n(10 debugging lines dropped)\nagain\n"));
	test.second++;
	log_debug("and again");
	assert_int_equal(count_lines(), LOG_DEBUG_BURST + 4);
}

/* Standard error is a pipe that is not read for some time. */
static void test_what_is_lost_before_the_start_is_no_fault(void **state)
{
	static char full[65536]; /* the size of a pipe */
	char text[1000];
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], full, sizeof(full)), sizeof(full));
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 38; i++) /* until there is room for a line, and none for an entry */
		log_warning("%.*s", (int)sizeof(text), text);
	log_event(ID, LOG_WARNING, "the entry is lost");
	for (size_t left = sizeof(full); left > 0; left -= (size_t)n) {
		n = read(ends[0], full, left);
		assert_true(n > 0);
	}
	log_warning("read again");
	n = read(ends[0], full, sizeof(full) - 1);
	assert_true(n > 0);
	full[n] = '\0';
	assert_non_null(strstr(full, "the entry is lost\nread again\n"));
	assert_int_equal(test.n_entries, 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_names(void **state)
{
	assert_int_equal(log_level_from_string("debug"), LOG_DEBUG);
	assert_string_equal(log_level_to_string(LOG_EMERG), "emerg");
	assert_int_equal(log_level_from_string("loud"), -EINVAL);
	assert_int_equal(log_target_from_string("console"), LOG_TARGET_CONSOLE);
	assert_string_equal(log_target_to_string(LOG_TARGET_NULL), "null");
	assert_int_equal(log_target_from_string("kmsg"), -EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_which_stream_is_the_journal),
		TEST(test_where_an_event_is_recorded),
		TEST(test_lines_as_entries),
		TEST(test_what_does_not_fit_is_left_out),
		TEST(test_debugging_is_limited_by_the_second),
		TEST(test_what_is_lost_before_the_start_is_no_fault),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
