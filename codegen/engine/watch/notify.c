/* notify.c — the sleeping thread of a watch (see notify.h). */
#include "watch/notify.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/os_event.h"
#include "proc/feed.h"

/* How long it sleeps at most: a committer that is killed between its commit and the wake-up delays
 * the news by as much. */
#define SLEEP_NS 200000000u
/* After it has woken the loop, commits may follow each other: it lets this much time pass before it
 * asks writers to wake it again. */
#define REST_NS 50000u

struct ae_notify {
    ae_proc *proc;
    int fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t armed;
    bool waiting; /* for the clock to pass `clock` */
    bool ended;
    uint64_t clock;
};

static void *notify_run(void *context)
{
    ae_notify *notify = context;
    pthread_mutex_lock(&notify->mutex);
    while (!notify->ended) {
        if (!notify->waiting) {
            pthread_cond_wait(&notify->armed, &notify->mutex);
            continue;
        }
        const uint64_t clock = notify->clock;
        pthread_mutex_unlock(&notify->mutex);
        const bool news = ae_load64_acquire(&notify->proc->shared->clock) > clock;
        if (!news)
            ae_feed_sleep(notify->proc, clock, SLEEP_NS);
        pthread_mutex_lock(&notify->mutex);
        if (!news || notify->clock != clock)
            continue;
        notify->waiting = false;
        ae_os_event_set(notify->fd);
        pthread_mutex_unlock(&notify->mutex);
        ae_os_sleep_ns(REST_NS);
        pthread_mutex_lock(&notify->mutex);
    }
    pthread_mutex_unlock(&notify->mutex);
    return NULL;
}

/* The thread takes no signal: handlers are the program's own threads' business. */
static int thread_start(ae_notify *notify)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&notify->thread, NULL, notify_run, notify);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

aero_status ae_notify_new(ae_proc *proc, ae_notify **notify, aero_error *error)
{
    ae_notify *fresh = calloc(1, sizeof *fresh);
    *notify = NULL;
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a watch's descriptor");
    fresh->proc = proc;
    const int failed = ae_os_event_new(&fresh->fd);
    if (failed != 0) {
        free(fresh);
        return ae_fail_errno(error, AERO_IO, failed, "cannot make a watch's descriptor");
    }
    pthread_mutex_init(&fresh->mutex, NULL);
    pthread_cond_init(&fresh->armed, NULL);
    const int refused = thread_start(fresh);
    if (refused != 0) {
        ae_os_close(fresh->fd);
        free(fresh);
        return ae_fail_errno(error, AERO_IO, refused, "cannot start a watch's thread");
    }
    *notify = fresh;
    return AERO_OK;
}

int ae_notify_descriptor(const ae_notify *notify)
{
    return notify->fd;
}

void ae_notify_arm(ae_notify *notify, uint64_t clock)
{
    pthread_mutex_lock(&notify->mutex);
    if (!notify->waiting || notify->clock != clock) {
        ae_os_event_clear(notify->fd);
        notify->clock = clock;
        notify->waiting = true;
        pthread_cond_signal(&notify->armed);
    }
    pthread_mutex_unlock(&notify->mutex);
}

void ae_notify_poke(ae_notify *notify)
{
    ae_os_event_set(notify->fd);
}

void ae_notify_free(ae_notify *notify)
{
    pthread_mutex_lock(&notify->mutex);
    notify->ended = true;
    pthread_cond_signal(&notify->armed);
    pthread_mutex_unlock(&notify->mutex);
    ae_feed_wake(notify->proc); /* everybody: the others look and sleep on */
    pthread_join(notify->thread, NULL);
    pthread_cond_destroy(&notify->armed);
    pthread_mutex_destroy(&notify->mutex);
    ae_notify_forget(notify);
}

void ae_notify_forget(ae_notify *notify)
{
    ae_os_close(notify->fd);
    free(notify);
}
