/* api_db.c — the exported functions on databases, sessions and transactions. */
#include <stddef.h>

#include "durable/durable.h"
#include "ttl/ttl.h"
#include "table/stats.h"
#include "table/verify.h"
#include "txn/txn.h"

int32_t aero_abi(void)
{
    return AERO_ABI;
}

#define LAYOUT(type) \
    { \
#type, (uint32_t)sizeof(type), (uint32_t) _Alignof(type) \
    }
const aero_layout_entry *aero_layout(void)
{
    static const aero_layout_entry entries[] = {LAYOUT(aero_error_info),
                                                LAYOUT(aero_error),
                                                LAYOUT(aero_value),
                                                LAYOUT(aero_open_options),
                                                LAYOUT(aero_stat),
                                                LAYOUT(aero_column_data),
                                                LAYOUT(aero_ingest_report),
                                                LAYOUT(aero_tsv_options),
                                                LAYOUT(aero_event),
                                                LAYOUT(aero_layout_entry),
                                                LAYOUT(aero_cell),
                                                LAYOUT(aero_column),
                                                LAYOUT(aero_index),
                                                LAYOUT(aero_table),
                                                LAYOUT(struct aero_schema),
                                                LAYOUT(aero_index_info),
                                                LAYOUT(aero_checkpoint_report),
                                                LAYOUT(aero_files_report),
                                                {NULL, 0, 0}};
    return entries;
}

/* ---- databases ------------------------------------------------------------------------------ */

aero_status aero_open(const aero_open_options *options, aero_db **db, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL)
        return ae_fail(error, AERO_USAGE, "no place for the handle");
    *db = NULL;
    if (options == NULL)
        return ae_fail(error, AERO_USAGE, "no options");
    return ae_durable_open(options, ae_ttl_step, db, error);
}

aero_status aero_close(aero_db *db, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL)
        return AERO_OK;
    const uint32_t sessions = ae_load32(&db->sessions);
    if (sessions != 0)
        return ae_fail(error, AERO_USAGE, "%u sessions are open on the database", sessions);
    ae_durable_close(db);
    return AERO_OK;
}

const char *aero_boot(const aero_db *db)
{
    return db->segment.created ? "cold" : "warm";
}

const char *aero_data_dir(const aero_db *db)
{
    return db->data_dir;
}

uint32_t aero_orphans_cleared(const aero_db *db)
{
    return db->orphans_cleared;
}

aero_status aero_session_open(aero_db *db, aero_session **session, aero_error *error)
{
    if (error != NULL)
        ae_error_clear(error);
    if (db == NULL || session == NULL)
        return ae_fail(error, AERO_USAGE, "no database, or no place for the session");
    const aero_status status = ae_session_new(db, session, error);
    AE_ASSERT((status == AERO_OK) == (*session != NULL));
    /* Rows may be due that were recovered, or that nobody has looked after. */
    if (status == AERO_OK && db->keep != NULL && ae_ttl_active(db))
        db->keep(*session);
    return status;
}

void aero_session_close(aero_session *session)
{
    if (session != NULL && session->magic == AE_SESSION_MAGIC && session->waits == 0)
        ae_session_free(session);
}

aero_status aero_session_waiting(aero_session *session, aero_waiting waiting, void *context,
                                 const int32_t **waits)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    session->waiting = waiting;
    session->waiting_context = context;
    if (waits != NULL)
        *waits = &session->waits;
    return AERO_OK;
}

const aero_error *aero_session_error(const aero_session *session)
{
    return &session->error;
}

/* ---- transactions --------------------------------------------------------------------------- */

aero_status aero_begin(aero_session *session, int32_t isolation)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE,
                       "a transaction is open already; savepoints nest inside it");
    if (isolation < AERO_ISOLATION_SERIALIZABLE || isolation > AERO_ISOLATION_READ_ONLY)
        return ae_fail(&session->error, AERO_USAGE, "%d is no isolation level", isolation);
    return ae_txn_begin(session, isolation, true);
}

static aero_status enter_transaction(aero_session *session)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (!session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "no transaction is open");
    return AERO_OK;
}

aero_status aero_commit(aero_session *session)
{
    const aero_status status = enter_transaction(session);
    if (status != AERO_OK)
        return status;
    if (session->txn.doomed) {
        const bool cancelled = session->txn.cancelled;
        ae_txn_rollback(session);
        if (cancelled)
            return ae_txn_cancelled(session);
        return ae_conflict(session, AERO_CONFLICT_WRITE, NULL);
    }
    AE_ASSERT(session->txn.open);
    return ae_txn_commit(session);
}

aero_status aero_rollback(aero_session *session)
{
    const aero_status status = enter_transaction(session);
    if (status == AERO_OK)
        ae_txn_rollback(session);
    return status;
}

int32_t aero_depth(const aero_session *session)
{
    return session->txn.open ? 1 + (int32_t)session->txn.savepoint_count : 0;
}

static aero_status enter_name(aero_session *session, const char *name, size_t length)
{
    const aero_status status = ae_session_enter(session);
    if (status == AERO_OK && name == NULL && length > 0)
        return ae_fail(&session->error, AERO_USAGE, "the savepoint's name is missing");
    return status;
}

aero_status aero_savepoint(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_savepoint(session, name, name_length);
}

aero_status aero_rollback_to(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_rollback_to(session, name, name_length);
}

aero_status aero_release(aero_session *session, const char *name, size_t name_length)
{
    const aero_status status = enter_name(session, name, name_length);
    return status != AERO_OK ? status : ae_txn_release(session, name, name_length);
}

/* ---- looking inside ------------------------------------------------------------------------- */

aero_status aero_stats(aero_session *session, const aero_stat **stats, uint32_t *count)
{
    const aero_status status = ae_session_enter(session);
    if (status == AERO_OK && (stats == NULL || count == NULL))
        return ae_fail(&session->error, AERO_USAGE, "no place for the statistics");
    return status != AERO_OK ? status : ae_stats_collect(session, stats, count);
}

aero_status aero_verify(aero_session *session, uint64_t *rows, uint64_t *blocks)
{
    const aero_status status = ae_session_enter(session);
    return status != AERO_OK ? status : ae_verify(session, rows, blocks);
}
