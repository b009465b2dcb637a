/* db.h — opening and freeing the private handles; called by the API only.
 */
#ifndef AE_TXN_DB_H
#define AE_TXN_DB_H

#include "txn/handles.h"

/* As aero_open. */
aero_status ae_db_open(const aero_open_options *options, aero_db **db, aero_error *error);
void ae_db_free(aero_db *db);
/* As aero_session_open and aero_session_close, the handle being checked. */
aero_status ae_session_new(aero_db *db, aero_session **session, aero_error *error);
void ae_session_free(aero_session *session);

#endif
