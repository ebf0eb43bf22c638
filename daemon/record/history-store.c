/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* history-store: reads the file of the history at start, and writes it on a thread of its own. */
#include "daemon/record/history-store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/thread.h"
#include "lib/history/history-file.h"
#include "lib/history/history.h"

/* Not more often than this; half a minute after a failure. */
#define PAUSE_USEC	  (5 * USEC_PER_SEC)
#define FAILED_PAUSE_USEC (30 * USEC_PER_SEC)
/* The exit of the daemon may be delayed so long by the disk. */
#define PATIENCE_SEC 5
/* (An entry on its way through jansson, and what glibc needs.) */
#define STACK_SIZE (64 * KIB)

struct history_store {
	struct history *history;
	char *path;
	int dir_fd;
	uint64_t written; /* the history's generation on the disk, or being written */
	usec_t not_before;
	int error; /* of the last write: reported once */

	/* The thread, if is_writing. */
	bool is_writing;
	pthread_t thread;
	struct job *job;
	atomic_bool is_done;
	int result;
};

/* What the thread works on: a mapping of its own, so that all of it can be unmapped. */
struct job {
	unsigned n;
	struct history_entry entries[HISTORY_MAX];
	char text[HISTORY_TEXT_MAX];
};

const char *history_store_path(const struct history_store *store)
{
	return store ? store->path : NULL;
}

static void free_store(struct history_store *a)
{
	if (a->job)
		(void)munmap(a->job, sizeof(*a->job));
	closep(&a->dir_fd);
	free(a->path);
	free(a);
}

static void free_storep(struct history_store **store)
{
	if (*store)
		free_store(*store);
}

/* The directory's path, or NULL: there is none.  Of several in $STATE_DIRECTORY, the first. */
static char *find_directory(bool *ret_was_given)
{
	const char *given = getenv("STATE_DIRECTORY");

	*ret_was_given = given != NULL;
	if (!given)
		return access(HISTORY_FILE_DIRECTORY, W_OK | X_OK) == 0
			       ? strdup(HISTORY_FILE_DIRECTORY)
			       : NULL;
	return *given ? strndup(given, strcspn(given, ":")) : NULL;
}

/* The fd, with the lock on it; -errno. */
static int open_directory(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	/* (Some file systems have no locks for directories.) */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return -EWOULDBLOCK;
	return take_fd(&fd);
}

/* 0, or -errno after logging the reason. */
static int read_history(struct history_store *a)
{
	char error[256];
	int r;

	r = history_file_read(a->dir_fd, a->history, error, sizeof(error));
	/* 100 entries are 1.7 MB of small objects for a moment, which the heap would keep. */
	(void)malloc_trim(0);
	if (r == HISTORY_FILE_SET_ASIDE)
		log_warning("%s/" HISTORY_FILE_NAME
			    " is no history (%s); renamed to " HISTORY_FILE_BAD_NAME ".",
			    a->path, error);
	if (r < 0)
		log_warning("Cannot %s %s/" HISTORY_FILE_NAME ": %s; no history is kept.",
			    error[0] ? "rename" : "read", a->path, strerror(-r));
	return r < 0 ? r : 0;
}

struct history_store *history_store_open(struct history *history)
{
	_cleanup_(free_storep) struct history_store *a = calloc(1, sizeof(*a));
	bool was_given;

	if (!a)
		return NULL;
	a->dir_fd = -EBADF;
	a->history = history;
	a->path = find_directory(&was_given);
	if (!a->path)
		return NULL;
	a->dir_fd = open_directory(a->path);
	if (a->dir_fd == -EWOULDBLOCK) {
		log_notice("Another daemon keeps its history in %s; none is kept of this one.",
			   a->path);
		return NULL;
	}
	if (a->dir_fd < 0) {
		log_warning("Cannot use the state directory %s: %s; no history is kept.", a->path,
			    strerror(-a->dir_fd));
		return NULL;
	}
	if (read_history(a) < 0)
		return NULL;
	a->written = history_generation(history);
	return take_ptr(a);
}

static void *run(void *userdata)
{
	struct history_store *a = userdata;
	struct job *job = a->job;
	ssize_t n = history_encode(job->entries, job->n, job->text, sizeof(job->text));

	a->result = n < 0 ? (int)n : history_file_write(a->dir_fd, job->text, (size_t)n);
	atomic_store(&a->is_done, true);
	return NULL;
}

/* The history as it is now, being written. */
static int begin(struct history_store *a)
{
	int r;

	a->job = mmap(NULL, sizeof(*a->job), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (a->job == MAP_FAILED) {
		a->job = NULL;
		return -errno;
	}
	a->job->n = history_copy(a->history, a->job->entries);
	atomic_store(&a->is_done, false);
	r = thread_start(&(struct thread_options){ .name = "history", .stack_size = STACK_SIZE },
			 run, a, &a->thread);
	if (r < 0)
		return r;
	a->is_writing = true;
	a->written = history_generation(a->history);
	return 0;
}

/* It is written, or could not be. */
static void finish(struct history_store *a, int result, usec_t now)
{
	if (a->job)
		(void)munmap(a->job, sizeof(*a->job));
	a->job = NULL;
	a->is_writing = false;
	if (result < 0 && result != a->error)
		log_warning("Cannot write %s/" HISTORY_FILE_NAME ": %s; trying again.", a->path,
			    strerror(-result));
	a->error = result;
	if (result < 0) {
		a->written = history_generation(a->history) - 1; /* nothing that it ever was */
		a->not_before = now + FAILED_PAUSE_USEC;
	}
}

bool history_store_is_due(const struct history_store *store, usec_t now)
{
	if (!store)
		return false;
	if (store->is_writing)
		return atomic_load(&store->is_done);
	return store->written != history_generation(store->history) && now >= store->not_before;
}

void history_store_write(struct history_store *store, usec_t now)
{
	int r;

	if (store->is_writing) {
		(void)pthread_join(store->thread, NULL);
		finish(store, store->result, now);
		return;
	}
	store->not_before = now + PAUSE_USEC;
	r = begin(store);
	if (r < 0)
		finish(store, r, now);
}

/* false: the thread has not finished yet. */
static bool wait_for_thread(struct history_store *a, const struct timespec *until)
{
	if (a->is_writing && thread_join_until(a->thread, until) != 0)
		return false;
	if (a->is_writing && atomic_load(&a->is_done)) /* (which ThreadSanitizer understands) */
		finish(a, a->result, 0);
	return true;
}

struct history_store *history_store_close(struct history_store *store)
{
	struct timespec until;
	bool is_over;
	int r;

	if (!store)
		return NULL;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_SEC;
	is_over = wait_for_thread(store, &until);
	if (is_over && store->written != history_generation(store->history)) {
		r = begin(store);
		if (r < 0)
			finish(store, r, 0);
		is_over = wait_for_thread(store, &until);
	}
	if (is_over)
		free_store(store);
	else /* the thread still has all of it */
		log_warning(
			"The history could not be written to %s within %d s; its last entries are lost.",
			store->path, PATIENCE_SEC);
	return NULL;
}
