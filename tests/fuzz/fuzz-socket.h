/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-socket: a connection of sd-bus whose other end is the fuzzer's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

/* One that is authenticated, without a Hello.  *ret_fd: the other end, from which nothing was read.
 */
sd_bus *fuzz_connect(int *ret_fd);

/* All of it fits into the socket. */
void fuzz_send(int fd, const void *data, size_t size);
/* false: the other end is closed, or full. */
bool fuzz_try_send(int fd, const void *data, size_t size);
