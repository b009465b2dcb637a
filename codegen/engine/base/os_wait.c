/* os_wait.c — sleeping until a word of shared memory changes (futex(2), across processes). */
#include "base/os.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void ae_os_wait32(const uint32_t *word, uint32_t expected, uint64_t nanoseconds)
{
    const struct timespec span = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                                  .tv_nsec = (long)(nanoseconds % 1000000000u)};
    /* An early return is fine: callers look again. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, &span, NULL, 0);
}

uint32_t ae_os_wake32(const uint32_t *word, uint32_t count)
{
    const long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? 0 : (uint32_t)woken;
}
