/* notify.h — a thread that sleeps for a watch and tells an event loop when there is news.
 *
 * It exists so that a watch fits into an event loop: the loop sleeps on a descriptor, or as it
 * likes when it gave a hook; the thread sleeps on the segment's futex.  It reads nothing but the
 * clock.
 *
 * Concurrency: made and freed by the watch's thread.  In a child of fork the thread does not exist;
 * there only ae_notify_forget may be called.
 */
#ifndef AE_WATCH_NOTIFY_H
#define AE_WATCH_NOTIFY_H

#include "proc/proc.h"

typedef struct ae_notify ae_notify;

/* News are told by calling `hook` from the thread, or (NULL) by a descriptor that becomes readable.
 * Errors: IO, NO_MEMORY. */
aero_status ae_notify_new(ae_proc *proc, aero_watch_news *hook, void *context, ae_notify **notify,
                          aero_error *error);
/* -1: it has a hook. */
int ae_notify_descriptor(const ae_notify *notify);
/* Everything up to `clock` has been read: tell when the clock passes it.  The descriptor is
 * unreadable until then. */
void ae_notify_arm(ae_notify *notify, uint64_t clock);
/* Tell now. */
void ae_notify_poke(ae_notify *notify);
/* The hook is not called any more when this returns. */
void ae_notify_free(ae_notify *notify);
/* In a child: let go of memory and descriptor. */
void ae_notify_forget(ae_notify *notify);

#endif
