/* crew.h — several threads for one recovery, each with a session of its own.
 *
 * Concurrency: the segment that is filled has no name yet, so the crew's threads are all that use
 * it.  They end before the call that started them returns.
 */
#ifndef AE_DURABLE_CREW_H
#define AE_DURABLE_CREW_H

#include "durable/durable_private.h"

/* What is done together.  `work` is called by each thread once, and comes back when there is
 * nothing left to do for it; on an error it leaves the text in its session. */
typedef struct ae_crew {
    aero_db *db;
    void *context;
    aero_status (*work)(struct ae_crew *crew, aero_session *session);
    ae_a32 lock;    /* of the context: ae_crew_lock */
    ae_a32 stopped; /* somebody has failed: the others begin nothing new */
    ae_a32 next;    /* for the context: of the jobs that are numbered */
    aero_status status;
    aero_error error; /* of the first that failed; with the lock held */
} ae_crew;

/* Let the caller, with its session, and as many threads as there are processors work; `jobs` is the
 * most that can work at the same time.  The error goes to the session's. */
aero_status ae_crew_run(ae_crew *crew, aero_session *session, uint64_t jobs);
/* One at a time. */
void ae_crew_lock(ae_crew *crew);
void ae_crew_unlock(ae_crew *crew);
static inline bool ae_crew_stopped(const ae_crew *crew)
{
    return ae_load32_acquire(&crew->stopped) != 0;
}

#endif
