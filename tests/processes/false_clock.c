/* false_clock.c — a library to preload: the calendar clock lies, the monotonic one does not.
 *
 * $FALSE_CLOCK_SHIFT is added to the seconds; $FALSE_CLOCK_BACK is how many seconds more it goes
 * back with every reading.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic long readings;

static long shift(void)
{
    const char *by = getenv("FALSE_CLOCK_SHIFT");
    const char *back = getenv("FALSE_CLOCK_BACK");
    const long count = atomic_fetch_add_explicit(&readings, 1, memory_order_relaxed);
    return (by == NULL ? 0 : atol(by)) - (back == NULL ? 0 : atol(back) * count);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    const int status = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return status;
}

time_t time(time_t *out)
{
    struct timespec precise;
    (void)clock_gettime(CLOCK_REALTIME, &precise);
    if (out != NULL)
        *out = precise.tv_sec;
    return precise.tv_sec;
}
