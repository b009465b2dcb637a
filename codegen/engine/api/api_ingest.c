/* api_ingest.c — the exported functions on TSV input and on values: check handles and pointers,
 * enter the session, call the ingest and row modules.
 *
 * Stale handles.  An ingest whose session was closed answers AERO_STALE (there is no session left
 * to carry a text) until it is freed.
 */
#include <string.h>

#include "ingest/ingest.h"
#include "row/convert.h"
#include "txn/session.h"

static aero_status missing(aero_session *session, const char *what)
{
    return ae_fail(ae_session_error_buffer(session), AERO_USAGE, "%s is missing", what);
}

static aero_status enter(aero_session *session)
{
    return session == NULL ? AERO_USAGE : ae_session_enter(session);
}

static aero_status enter_ingest(const aero_ingest *ingest)
{
    if (ingest == NULL)
        return AERO_USAGE;
    aero_session *const session = ae_ingest_session(ingest);
    return session == NULL ? AERO_STALE : ae_session_enter(session);
}

/* ---- ingest --------------------------------------------------------------------------------- */

aero_status aero_ingest_tsv(aero_session *session, uint32_t table, const char *data, size_t length,
                            const aero_tsv_options *options, aero_ingest_report *report)
{
    const aero_status status = enter(session);
    if (status != AERO_OK)
        return status;
    if (data == NULL && length > 0)
        return missing(session, "the data");
    return ae_ingest_memory(session, table, data == NULL ? "" : data, length, options, report);
}

aero_status aero_ingest_file(aero_session *session, uint32_t table, const char *path,
                             const aero_tsv_options *options, aero_ingest_report *report)
{
    const aero_status status = enter(session);
    if (status != AERO_OK)
        return status;
    if (path == NULL)
        return missing(session, "the path");
    return ae_ingest_path(session, table, path, options, report);
}

aero_status aero_ingest_open(aero_session *session, uint32_t table, const aero_tsv_options *options,
                             aero_ingest **ingest)
{
    if (ingest != NULL)
        *ingest = NULL;
    const aero_status status = enter(session);
    if (status != AERO_OK)
        return status;
    return ingest == NULL ? missing(session, "the place for the ingest")
                          : ae_ingest_new(session, table, options, ingest);
}

aero_status aero_ingest_feed(aero_ingest *ingest, const char *data, size_t length)
{
    const aero_status status = enter_ingest(ingest);
    if (status != AERO_OK)
        return status;
    if (data == NULL && length > 0)
        return missing(ae_ingest_session(ingest), "the data");
    return ae_ingest_push(ingest, data == NULL ? "" : data, length, false);
}

aero_status aero_ingest_finish(aero_ingest *ingest, aero_ingest_report *report)
{
    const aero_status status = enter_ingest(ingest);
    return status != AERO_OK ? status : ae_ingest_end(ingest, report);
}

void aero_ingest_free(aero_ingest *ingest)
{
    ae_ingest_release(ingest);
}

/* ---- values --------------------------------------------------------------------------------- */

/* Enter, check table and column, and convert `value` in scratch memory of the session, in which
 * `spare` bytes are left at *rest.  A text is copied there first: the result must not point into
 * memory of the caller. */
static aero_status convert(aero_session *session, uint32_t table, uint32_t column,
                           const aero_value *value, size_t spare, aero_value *raw, char **rest)
{
    const aero_status status = enter(session);
    if (status != AERO_OK)
        return status;
    aero_error *const error = ae_session_error_buffer(session);
    if (value == NULL)
        return missing(session, "the value");
    if (table >= ae_session_table_count(session))
        return ae_fail(error, AERO_NAME, "no table has the index %u", table);
    const aero_table *const described = ae_session_table(session, table);
    if (column >= described->column_count)
        return ae_fail(error, AERO_NAME, "%s: no column has the index %u", described->name, column);
    const bool has_data = value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES;
    const size_t length = has_data ? value->length : 0;
    if (length > 0 && value->u.data == NULL)
        return missing(session, "the value's text");
    aero_value in = *value;
    in.length = (uint32_t)length;
    const size_t room = length + AE_TEXT_MAX + length;
    char *const scratch = ae_session_text(session, room + spare);
    if (scratch == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory to convert %zu bytes", length);
    if (length > 0)
        memcpy(scratch, value->u.data, length);
    if (has_data)
        in.u.data = scratch;
    AE_ASSERT(room >= length && room <= SIZE_MAX - spare);
    *rest = scratch + room;
    return ae_convert(described, column, &in, scratch + length, raw, error);
}

aero_status aero_convert(aero_session *session, uint32_t table, uint32_t column,
                         const aero_value *value, aero_value *converted)
{
    aero_value raw;
    char *rest = NULL;
    const aero_status status = convert(session, table, column, value, AE_TEXT_MAX, &raw, &rest);
    if (status != AERO_OK)
        return status;
    if (converted == NULL)
        return missing(session, "the place for the value");
    ae_present(&ae_session_table(session, table)->columns[column], &raw, rest, converted);
    return AERO_OK;
}

aero_status aero_format(aero_session *session, uint32_t table, uint32_t column,
                        const aero_value *value, const char **text, size_t *length)
{
    aero_value raw;
    char *rest = NULL;
    const size_t bytes = value != NULL &&
                                 (value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES)
                             ? value->length
                             : 0;
    const aero_status status = convert(session, table, column, value, AE_TEXT_MAX + 2 * bytes, &raw,
                                       &rest);
    if (status != AERO_OK)
        return status;
    if (text == NULL || length == NULL)
        return missing(session, "the place for the text");
    ae_format(&ae_session_table(session, table)->columns[column], &raw, rest, text, length);
    return AERO_OK;
}
