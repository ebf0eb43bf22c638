/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-loader: the thread that reads the configuration for a reload. */
#include "daemon/base/config-loader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/base/config-read.h"
#include "lib/base/cleanup.h"
#include "lib/base/heap.h"
#include "lib/base/thread.h"

/* For modules of NSS; only what is used of it takes memory. */
#define STACK_SIZE (512 * KIB)

struct config_loader {
	struct config_options options;
	int fd;
	pthread_t thread;
	bool is_running; /* the thread has not been joined: the rest is its own until is_finished */
	bool is_expired;
	bool has_result;
	atomic_bool is_finished;

	int result;
	uint64_t bytes;
	struct conf_messages messages;
	struct loaded loaded;
};

static void *run(void *userdata)
{
	struct config_loader *loader = userdata;
	uint64_t before = heap_used();

	loader->result = config_read(&loader->options, &loader->messages, &loader->loaded);
	/* (With what the others allocated meanwhile.) */
	loader->bytes = sub_u64(heap_used(), before);
	atomic_store(&loader->is_finished, true);
	(void)eventfd_write(loader->fd, 1);
	return NULL;
}

int config_loader_new(const struct config_options *options, struct config_loader **ret)
{
	struct config_loader *loader = calloc(1, sizeof(*loader));

	if (!loader)
		return -ENOMEM;
	loader->options = *options;
	loader->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loader->fd < 0) {
		int r = -errno;

		free(loader);
		return r;
	}
	*ret = loader;
	return 0;
}

int config_loader_fd(const struct config_loader *loader)
{
	return loader->fd;
}

static void discard(struct config_loader *loader)
{
	if (loader->has_result && loader->result == 0)
		loaded_done(&loader->loaded);
	conf_messages_done(&loader->messages);
	loader->messages = (struct conf_messages){ 0 };
	loader->has_result = loader->is_expired = false;
}

void config_loader_collect(struct config_loader *loader)
{
	eventfd_t n;

	if (!loader->is_running || !atomic_load(&loader->is_finished))
		return;
	(void)pthread_join(loader->thread, NULL);
	(void)eventfd_read(loader->fd, &n);
	loader->is_running = false;
	loader->has_result = true;
	if (loader->is_expired)
		discard(loader);
}

static int start(struct config_loader *loader)
{
	const struct thread_options options = { .name = "config", .stack_size = STACK_SIZE };
	int r;

	atomic_store(&loader->is_finished, false);
	r = thread_start(&options, run, loader, &loader->thread);
	loader->is_running = r == 0;
	return r;
}

bool config_loader_prepare(struct config_loader *loader)
{
	config_loader_collect(loader);
	if (loader->has_result)
		return true;
	return !loader->is_running && start(loader) < 0;
}

void config_loader_expire(struct config_loader *loader)
{
	config_loader_collect(loader);
	if (loader->is_running)
		loader->is_expired = true;
	else
		discard(loader);
}

bool config_loader_take(struct config_loader *loader, struct conf_messages *ret_messages,
			struct loaded *ret, int *ret_result, uint64_t *ret_bytes)
{
	config_loader_collect(loader);
	if (!loader->has_result)
		return false;
	*ret_messages = loader->messages;
	*ret = loader->loaded;
	*ret_result = loader->result;
	*ret_bytes = loader->bytes;
	loader->messages = (struct conf_messages){ 0 };
	loader->has_result = false;
	return true;
}

struct config_loader *config_loader_free(struct config_loader *loader)
{
	if (!loader)
		return NULL;
	config_loader_collect(loader);
	if (loader->is_running) {
		(void)pthread_detach(loader->thread);
		return NULL;
	}
	discard(loader);
	close(loader->fd);
	free(loader);
	return NULL;
}
