/* os_file.c — files of the data directory (see os_file.h). */
#include "base/os_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* No single call is asked for more: the kernel's limit is a page less than 2 GiB. */
#define CALL_MAX ((size_t)1 << 30)

#ifdef AE_FILE_HOOK
#define HOOK(...) ae_file_hook(&(ae_file_call){__VA_ARGS__})
#else
#define HOOK(...) 0
#endif

/* Is what was opened a file that only we could have made? */
static int file_judge(int fd, bool writes)
{
    AE_ALWAYS(fd >= 0);
    struct stat info;
    if (fstat(fd, &info) != 0)
        return errno;
    if (!S_ISREG(info.st_mode))
        return EPERM;
    if (writes && (info.st_uid != geteuid() || (info.st_mode & 07777) != 0600 || info.st_nlink > 1))
        return EPERM;
    return 0;
}

int ae_os_file_open(const char *path, uint32_t how, int *fd)
{
    const int kept = errno;
    int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    flags |= how == AE_FILE_READ ? O_RDONLY : O_RDWR;
    if (how == AE_FILE_CREATE) {
        const int refused = HOOK(.name = "open", .path = path, .fd = -1);
        flags |= O_CREAT | O_EXCL;
        if (refused != 0)
            return refused;
    }
    *fd = open(path, flags, 0600);
    int failure = *fd < 0 ? errno : 0;
    /* fchmod: the umask must not decide who may read the rows. */
    if (failure == 0 && how == AE_FILE_CREATE && fchmod(*fd, 0600) != 0)
        failure = errno;
    if (failure == 0)
        failure = file_judge(*fd, how != AE_FILE_READ);
    if (failure == 0 && how == AE_FILE_CREATE)
        (void)HOOK(.name = "open", .path = path, .fd = *fd, .done = true);
    if (failure != 0 && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    errno = kept;
    return failure;
}

/* Names of files that have no other yet, on file systems that cannot do without. */
#define PART_MARK ".part-"

/* A new file with a name that nobody looks for. */
static int part_create(const char *path, int *fd)
{
    char part[PATH_MAX];
    uint64_t random = 0;
    ae_os_random(&random, sizeof random);
    const int length = snprintf(part, sizeof part, "%s" PART_MARK "%016llx", path,
                                (unsigned long long)random);
    if ((size_t)length >= sizeof part)
        return ENAMETOOLONG;
    return ae_os_file_open(part, AE_FILE_CREATE, fd);
}

/* Remove that name once the file has a second one. */
static void part_drop(int fd)
{
    char self[64];
    char part[PATH_MAX];
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_nlink < 2)
        return;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(self, part, sizeof part - 1);
    if (length <= 0)
        return;
    part[length] = '\0';
    if (strstr(part, PART_MARK) != NULL)
        (void)unlink(part);
}

int ae_os_file_unnamed(const char *path, int *fd)
{
    const int kept = errno;
    *fd = -1;
    int failure = HOOK(.name = "open", .fd = -1);
    if (failure == 0)
        failure = ae_os_create_unnamed(path, 0, fd);
    if (failure == EOPNOTSUPP || failure == EISDIR || failure == ENOENT)
        failure = part_create(path, fd);
    else if (failure == 0)
        (void)HOOK(.name = "open", .fd = *fd, .done = true);
    errno = kept;
    return failure;
}

int ae_os_file_name(int fd, const char *path)
{
    const int kept = errno;
    int failure = HOOK(.name = "name", .path = path, .fd = fd);
    if (failure == 0)
        failure = ae_os_link(fd, path);
    if (failure == 0)
        part_drop(fd);
    if (failure == 0)
        (void)HOOK(.name = "name", .path = path, .fd = fd, .done = true);
    errno = kept;
    return failure;
}

void ae_os_file_close(int fd)
{
    const int kept = errno;
    if (fd >= 0)
        close(fd);
    errno = kept;
}

int ae_os_file_write(int fd, uint64_t offset, const void *data, size_t size)
{
    const int kept = errno;
    int failure = HOOK(.name = "write", .fd = fd, .offset = offset, .data = data, .size = size);
    const char *at = data;
    size_t left = size;
    uint64_t place = offset;
    while (failure == 0 && left > 0) {
        const ssize_t put = pwrite(fd, at, left < CALL_MAX ? left : CALL_MAX, (off_t)place);
        if (put < 0 && errno != EINTR)
            failure = errno;
        if (put == 0)
            failure = ENOSPC; /* a device that takes nothing and says nothing */
        if (put > 0) {
            at += put;
            place += (uint64_t)put;
            left -= (size_t)put;
        }
    }
    AE_ASSERT(failure != 0 || (left == 0 && place == offset + size));
    if (failure == 0)
        (void)HOOK(.name = "write", .fd = fd, .offset = offset, .data = data, .size = size,
                   .done = true);
    errno = kept;
    return failure;
}

int ae_os_file_read(int fd, uint64_t offset, void *data, size_t size, size_t *done)
{
    const int kept = errno;
    char *at = data;
    int failure = 0;
    *done = 0;
    while (failure == 0 && *done < size) {
        const size_t left = size - *done;
        const ssize_t got = pread(fd, at + *done, left < CALL_MAX ? left : CALL_MAX,
                                  (off_t)(offset + *done));
        if (got == 0)
            break;
        if (got > 0)
            *done += (size_t)got;
        else if (errno != EINTR)
            failure = errno;
    }
    AE_ALWAYS(*done <= size);
    errno = kept;
    return failure;
}

int ae_os_file_sync(int fd)
{
    const int kept = errno;
    int failure = HOOK(.name = "sync", .fd = fd);
    if (failure == 0 && fdatasync(fd) != 0)
        failure = errno;
    if (failure == 0)
        (void)HOOK(.name = "sync", .fd = fd, .done = true);
    errno = kept;
    return failure;
}

int ae_os_file_truncate(int fd, uint64_t size)
{
    const int kept = errno;
    int failure = HOOK(.name = "truncate", .fd = fd, .offset = size);
    while (failure == 0 && ftruncate(fd, (off_t)size) != 0)
        failure = errno == EINTR ? 0 : errno;
    if (failure == 0)
        (void)HOOK(.name = "truncate", .fd = fd, .offset = size, .done = true);
    errno = kept;
    return failure;
}

int ae_os_file_state(int fd, uint64_t *size, uint32_t *names)
{
    const int kept = errno;
    struct stat info;
    const int failure = fstat(fd, &info) != 0 ? errno : 0;
    *size = failure == 0 ? (uint64_t)info.st_size : 0;
    *names = failure == 0 ? (uint32_t)info.st_nlink : 0;
    errno = kept;
    return failure;
}

int ae_os_file_rename(const char *from, const char *to)
{
    const int kept = errno;
    int failure = HOOK(.name = "rename", .path = from, .other = to, .fd = -1);
    if (failure == 0 && rename(from, to) != 0)
        failure = errno;
    if (failure == 0)
        (void)HOOK(.name = "rename", .path = from, .other = to, .fd = -1, .done = true);
    errno = kept;
    return failure;
}

int ae_os_file_unlink(const char *path)
{
    const int kept = errno;
    int failure = HOOK(.name = "unlink", .path = path, .fd = -1);
    if (failure == 0 && unlink(path) != 0)
        failure = errno;
    if (failure == 0)
        (void)HOOK(.name = "unlink", .path = path, .fd = -1, .done = true);
    errno = kept;
    return failure;
}

int ae_os_directory_sync(const char *path)
{
    const int kept = errno;
    int failure = HOOK(.name = "dirsync", .path = path, .fd = -1);
    const int fd = failure == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (failure == 0 && (fd < 0 || fsync(fd) != 0))
        failure = errno;
    if (fd >= 0)
        close(fd);
    if (failure == 0)
        (void)HOOK(.name = "dirsync", .path = path, .fd = -1, .done = true);
    errno = kept;
    return failure;
}

int ae_os_directory_make(const char *path)
{
    const int kept = errno;
    int failure = HOOK(.name = "mkdir", .path = path, .fd = -1);
    if (failure == 0 && mkdir(path, 0700) != 0)
        failure = errno;
    if (failure == 0)
        (void)HOOK(.name = "mkdir", .path = path, .fd = -1, .done = true);
    errno = kept;
    return failure;
}

int ae_os_directory_list(const char *path, int (*visit)(void *context, const char *name),
                         void *context)
{
    AE_ALWAYS(path != NULL && visit != NULL);
    const int kept = errno;
    DIR *folder = opendir(path);
    int answer = folder == NULL ? errno : 0;
    while (answer == 0) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            answer = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            answer = visit(context, entry->d_name);
    }
    if (folder != NULL)
        closedir(folder);
    errno = kept;
    return answer;
}
