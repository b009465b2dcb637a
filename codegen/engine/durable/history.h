/* history.h — the commits that are in the log's files, one after the other, with what they changed.
 *
 * The log tells new values only.  What was there before comes from the newest checkpoint at or
 * below the place to start from: its rows of one table, and the commits up to that place, go into
 * private memory, and then each further commit is made there again as one transaction.  Who watches
 * that memory sees the changes as they were.  It costs the memory of the table and the time of a
 * recovery; the database's own memory and its writers are not touched.
 *
 * Concurrency: belongs to the thread of the session it was opened for.  The database is in use
 * meanwhile: files are only read, and only up to where the log is known to be written.
 */
#ifndef AE_DURABLE_HISTORY_H
#define AE_DURABLE_HISTORY_H

#include "txn/session.h"

typedef struct ae_history ae_history;

/* Stand behind the commits up to `number`.  Errors: NOT_FOUND when they are not kept any more (or
 * there is no log); those of recovery. */
aero_status ae_history_open(aero_session *session, uint32_t table, uint64_t number,
                            ae_history **history);
void ae_history_close(ae_history *history);
/* A session on the private memory: what it shows is the table after the last step. */
aero_session *ae_history_session(const ae_history *history);
/* See that the log is written up to `upto`, for ae_history_next. */
aero_status ae_history_reach(ae_history *history, uint64_t upto);
/* Make the next commit with a number at most `upto`; *number is 0 when there is none.  Errors: as
 * above. */
aero_status ae_history_next(ae_history *history, uint64_t upto, uint64_t *number);

#endif
