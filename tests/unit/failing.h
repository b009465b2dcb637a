/* failing.h — a system whose n-th call fails: open, fstat, pread, flock, mmap and so on.
 *
 * A program that includes this brings its own calls of the C library, which count while they are
 * armed, and let the n-th fail with an errno, or the n-th and all of its kind that follow.  With
 * FAIL_ALLOCATIONS defined, allocations are calls, too.
 */
#ifndef AE_TEST_FAILING_H
#define AE_TEST_FAILING_H

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
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

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))
#define PASS(result, name, parameters, arguments) \
    result name parameters \
    { \
        return fails(#name) ? (result)-1 : REAL(name) arguments; \
    }

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = (mode_t)va_arg(more, int);
    va_end(more);
    return fails("open") ? -1 : REAL(open)(path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fails("fcntl") ? -1 : REAL(fcntl)(fd, command, argument);
}

PASS(int, fstat, (int fd, struct stat *info), (fd, info))
PASS(int, stat, (const char *path, struct stat *info), (path, info))
PASS(int, lstat, (const char *path, struct stat *info), (path, info))
PASS(int, fchmod, (int fd, mode_t mode), (fd, mode))
PASS(int, ftruncate, (int fd, off_t size), (fd, size))
PASS(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
PASS(int, flock, (int fd, int how), (fd, how))
PASS(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
PASS(int, fdatasync, (int fd), (fd))
PASS(int, fsync, (int fd), (fd))
PASS(int, rename, (const char *from, const char *to), (from, to))
PASS(int, mkdir, (const char *path, mode_t mode), (path, mode))
PASS(int, unlink, (const char *path), (path))
PASS(int, linkat, (int from, const char *old, int to, const char *name, int flags),
     (from, old, to, name, flags))
PASS(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
PASS(void *, mmap, (void *at, size_t size, int how, int flags, int fd, off_t offset),
     (at, size, how, flags, fd, offset))

char *realpath(const char *path, char *out)
{
    return fails("realpath") ? NULL : REAL(realpath)(path, out);
}

DIR *opendir(const char *path)
{
    return fails("opendir") ? NULL : REAL(opendir)(path);
}

struct dirent *readdir(DIR *folder)
{
    return fails("readdir") ? NULL : REAL(readdir)(folder);
}

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

static uint32_t descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

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
