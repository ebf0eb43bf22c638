/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * psi: pressure stall information (Documentation/accounting/psi.rst).
 *
 * Averages are taken from differences of the total= counters.  Where samples are far apart, the
 * window asked for grows to the distance: a stall is then averaged over all the time it may have
 * been in.  After a gap (gap.h) the history starts anew: a stall in it may be over.
 */
#include "lib/sys/psi.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"

/* A total that rises by so much more than the time that has passed has not been counted in it. */
#define JUMP_USEC USEC_PER_SEC

/* psi_write() takes no more (kernel/sched/psi.c). */
#define TRIGGER_SIZE 32

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int scan_word(const char **p, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*p, word, length) != 0)
		return -EBADMSG;
	*p += length;
	return 0;
}

static int scan_u64(const char **p, uint64_t *ret)
{
	uint64_t value = 0;

	if (!is_digit(**p))
		return -EBADMSG;
	for (; is_digit(**p); (*p)++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**p - '0'), &value))
			return -EBADMSG;

	*ret = value;
	return 0;
}

/* " avg10=12.34": per cent with two digits, 100.00 at most. */
static int scan_average(const char **p, const char *name, unsigned *ret_permyriad)
{
	uint64_t percent;
	const char *s;

	if (scan_word(p, name) < 0 || scan_u64(p, &percent) < 0 || percent > 100)
		return -EBADMSG;
	s = *p;
	if (s[0] != '.' || !is_digit(s[1]) || !is_digit(s[2]))
		return -EBADMSG;
	*p += 3;

	*ret_permyriad =
		(unsigned)percent * 100 + (unsigned)(s[1] - '0') * 10 + (unsigned)(s[2] - '0');
	return *ret_permyriad > PERMYRIAD ? -EBADMSG : 0;
}

static int scan_line(const char **p, const char *name, struct psi_line *ret)
{
	if (scan_word(p, name) < 0 || scan_average(p, " avg10=", &ret->avg10) < 0 ||
	    scan_average(p, " avg60=", &ret->avg60) < 0 ||
	    scan_average(p, " avg300=", &ret->avg300) < 0 || scan_word(p, " total=") < 0 ||
	    scan_u64(p, &ret->total) < 0 || scan_word(p, "\n") < 0)
		return -EBADMSG;
	return 0;
}

int psi_parse(const char *text, struct psi_reading *ret)
{
	struct psi_reading reading = {};

	if (scan_line(&text, "some", &reading.some) < 0)
		return -EBADMSG;
	/* The full line is missing in older files of the CPU's. */
	if (*text != '\0' && (scan_line(&text, "full", &reading.full) < 0 || *text != '\0'))
		return -EBADMSG;

	*ret = reading;
	return 0;
}

int psi_read(int dir_fd, const char *path, struct psi_reading *ret)
{
	char buf[512];
	ssize_t n;

	n = io_read_record_at(dir_fd, path, buf, sizeof(buf));
	return n < 0 ? (int)n : psi_parse(buf, ret);
}

int psi_read_fd(int fd, struct psi_reading *ret)
{
	char buf[512];
	ssize_t n;

	n = io_read_record_fd(fd, buf, sizeof(buf));
	return n < 0 ? (int)n : psi_parse(buf, ret);
}

int psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger)
{
	_cleanup_close_ int fd = -EBADF;
	char text[TRIGGER_SIZE];
	unsigned n_interruptions = 0;
	int length;
	ssize_t n;

	/* The kernel keeps both in 32 bits, and would cut them. */
	if (trigger->stall_usec > UINT32_MAX || trigger->window_usec > UINT32_MAX)
		return -EINVAL;
	length = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64,
			  trigger->full ? "full" : "some", trigger->stall_usec,
			  trigger->window_usec);
	if (length < 0 || (size_t)length >= sizeof(text))
		return -EINVAL;

	fd = openat(dir_fd, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* With the NUL: psi_write() overwrites the last byte it is given. */
	do
		n = write(fd, text, (size_t)length + 1);
	while (io_is_interrupted(n, &n_interruptions));
	if (n < 0)
		return -errno;
	return take_fd(&fd);
}

/* The i-th newest sample's place in the ring. */
static unsigned place_of(const struct psi_history *history, unsigned i)
{
	return (history->head + PSI_SAMPLES - 1 - i) % PSI_SAMPLES;
}

void psi_history_reset(struct psi_history *history)
{
	history->head = 0;
	history->n_samples = 0;
}

/* Counters do not decrease: that is another file, or another boot.  Nor do they outrun the clock,
 * but by what lies between reading the one and the other. */
static bool follows(const struct psi_history *history, unsigned newest, usec_t now,
		    const struct psi_reading *reading)
{
	usec_t at = history->samples[newest].at, some = history->samples[newest].some;
	usec_t full = history->samples[newest].full;
	usec_t most = add_u64(2 * sub_u64(now, at), JUMP_USEC);

	return now >= at && reading->some.total >= some && reading->full.total >= full &&
	       reading->some.total - some <= most && reading->full.total - full <= most;
}

/*
 * The newest sample is kept for good once it is a step away from the one before it; until then it
 * is replaced by the next.  So the newest is always the last reading, and kept ones are never
 * closer than a step, however frequent the readings are.
 */
void psi_history_add(struct psi_history *history, usec_t now, const struct psi_reading *reading)
{
	unsigned newest = place_of(history, 0), before = place_of(history, 1);

	if (history->n_samples > 0 && !follows(history, newest, now, reading))
		psi_history_reset(history);
	if (history->n_samples > 1 &&
	    history->samples[newest].at - history->samples[before].at < PSI_STEP_USEC) {
		history->head = newest;
		history->n_samples--;
	}

	history->samples[history->head].at = now;
	history->samples[history->head].some = reading->some.total;
	history->samples[history->head].full = reading->full.total;
	history->head = (history->head + 1) % PSI_SAMPLES;
	if (history->n_samples < PSI_SAMPLES)
		history->n_samples++;
}

/* Finds the window's two ends; false while the history is shorter. */
static bool find_window(const struct psi_history *history, usec_t window_usec, unsigned *ret_begin,
			unsigned *ret_end)
{
	unsigned end = place_of(history, 0);

	for (unsigned i = 1; i < history->n_samples; i++) {
		unsigned begin = place_of(history, i);

		if (history->samples[end].at - history->samples[begin].at >= window_usec) {
			*ret_begin = begin;
			*ret_end = end;
			return true;
		}
	}
	return false;
}

static unsigned share_of(usec_t stalled, usec_t elapsed)
{
	unsigned share = permyriad_of(stalled, elapsed);

	return share > PERMYRIAD ? PERMYRIAD : share;
}

unsigned psi_history_full(const struct psi_history *history, usec_t window_usec)
{
	unsigned begin, end;

	if (!find_window(history, window_usec, &begin, &end))
		return 0;
	return share_of(history->samples[end].full - history->samples[begin].full,
			history->samples[end].at - history->samples[begin].at);
}

unsigned psi_history_some(const struct psi_history *history, usec_t window_usec)
{
	unsigned begin, end;

	if (!find_window(history, window_usec, &begin, &end))
		return 0;
	return share_of(history->samples[end].some - history->samples[begin].some,
			history->samples[end].at - history->samples[begin].at);
}
