/* expire.c — deleting rows whose time to live is over (see table.h, and ttl/ for who finds them).
 *
 * A row is deleted because of what its newest version says, and by first-updater-wins only if that
 * version is still the newest one: so the transaction reads nothing but what it writes, and is
 * serializable without validation.  Rows that are in somebody's hands are passed over, not waited
 * for.
 */
#include "table/publish_private.h"
#include "txn/latch.h"

/* Rows whose memory is fetched ahead. */
#define FETCH_AHEAD 8u

static void row_fetch(const aero_db *db, const ae_expiring *row)
{
    __builtin_prefetch(ae_at(&db->segment, row->anchor));
    __builtin_prefetch(ae_at(&db->segment, row->version), 1);
}

/* Delete one row, unless it has been written since, or is being written. */
static aero_status row_expire(const row_write *write, const ae_expiring *row, uint32_t *deleted)
{
    AE_ASSERT(row->anchor != 0 && row->version != 0);
    const aero_db *db = write->session->db;
    const ae_anchor *anchor = ae_at(&db->segment, row->anchor);
    row_judged judged;
    bool again = false;
    /* The anchor may be another row's by now: the version tells. */
    if (ae_head_ref(ae_load64_acquire(&anchor->head)) != row->version ||
        ae_latch_held(db, row->anchor))
        return AERO_OK;
    if (ae_row_judge(write, row->anchor, &judged) != ROW_LIVE ||
        ae_head_ref(judged.head) != row->version ||
        ae_load64_acquire(&judged.version->begin) != row->begin)
        return AERO_OK;
    const aero_status status = ae_publish_delete(write, row->anchor, &judged, &again);
    if (status == AERO_OK && !again)
        ++*deleted;
    return status;
}

aero_status ae_table_expire(aero_session *session, uint32_t table, const ae_expiring *rows,
                            uint32_t count, uint32_t *deleted)
{
    *deleted = 0;
    AE_ALWAYS(!session->txn.open && table < session->db->schema->table_count);
    aero_status status = ae_txn_begin(session, AERO_ISOLATION_SERIALIZABLE, false);
    if (status != AERO_OK)
        return status;
    session->txn.synchronous = 0;
    const row_write write = {.session = session,
                             .of = &session->db->schema->tables[table],
                             .hash = &session->db->hashes[table],
                             .table = table,
                             .what = AE_INTENT_EXPIRED};
    /* A single one takes a block as several do. */
    status = ae_writes_reserve(session);
    for (uint32_t index = 0; index < count && status == AERO_OK; index++) {
        if (index + FETCH_AHEAD < count)
            row_fetch(session->db, &rows[index + FETCH_AHEAD]);
        status = row_expire(&write, &rows[index], deleted);
    }
    AE_ASSERT(*deleted <= count);
    AE_CRASH_POINT("expire.deleted");
    if (status == AERO_OK)
        status = ae_txn_commit(session);
    else
        ae_txn_rollback(session);
    if (status != AERO_OK)
        *deleted = 0;
    return status;
}
