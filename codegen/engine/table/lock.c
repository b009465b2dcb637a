/* lock.c — locking a row for the rest of the transaction, before it is read (see txn/latch.h).
 *
 * The lock keeps other writers in a queue, so that what is read under it can be written without a
 * conflict.  What commits is decided as always: a lock that lapses because its owner was stopped
 * costs its owner a conflict and nobody a lost update.
 */
#include "base/os.h"
#include "table/publish_private.h"
#include "txn/latch.h"

/* Wait for who is writing the row without having queued.  False: too long, or no use. */
static bool writer_outwait(aero_session *session, uint32_t attempt, uint64_t *deadline_ns)
{
    AE_ASSERT(session->txn.open);
    const uint64_t now = ae_os_monotonic_ns();
    if (!session->txn.fresh || session->txn.intent_count != 0)
        return false; /* its commit would be newer than our snapshot */
    if (*deadline_ns == 0)
        *deadline_ns = now + ae_load64(&session->db->lock_timeout_ms) * 1000000u;
    if (now > *deadline_ns || !ae_session_patient(session))
        return false;
    ae_backoff(session, attempt);
    ae_txn_renew(session);
    return true;
}

static aero_status row_lock(const row_write *write, bool *found)
{
    AE_ASSERT(write->session->txn.open);
    aero_session *session = write->session;
    uint64_t deadline_ns = 0;
    for (uint32_t attempt = 0;; attempt++) {
        ae_ref anchor = 0;
        ae_hash_entry *entry = NULL;
        row_judged judged;
        const aero_status status = ae_row_search(write, &anchor, &entry);
        *found = false;
        if (status != AERO_OK || anchor == 0)
            return status;
        switch (ae_latch_lock(session, anchor)) {
        case AE_LATCH_AGAIN:
            continue;
        case AE_LATCH_LATE:
            return ae_row_conflict(write, anchor, AERO_CONFLICT_LOCK);
        case AE_LATCH_GO:
            break;
        }
        switch (ae_row_judge(write, anchor, &judged)) {
        case ROW_LIVE:
            *found = true;
            return AERO_OK;
        case ROW_DEAD:
            return AERO_OK;
        case ROW_CLOSED:
            ae_pause(); /* its entry is being removed, or it was reused: look again */
            break;
        case ROW_CONFLICT:
            if (!writer_outwait(session, attempt, &deadline_ns))
                return ae_row_conflict(write, anchor, AERO_CONFLICT_WRITE);
        }
    }
}

typedef struct lock_body {
    uint32_t table;
    const void *key_row;
    bool found;
} lock_body;

static aero_status lock_one(aero_session *session, void *context)
{
    lock_body *body = context;
    row_write write;
    ae_write_start(&write, session, body->table, body->key_row);
    return row_lock(&write, &body->found);
}

aero_status ae_table_lock(aero_session *session, uint32_t table, const void *key_row, bool *found)
{
    lock_body body = {table, key_row, false};
    *found = false;
    if (!session->txn.open)
        return ae_fail(&session->error, AERO_USAGE,
                       "a row can be locked in a transaction only: the lock ends with it");
    const aero_status status = ae_statement_join(session, lock_one, &body);
    *found = status == AERO_OK && body.found;
    return status;
}
