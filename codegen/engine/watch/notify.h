/* notify.h — a thread that sleeps for a watch and makes a descriptor readable when there is news.
 *
 * It exists so that a watch fits into an event loop: the loop sleeps on the descriptor, the thread
 * on the segment's futex.  It reads nothing but the clock.
 *
 * Concurrency: made and freed by the watch's thread.  In a child of fork the thread does not exist;
 * there only ae_notify_forget may be called.
 */
#ifndef AE_WATCH_NOTIFY_H
#define AE_WATCH_NOTIFY_H

#include "proc/proc.h"

typedef struct ae_notify ae_notify;

/* Errors: IO, NO_MEMORY. */
aero_status ae_notify_new(ae_proc *proc, ae_notify **notify, aero_error *error);
int ae_notify_descriptor(const ae_notify *notify);
/* Everything up to `clock` has been read: make the descriptor unreadable, and readable again when
 * the clock passes it. */
void ae_notify_arm(ae_notify *notify, uint64_t clock);
/* Make the descriptor readable now. */
void ae_notify_poke(ae_notify *notify);
void ae_notify_free(ae_notify *notify);
/* In a child: let go of memory and descriptor. */
void ae_notify_forget(ae_notify *notify);

#endif
