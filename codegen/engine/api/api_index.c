/* api_index.c — the exported functions on ordered indexes. */
#include <string.h>

#include "table/index_build.h"
#include "table/index_read.h"
#include "txn/handles.h"

_Static_assert(AERO_INDEX_COLUMNS == AE_KEY_COLUMNS_MAX, "one idea of an index");

static aero_status enter_table(aero_session *session, uint32_t table)
{
    const aero_status status = ae_session_enter(session);
    if (status == AERO_OK && table >= session->db->schema->table_count)
        return ae_fail(&session->error, AERO_NAME, "no table has the index %u", table);
    return status;
}

/* The same, with the columns of an index. */
static aero_status enter_index(aero_session *session, uint32_t table, uint32_t count,
                               const uint32_t *columns)
{
    const aero_status status = enter_table(session, table);
    if (status == AERO_OK && (columns == NULL || count == 0 || count > AERO_INDEX_COLUMNS))
        return ae_fail(&session->error, AERO_USAGE, "an index has 1 to %u columns, not %u",
                       AERO_INDEX_COLUMNS, columns == NULL ? 0 : count);
    return status;
}

aero_status aero_index_create(aero_session *session, uint32_t table, uint32_t count,
                              const uint32_t *columns, int32_t unique)
{
    const aero_status status = enter_index(session, table, count, columns);
    return status != AERO_OK ? status
                             : ae_index_create(session, table, columns, count, unique != 0);
}

aero_status aero_index_drop(aero_session *session, uint32_t table, uint32_t count,
                            const uint32_t *columns)
{
    const aero_status status = enter_index(session, table, count, columns);
    return status != AERO_OK ? status : ae_index_drop(session, table, columns, count);
}

aero_status aero_index_list(aero_session *session, uint32_t table, uint32_t max,
                            aero_index_info *infos, uint32_t *count)
{
    ae_index_info found[AE_INDEXES_MAX];
    const aero_status status = enter_table(session, table);
    if (count != NULL)
        *count = 0;
    if (status == AERO_OK && (count == NULL || (infos == NULL && max > 0)))
        return ae_fail(&session->error, AERO_USAGE, "no place for the indexes or their number");
    if (status != AERO_OK)
        return status;
    *count = ae_index_list(session, table, found, AE_INDEXES_MAX);
    AE_ASSERT(*count <= AE_INDEXES_MAX);
    for (uint32_t index = 0; index < *count && index < max; index++) {
        aero_index_info *info = &infos[index];
        memset(info, 0, sizeof *info);
        info->name = ae_index_title(session, table, found[index].number);
        info->unique = found[index].unique ? 1 : 0;
        info->column_count = ae_index_columns(session, table, found[index].number, info->columns);
        ae_index_size(session, table, found[index].number, &info->entries, &info->distinct);
    }
    return AERO_OK;
}

/* The number of a ready index over just these columns. */
static aero_status index_find(aero_session *session, uint32_t table, uint32_t count,
                              const uint32_t *columns, ae_index_info *info)
{
    AE_ASSERT(table < session->db->schema->table_count);
    ae_index_info infos[AE_INDEXES_MAX];
    uint32_t own[AERO_INDEX_COLUMNS];
    const uint32_t found = ae_index_list(session, table, infos, AE_INDEXES_MAX);
    for (uint32_t index = 0; index < found; index++)
        if (ae_index_columns(session, table, infos[index].number, own) == count &&
            memcmp(own, columns, count * sizeof *own) == 0) {
            *info = infos[index];
            return AERO_OK;
        }
    return ae_index_missing(session, table, columns, count);
}

aero_status aero_index_span(aero_session *session, uint32_t table, uint32_t count,
                            const uint32_t *columns, aero_value *low, aero_value *high,
                            int32_t *found)
{
    ae_index_info info;
    aero_status status = enter_index(session, table, count, columns);
    if (found != NULL)
        *found = 0;
    if (status == AERO_OK && (low == NULL || high == NULL || found == NULL))
        return ae_fail(&session->error, AERO_USAGE, "no place for the values");
    if (status == AERO_OK)
        status = index_find(session, table, count, columns, &info);
    if (status != AERO_OK)
        return status;
    return ae_index_span(session, table, &info, low, high, found);
}
