/* notify.c — the sleeping thread of a watch (see notify.h).
 *
 * The two talk through one word: the watch sets it to ARMED and wakes the thread, the thread sets
 * it to IDLE before it tells the loop, and either may meet ENDED.
 */
#include "watch/notify.h"

#include <stdlib.h>

#include "base/os.h"
#include "base/os_event.h"
#include "base/os_store.h"
#include "base/os_wait.h"
#include "proc/feed.h"

/* Without a watch that waits for it there is nothing to look at. */
#define IDLE_NS 3600000000000u
/* After it has woken the loop, commits may follow each other: it lets this much time pass before it
 * asks writers to wake it again. */
#define REST_NS 50000u

enum { IDLE, ARMED, ENDED };

struct ae_notify {
    ae_proc *proc;
    aero_watch_news *hook; /* NULL: the descriptor */
    void *context;
    int fd;
    ae_os_thread *thread;
    ae_a32 state;
    ae_a64 clock; /* what the watch has read; set before it arms */
};

static void loop_tell(const ae_notify *notify)
{
    if (notify->hook != NULL)
        notify->hook(notify->context);
    else
        ae_os_event_set(notify->fd);
}

static void notify_run(void *context)
{
    ae_notify *notify = context;
    for (;;) {
        /* Acquire: the clock that goes with ARMED; pairs with ae_notify_arm. */
        const uint32_t state = ae_load32_acquire(&notify->state);
        if (state == ENDED)
            return;
        if (state == IDLE) {
            ae_os_wait(&notify->state, IDLE, IDLE_NS);
            continue;
        }
        const uint64_t clock = ae_load64(&notify->clock);
        if (ae_load64_acquire(&notify->proc->shared->clock) <= clock) {
            ae_feed_sleep(notify->proc, clock, AE_FEED_SLEEP_NS);
            continue;
        }
        /* Acquire-release: IDLE before the loop knows, so that who reads then can arm anew; pairs
         * with ae_notify_arm. */
        if (!ae_cas32(&notify->state, ARMED, IDLE))
            continue;
        loop_tell(notify);
        ae_os_sleep_ns(REST_NS);
    }
}

aero_status ae_notify_new(ae_proc *proc, aero_watch_news *hook, void *context, ae_notify **notify,
                          aero_error *error)
{
    ae_notify *fresh = calloc(1, sizeof *fresh);
    *notify = NULL;
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a watch's thread");
    fresh->proc = proc;
    fresh->hook = hook;
    fresh->context = context;
    fresh->fd = -1;
    const int failed = hook == NULL ? ae_os_event_new(&fresh->fd) : 0;
    if (failed != 0) {
        free(fresh);
        return ae_fail_errno(error, AERO_IO, failed, "cannot make a watch's descriptor");
    }
    const int refused = ae_os_thread_start(notify_run, fresh, &fresh->thread);
    if (refused != 0) {
        ae_notify_forget(fresh);
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
    AE_ASSERT(notify->fd >= 0);
    const bool armed = ae_load32_acquire(&notify->state) == ARMED;
    if (notify->fd >= 0)
        ae_os_event_clear(notify->fd);
    if (armed) {
        /* Still, for an older clock perhaps.  If not, its news has just been cleared away. */
        if (ae_load32_acquire(&notify->state) != ARMED)
            loop_tell(notify);
        return;
    }
    ae_store64(&notify->clock, clock);
    /* Release: the clock before the state; pairs with notify_run. */
    ae_store32_release(&notify->state, ARMED);
    ae_os_wake_all(&notify->state);
}

void ae_notify_poke(ae_notify *notify)
{
    loop_tell(notify);
}

void ae_notify_free(ae_notify *notify)
{
    AE_ALWAYS(notify->thread != NULL);
    /* Acquire-release: whatever the thread is about to do, it sees this next. */
    uint32_t state = ae_load32_acquire(&notify->state);
    while (!ae_cas32(&notify->state, state, ENDED))
        state = ae_load32_acquire(&notify->state);
    ae_os_wake_all(&notify->state);
    ae_feed_wake(notify->proc); /* everybody: the others look and sleep on */
    ae_os_thread_join(notify->thread);
    /* An event loop may sleep on a duplicate: it shall look, and learn that this is the end. */
    if (notify->fd >= 0)
        ae_os_event_set(notify->fd);
    ae_notify_forget(notify);
}

void ae_notify_forget(ae_notify *notify)
{
    if (notify->fd >= 0)
        ae_os_close(notify->fd);
    free(notify); /* in a child of fork the thread's handle is lost: a few bytes */
}
