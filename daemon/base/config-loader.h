/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-loader: config_read() on a thread of its own, which nothing waits for; see config.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conf_messages;
struct config_loader;
struct config_options;
struct loaded;

/* 0 or -errno.  The strings of the options are borrowed for good. */
int config_loader_new(const struct config_options *options, struct config_loader **ret);
/* Does not wait for files that cannot be read: the thread then keeps what it uses. */
struct config_loader *config_loader_free(struct config_loader *loader);

/* Readable when it has finished, until it is collected, which the other functions do, too. */
int config_loader_fd(const struct config_loader *loader);
void config_loader_collect(struct config_loader *loader);

/* true: it has been read, or cannot be read on a thread.  Else it is being read from now on. */
bool config_loader_prepare(struct config_loader *loader);

/* What was read, or is being read, is not to be taken. */
void config_loader_expire(struct config_loader *loader);

/* false: nothing has been read.  *ret_result: of config_read(), *ret_bytes: what was allocated. */
bool config_loader_take(struct config_loader *loader, struct conf_messages *ret_messages,
			struct loaded *ret, int *ret_result, uint64_t *ret_bytes);
