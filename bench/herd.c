/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* herd: the keeper, and its children. */
#include "bench/herd.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"

/* Is killed with its parent; false if that has exited already. */
static bool follow(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static bool take_memory(unsigned i)
{
	size_t size = i == 0 ? HERD_LARGEST_BYTES : HERD_LARGE_BYTES;
	void *memory;

	if (i > HERD_N_LARGE)
		return true;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return memory != MAP_FAILED;
}

/* A byte on ready_fd says that it is asleep. */
_Noreturn static void sleep_for_good(pid_t keeper, unsigned i, int ready_fd)
{
	if (!follow(keeper) || !take_memory(i) || write(ready_fd, "", 1) != 1)
		_exit(1);
	close(ready_fd);
	for (;;)
		pause();
}

/* The keeper moves from cgroup to cgroup; its children stay where they were made. */
static bool enter_cgroup(int cgroup_fd, unsigned i)
{
	char path[64];

	if (cgroup_fd < 0)
		return true;
	snprintf(path, sizeof(path), "%u", i);
	if (mkdirat(cgroup_fd, path, 0755) < 0)
		return false;
	snprintf(path, sizeof(path), "%u/cgroup.procs", i);
	return io_write_at(cgroup_fd, path, "0") == 0;
}

_Noreturn static void keep(const struct herd *herd, pid_t parent, int ready_fd)
{
	unsigned i_cgroup = 0;
	pid_t self = getpid();

	if (!follow(parent))
		_exit(1);
	for (unsigned i = 0; i < herd->n_processes; i++) {
		pid_t pid;

		if (i == herd->n_processes * (uint64_t)i_cgroup / herd->n_cgroups &&
		    !enter_cgroup(herd->cgroup_fd, i_cgroup++))
			_exit(1);
		pid = fork();
		if (pid < 0)
			_exit(1);
		if (pid == 0)
			sleep_for_good(self, i, ready_fd);
	}
	close(ready_fd);
	for (;;)
		pause();
}

int herd_start(struct herd *herd)
{
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	pid_t self = getpid();
	unsigned n_ready = 0;
	char buf[4096];
	int fds[2];
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	herd->keeper = fork();
	if (herd->keeper < 0)
		return -errno;
	if (herd->keeper == 0)
		keep(herd, self, write_fd);
	close(take_fd(&write_fd));
	while ((n = read(read_fd, buf, sizeof(buf))) > 0)
		n_ready += (unsigned)n;
	return n_ready == herd->n_processes ? 0 : -EAGAIN;
}

void herd_wait(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

void herd_end(struct herd *herd)
{
	if (herd->keeper > 0)
		kill(herd->keeper, SIGKILL);
	herd->keeper = 0;
	herd_wait();
	herd_remove_cgroups(herd->cgroup_fd);
}

void herd_remove_cgroups(int cgroup_fd)
{
	_cleanup_dir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd;

	if (cgroup_fd < 0)
		return;
	fd = openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)unlinkat(cgroup_fd, entry->d_name, AT_REMOVEDIR);
}
