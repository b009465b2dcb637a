/* api_ttl.c — the exported functions on rows' time to live. */
#include "ttl/ttl.h"

#define TTL_LEAST_US 1000
#define TTL_MOST_US ((int64_t)100 * 366 * 86400 * 1000000)

static aero_status ttl_enter(aero_session *session, uint32_t table)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (table >= session->db->schema->table_count)
        return ae_fail(&session->error, AERO_NAME, "there is no table number %u", table);
    return AERO_OK;
}

aero_status aero_ttl_get(aero_session *session, uint32_t table, int64_t *ttl_us, int32_t *column)
{
    const aero_status status = ttl_enter(session, table);
    if (status != AERO_OK)
        return status;
    if (ttl_us == NULL || column == NULL)
        return ae_fail(&session->error, AERO_USAGE, "no place for the answer");
    const ae_ttl ttl = ae_ttl_get(session->db, table);
    *ttl_us = ttl.us;
    *column = ttl.column;
    return AERO_OK;
}

aero_status aero_ttl_set(aero_session *session, uint32_t table, int64_t ttl_us, int32_t column)
{
    const aero_status status = ttl_enter(session, table);
    if (status != AERO_OK)
        return status;
    const aero_table *of = &session->db->schema->tables[table];
    if (ttl_us != 0 && (ttl_us < TTL_LEAST_US || ttl_us > TTL_MOST_US))
        return ae_fail(&session->error, AERO_TYPE,
                       "the time to live of %s must be 0.001 seconds to a century, or 0 for ever",
                       of->name);
    if (column < -1 || column >= (int32_t)of->column_count)
        return ae_fail(&session->error, AERO_NAME, "%s has no column number %d", of->name, column);
    if (column >= 0 && of->columns[column].kind != AERO_KIND_TIMESTAMP)
        return ae_fail(&session->error, AERO_TYPE, "column %s of %s is not a Timestamp",
                       of->columns[column].name, of->name);
    ae_ttl_set(session->db, table, (ae_ttl){ttl_us, ttl_us == 0 ? -1 : column});
    if (session->db->keep != NULL && !session->txn.open)
        session->db->keep(session);
    return AERO_OK;
}

aero_status aero_ttl_sweep(aero_session *session, int32_t table, uint64_t *expired)
{
    const aero_status status = ttl_enter(session, table < 0 ? 0 : (uint32_t)table);
    if (status != AERO_OK)
        return status;
    if (expired == NULL)
        return ae_fail(&session->error, AERO_USAGE, "no place for the count");
    return ae_ttl_sweep(session, table < 0 ? AE_TTL_ALL : (uint32_t)table, expired);
}
