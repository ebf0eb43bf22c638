/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * where-sockets: the survey: files that were sent to a process and that it has not received.
 *
 * They are in no table of descriptors.  fdinfo of a Unix socket has how many there are (scm_fds,
 * Linux 5.6; of connections that were not accepted from 6.2 on), but not which.  To peek at them
 * (MSG_PEEK) waits for a lock of the socket that a process can hold forever, and cannot be
 * interrupted.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/io.h"
#include "lib/domain/where-walk.h"

bool where_parse_scm_fds(const char *text, unsigned *ret)
{
	const char *line = strstr(text, "\nscm_fds:");

	return line && sscanf(line, "\nscm_fds: %9u", ret) == 1;
}

void where_read_socket(struct where_walk *s, int dir_fd, const char *name)
{
	char path[32], text[256];
	unsigned n;

	if (s->n_sockets == WHERE_SOCKETS_MAX) {
		s->ret->has_more_receivers = true;
		return;
	}
	s->n_sockets++;
	snprintf(path, sizeof(path), "../fdinfo/%.16s", name);
	if (io_read_at(dir_fd, path, text, sizeof(text)) >= 0 && where_parse_scm_fds(text, &n))
		s->n_in_flight += n;
}

static struct where_receiver *find_place(struct where_survey *ret, pid_t pid)
{
	for (unsigned i = 0; i < ret->n_receivers; i++)
		if (ret->receivers[i].pid == pid)
			return &ret->receivers[i];
	if (ret->n_receivers == WHERE_RECEIVERS_MAX) {
		ret->has_more_receivers = true;
		return NULL;
	}
	return &ret->receivers[ret->n_receivers++];
}

void where_take_receiver(struct where_walk *s, const struct where_holder *process)
{
	struct where_receiver *receiver = find_place(s->ret, process->pid);

	if (!receiver)
		return;
	receiver->pid = process->pid;
	memcpy(receiver->comm, process->comm, sizeof(receiver->comm));
	receiver->uid = process->uid;
	receiver->start_ticks = process->start_ticks;
	receiver->n_files += s->n_in_flight;
}
