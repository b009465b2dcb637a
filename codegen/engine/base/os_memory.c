/* os_memory.c — mappings, barriers across processes, and the page that forgets at fork. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

bool ae_os_barrier_register(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool ae_os_barrier(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

uint64_t *ae_os_fork_guard_new(void)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return NULL;
    }
    return page;
}

void ae_os_fork_guard_free(uint64_t *guard)
{
    if (guard != NULL)
        munmap(guard, (size_t)sysconf(_SC_PAGESIZE));
}

/* Address space for `size` bytes from a multiple of the huge page's size on. */
static void *space_take(uint64_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t whole = (size + page - 1) & ~(page - 1);
    AE_ALWAYS(size > 0 && whole >= size && AE_OS_HUGE_SIZE % page == 0);
    char *space = mmap(NULL, whole + AE_OS_HUGE_SIZE, PROT_NONE, flags, -1, 0);
    if (space == MAP_FAILED)
        return NULL;
    const uint64_t before = (0 - (uint64_t)(uintptr_t)space) & (AE_OS_HUGE_SIZE - 1);
    AE_ALWAYS(before < AE_OS_HUGE_SIZE);
    if (before > 0)
        munmap(space, before);
    munmap(space + before + whole, AE_OS_HUGE_SIZE - before);
    return space + before;
}

int ae_os_map(int fd, uint64_t size, void **address)
{
    const int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *space = size == 0 ? NULL : space_take(size);
    if (space == NULL)
        return size == 0 ? EINVAL : errno;
    void *base = mmap(space, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | MAP_FIXED, fd,
                      0);
    if (base == MAP_FAILED) {
        const int failure = errno;
        munmap(space, size);
        return failure;
    }
    /* Row data stay out of core dumps; failure only means a larger dump. */
    (void)madvise(base, size, MADV_DONTDUMP);
    *address = base;
    return 0;
}

void ae_os_unmap(void *address, uint64_t size)
{
    if (address != NULL)
        munmap(address, size);
}

/* Known to kernels since 6.1, and to headers since later. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A huge page is cleared in 0.1 to 0.3 ms.  One that takes longer had to be made free by moving
 * others, or its memory had to be fetched from the host of a virtual machine page by page: there
 * small pages, of which some are always at hand, are the better ones. */
#define HUGE_DEAR_NS 1000000

/* The thread's own time: waiting for a processor says nothing about the memory. */
static int64_t thread_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int ae_os_huge_join(void *address, uint64_t *took_ns)
{
    AE_ASSERT((uintptr_t)address % AE_OS_HUGE_SIZE == 0);
    const int64_t start = thread_ns();
    const int failure = madvise(address, AE_OS_HUGE_SIZE, MADV_COLLAPSE) == 0 ? 0 : errno;
    *took_ns = (uint64_t)(thread_ns() - start);
    return failure;
}

bool ae_os_huge(int fd, void *address, uint64_t offset, uint64_t size)
{
    AE_ASSERT(address != NULL && (uintptr_t)address % AE_OS_HUGE_SIZE == 0);
    const uint64_t end = (offset + size) & ~(AE_OS_HUGE_SIZE - 1);
    if (fd < 0)
        return false;
    for (uint64_t at = offset & ~(AE_OS_HUGE_SIZE - 1); at < end; at += AE_OS_HUGE_SIZE) {
        /* The kernel makes one huge page of the small ones of a range and of what is missing
         * between them, whatever is set for the file system; but it wants to find a small one. */
        while (fallocate(fd, 0, (off_t)at, 1) != 0) {
            if (errno != EINTR)
                return false;
        }
        uint64_t took = 0;
        if (ae_os_huge_join((char *)address + at, &took) != 0 || took > HUGE_DEAR_NS)
            return false;
    }
    return true;
}
