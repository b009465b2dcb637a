/* os_thread.c — see os_thread.h. */
#include "base/os_thread.h"

#include <signal.h>
#include <stddef.h>

int ae_os_thread_start(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(thread, NULL, run, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

void ae_os_thread_join(pthread_t thread)
{
    (void)pthread_join(thread, NULL);
}
