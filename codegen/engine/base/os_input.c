/* Sequential reading of input files. */
#include "base/os_input.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int ae_os_input_open(const char *path, int *fd, uint64_t *size)
{
    *fd = -1;
    *size = 0;
    int opened;
    do
        opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (opened < 0 && errno == EINTR);
    if (opened < 0)
        return errno;
    struct stat info;
    int failure = fstat(opened, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    if (failure != 0) {
        close(opened);
        return failure;
    }
    if (S_ISREG(info.st_mode) && info.st_size > 0)
        *size = (uint64_t)info.st_size;
    *fd = opened;
    return 0;
}

int ae_os_input_read(int fd, void *buffer, size_t size, size_t *done)
{
    ssize_t got;
    do
        got = read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    *done = got > 0 ? (size_t)got : 0;
    return got < 0 ? errno : 0;
}

void ae_os_input_close(int fd)
{
    close(fd);
}
