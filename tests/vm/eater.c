/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * eater: many processes that eat memory and do at random what makes processes hard to kill: they
 * fork, replace themselves, ignore signals, move between cgroups, freeze and thaw their own and
 * others' groups, and leave children of vfork(2) behind.
 *
 * usage: eater keep DIR N_GROUPS N_EATERS MIB_PER_S SECONDS SEED
 *        eater hold NAME MIB
 *   keep  below DIR, a cgroup v2 directory with groups g0, g0/n, g1, g1/n ..., keeps so many
 *         eaters running for so long, which eat at most so much together; then kills them.
 *         Runs under the name "keeper"; in the end it prints one line of what was done.
 *   hold  holds so much memory under that name, and touches it now and then
 *
 * A random seed repeats what one eater would do, not the order in which eaters get to do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, PAGE = 4096, MAX_CHUNKS = 96, SHARED_FD = 100, GROUPS_FD = 101 };

/* What the eaters are counted by, in a file that all have mapped. */
struct shared {
	atomic_long tokens; /* MiB that may be eaten now */
	atomic_ulong eaten, forks, execs, moves, freezes, thaws, deaf, vforks, exits;
	atomic_bool stop; /* all are to exit */
	unsigned n_groups;
};

static struct shared *shared;
static uint64_t state;
static void *chunks[MAX_CHUNKS];
static unsigned n_chunks, appetite;

static uint64_t draw(void)
{
	state ^= state << 13; /* xorshift64 */
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void seed(uint64_t value)
{
	state = (value + 1) * 0x9e3779b97f4a7c15u | 1;
	for (int i = 0; i < 8; i++)
		draw();
}

static void pause_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "eater: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int write_group(unsigned group, const char *file, const char *text)
{
	char path[64];
	int fd, n;

	/* the even ones at the top, the odd ones nested in them */
	snprintf(path, sizeof(path), "g%u%s/%s", group / 2, group % 2 ? "/n" : "", file);
	fd = openat(GROUPS_FD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = (int)write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

static unsigned any_group(void)
{
	return (unsigned)(draw() % shared->n_groups);
}

static void count_if(int result, atomic_ulong *counter)
{
	if (result == 0)
		atomic_fetch_add(counter, 1);
}

static void eat(void)
{
	char *chunk;

	if (n_chunks >= appetite || atomic_load(&shared->tokens) <= 0)
		return;
	atomic_fetch_sub(&shared->tokens, 1);
	chunk = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return;
	for (size_t at = 0; at < MIB; at += PAGE)
		chunk[at] = 1;
	chunks[n_chunks++] = chunk;
	atomic_fetch_add(&shared->eaten, 1);
}

static void give_back(void)
{
	if (n_chunks > 0)
		munmap(chunks[--n_chunks], MIB);
}

static void be_deaf(void)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGINT };
	void (*handler)(int) = draw() % 2 ? SIG_IGN : SIG_DFL;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], handler);
	atomic_fetch_add(&shared->deaf, handler == SIG_IGN);
}

/* How much one wants: most next to nothing, one of twelve much, and in larger bites. */
static void get_hungry(void)
{
	appetite = draw() % 12 == 0 ? 16 + (unsigned)(draw() % (MAX_CHUNKS - 16))
				    : (unsigned)(draw() % 2);
}

static void fork_one(void)
{
	uint64_t next = draw();
	pid_t pid = fork();

	if (pid == 0) {
		seed(next);
		get_hungry();
	} else if (pid > 0) {
		atomic_fetch_add(&shared->forks, 1);
	}
}

/* It has our memory, and we wait for it; whoever is to get the memory back has to end both. */
static void vfork_one(void)
{
	const struct timespec t = { .tv_nsec = 300000000 };
	pid_t pid = vfork();

	if (pid == 0) {
		nanosleep(&t, NULL);
		_exit(0);
	}
	count_if(pid < 0, &shared->vforks);
}

static void exec_self(void)
{
	char text[32], path[4096] = "";

	/* By its own path: the name would be "exe" for a moment. */
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)draw());
	atomic_fetch_add(&shared->execs, 1);
	execl(path, path, "again", text, NULL);
	_exit(1);
}

_Noreturn static void leave(void)
{
	atomic_fetch_add(&shared->exits, 1);
	_exit(0);
}

static void act(void)
{
	unsigned r = (unsigned)(draw() % 1000);

	if (r < 4)
		give_back();
	else if (r < 34)
		fork_one();
	else if (r < 40)
		exec_self();
	else if (r < 80)
		be_deaf();
	else if (r < 110)
		count_if(write_group(any_group(), "cgroup.procs", "0"), &shared->moves);
	else if (r < 125)
		count_if(write_group(any_group(), "cgroup.freeze", "1"), &shared->freezes);
	else if (r < 185)
		count_if(write_group(any_group(), "cgroup.freeze", "0"), &shared->thaws);
	else if (r < 195)
		vfork_one();
	else if (r < 196)
		leave();
	else
		for (unsigned i = 0; i < (appetite + 15) / 16; i++)
			eat();
}

_Noreturn static void live(uint64_t value)
{
	seed(value);
	get_hungry();
	prctl(PR_SET_NAME, "eater");
	signal(SIGCHLD, SIG_IGN);
	while (!atomic_load(&shared->stop)) {
		act();
		pause_ms(100 + (unsigned)(draw() % 200));
	}
	_exit(0);
}

/* Of a cgroup's own file; -1 where there is none. */
static long read_number(const char *path)
{
	char text[32] = "";
	int fd = openat(GROUPS_FD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atol(text) : -1;
}

static void start_eater(unsigned n_started)
{
	uint64_t value = draw() + n_started;
	pid_t pid = fork();

	if (pid != 0)
		return;
	(void)setpriority(PRIO_PROCESS, 0, 0);
	seed(value);
	if (write_group(any_group(), "cgroup.procs", "0") < 0)
		_exit(1);
	live(value);
}

static void map_shared(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	if (shared == MAP_FAILED)
		die("mmap");
}

static void prepare(char **argv)
{
	int fd = memfd_create("eaters", 0), dir_fd = open(argv[2], O_RDONLY | O_DIRECTORY);

	if (fd < 0 || dir_fd < 0 || dup2(fd, SHARED_FD) < 0 || dup2(dir_fd, GROUPS_FD) < 0 ||
	    ftruncate(SHARED_FD, sizeof(struct shared)) < 0)
		die(argv[2]);
	close(fd);
	close(dir_fd);
	map_shared();
	shared->n_groups = 2 * (unsigned)atoi(argv[3]);
	if (read_number("pids.current") < 0)
		die("pids.current");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "keeper");
	(void)setpriority(PRIO_PROCESS, 0, -20);
	signal(SIGTERM, SIG_IGN);
	seed(strtoull(argv[7], NULL, 10));
}

/* Thawed again and again: an eater may just have been about to freeze. */
static void kill_all(void)
{
	pid_t pid = 0;

	atomic_store(&shared->stop, true);
	while (pid >= 0) {
		for (unsigned group = 0; group < shared->n_groups; group++)
			(void)write_group(group, "cgroup.freeze", "0");
		pause_ms(50);
		do {
			pid = waitpid(-1, NULL, WNOHANG);
		} while (pid > 0);
	}
}

static int keep(char **argv)
{
	double began = now(), end = began + atof(argv[6]), rate = atof(argv[5]);
	long n_eaters = atol(argv[4]), n_now;
	unsigned n_started = 0;
	double granted = 0;

	prepare(argv);
	for (unsigned turn = 0; now() < end; turn++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		n_now = read_number("pids.current");
		for (int i = 0; i < 4 && n_now + i < n_eaters; i++)
			start_eater(n_started++);
		/* Not saved up while all are frozen; but every 15 s there is much at once; the
		 * first time so much that memory is short from then on. */
		granted += rate / 20;
		if (atomic_load(&shared->tokens) < rate / 4)
			atomic_fetch_add(&shared->tokens, (long)granted);
		granted -= (long)granted;
		if (turn % 300 == 200)
			atomic_fetch_add(&shared->tokens,
					 (long)(turn < 300 ? 12 * rate : 4 * rate));
		if (turn % 10 == 0)
			(void)write_group(any_group(), "cgroup.freeze", "0");
		pause_ms(50);
	}
	printf("eaters=%u eaten_mib=%lu forks=%lu execs=%lu moves=%lu freezes=%lu thaws=%lu "
	       "deaf=%lu vforks=%lu exits=%lu\n",
	       n_started, shared->eaten, shared->forks, shared->execs, shared->moves,
	       shared->freezes, shared->thaws, shared->deaf, shared->vforks, shared->exits);
	kill_all();
	return 0;
}

_Noreturn static void hold(const char *name, size_t mib)
{
	char *memory =
		mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	prctl(PR_SET_NAME, name);
	for (;;) {
		for (size_t at = 0; at < mib * MIB; at += PAGE)
			memory[at]++;
		pause_ms(5000);
	}
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "keep") == 0)
		return keep(argv);
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		hold(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "again") == 0) {
		map_shared();
		live(strtoull(argv[2], NULL, 10));
	}
	fprintf(stderr, "usage: eater keep DIR N_GROUPS N_EATERS MIB_PER_S SECONDS SEED\n"
			"       eater hold NAME MIB\n");
	return 2;
}
