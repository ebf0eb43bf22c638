/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread: starts one with a small stack and without signals. */
#include "lib/base/thread.h"

#include <signal.h>
#include <stdint.h>

static size_t least_stack(void)
{
	long size = sysconf(_SC_THREAD_STACK_MIN);

	return size > 0 ? (size_t)size : 0;
}

int thread_start(const struct thread_options *options, void *(*run)(void *), void *userdata,
		 pthread_t *ret)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	if (options->is_detached)
		(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_attr_setstacksize(&attributes, least_stack() + options->stack_size);
	if (r == 0) {
		sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(ret, &attributes, run, userdata);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	(void)pthread_attr_destroy(&attributes);
	if (r == 0)
		(void)pthread_setname_np(*ret, options->name);
	return -r;
}
