/* os_segment.c — the segment's file and the data directory: opened without following links, checked
 * after opening (never before), named only when complete.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

uint32_t ae_os_user(void)
{
    return (uint32_t)geteuid();
}

const char *ae_os_environment(const char *name)
{
    const char *value = secure_getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

static void file_info(const struct stat *from, ae_os_file *to)
{
    to->size = (uint64_t)from->st_size;
    to->device = (uint64_t)from->st_dev;
    to->inode = (uint64_t)from->st_ino;
    to->owner = (uint32_t)from->st_uid;
    to->mode = (uint32_t)(from->st_mode & 07777);
    to->links = (uint32_t)from->st_nlink;
    to->regular = S_ISREG(from->st_mode);
    to->directory = S_ISDIR(from->st_mode);
}

/* Make each missing component, 0700. */
static int directory_make(const char *path)
{
    const size_t length = strlen(path);
    char partial[PATH_MAX];
    if (length == 0 || length >= sizeof partial)
        return length == 0 ? ENOENT : ENAMETOOLONG;
    memcpy(partial, path, length + 1);
    AE_ASSERT(partial[length] == '\0');
    for (size_t at = 1; at <= length; at++) {
        if (partial[at] != '/' && partial[at] != '\0')
            continue;
        const char kept = partial[at];
        partial[at] = '\0';
        if (mkdir(partial, 0700) != 0 && errno != EEXIST) {
            struct stat info;
            const int failure = errno;
            if (stat(partial, &info) != 0) /* a read-only parent may hold the directory already */
                return failure;
        }
        partial[at] = kept;
    }
    return 0;
}

int ae_os_directory(const char *path, bool make, char **absolute, ae_os_file *info)
{
    struct stat found;
    *absolute = NULL;
    if (stat(path, &found) != 0) {
        if (errno != ENOENT || !make)
            return errno;
        const int failure = directory_make(path);
        if (failure != 0)
            return failure;
    }
    char *real = realpath(path, NULL);
    if (real == NULL)
        return errno;
    const int fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failure = fd < 0 ? errno : 0;
    if (failure == 0) {
        if (fstat(fd, &found) != 0)
            failure = errno;
        close(fd);
    }
    if (failure != 0) {
        free(real);
        return failure;
    }
    file_info(&found, info);
    *absolute = real;
    return 0;
}

int ae_os_open_existing(const char *path, int *fd)
{
    *fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return *fd < 0 ? errno : 0;
}

int ae_os_create_unnamed(const char *path, uint64_t size, int *fd)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder)
        return ENAMETOOLONG;
    memcpy(folder, slash == NULL ? "." : path, length);
    folder[length] = '\0';
    *fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0)
        return errno;
    /* fchmod: the umask must not decide who may read the rows. */
    if (fchmod(*fd, 0600) != 0 || ftruncate(*fd, (off_t)size) != 0) {
        const int failure = errno;
        close(*fd);
        *fd = -1;
        return failure;
    }
    return 0;
}

int ae_os_link(int fd, const char *path)
{
    AE_ALWAYS(fd >= 0);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

int ae_os_stat_path(const char *path, ae_os_file *info)
{
    AE_ALWAYS(path != NULL);
    struct stat found;
    if (stat(path, &found) != 0)
        return errno;
    file_info(&found, info);
    return 0;
}

int ae_os_stat(int fd, ae_os_file *info)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return errno;
    file_info(&found, info);
    return 0;
}

int ae_os_reserve(int fd, uint64_t offset, uint64_t size)
{
    AE_ALWAYS(fd >= 0);
    /* In pieces: the kernel undoes a piece when a signal interrupts it, and with a timer that rings
     * every millisecond one large piece would never be finished.  fallocate, not posix_fallocate,
     * whose fallback writes would race with rows. */
    const uint64_t piece = 256u << 10;
    while (size > 0) {
        const uint64_t step = size < piece ? size : piece;
        if (fallocate(fd, 0, (off_t)offset, (off_t)step) != 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        offset += step;
        size -= step;
    }
    return 0;
}

int ae_os_read_at(int fd, uint64_t offset, void *buffer, size_t size, size_t *done)
{
    AE_ASSERT(fd >= 0);
    *done = 0;
    while (*done < size) {
        const ssize_t got = pread(fd, (char *)buffer + *done, size - *done,
                                  (off_t)(offset + *done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        *done += (size_t)got;
    }
    return 0;
}

void ae_os_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
