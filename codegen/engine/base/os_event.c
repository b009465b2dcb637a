/* os_event.c — eventfd(2) (see os_event.h). */
#include "base/os_event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int ae_os_event_new(int *fd)
{
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *fd < 0 ? errno : 0;
}

void ae_os_event_set(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void ae_os_event_clear(int fd)
{
    uint64_t count = 0;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
