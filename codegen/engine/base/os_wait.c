/* os_wait.c — futex(2) on shared memory (see os_wait.h). */
#include "base/os_wait.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

void ae_os_wait(ae_a32 *word, uint32_t expected, uint64_t timeout_ns)
{
    AE_ASSERT((uintptr_t)word % sizeof *word == 0);
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                     .tv_nsec = (long)(timeout_ns % 1000000000u)};
    /* Not the private kind: the word is shared between processes.  Every answer (woken, changed
     * already, timed out, interrupted) means the same to the caller. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, NULL, 0);
}

uint32_t ae_os_wake(ae_a32 *word, uint32_t count)
{
    const long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? 0 : (uint32_t)woken;
}

void ae_os_yield(void)
{
    (void)sched_yield();
}

void ae_os_wake_all(ae_a32 *word)
{
    (void)ae_os_wake(word, INT_MAX);
}
