/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dumped-machine: the files, and the manager.  The daemon's seams: dumped-seams.c. */
#include "tests/dumped-machine.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/record/recorder.h"
#include "daemon/tick/tick.h"
#include "tests/accuracy-fixture.h"
#include "tests/dumped-seams.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PAGES(mib)	 ((uint64_t)(mib)*256) /* of 4 KiB, as events are counted below */
#define KIB_OF(mib)	 ((uint64_t)(mib)*1024)
#define FILE_MIB	 4	       /* each maps so much of files */
#define ALLOCATED_BEFORE (100 * 1024U) /* MiB since boot */

struct dumped_machine dumped;

struct dumped_place dumped_places[DUMPED_PROCESSES_MAX];

static struct {
	char path[64];
	int proc_fd, sys_fd, cgroup_fd;
	char cgroups[DUMPED_CGROUPS_MAX][256];
	unsigned n_cgroups;
	struct dumped_reading last;
	struct dumped_reading sums; /* of what is counted */
	uint64_t allocated;	    /* MiB */
	pid_t last_pid;
} machine;

__attribute__((format(printf, 3, 4))) static void put(int dir_fd, const char *path,
						      const char *format, ...)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	va_list ap;

	assert_true(fd >= 0);
	va_start(ap, format);
	assert_true(vdprintf(fd, format, ap) >= 0);
	va_end(ap);
	close(fd);
}

__attribute__((format(printf, 3, 4))) static void put_of(pid_t pid, const char *file,
							 const char *format, ...)
{
	char path[64], text[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%d/%s", pid, file);
	put(machine.proc_fd, path, "%s", text);
}

static int make_directory(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", machine.path, name);
	assert_int_equal(mkdir(path, 0755), 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int dumped_machine_new(void)
{
	memset(&dumped, 0, sizeof(dumped));
	memset(&machine, 0, sizeof(machine));
	memset(dumped_places, 0, sizeof(dumped_places));
	dumped.now = DUMPED_BEGIN;
	strcpy(machine.path, "/tmp/dumped-machine.XXXXXX");
	if (!mkdtemp(machine.path))
		return -errno;
	machine.proc_fd = make_directory("proc");
	machine.sys_fd = make_directory("sys");
	machine.cgroup_fd = make_directory("cgroup");
	close(make_directory("proc/pressure"));
	close(make_directory("proc/self"));
	put(machine.proc_fd, "self/mountinfo", "\n");
	close(make_directory("proc/sys"));
	close(make_directory("proc/sys/kernel"));
	machine.allocated = ALLOCATED_BEFORE;
	return 0;
}

void dumped_machine_free(void)
{
	dumped.manager = manager_free(dumped.manager);
	for (unsigned i = 0; i < DUMPED_PROCESSES_MAX; i++)
		if (dumped_places[i].process.pid != 0)
			close(dumped_places[i].event_fd);
	close(machine.proc_fd);
	close(machine.sys_fd);
	close(machine.cgroup_fd);
	(void)nftw(machine.path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *cgroup_of(const struct dumped_process *p)
{
	return p->cgroup ? p->cgroup : "/";
}

/* Its cgroup.procs and cgroup.events, of what is in it and below. */
static void list_cgroup(const char *path)
{
	char name[256], text[2048] = "";
	bool is_populated = false;

	for (unsigned i = 0; i < DUMPED_PROCESSES_MAX; i++) {
		const struct dumped_process *p = &dumped_places[i].process;
		size_t n = strlen(text);

		if (!dumped_places[i].is_alive || !cgroup_path_is_below(cgroup_of(p), path))
			continue;
		is_populated = true;
		if (strcmp(cgroup_of(p), path) == 0)
			(void)snprintf(text + n, sizeof(text) - n, "%d\n", p->pid);
	}
	(void)snprintf(name, sizeof(name), ".%s/cgroup.procs", path);
	put(machine.cgroup_fd, name, "%s", text);
	(void)snprintf(name, sizeof(name), ".%s/cgroup.events", path);
	put(machine.cgroup_fd, name, "populated %d\nfrozen 0\n", is_populated);
}

static void know_cgroup(const char *path)
{
	for (unsigned i = 0; i < machine.n_cgroups; i++)
		if (strcmp(machine.cgroups[i], path) == 0)
			return;
	assert_true(machine.n_cgroups < DUMPED_CGROUPS_MAX);
	(void)snprintf(machine.cgroups[machine.n_cgroups++], sizeof(machine.cgroups[0]), "%s",
		       path);
}

/* With those above. */
static void make_cgroup(const char *path)
{
	char part[256];

	for (const char *end = path + 1; path[1] != '\0'; end++) {
		if (*end != '/' && *end != '\0')
			continue;
		(void)snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		(void)mkdirat(machine.cgroup_fd, part + 1, 0755);
		know_cgroup(part);
		if (*end == '\0')
			break;
	}
}

static void list_cgroups(void)
{
	for (unsigned i = 0; i < machine.n_cgroups; i++)
		list_cgroup(machine.cgroups[i]);
}

void dumped_machine_cgroup(const char *path, const char *file, const char *text)
{
	char name[256];

	make_cgroup(path);
	(void)snprintf(name, sizeof(name), ".%s/%s", path, file);
	put(machine.cgroup_fd, name, "%s", text);
}

static void put_status(const struct dumped_process *p, uid_t uid)
{
	put_of(p->pid, "status",
	       "Name:\t%s\nUmask:\t0022\nState:\t%c (some)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\n"
	       "PPid:\t%d\nTracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n"
	       "FDSize:\t64\nGroups:\t0 \nVmSize:\t%8lu kB\nVmLck:\t       0 kB\n"
	       "VmRSS:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t%8lu kB\n"
	       "VmExe:\t%8lu kB\nVmPTE:\t       0 kB\nVmSwap:\t%8lu kB\nThreads:\t1\n",
	       p->comm, p->state, p->pid, p->pid, p->ppid, uid, uid, uid, uid, uid, uid, uid, uid,
	       KIB_OF(p->anon + p->shmem + FILE_MIB), KIB_OF(p->anon + p->shmem + FILE_MIB),
	       KIB_OF(p->anon), KIB_OF(FILE_MIB), KIB_OF(p->shmem),
	       p->n_cow > 0 ? 400UL : 4UL * (unsigned)(p->mm % 50 + 1), KIB_OF(p->swap));
}

/* Of shared anonymous memory the others have their part. */
static void put_rollup(const struct dumped_process *p)
{
	uint64_t rss = KIB_OF(p->anon + p->shmem + FILE_MIB);
	uint64_t own = KIB_OF(p->anon - p->cow);
	uint64_t share = p->n_cow > 0 ? KIB_OF(p->cow) / p->n_cow : 0;
	char map[128];

	put_of(p->pid, "smaps_rollup",
	       "00400000-7ffff1bc1000 ---p 00000000 00:00 0    [rollup]\n"
	       "Rss: %lu kB\nPss: %lu kB\nPss_Anon: %lu kB\nPss_File: 0 kB\nPss_Shmem: %lu kB\n"
	       "Shared_Clean: %lu kB\nShared_Dirty: 0 kB\nPrivate_Clean: 0 kB\n"
	       "Private_Dirty: %lu kB\nReferenced: 0 kB\nAnonymous: %lu kB\nSwap: %lu kB\n"
	       "SwapPss: %lu kB\nLocked: 0 kB\n",
	       rss, own + share + KIB_OF(p->shmem), own + share, KIB_OF(p->shmem), KIB_OF(FILE_MIB),
	       own + KIB_OF(p->shmem), KIB_OF(p->anon), KIB_OF(p->swap), KIB_OF(p->swap));
	put_of(p->pid, "mountinfo", "36 35 0:40 / /dev/shm rw,nosuid - tmpfs tmpfs rw\n");
	(void)snprintf(map, sizeof(map),
		       "7f0000000000-%lx rw-s 00000000 00:28 1234 /dev/shm/data%s\n",
		       0x7f0000000000UL + p->shmem * MIB, p->shmem_stays ? "" : " (deleted)");
	put_of(p->pid, "maps", "%s", p->shmem > 0 ? map : "");
}

static void put_files(const struct dumped_process *p)
{
	uint64_t file = PAGES(FILE_MIB + p->shmem), page = (uint64_t)sysconf(_SC_PAGESIZE) / 4096;
	char path[16];

	(void)snprintf(path, sizeof(path), "%d", p->pid);
	(void)mkdirat(machine.proc_fd, path, 0755);
	put_of(p->pid, "comm", "%s\n", p->comm);
	put_of(p->pid, "oom_score_adj", "%d\n", p->oom_score_adj);
	put_of(p->pid, "cgroup", "0::%s\n", cgroup_of(p));
	put_of(p->pid, "stat",
	       "%d (%s) %c %d %d %d 0 -1 4194304 50 0 0 0 0 0 0 0 20 0 1 0 %lu 0 0 0 0 0 %lu 0 0 "
	       "0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
	       p->pid, p->comm, p->state, p->ppid, p->pid, p->pid, p->start_ticks,
	       0x7ffd0000UL + (p->n_cow > 0 ? 0 : (unsigned)p->pid) * 4096);
	put_of(p->pid, "statm", "%lu %lu %lu %lu 0 %lu 0\n", (PAGES(p->anon) + file) / page,
	       (PAGES(p->anon) + file) / page, file / page,
	       p->n_cow > 0 ? 100UL : (unsigned long)p->mm % 50 + 1, PAGES(p->anon) / page);
	put_status(p, p->as_root ? 0 : 1000);
	put_rollup(p);
}

static struct dumped_place *place_of(pid_t pid)
{
	for (unsigned i = 0; i < DUMPED_PROCESSES_MAX; i++)
		if (dumped_places[i].process.pid == pid)
			return &dumped_places[i];
	return NULL;
}

struct dumped_place *dumped_place_of(pid_t pid)
{
	return pid > 0 ? place_of(pid) : NULL;
}

/* The process's, or a free one. */
static struct dumped_place *need_place(pid_t pid)
{
	struct dumped_place *place = place_of(pid);

	place = place ? place : place_of(0);
	if (!place)
		abort();
	return place;
}

struct dumped_process *dumped_machine_find(pid_t pid)
{
	return &need_place(pid)->process;
}

static void put_last_pid(void)
{
	put(machine.proc_fd, "loadavg", "0.00 0.00 0.00 1/%u %d\n", DUMPED_PROCESSES_MAX,
	    machine.last_pid);
}

/* What has a pidfd of it sees that. */
static void make_readable(const struct dumped_place *place)
{
	uint64_t one = 1;

	assert_int_equal(write(place->event_fd, &one, sizeof(one)), sizeof(one));
}

void dumped_machine_put(const struct dumped_process *process)
{
	struct dumped_process p = *process;
	struct dumped_place *place = need_place(p.pid);

	p.start_ticks = p.start_ticks > 0 ? p.start_ticks : 50000 + (uint64_t)p.pid;
	p.ppid = p.ppid > 0 || p.pid == 1 ? p.ppid : 1;
	p.mm = p.mm > 0 ? p.mm : p.pid;
	p.state = p.state != '\0' ? p.state : 'S';
	if (place->is_alive && place->process.start_ticks != p.start_ticks) {
		make_readable(place);
		place->is_alive = false;
	}
	if (!place->is_alive) {
		if (place->process.pid != 0)
			close(place->event_fd);
		place->event_fd = eventfd(0, EFD_CLOEXEC);
		assert_true(place->event_fd >= 0);
	}
	place->process = p;
	place->is_alive = true;
	make_cgroup(cgroup_of(&p));
	put_files(&p);
	list_cgroups();
	machine.last_pid = p.pid > machine.last_pid ? p.pid : machine.last_pid;
	put_last_pid();
}

void dumped_machine_exit(pid_t pid)
{
	static const char *const files[] = { "comm",	  "oom_score_adj", "cgroup",
					     "stat",	  "statm",	   "status",
					     "mountinfo", "maps",	   "smaps_rollup" };
	struct dumped_place *place = need_place(pid);
	char path[64];

	assert_true(place->is_alive);
	make_readable(place);
	place->is_alive = false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%d/%s", pid, files[i]);
		assert_int_equal(unlinkat(machine.proc_fd, path, 0), 0);
	}
	(void)snprintf(path, sizeof(path), "%d", pid);
	assert_int_equal(unlinkat(machine.proc_fd, path, AT_REMOVEDIR), 0);
	list_cgroups();
}

/* What all processes have, each address space once. */
static void sum_up(unsigned *ret_anon, unsigned *ret_shmem)
{
	*ret_anon = *ret_shmem = 0;
	for (unsigned i = 0; i < DUMPED_PROCESSES_MAX; i++) {
		const struct dumped_process *p = &dumped_places[i].process;

		if (!dumped_places[i].is_alive || p->mm != p->pid)
			continue;
		*ret_anon += p->anon - (p->n_cow > 0 ? p->cow - p->cow / p->n_cow : 0);
		*ret_shmem += p->shmem;
	}
}

static void put_meminfo(const struct dumped_reading *r)
{
	unsigned anon, shmem, free = r->available / 2, file = r->available - free, rest;

	sum_up(&anon, &shmem);
	shmem += r->tmpfs;
	rest = (unsigned)sub_u64(DUMPED_TOTAL, (uint64_t)r->available + anon + shmem);
	put(machine.proc_fd, "meminfo",
	    "MemTotal: %lu kB\nMemFree: %lu kB\nMemAvailable: %lu kB\nCached: %lu kB\n"
	    "Active(file): %lu kB\nAnonPages: %lu kB\nShmem: %lu kB\nSlab: %lu kB\n"
	    "SReclaimable: %lu kB\nSwapTotal: %lu kB\nSwapFree: %lu kB\n",
	    KIB_OF(DUMPED_TOTAL), KIB_OF(free), KIB_OF(r->available), KIB_OF(file + shmem),
	    KIB_OF(file), KIB_OF(anon), KIB_OF(shmem), KIB_OF(rest), KIB_OF(rest),
	    KIB_OF(dumped.swap_total), KIB_OF(r->swap_free));
}

/* What was allocated and not freed is what is used. */
static void put_vmstat(const struct dumped_reading *r)
{
	unsigned before = machine.last.available ? machine.last.available : DUMPED_TOTAL;
	struct dumped_reading *sums = &machine.sums;

	machine.allocated += sub_u64(before, r->available) + r->churn;
	sums->reclaimed += r->reclaimed;
	sums->refaulted += r->refaulted;
	sums->swapped_out += r->swapped_out;
	put(machine.proc_fd, "vmstat",
	    "pgalloc_normal %lu\npgfree %lu\npgscan_kswapd %lu\npgsteal_kswapd %lu\n"
	    "workingset_refault_anon %lu\npswpout %lu\noom_kill 0\n",
	    PAGES(machine.allocated), PAGES(machine.allocated - (DUMPED_TOTAL - r->available)),
	    PAGES(sums->reclaimed), PAGES(sums->reclaimed), PAGES(sums->refaulted),
	    PAGES(sums->swapped_out));
}

void dumped_machine_read(const struct dumped_reading *r)
{
	char text[256];
	uint64_t usec;

	dumped.now = DUMPED_BEGIN + r->at * USEC_PER_MSEC;
	put_meminfo(r);
	put_vmstat(r);
	machine.sums.stalled += r->stalled;
	usec = machine.sums.stalled * USEC_PER_MSEC;
	(void)snprintf(text, sizeof(text),
		       "some avg10=0.00 avg60=0.00 avg300=0.00 total=%lu\n"
		       "full avg10=0.00 avg60=0.00 avg300=0.00 total=%lu\n",
		       usec, usec);
	if (!dumped.has_no_psi) {
		put(machine.proc_fd, "pressure/memory", "%s", text);
		put(machine.cgroup_fd, "memory.pressure", "%s", text);
	}
	machine.last = *r;
}

void dumped_machine_configure(const char *config)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/reckond.conf", machine.path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(config, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void open_files(struct manager *m)
{
	m->machine->proc_fd = fcntl(machine.proc_fd, F_DUPFD_CLOEXEC, 0);
	m->machine->sys_fd = fcntl(machine.sys_fd, F_DUPFD_CLOEXEC, 0);
	cgroup_fs_init(&m->machine->cgroups,
		       dumped.has_no_cgroups ? -EBADF
					     : fcntl(machine.cgroup_fd, F_DUPFD_CLOEXEC, 0),
		       -EBADF);
	m->machine->cgroups.v2_has_memory = !dumped.has_no_cgroups;
	assert_int_equal(
		memory_source_new(m->machine->proc_fd, m->machine->sys_fd, &m->sampler->source), 0);
	assert_int_equal(memory_sample(m->sampler->source, &m->sampler->domain.reading), 0);
	m->sampler->psi_fd = openat(m->machine->proc_fd, "pressure/memory", O_RDONLY | O_CLOEXEC);
	m->sampler->domain.has_psi = m->sampler->psi_fd >= 0;
}

void dumped_machine_start(const char *config)
{
	static char path[128];
	struct manager *m = manager_alloc();

	assert_non_null(m);
	dumped.manager = m;
	(void)snprintf(path, sizeof(path), "%s/reckond.conf", machine.path);
	dumped_machine_configure(config);
	m->config->options.config_file = path;
	m->machine->kill_ops = &dumped_kill_ops;
	m->sampler->precise = dumped_precise;
	m->selection->stuck.survey = dumped.has_no_survey ? NULL : dumped_survey;
	m->probed->memory_lock_error = m->in_flight->ledger_error = -EPERM;
	m->machine->accuracy = exact_accuracy;
	m->machine->accuracy.page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(recorder_new(m->in_flight, &m->tick->recorder), 0);
	m->reporter->recorder = m->tick->recorder;
	assert_int_equal(config_load(m->config, &m->sampler->domain), 0);
	assert_false(m->config->is_degraded);
	open_files(m);
	stall_init(&m->sampler->stalls.walk, m->machine->cgroups.v2_fd);
	assert_int_equal(census_init(&m->sampler->census, m->machine->proc_fd, &m->machine->cgroups,
				     &m->machine->accuracy, &m->config->policies),
			 0);
	census_keep_none(
		&m->sampler->census); /* a file that was removed can be read, unlike one of /proc */
	assert_int_equal(
		census_sweep(&m->sampler->census, dumped.now, m->sampler->domain.reading.allocated,
			     m->sampler->domain.reading.swap_free < dumped.swap_total * MIB),
		0);
	assert_int_equal(victim_reserve(&m->selection->choice, &m->sampler->census), 0);
}

unsigned dumped_machine_tick(void)
{
	struct in_flight_watched watched;
	usec_t next;

	dumped.sent[0] = '\0';
	dumped.event = REPORT_NOTHING;
	dumped.n_turns = dumped.n_choices = 0;
	do {
		next = tick(dumped.manager->tick, dumped.now);
		dumped.n_turns++;
		assert_true(dumped.n_turns < 200);
		if (next <= 4 * USEC_PER_MSEC)
			dumped.now += next;
	} while (next <= 4 * USEC_PER_MSEC);
	watched = in_flight_watched(dumped.manager->in_flight);
	dumped.watched = watched.victim_fd < 0 ? 0 : dumped_pid_of_fd(watched.victim_fd);
	return (unsigned)(next / USEC_PER_MSEC);
}
