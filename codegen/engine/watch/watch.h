/* watch.h — following the commits of one table, in their order, transaction by transaction.
 *
 * A watch reads the commit queue behind the clock.  Each decided position names what its
 * transaction wrote; old and new image of each row are copied out of the versions, which the
 * watch's pin keeps (proc/feed.h).  Writers do nothing for it but look whether somebody sleeps.
 *
 * A watch that falls behind by most of the queue loses its pin.  It then says so once
 * (AERO_EVENT_OVERFLOW) and goes on with what is committed from that moment on.
 *
 * Concurrency: a watch belongs to its session's thread; in a child of fork it is STALE.
 */
#ifndef AE_WATCH_WATCH_H
#define AE_WATCH_WATCH_H

#include "txn/session.h"

typedef struct ae_watch ae_watch;

/* Is this row of interest?  A change is told when it is true of the old or of the new image. */
typedef bool (*ae_watch_match)(void *context, const void *row, const char *base);

typedef struct ae_watch_event {
    int32_t kind; /* enum aero_event_kind; NONE: nothing is there at present */
    bool last;    /* of its transaction */
    uint64_t number;
    const void *old_row; /* private images (base 0), or NULL; until the next call */
    const void *new_row;
} ae_watch_event;

/* Follow what commits from now on.  `match` may be NULL.  Errors: LIMIT, NO_MEMORY. */
aero_status ae_watch_open(aero_session *session, uint32_t table, ae_watch_match match,
                          void *context, ae_watch **watch);
/* Follow what commits after `position`.  NOT_FOUND when that is no longer kept. */
aero_status ae_watch_resume(aero_session *session, uint32_t table, ae_watch_match match,
                            void *context, uint64_t position, ae_watch **watch);
void ae_watch_close(ae_watch *watch);
/* STALE in a child of fork, and after the session was closed. */
aero_status ae_watch_check(const ae_watch *watch);
aero_session *ae_watch_session(const ae_watch *watch);
/* The next event.  Errors: NO_MEMORY, CORRUPT. */
aero_status ae_watch_next(ae_watch *watch, ae_watch_event *event);
/* Everything up to this number has been told: where to resume. */
uint64_t ae_watch_position(const ae_watch *watch);
/* Wait until there may be something to read, at most so long. */
bool ae_watch_wait(ae_watch *watch, uint64_t timeout_ns);
/* Is everything after the position still kept? */
bool ae_watch_holds(const ae_watch *watch);
/* Go on with what commits from now on, and return the position: what is between is not told. */
uint64_t ae_watch_restart(ae_watch *watch);
/* Go on from a snapshot that the caller has taken since the watch was opened, restarted, or told
 * its position.  False: what came after it is no longer kept; restart it, and take a new one. */
bool ae_watch_rebase(ae_watch *watch, uint64_t snapshot);
/* What was to be told is lost: the next event says so. */
void ae_watch_lose(ae_watch *watch);
/* Copy a visible row as an image of the watch's; until the next call. */
aero_status ae_watch_image(ae_watch *watch, const void *row, const void **image);

#endif
