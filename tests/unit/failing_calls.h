/* failing_calls.h — the calls of the C library that both failing.h and scripted.h bring: each asks
 * `fails(name)`, which has been defined before, and goes on to the real one if that says no.
 */
#ifndef AE_TEST_FAILING_CALLS_H
#define AE_TEST_FAILING_CALLS_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "real_calls.h"

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
PASS(int, fchmod, (int fd, mode_t mode), (fd, mode))
PASS(int, ftruncate, (int fd, off_t size), (fd, size))
PASS(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
PASS(int, flock, (int fd, int how), (fd, how))
PASS(int, fdatasync, (int fd), (fd))
PASS(int, fsync, (int fd), (fd))
PASS(int, mkdir, (const char *path, mode_t mode), (path, mode))
PASS(int, rename, (const char *from, const char *to), (from, to))
PASS(int, unlink, (const char *path), (path))
PASS(int, linkat, (int from, const char *old, int to, const char *name, int flags),
     (from, old, to, name, flags))

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

static inline uint32_t descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t count = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

#endif
