/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-hidden: the steps that hold memory where it is hard to see.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/host/load.h"

static int filled_memfd(size_t mib)
{
	static char zeros[MIB];
	int fd = memfd_create("load", 0);

	if (fd < 0)
		die("memfd_create");
	for (size_t i = 0; i < mib; i++)
		if (write(fd, zeros, sizeof(zeros)) < 0)
			die("write");
	return fd;
}

static pthread_barrier_t filled;

static void *hold_in_thread(void *mib)
{
	if (unshare(CLONE_FILES) < 0)
		die("unshare");
	(void)filled_memfd((size_t)(uintptr_t)mib);
	pthread_barrier_wait(&filled);
	for (;;)
		pause();
	return NULL;
}

/* memfd-thread=MIB: a memfd that a thread with descriptors of its own keeps open */
void hold_memfd_in_thread(const char *value)
{
	size_t mib = strtoul(value, NULL, 10);
	pthread_t id;

	pthread_barrier_init(&filled, NULL, 2);
	if (pthread_create(&id, NULL, hold_in_thread, (void *)(uintptr_t)mib) != 0)
		die("pthread_create");
	pthread_barrier_wait(&filled);
}

/* memfd-in-flight=MIB: one whose only descriptor is in a socket that nothing reads */
void leave_memfd_in_flight(const char *value)
{
	int ends[2], fd = filled_memfd(strtoul(value, NULL, 10));

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		die("socketpair");
	give_fd(ends[0], fd);
	close(fd);
}

static int queue = -1;

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		die(path);
	strcpy(address.sun_path, path);
	return address;
}

/* queue=PATH: a socket to which others send descriptors, and which nothing reads before "receive"
 */
void make_queue(const char *path)
{
	const struct sockaddr_un address = address_of(path);

	queue = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (queue < 0 || bind(queue, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0777) < 0)
		die(path);
}

/* receive: one descriptor from it, and keeps that */
void receive_one(const char *value)
{
	(void)value;
	if (queue < 0 || receive_fd(queue) < 0)
		die("recvmsg");
}

/* send-memfd=MIB,PATH[,keep]: a memfd to such a socket, whose name is there, and closes it */
void send_memfd(const char *value)
{
	int to = socket(AF_UNIX, SOCK_DGRAM, 0), fd = filled_memfd((size_t)take_number(&value));
	const struct sockaddr_un address = address_of(take_word(&value));

	if (connect(to, (const struct sockaddr *)&address, sizeof(address)) < 0)
		die(address.sun_path);
	give_fd(to, fd);
	if (strcmp(value, "keep") != 0)
		close(fd);
	close(to);
}

/* reserve=MIB: a mapping that is not touched */
void reserve(const char *value)
{
	(void)map_anonymous(strtoul(value, NULL, 10) * MIB);
}
