/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dumped-seams: wraps the kernel, the clock and the log, so that the daemon runs on a dumped
 * machine.
 */
#include "tests/dumped-seams.h"

#include <fcntl.h>
#include <libproc2/meminfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/log/log.h"
#include "daemon/select/survey.h"
#include "lib/base/io.h"
#include "lib/sys/precise.h"

/* clang-format off */
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* By the number of the descriptor. */
#define FDS_MAX 1024
static pid_t pid_of_fd[FDS_MAX];

__attribute__((format(printf, 2, 0))) static void add_args(char *text, const char *format,
							   va_list ap)
{
	size_t n = strlen(text);

	(void)vsnprintf(text + n, DUMPED_TEXT_SIZE - n, format, ap);
}

__attribute__((format(printf, 2, 3))) static void add(char *text, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_args(text, format, ap);
	va_end(ap);
}

/* The clock. */

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	return dumped.now;
}

usec_t __wrap_clock_cpu_time(void);
usec_t __wrap_clock_cpu_time(void)
{
	return 0;
}

usec_t __wrap_clock_asleep(void);
usec_t __wrap_clock_asleep(void)
{
	return dumped.asleep;
}

uint64_t __wrap_clock_ticks_before(usec_t usec);
uint64_t __wrap_clock_ticks_before(usec_t usec)
{
	return (dumped.now - usec) / 10000;
}

uint64_t __wrap_clock_ticks_after(usec_t usec);
uint64_t __wrap_clock_ticks_after(usec_t usec)
{
	return (dumped.now + usec) / 10000;
}

pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	return DUMPED_SELF;
}

/* Files. */

/* By whatever directory it is opened. */
static bool is_failing(int dir_fd, const char *path)
{
	struct stat failing, st;

	return fstatat(dumped.manager->machine->proc_fd, dumped.failing, &failing, 0) == 0 &&
	       fstatat(dir_fd, path, &st, 0) == 0 && st.st_ino == failing.st_ino &&
	       st.st_dev == failing.st_dev;
}

int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (dumped.failing && (flags & O_ACCMODE) == O_RDONLY && is_failing(dir_fd, path)) {
		errno = -dumped.error;
		return -1;
	}
	return __real_openat(dir_fd, path, flags, mode);
}

/* libproc2 opens /proc/meminfo by that path. */
#define ITEMS_MAX 32
struct meminfo_info {
	struct meminfo_stack stack;
	struct meminfo_result results[ITEMS_MAX];
};

int __wrap_procps_meminfo_new(struct meminfo_info **info);
int __wrap_procps_meminfo_new(struct meminfo_info **info)
{
	*info = calloc(1, sizeof(**info));
	return *info ? 0 : -ENOMEM;
}

int __wrap_procps_meminfo_unref(struct meminfo_info **info);
int __wrap_procps_meminfo_unref(struct meminfo_info **info)
{
	free(*info);
	*info = NULL;
	return 0;
}

static const char *name_of(enum meminfo_item item)
{
	static const struct {
		enum meminfo_item item;
		const char *name;
	} names[] = {
		{ MEMINFO_MEM_TOTAL, "MemTotal:" },
		{ MEMINFO_MEM_FREE, "MemFree:" },
		{ MEMINFO_MEM_AVAILABLE, "MemAvailable:" },
		{ MEMINFO_MEM_CACHED, "\nCached:" },
		{ MEMINFO_MEM_ACTIVE_FILE, "Active(file):" },
		{ MEMINFO_MEM_ANON, "AnonPages:" },
		{ MEMINFO_MEM_SHARED, "Shmem:" },
		{ MEMINFO_MEM_SLAB, "Slab:" },
		{ MEMINFO_MEM_SLAB_RECLAIM, "SReclaimable:" },
		{ MEMINFO_SWAP_TOTAL, "SwapTotal:" },
		{ MEMINFO_SWAP_FREE, "SwapFree:" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].item == item)
			return names[i].name;
	return NULL;
}

struct meminfo_stack *__wrap_procps_meminfo_select(struct meminfo_info *info,
						   enum meminfo_item *items, int numitems);
struct meminfo_stack *__wrap_procps_meminfo_select(struct meminfo_info *info,
						   enum meminfo_item *items, int numitems)
{
	char text[4096];
	ssize_t n = io_read_at(dumped.manager->machine->proc_fd, "meminfo", text, sizeof(text));

	if (n < 0) {
		errno = (int)-n;
		return NULL;
	}
	for (int i = 0; i < numitems && i < ITEMS_MAX; i++) {
		const char *name = name_of(items[i]);
		const char *line = name ? strstr(text, name) : NULL;

		info->results[i].result.ul_int = line ? strtoul(line + strlen(name), NULL, 10) : 0;
	}
	info->stack.head = info->results;
	return &info->stack;
}

/* The thread that reads precisely: at once. */

static struct {
	struct {
		pid_t pid;
		uint64_t start_ticks;
	} asked[PRECISE_QUEUE_MAX];
	unsigned n_asked, n_collected;
} queue;

int __wrap_precise_measure(struct precise *precise, pid_t pid, uint64_t start_ticks);
int __wrap_precise_measure(struct precise *precise, pid_t pid, uint64_t start_ticks)
{
	unsigned i = queue.n_asked % PRECISE_QUEUE_MAX;

	if (queue.n_asked - queue.n_collected == PRECISE_QUEUE_MAX)
		return -EBUSY;
	queue.asked[i].pid = pid;
	queue.asked[i].start_ticks = start_ticks;
	queue.n_asked++;
	return 0;
}

int __wrap_precise_collect(struct precise *precise, pid_t *ret_pid, uint64_t *ret_start_ticks,
			   int *ret_result, struct reclaimable *ret);
int __wrap_precise_collect(struct precise *precise, pid_t *ret_pid, uint64_t *ret_start_ticks,
			   int *ret_result, struct reclaimable *ret)
{
	unsigned i = queue.n_collected % PRECISE_QUEUE_MAX;

	if (queue.n_asked == queue.n_collected)
		return 0;
	queue.n_collected++;
	*ret_pid = queue.asked[i].pid;
	*ret_start_ticks = queue.asked[i].start_ticks;
	*ret_result = reclaimable_read(dumped.manager->machine->proc_fd, *ret_pid, ret);
	return 1;
}

int __wrap_precise_read(struct precise *precise, pid_t pid, usec_t deadline,
			struct reclaimable *ret);
int __wrap_precise_read(struct precise *precise, pid_t pid, usec_t deadline,
			struct reclaimable *ret)
{
	return reclaimable_read(dumped.manager->machine->proc_fd, pid, ret);
}

pid_t __wrap_precise_is_at(struct precise *precise, unsigned *ret_n_done);
pid_t __wrap_precise_is_at(struct precise *precise, unsigned *ret_n_done)
{
	*ret_n_done = 0;
	return 0;
}

usec_t __wrap_precise_spent(const struct precise *precise);
usec_t __wrap_precise_spent(const struct precise *precise)
{
	return 0;
}

void __wrap_precise_compare(struct precise *precise, pid_t tid, const pid_t *tids, unsigned n,
			    usec_t deadline, int *ret);
void __wrap_precise_compare(struct precise *precise, pid_t tid, const pid_t *tids, unsigned n,
			    usec_t deadline, int *ret)
{
	for (unsigned i = 0; i < n; i++)
		ret[i] = dumped_machine_find(tids[i])->mm == dumped_machine_find(tid)->mm;
}

/* Not used: there is no thread. */
struct precise *const dumped_precise = (struct precise *)&queue;
struct survey *const dumped_survey = (struct survey *)&queue;

struct precise *__wrap_precise_free(struct precise *precise);
struct precise *__wrap_precise_free(struct precise *precise)
{
	queue.n_collected = queue.n_asked;
	return NULL;
}

bool __wrap_precise_hurry(struct precise *precise, pid_t pid);
bool __wrap_precise_hurry(struct precise *precise, pid_t pid)
{
	return false;
}

void __real_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result);
void __wrap_victim_choose(struct census *census, const struct victim_request *request,
			  const struct victim_reader *reader, struct victim_result *result)
{
	dumped.n_choices++;
	__real_victim_choose(census, request, reader, result);
}

/* The thread that finds out where memory is: likewise, when the answer is asked for. */

static bool survey_is_asked;
static usec_t survey_asked_at;

struct survey *__wrap_survey_free(struct survey *survey);
struct survey *__wrap_survey_free(struct survey *survey)
{
	survey_is_asked = false;
	return NULL;
}

bool __wrap_survey_ask(struct survey *survey, uint64_t least_untouched);
bool __wrap_survey_ask(struct survey *survey, uint64_t least_untouched)
{
	survey_is_asked = true;
	survey_asked_at = dumped.now;
	return true;
}

usec_t __wrap_survey_cpu_time(struct survey *survey);
usec_t __wrap_survey_cpu_time(struct survey *survey)
{
	return dumped.survey_hangs ? dumped.now - survey_asked_at : USEC_PER_SEC;
}

bool __wrap_survey_collect(struct survey *survey, struct where_survey *ret);
bool __wrap_survey_collect(struct survey *survey, struct where_survey *ret)
{
	static struct where_scratch scratch;
	int proc_fd = dumped.manager->machine->proc_fd;

	if (!survey_is_asked || dumped.survey_hangs)
		return false;
	survey_is_asked = false;
	where_survey(proc_fd, proc_fd,
		     &(struct where_limits){ .now = __wrap_clock_now, .deadline = USEC_INFINITY },
		     &scratch, ret);
	return true;
}

/* The log, and what happened. */

__attribute__((format(printf, 2, 3))) void __wrap_log_line(int priority, const char *format, ...);
void __wrap_log_line(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_args(dumped.said, format, ap);
	va_end(ap);
	add(dumped.said, "\n");
}

__attribute__((format(printf, 3, 4))) void __wrap_log_event(const char *message_id, int priority,
							    const char *format, ...);
void __wrap_log_event(const char *message_id, int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_args(dumped.said, format, ap);
	va_end(ap);
	add(dumped.said, "\n");
}

static void note_plan(const struct manager *m)
{
	const struct kill_victim *victim = &m->in_flight->victim;
	const struct decision *d = &m->in_flight->decision;

	dumped.plan[0] = '\0';
	add(dumped.plan, "%s %d", d->comm, d->pid);
	for (unsigned i = 0; i < victim->n_others; i++)
		add(dumped.plan, " %c%d", i < d->others.n_sharers ? '=' : '+',
		    victim->others[i].pid);
	for (unsigned i = 0; i < d->others.rest.n; i++)
		add(dumped.plan, " ~%d", d->others.rest.items[i].pid);
	if (d->others.group[0] != '\0')
		add(dumped.plan, " %s", d->others.group);
}

void __real_report(struct reporter *rep, enum report_event event,
		   const struct policy_judgement *judgement, enum regime_state before, usec_t now);
void __wrap_report(struct reporter *rep, enum report_event event,
		   const struct policy_judgement *judgement, enum regime_state before, usec_t now);
void __wrap_report(struct reporter *rep, enum report_event event,
		   const struct policy_judgement *judgement, enum regime_state before, usec_t now)
{
	if (event != REPORT_NOTHING)
		dumped.event = event;
	if (event == REPORT_SIGNALLED)
		note_plan(dumped.manager);
	__real_report(rep, event, judgement, before, now);
	if (event == REPORT_SIGNALLED && dumped.on_signalled)
		dumped.on_signalled();
}

/* Killing. */

static int op_pidfd_open(pid_t pid)
{
	void (*f)(void) = dumped.on_pidfd_open;
	struct dumped_place *place;
	int fd;

	dumped.on_pidfd_open = NULL;
	if (f)
		f();
	if (dumped.pidfd_error < 0)
		return dumped.pidfd_error;
	place = dumped_place_of(pid);
	if (!place || !place->is_alive)
		return -ESRCH;
	fd = fcntl(place->event_fd, F_DUPFD_CLOEXEC, 0);
	assert_true(fd >= 0 && fd < FDS_MAX);
	pid_of_fd[fd] = pid;
	return fd;
}

pid_t dumped_pid_of_fd(int fd)
{
	return pid_of_fd[fd];
}

static int op_pidfd_send_signal(int pidfd, int signal)
{
	pid_t pid = pid_of_fd[pidfd];

	if (pid == dumped.refused)
		return -EPERM;
	if (!dumped_place_of(pid)->is_alive)
		return -ESRCH;
	if (signal != 0)
		add(dumped.sent, "%s%s %d", dumped.sent[0] ? ", " : "",
		    signal == SIGKILL ? "KILL" : "TERM", pid);
	return 0;
}

static int op_read_start(int proc_fd, pid_t pid, uint64_t *ret)
{
	return kill_ops_system.read_start(proc_fd, pid, ret);
}

static int op_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		   struct freezer_thawed *thawed)
{
	return kill_ops_system.thaw(fs, v2_path, v1_path, thawed);
}

static int op_read_cgroups(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *v2_path,
			   char *v1_path, size_t size)
{
	return kill_ops_system.read_cgroups(fs, proc_fd, pid, v2_path, v1_path, size);
}

static int op_group_list(int dir_fd, kill_list_fn f, void *userdata)
{
	return kill_ops_system.group_list(dir_fd, f, userdata);
}

static int op_group_kill(int dir_fd)
{
	add(dumped.sent, "%sKILL-GROUP", dumped.sent[0] ? ", " : "");
	return 0;
}

static int op_group_freeze(int dir_fd, bool freeze)
{
	return 0;
}

static int op_group_is_populated(int dir_fd)
{
	return kill_ops_system.group_is_populated(dir_fd);
}

static int op_boost(int proc_fd, pid_t pid)
{
	return 0;
}

const struct kill_ops dumped_kill_ops = {
	.pidfd_open = op_pidfd_open,
	.pidfd_send_signal = op_pidfd_send_signal,
	.read_start = op_read_start,
	.boost = op_boost,
	.thaw = op_thaw,
	.read_cgroups = op_read_cgroups,
	.group_list = op_group_list,
	.group_kill = op_group_kill,
	.group_freeze = op_group_freeze,
	.group_is_populated = op_group_is_populated,
	.now = __wrap_clock_now,
};
