/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay: a fuzz target over the files of its corpus, without libFuzzer.
 *
 * usage: replay-NAME [FILE...]
 * Without arguments: all of $SRCDIR/tests/fuzz/corpus/NAME.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"
#include "tests/fuzz/fuzz.h"

/* A corpus is of small files. */
#define FILE_MAX (64 * KIB)

static void replay(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ uint8_t *data = malloc(FILE_MAX);
	_cleanup_free_ uint8_t *exact = NULL;
	size_t size;

	FUZZ_CHECK(file && data);
	size = fread(data, 1, FILE_MAX, file);
	/* Of its own size, so that a sanitizer sees a read behind it. */
	exact = malloc(size > 0 ? size : 1);
	FUZZ_CHECK(exact);
	memcpy(exact, data, size);
	printf("%s: %zu bytes\n", path, size);
	fflush(stdout);
	FUZZ_CHECK(LLVMFuzzerTestOneInput(exact, size) == 0);
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static size_t replay_all(const char directory[static 4096])
{
	struct dirent **entries = NULL;
	int n = scandir(directory, &entries, is_file, alphasort);
	char path[4096 + NAME_MAX + 2];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		replay(path);
		free(entries[i]);
	}
	free(entries);
	return n > 0 ? (size_t)n : 0;
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("SRCDIR"), *name = strrchr(argv[0], '/');
	char directory[4096];
	size_t n;

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc > 1)
		return 0;
	name = strstr(name ? name : argv[0], "replay-");
	if (!name)
		return 2;
	snprintf(directory, sizeof(directory), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
		 name + strlen("replay-"));
	n = replay_all(directory);
	printf("%zu inputs of %s\n", n, directory);
	return n > 0 ? 0 : 1;
}
