/* db.h — opening and freeing the private handles.
 */
#ifndef AE_TXN_DB_H
#define AE_TXN_DB_H

#include "txn/handles.h"

/* Which log, and what happens at the two ends of finding a segment; either may be NULL. */
typedef struct ae_db_boot {
    void *context;
    const char *log_name; /* of the log in the data directory; lives as long as the database */
    enum ae_stack stack;
    /* A new one was made; it has no name yet, and this process alone may use it.  *exists: somebody
     * else has named one meanwhile, attach to that. */
    aero_status (*fill)(void *context, aero_db *db, bool *exists, aero_error *error);
    /* An existing one was attached.  *missing: it is of no use and has been removed, make one. */
    aero_status (*attached)(void *context, aero_db *db, bool *missing, aero_error *error);
} ae_db_boot;

/* Check the options, make the data directory, and say which segment is wanted.  Errors: as
 * aero_open. */
aero_status ae_db_new(const aero_open_options *options, aero_db **db, aero_error *error);
/* Attach that segment, or make it. */
aero_status ae_db_attach(aero_db *db, const ae_db_boot *boot, aero_error *error);
void ae_db_free(aero_db *db);
/* As aero_session_open and aero_session_close, the handle being checked. */
aero_status ae_session_new(aero_db *db, aero_session **session, aero_error *error);
void ae_session_free(aero_session *session);

#endif
