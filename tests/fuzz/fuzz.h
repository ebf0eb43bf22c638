/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz: what the fuzz targets (tests/fuzz/fuzz-*.c) share.
 *
 * A target is a function for libFuzzer.  It checks what has to hold for any input, and sanitizers
 * check the rest.  With replay.c in place of libFuzzer it is a test of its corpus, by any compiler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each target defines it; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts unless it holds. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/* A copy with a NUL at its end and not a byte more, so that a read behind it is seen.  To be freed.
 */
char *fuzz_text(const uint8_t *data, size_t size);

/* Valid UTF-8, by jansson's word. */
bool fuzz_is_utf8(const char *text);
/* Has it what a terminal acts on: C0 (but for line ends, if they are allowed), DEL, C1?  Text must
 * be valid UTF-8. */
bool fuzz_has_controls(const char *text, bool allow_line_ends);

/* A directory of this process, removed when it exits; the same at each call. */
const char *fuzz_directory(void);
int fuzz_directory_fd(void);
/* Replaces the file at path in it, and makes the directories above; data NULL: removes it. */
void fuzz_write(const char *path, const void *data, size_t size);

/*
 * An input of several files: each begins behind a line "%%% NAME".  What stands before the first
 * such line is not used.  Returns how many there are, no more than max.
 */
struct fuzz_part {
	char name[64];
	const uint8_t *data; /* in the input */
	size_t size;
};
size_t fuzz_split(const uint8_t *data, size_t size, struct fuzz_part *parts, size_t max);
