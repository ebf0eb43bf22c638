/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unmapped: of files that are described page by page, and of a memfd of this process. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"
#include "lib/domain/unmapped.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define POPULATE_READ 22
#define PRESENT	      (UINT64_C(1) << 63)
#define EXCLUSIVE     (UINT64_C(1) << 56)

/* Where the file seems to be mapped; nothing is touched there. */
#define BASE	   ((uintptr_t)1 << 40)
#define PAGEMAP_FD 123456

/* Its pages; NULL: the real one's.  '.': a hole; 'r': in memory, 'm': and mapped by another
 * process; 's': swapped out.  'f', 'i', 'v', 'p', 'n': it fails to be mapped, to be looked at, to
 * be read in, pagemap cannot be read, or says that it is not there. */
static const char *pages;
static size_t page_size;
static int n_mapped;

static char page_at(const void *address)
{
	return pages[((uintptr_t)address - BASE) / page_size];
}

off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	size_t i = (size_t)offset / page_size;

	if (!pages)
		return __real_lseek(fd, offset, whence);
	assert_int_equal(whence, SEEK_DATA);
	if (i >= strlen(pages) || pages[i + strspn(pages + i, ".")] == '\0') {
		errno = ENXIO;
		return -1;
	}
	return pages[i] == '.' ? (off_t)((i + strspn(pages + i, ".")) * page_size) : offset;
}

void *__real_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (!pages)
		return __real_mmap(address, size, prot, flags, fd, offset);
	assert_null(address);
	assert_int_equal(offset % (off_t)page_size, 0);
	if (pages[(size_t)offset / page_size] == 'f')
		return MAP_FAILED;
	n_mapped++;
	return (void *)(BASE + (uintptr_t)offset);
}

int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size)
{
	if (!pages)
		return __real_munmap(address, size);
	n_mapped--;
	return 0;
}

int __real_mincore(void *address, size_t size, unsigned char *ret);
int __wrap_mincore(void *address, size_t size, unsigned char *ret);
int __wrap_mincore(void *address, size_t size, unsigned char *ret)
{
	if (!pages)
		return __real_mincore(address, size, ret);
	if (page_at(address) == 'i') {
		errno = ENOMEM;
		return -1;
	}
	/* (The other bits mean nothing.) */
	*ret = page_at(address) == 's' ? 0xfe : 1;
	return 0;
}

int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice)
{
	if (!pages)
		return __real_madvise(address, size, advice);
	assert_int_equal(advice, POPULATE_READ);
	assert_int_not_equal(page_at(address), 's'); /* it would be swapped in */
	if (page_at(address) == 'v') {
		errno = EFAULT;
		return -1;
	}
	return 0;
}

ssize_t __real_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset)
{
	uint64_t entry = PRESENT | EXCLUSIVE;
	char page;

	if (fd != PAGEMAP_FD)
		return __real_pread(fd, buf, size, offset);
	page = page_at((void *)((uintptr_t)offset / sizeof(entry) * page_size));
	if (page == 'p')
		return 0;
	if (page == 'n')
		entry = EXCLUSIVE;
	if (page == 'm')
		entry = PRESENT;
	memcpy(buf, &entry, sizeof(entry));
	return sizeof(entry);
}

static int measure(int fd, int pagemap_fd, uint64_t bytes, uint64_t *ret)
{
	_cleanup_close_ int dir_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return unmapped_measure(dir_fd, name, pagemap_fd, bytes, ret);
}

static void test_samples(void **state)
{
	static const struct {
		const char *label, *pages;
		uint64_t bytes;
		int result;
		uint64_t expected;
	} rows[] = {
		{ "of each part one", "rrrrrrrr", 8 * MIB, 0, 8 * MIB },
		{ "all are mapped", "mmmmmmmm", 8 * MIB, 0, 0 },
		{ "some are", "rmrrmmrr", 8 * MIB, 0, 5 * MIB },
		{ "one page", "r", 4096, 0, 4096 },
		{ "one of what is small, from its middle", "mmrm", MIB - 1, 0, MIB - 1 },
		{ "one of three pages", "mrm", 4096, 0, 4096 },
		{ "two of one MiB", "mrmr", MIB, 0, MIB },
		{ "eight at most", "mrmrmrmrmrmrmrmr", 20 * MIB, 0, 20 * MIB },
		{ "holes", "m..r..r.", MIB, 0, MIB },
		{ "only the beginning has data", "r.....", 4096, 0, 4096 },
		{ "nothing after the first sample", "mrrr....", MIB, 0, MIB },
		{ "all of it is a hole", "........", MIB, -ENODATA, 0 },
		{ "most is swapped out", "rsssmsss", 8 * MIB, 0, 4 * MIB },
		{ "all is", "ssssssss", 8 * MIB, -ENODATA, 0 },
		{ "some cannot be seen", "frifvpnm", 8 * MIB, 0, 4 * MIB },
		{ "none can", "fffiivpn", 8 * MIB, -ENODATA, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_close_ int fd = memfd_create("sampled", MFD_CLOEXEC);
		uint64_t unmapped = 0;
		int r;

		print_message("%s\n", rows[i].label);
		page_size = (size_t)sysconf(_SC_PAGESIZE);
		assert_int_equal(ftruncate(fd, (off_t)(strlen(rows[i].pages) * page_size)), 0);
		n_mapped = 0;
		pages = rows[i].pages;
		r = measure(fd, PAGEMAP_FD, rows[i].bytes, &unmapped);
		pages = NULL;
		assert_int_equal(r, rows[i].result);
		assert_int_equal(unmapped, rows[i].expected);
		assert_int_equal(n_mapped, 0);
	}
}

static void test_what_is_no_file(void **state)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t unmapped;

	assert_int_equal(measure(fd, PAGEMAP_FD, MIB, &unmapped), -EINVAL);
	assert_int_equal(measure(PAGEMAP_FD, PAGEMAP_FD, MIB, &unmapped), -ENOENT);
}

static bool has_populate_read(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool has = p != MAP_FAILED && madvise(p, 4096, POPULATE_READ) == 0;

	munmap(p, 4096);
	return has;
}

static void test_what_is_mapped_is_seen(void **state)
{
	enum { SIZE = 4 * MIB };
	_cleanup_close_ int pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int fd = memfd_create("held", MFD_CLOEXEC);
	uint64_t unmapped;
	char *p;

	if (!has_populate_read()) {
		print_message("SKIP: this needs MADV_POPULATE_READ (Linux 5.14)\n");
		skip();
	}
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(measure(fd, pagemap_fd, SIZE, &unmapped), -ENODATA); /* a hole */
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	memset(p, 1, SIZE);
	assert_int_equal(measure(fd, pagemap_fd, SIZE, &unmapped), 0);
	assert_int_equal(unmapped, 0);
	munmap(p, SIZE / 2);
	assert_int_equal(measure(fd, pagemap_fd, SIZE, &unmapped), 0);
	assert_in_range(unmapped, SIZE / 4, SIZE / 4 * 3);
	munmap(p + SIZE / 2, SIZE / 2);
	assert_int_equal(measure(fd, pagemap_fd, SIZE, &unmapped), 0);
	assert_true(unmapped >= SIZE / 10 * 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_what_is_mapped_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
