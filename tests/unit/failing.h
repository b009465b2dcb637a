/* failing.h — a system whose n-th call fails: open, fstat, pread, flock, mmap and so on.
 *
 * A program that includes this brings its own calls of the C library, which count while they are
 * armed, and let the n-th fail with an errno, or the n-th and all of its kind that follow.  With
 * FAIL_ALLOCATIONS defined, allocations are calls, too.
 */
#ifndef AE_TEST_FAILING_H
#define AE_TEST_FAILING_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "flights.h"

/* Recovery has threads: under a lock. */
static struct {
    bool armed;
    bool lasting;
    int failure;
    uint32_t left; /* calls until it fails */
    uint32_t calls;
    uint32_t failed;
    const char *kind; /* of the one that failed */
} fault;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool fails(const char *kind)
{
    bool now = false;
    pthread_mutex_lock(&lock);
    if (fault.armed) {
        fault.calls++;
        now = fault.left != 0 && --fault.left == 0;
        if (now)
            fault.kind = kind;
        now = now || (fault.lasting && fault.kind != NULL && strcmp(fault.kind, kind) == 0);
        fault.failed += now;
    }
    pthread_mutex_unlock(&lock);
    if (now)
        errno = fault.failure;
    return now;
}

#include "failing_calls.h"

PASS(int, lstat, (const char *path, struct stat *info), (path, info))
PASS(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
PASS(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
PASS(void *, mmap, (void *at, size_t size, int how, int flags, int fd, off_t offset),
     (at, size, how, flags, fd, offset))

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    return fails("pthread_create") ? EAGAIN
                                   : REAL(pthread_create)(thread, attributes, body, argument);
}

#ifdef FAIL_ALLOCATIONS
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

void *malloc(size_t size)
{
    return fails("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails("calloc") ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails("realloc") ? NULL : __libc_realloc(block, size);
}
#endif

static void fault_set(uint32_t passage, int failure, bool lasting)
{
    fault.lasting = lasting;
    fault.failure = failure;
    fault.left = passage;
    fault.calls = fault.failed = 0;
    fault.kind = NULL;
    fault.armed = true;
}

#endif
