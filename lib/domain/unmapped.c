/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unmapped: maps samples of a file, and asks pagemap whether others do. */
#include "lib/domain/unmapped.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"

#ifndef MADV_POPULATE_READ
#	define MADV_POPULATE_READ 22
#endif

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT	  (UINT64_C(1) << 63)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)

/* (MADV_POPULATE_READ and not MAP_POPULATE: that does nothing under MCL_ONFAULT.) */
static int read_page(void *page, size_t page_size, int pagemap_fd, bool *ret_is_exclusive)
{
	unsigned char is_resident = 0;
	uint64_t entry;

	if (mincore(page, page_size, &is_resident) < 0)
		return -errno;
	if (!(is_resident & 1))
		return -ENODATA;
	if (madvise(page, page_size, MADV_POPULATE_READ) < 0)
		return -errno;
	if (pread(pagemap_fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / page_size * sizeof(entry))) != sizeof(entry) ||
	    !(entry & PAGEMAP_PRESENT))
		return -ENODATA;
	*ret_is_exclusive = entry & PAGEMAP_EXCLUSIVE;
	return 0;
}

/* What one thread maps for this is a mapping for another one that looks at the same page. */
static pthread_mutex_t mapping = PTHREAD_MUTEX_INITIALIZER;

static int sample(int fd, off_t offset, size_t page_size, int pagemap_fd, bool *ret_is_exclusive)
{
	int r = 0;
	void *page;

	pthread_mutex_lock(&mapping);
	page = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, offset);
	if (page == MAP_FAILED)
		r = -errno;
	else
		r = read_page(page, page_size, pagemap_fd, ret_is_exclusive);
	if (page != MAP_FAILED)
		(void)munmap(page, page_size);
	pthread_mutex_unlock(&mapping);
	return r;
}

int unmapped_measure(int dir_fd, const char *link, int pagemap_fd, uint64_t bytes, uint64_t *ret)
{
	_cleanup_close_ int fd = openat(dir_fd, link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	const unsigned n = (unsigned)min_u64(UNMAPPED_SAMPLES, 1 + bytes / MIB);
	unsigned n_seen = 0, n_exclusive = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		/* In the middle of each part.  A read of a hole would fill it. */
		off_t from = st.st_size / n * i + st.st_size / n / 2;
		off_t offset = lseek(fd, from, SEEK_DATA);
		bool is_exclusive = false;

		if (offset < 0 && i == 0)
			offset = lseek(fd, 0, SEEK_DATA);
		if (offset < 0)
			continue;
		offset -= offset % (off_t)page_size;
		if (sample(fd, offset, page_size, pagemap_fd, &is_exclusive) < 0)
			continue;
		n_seen++;
		n_exclusive += is_exclusive;
	}
	if (n_seen == 0)
		return -ENODATA;
	*ret = bytes / n_seen * n_exclusive;
	return 0;
}
