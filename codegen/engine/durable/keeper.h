/* keeper.h — the process that flushes and takes checkpoints for all others (see keeper.c).
 */
#ifndef AE_DURABLE_KEEPER_H
#define AE_DURABLE_KEEPER_H

#include "txn/handles.h"

/* How a daemon ended; its exit code. */
enum ae_keeper_outcome {
    AE_KEEPER_DONE = 0,     /* nobody used the database any more */
    AE_KEEPER_FAILED = 1,   /* it could not begin: the error says why */
    AE_KEEPER_OTHER = 3,    /* there is another one */
    AE_KEEPER_GONE = 4,     /* the data directory or the segment has been removed */
    AE_KEEPER_REPLACED = 5, /* another one has taken over, or the lock file was removed */
};

/* Keep the database until nobody else uses it.  Errors: those of attaching; a database that is not
 * in memory is NOT_FOUND, it is never made. */
aero_status ae_keeper_run(const aero_open_options *options, ae_sweep *sweep, int32_t *outcome,
                          aero_error *error);

#endif
