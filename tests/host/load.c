/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load: a process, or a family of processes, that holds memory in a given way.
 *
 * usage: load STEP...
 *
 * The steps are done in their order; when all are done the process waits for its children, and then
 * for ever.  load-memory.c has those that take memory, load-process.c those that make the process a
 * special one.  These take the steps up to the "end" that belongs to them:
 *
 *   fork=N ... end           N children do them, and then wait for ever
 *   spawn=RATE ... end       RATE children a second do them, without end
 *   jobs=N,PARALLEL,FILE ... end
 *                            N children in all, so many at a time, do them and exit; FILE gets
 *                            "built=N killed=N left=N"
 *   restart=N ... end        one child does them; when it dies, the next, N in all
 *   repeat=N ... end         this process does them N times
 *   execute=N ... end        the program is executed anew, with arguments of one of N lengths, does
 *                            them and exits; 0: of one length, but each with others
 *
 * So "load name=redis anon=420 fork=1 touch end" is a database with a child that saves.
 */
#include "tests/host/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **run_steps(char **steps);

void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	_exit(1);
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void pause_seconds(double seconds)
{
	struct timespec left = { .tv_sec = (time_t)seconds };

	left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void hold(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
	for (;;)
		pause();
}

double take_number(const char **value)
{
	char *end;
	double number = strtod(*value, &end);

	*value = *end == ',' ? end + 1 : end;
	return number;
}

char *take_word(const char **value)
{
	size_t length = strcspn(*value, ",");
	char *word = strndup(*value, length);

	*value += length + ((*value)[length] == ',');
	return word;
}

static char **skip_block(char **steps)
{
	unsigned depth = 1;

	for (; *steps; steps++) {
		if (strcmp(*steps, "end") == 0 && --depth == 0)
			return steps + 1;
		depth += strncmp(*steps, "fork=", 5) == 0 || strncmp(*steps, "spawn=", 6) == 0 ||
			 strncmp(*steps, "jobs=", 5) == 0 || strncmp(*steps, "restart=", 8) == 0 ||
			 strncmp(*steps, "repeat=", 7) == 0 || strncmp(*steps, "execute=", 8) == 0;
	}
	return steps;
}

static pid_t fork_child(char **steps, bool exits)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	run_steps(steps);
	if (exits)
		_exit(0);
	hold();
}

static void fork_children(const char *value, char **steps)
{
	for (long n = atol(value); n > 0; n--)
		fork_child(steps, false);
}

static void spawn(const char *value, char **steps)
{
	double rate = strtod(value, NULL);

	for (;;) {
		fork_child(steps, false);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		pause_seconds(1 / rate);
	}
}

static void write_result(const char *path, int n_built, int n_killed, int n_left)
{
	FILE *file = fopen(path, "w");

	if (!file)
		die(path);
	fprintf(file, "built=%d killed=%d left=%d\n", n_built, n_killed, n_left);
	fclose(file);
}

static void run_jobs(const char *value, char **steps)
{
	int left = (int)take_number(&value), parallel = (int)take_number(&value);
	int running = 0, built = 0, killed = 0, status;

	while (left > 0 || running > 0) {
		if (left > 0 && running < parallel) {
			fork_child(steps, true);
			left--;
			running++;
		} else if (wait(&status) > 0) {
			running--;
			built += WIFEXITED(status);
			killed += WIFSIGNALED(status);
		}
		write_result(value, built, killed, left + running);
	}
}

static void restart(const char *value, char **steps)
{
	for (long n = atol(value); n > 0; n--) {
		waitpid(fork_child(steps, false), NULL, 0);
		pause_seconds(0.2);
	}
}

static void repeat(const char *value, char **steps)
{
	for (long n = atol(value); n > 0; n--)
		run_steps(steps);
}

/* The next command of a build has the name of another file in it. */
static void execute(const char *value, char **steps)
{
	char program[] = "load", file[80], last[] = "exit", *args[64] = { program, file };
	size_t n = 2, n_steps = (size_t)(skip_block(steps) - steps) - 1;

	memset(file, '/', sizeof(file)); /* "await=////": it is there */
	memcpy(file, "await=", 6);
	if (atoi(value) == 0)
		for (int bit = 0; bit < 30; bit++) /* "await=/.////./": likewise */
			file[7 + 2 * bit] = getpid() >> bit & 1 ? '.' : '/';
	file[atoi(value) == 0 ? 67 : 7 + getpid() % atoi(value) % 70] = '\0';
	for (size_t i = 0; i < n_steps && n < 62; i++)
		args[n++] = steps[i];
	args[n] = last;
	execv("/proc/self/exe", args);
	die("execv");
}

static const struct {
	const char *name;
	void (*run)(const char *value, char **steps);
} block_verbs[] = {
	{ "fork=", fork_children }, { "spawn=", spawn },   { "jobs=", run_jobs },
	{ "restart=", restart },    { "repeat=", repeat }, { "execute=", execute },
};

static bool run_plain(const struct verb *verbs, const char *step)
{
	size_t length = strcspn(step, "=");

	for (; verbs->name; verbs++) {
		if (strlen(verbs->name) == length && strncmp(verbs->name, step, length) == 0) {
			verbs->run(step + length + (step[length] == '='));
			return true;
		}
	}
	return false;
}

/* Returns the steps behind the block, or NULL if this step does not begin one. */
static char **run_block(char **steps)
{
	for (size_t i = 0; i < sizeof(block_verbs) / sizeof(block_verbs[0]); i++) {
		size_t length = strlen(block_verbs[i].name);

		if (strncmp(*steps, block_verbs[i].name, length) == 0) {
			block_verbs[i].run(*steps + length, steps + 1);
			return skip_block(steps + 1);
		}
	}
	return NULL;
}

/* Returns where it came to: behind the "end", or at the end of all. */
static char **run_steps(char **steps)
{
	while (*steps && strcmp(*steps, "end") != 0) {
		char **next = run_block(steps);

		if (!next && !run_plain(memory_verbs, *steps) &&
		    !run_plain(process_verbs, *steps)) {
			errno = EINVAL;
			die(*steps);
		}
		steps = next ? next : steps + 1;
	}
	return *steps ? steps + 1 : steps;
}

int main(int argc, char **argv)
{
	const struct rlimit many = { 65536, 65536 };

	if (argc < 2)
		return 2;
	(void)setrlimit(RLIMIT_NOFILE, &many);
	run_steps(argv + 1);
	hold();
}
