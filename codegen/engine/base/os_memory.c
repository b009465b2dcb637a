/* os_memory.c — mappings, barriers across processes, and the page that forgets at fork. */
#include "base/os.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int ae_os_map(int fd, uint64_t size, void **address)
{
    const int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return errno;
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
