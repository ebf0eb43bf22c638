/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * major-faults: where a process waits for a page to be read from disk.
 *
 * usage: major-faults PID
 *
 * For each major page fault of PID, a line: the thread's name, the address
 * and the instruction, as file+offset.  Until it is killed, or no thread is left.  By
 * perf_event_open(2), so the kernel counts, and the process runs at its own speed.
 */
#include <dirent.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, RING_PAGES = 1 };

/* What PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_ADDR gives. */
struct sample {
	struct perf_event_header header;
	uint64_t ip;
	uint32_t pid, tid;
	uint64_t address;
};

static struct pollfd events[MAX_EVENTS];
static struct perf_event_mmap_page *rings[MAX_EVENTS];
static unsigned n_events;

/* And the threads that it starts: for these the kernel wants one event for each CPU. */
static int watch(pid_t tid, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS_MAJ,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_ADDR,
		.wakeup_events = 1,
		.inherit = 1,
	};
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	int fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	void *ring;

	if (fd < 0)
		return -1;
	ring = mmap(NULL, (1 + RING_PAGES) * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return -1;
	events[n_events] = (struct pollfd){ .fd = fd, .events = POLLIN };
	rings[n_events++] = ring;
	return 0;
}

static void print_place(pid_t pid, uint64_t address)
{
	char file[64], line[512];
	FILE *maps;

	(void)snprintf(file, sizeof(file), "/proc/%d/maps", pid);
	maps = fopen(file, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		char *end, *name = strchr(line, '/');
		uint64_t first = strtoull(line, &end, 16), last = strtoull(end + 1, &end, 16);
		uint64_t offset = strtoull(end + 6, NULL, 16);

		if (address < first || address >= last)
			continue;
		line[strcspn(line, "\n")] = '\0';
		printf(" %s+0x%" PRIx64, name ? name : "(anonymous)", address - first + offset);
		break;
	}
	if (!maps || feof(maps))
		printf(" 0x%" PRIx64, address);
	if (maps)
		(void)fclose(maps);
}

static void print_sample(const struct sample *sample)
{
	char file[64], name[32] = "?";
	FILE *comm;

	(void)snprintf(file, sizeof(file), "/proc/%" PRIu32 "/task/%" PRIu32 "/comm", sample->pid,
		       sample->tid);
	comm = fopen(file, "re");
	if (comm && fgets(name, sizeof(name), comm))
		name[strcspn(name, "\n")] = '\0';
	if (comm)
		(void)fclose(comm);
	printf("%s: reads", name);
	print_place((pid_t)sample->pid, sample->address);
	printf(" at");
	print_place((pid_t)sample->pid, sample->ip);
	printf("\n");
	(void)fflush(stdout);
}

/* Records are of one size, and the ring's is a multiple of neither: bytes are copied one by one. */
static void print_ring(struct perf_event_mmap_page *ring)
{
	const unsigned char *data = (const unsigned char *)ring + ring->data_offset;
	uint64_t head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE), tail = ring->data_tail;
	union {
		struct sample sample;
		unsigned char bytes[sizeof(struct sample)];
	} u;

	while (tail < head) {
		for (size_t i = 0; i < sizeof(u); i++)
			u.bytes[i] = data[(tail + i) % ring->data_size];
		if (u.sample.header.type == PERF_RECORD_SAMPLE)
			print_sample(&u.sample);
		tail += u.sample.header.size;
	}
	__atomic_store_n(&ring->data_tail, tail, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	int n_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	char tasks[64];
	struct dirent *entry;
	unsigned n_left;
	DIR *dir;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: major-faults PID\n");
		return 2;
	}
	(void)snprintf(tasks, sizeof(tasks), "/proc/%s/task", argv[1]);
	dir = opendir(tasks);
	while (dir && (entry = readdir(dir)))
		for (int cpu = 0; cpu < n_cpus && entry->d_name[0] != '.'; cpu++)
			if (n_events == MAX_EVENTS || watch((pid_t)atoi(entry->d_name), cpu) < 0)
				perror("major-faults");
	if (!dir || n_events == 0)
		return 1;
	(void)closedir(dir);
	do {
		n_left = 0;
		if (poll(events, n_events, -1) < 0)
			return 1;
		for (unsigned i = 0; i < n_events; i++) {
			print_ring(rings[i]);
			if (events[i].revents & (POLLHUP | POLLERR))
				events[i].fd = -1;
			n_left += events[i].fd >= 0;
		}
	} while (n_left > 0);
	return 0;
}
