/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-walk: what the parts of a survey share; see where.h. */
#pragma once

#include "lib/base/errors.h"
#include "lib/domain/where.h"

/* So many of its descriptors and threads are read of each process, before the rest of those that
 * have more. */
#define WHERE_PROCESS_LINKS 1024
#define WHERE_REST_MAX	    128

struct where_rest {
	char pid[16];
	pid_t tid;
	uid_t uid;
	long from; /* in its descriptors; 0: these are read */
	bool is_threaded;
};

struct where_walk {
	int proc_fd, root_fd;
	const struct where_limits *limits;
	unsigned n_checks; /* of the time */
	bool is_late;
	unsigned n_links, n_links_end; /* the end: of the process that is read */
	unsigned n_lines;	       /* of mappings */
	unsigned n_sockets;
	unsigned n_rest;
	struct where_rest rest[WHERE_REST_MAX];
	unsigned n_devices, n_hidden, n_namespaces;
	unsigned n_pipes, n_memfds; /* of the process that is read */
	unsigned n_in_flight;	    /* likewise: files that were sent to it */
	uint64_t memfd_bytes, unmeasured_bytes, unmeasured_foreign;
	uid_t uid, unmeasured_creator; /* of the process; (uid_t)-1: not known */
	int pagemap_fd;		       /* of this process */
	dev_t memfd_device;	       /* 0: not known */
	dev_t other_device;	       /* no tmpfs of the process that is read; 0: none */
	struct where_scratch *scratch;
	struct where_survey *ret;
};

/* A deadline was reached. */
bool where_is_late(struct where_walk *s);
/* That, or a limit: the survey is partial then. */
bool where_is_over(struct where_walk *s);
/* failed, which it returns: for want of memory or of files, what is there is not known. */
static inline bool where_has_failed(struct where_walk *s, bool failed, int error)
{
	if (failed && error_is_transient(-error))
		s->ret->is_partial = true;
	return failed;
}

/* All tmpfs that mountinfo lists, and System V segments. */
void where_read_mounts(struct where_walk *s);
void where_read_sysv(struct where_walk *s);

/* Is this one of those; or one in the mount namespace of the process: a container has a tmpfs of
 * its own. */
bool where_is_known_tmpfs(struct where_walk *s, dev_t device);
bool where_is_tmpfs_of(struct where_walk *s, const char *pid, dev_t device);

/* All tmpfs in its mount namespace that are not among those. */
void where_read_hidden(struct where_walk *s, const char *pid);

enum where_file {
	WHERE_FILE_MEMFD,   /* by a descriptor */
	WHERE_FILE_DELETED, /* likewise; as it seems */
	WHERE_FILE_MAPPED,  /* by a mapping; likewise */
};

/* One that the process holds by this magic link.  (It may be on any file system: none is asked for
 * its attributes.) */
void where_read_file(struct where_walk *s, const char *pid, int dir_fd, const char *name,
		     enum where_file kind);

/* How many files were sent to a socket and not received, of its fdinfo.  False: it has no such
 * line. */
bool where_parse_scm_fds(const char *text, unsigned *ret);
/* name: of a socket in a directory of descriptors. */
void where_read_socket(struct where_walk *s, int dir_fd, const char *name);
/* The process that was read has such files. */
void where_take_receiver(struct where_walk *s, const struct where_holder *process);

/* A thread that has the process's memory and descriptors, where its first one has exited. */
pid_t where_find_thread(struct where_walk *s, pid_t pid);

/* Files without a name that it maps, if there is much that it has not touched. */
void where_read_mappings(struct where_walk *s, const char *pid);
