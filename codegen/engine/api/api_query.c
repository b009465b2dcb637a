/* api_query.c — the exported functions on queries and cursors: check handles and pointers, enter
 * the session, call the query module.
 *
 * Stale handles.  A query or cursor whose session was closed answers AERO_STALE (there is no
 * session left to carry a text) until it is freed.
 */
#include "query/cursor.h"

/* Enter the session a handle belongs to. */
static aero_status enter(aero_session *session)
{
    return session == NULL ? AERO_STALE : ae_session_enter(session);
}

static aero_status enter_query(const aero_query *query)
{
    return query == NULL ? AERO_USAGE : enter(ae_query_session(query));
}

static aero_status enter_cursor(aero_cursor *cursor)
{
    if (cursor == NULL)
        return AERO_USAGE;
    const aero_status status = enter(ae_cursor_session(cursor));
    return status != AERO_OK ? status : ae_cursor_check(cursor);
}

static aero_status missing(aero_session *session, const char *what)
{
    return ae_fail(ae_session_error_buffer(session), AERO_USAGE, "%s is missing", what);
}

aero_status aero_query_new(aero_session *session, uint32_t table, aero_query **query)
{
    if (query != NULL)
        *query = NULL;
    const aero_status status = session == NULL ? AERO_USAGE : ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    return query == NULL ? missing(session, "the place for the query")
                         : ae_query_new(session, table, query);
}

void aero_query_free(aero_query *query)
{
    if (query != NULL)
        ae_query_free(query);
}

aero_status aero_query_compare(aero_query *query, const char *text, size_t length)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (text == NULL && length > 0)
        return missing(ae_query_session(query), "the compare text");
    return ae_query_compare(query, text, length);
}

aero_status aero_query_clause(aero_query *query, int32_t op, uint32_t column, uint32_t count,
                              const aero_value *values)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (values == NULL && count > 0)
        return missing(ae_query_session(query), "the clause's values");
    return ae_query_clause(query, op, column, count, values);
}

aero_status aero_query_glob(aero_query *query, const char *pattern, size_t length)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (pattern == NULL && length > 0)
        return missing(ae_query_session(query), "the pattern");
    return ae_query_glob(query, pattern == NULL ? "" : pattern, length);
}

aero_status aero_query_sort(aero_query *query, uint32_t column, int32_t descending)
{
    const aero_status status = enter_query(query);
    return status != AERO_OK ? status : ae_query_sort(query, column, descending);
}

aero_status aero_query_limit(aero_query *query, int64_t limit, int64_t offset)
{
    const aero_status status = enter_query(query);
    return status != AERO_OK ? status : ae_query_limit(query, limit, offset);
}

aero_status aero_query_bind(aero_query *query, uint32_t parameter, uint32_t count,
                            const aero_value *values)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (values == NULL && count > 0)
        return missing(ae_query_session(query), "the parameter's values");
    return ae_query_bind(query, parameter, count, values);
}

aero_status aero_query_using(aero_query *query, const char *way, size_t length)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (way == NULL && length > 0)
        return missing(ae_query_session(query), "the way to the rows");
    return ae_query_using(query, way == NULL ? "" : way, length);
}

aero_status aero_query_count(aero_query *query, uint64_t *count)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    return count == NULL ? missing(ae_query_session(query), "the place for the count")
                         : ae_query_count(query, count);
}

aero_status aero_query_explain(aero_query *query, int32_t execute, const char **text,
                               size_t *length)
{
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (text == NULL || length == NULL)
        return missing(ae_query_session(query), "the place for the plan");
    return ae_query_explain(query, execute != 0, text, length);
}

aero_status aero_cursor_open(aero_query *query, aero_cursor **cursor)
{
    if (cursor != NULL)
        *cursor = NULL;
    const aero_status status = enter_query(query);
    if (status != AERO_OK)
        return status;
    if (cursor == NULL)
        return missing(ae_query_session(query), "the place for the cursor");
    const aero_status opened = ae_cursor_open(query, cursor);
    AE_ASSERT((opened == AERO_OK) == (*cursor != NULL));
    if (opened == AERO_OK)
        ae_cursor_rest(*cursor);
    return opened;
}

void aero_cursor_close(aero_cursor *cursor)
{
    if (cursor != NULL)
        ae_cursor_close(cursor);
}

aero_status aero_cursor_rest(aero_cursor *cursor)
{
    const aero_status status = enter_cursor(cursor);
    if (status == AERO_OK)
        ae_cursor_rest(cursor);
    return status;
}

aero_status aero_cursor_next(aero_cursor *cursor, const aero_row **row)
{
    if (row != NULL)
        *row = NULL;
    const aero_status status = enter_cursor(cursor);
    if (status != AERO_OK)
        return status;
    if (row == NULL)
        return missing(ae_cursor_session(cursor), "the place for the row");
    *row = ae_cursor_next(cursor);
    return *row != NULL ? AERO_OK : ae_cursor_status(cursor);
}

void aero_row_values(const aero_row *row, uint32_t count, const uint32_t *columns,
                     aero_value *values)
{
    ae_row_values(row, count, columns, values);
}

uint64_t aero_cursor_rows(const aero_cursor *cursor)
{
    return cursor == NULL ? 0 : ae_cursor_rows(cursor);
}

aero_status aero_cursor_fetch(aero_cursor *cursor, uint32_t max_rows, uint32_t count,
                              const uint32_t *columns, aero_column_data *data, uint32_t *rows)
{
    if (rows != NULL)
        *rows = 0;
    const aero_status status = enter_cursor(cursor);
    if (status != AERO_OK)
        return status;
    if (rows == NULL || (count > 0 && (columns == NULL || data == NULL)))
        return missing(ae_cursor_session(cursor), "an array of the fetch");
    const aero_status fetched = ae_cursor_fetch(cursor, max_rows, count, columns, data, rows);
    ae_cursor_rest(cursor);
    return fetched;
}

aero_status aero_write_tsv(aero_cursor *cursor, const aero_tsv_options *options, aero_writer writer,
                           void *context, uint64_t *rows)
{
    if (rows != NULL)
        *rows = 0;
    const aero_status status = enter_cursor(cursor);
    if (status != AERO_OK)
        return status;
    if (writer == NULL || rows == NULL ||
        (options != NULL && options->column_count > 0 && options->columns == NULL))
        return missing(ae_cursor_session(cursor), "the writer, the columns or the count");
    const aero_status written = ae_cursor_write_tsv(cursor, options, writer, context, rows);
    ae_cursor_rest(cursor);
    return written;
}
