/* query.c — the query's life: made, changed, counted, freed.
 *
 * Invariants: I1 `plan` is NULL or fits the clauses.
 *             I2 while `cursors` > 0 neither clauses nor plan change.
 *             I3 while `holders` > 0 the query is not freed.
 */
#include "query/query.h"

#include <stdlib.h>
#include <string.h>

#include "query/source.h"
#include "row/convert.h"

static aero_query *query_of(ae_session_child *child)
{
    return (aero_query *)(void *)((char *)child - offsetof(aero_query, child));
}

static void session_closes(ae_session_child *child)
{
    ae_session_disown(child);
    query_of(child)->session = NULL;
}

aero_status ae_query_new(aero_session *session, uint32_t table, aero_query **query)
{
    aero_error *error = ae_session_error_buffer(session);
    *query = NULL;
    if (table >= ae_session_table_count(session))
        return ae_fail(error, AERO_USAGE, "there is no table number %u", table);
    aero_query *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a query");
    fresh->child.close = session_closes;
    fresh->session = session;
    fresh->table = ae_session_table(session, table);
    fresh->table_index = table;
    fresh->limit = -1;
    ae_session_adopt(session, &fresh->child);
    *query = fresh;
    return AERO_OK;
}

static void destroy(aero_query *query)
{
    AE_ASSERT(query->holders == 0 && query->cursors == 0);
    if (query->session != NULL)
        ae_session_disown(&query->child);
    aei_plan_drop(query);
    aei_bound_free(query);
    aei_pool_free(&query->pool);
    free(query->clauses);
    free(query->scratch);
    free(query->text);
    aei_cursor_discard(query->spare);
    free(query);
}

void ae_query_free(aero_query *query)
{
    query->freed = true;
    if (query->holders == 0)
        destroy(query);
}

aero_session *ae_query_session(const aero_query *query)
{
    return query->session;
}

void aei_query_hold(aero_query *query)
{
    AE_ASSERT(!query->freed || query->holders > 0);
    query->holders++;
}

void aei_query_release(aero_query *query)
{
    AE_ASSERT(query->holders > 0);
    query->holders--;
    if (query->holders == 0)
        aei_bound_settle(query);
    if (query->holders == 0 && query->freed)
        destroy(query);
}

/* Every change begins here: it is refused while a cursor runs, and makes the plan out of date. */
static aero_status begin_change(aero_query *query)
{
    if (query->cursors > 0)
        return ae_fail(ae_session_error_buffer(query->session), AERO_USAGE,
                       "the search cannot change while a cursor of it is open");
    aei_plan_drop(query);
    return AERO_OK;
}

aero_status ae_query_compare(aero_query *query, const char *text, size_t length)
{
    const aero_status status = begin_change(query);
    if (status != AERO_OK)
        return status;
    return aei_stapi_add(query, text, length, ae_session_error_buffer(query->session));
}

aero_status ae_query_clause(aero_query *query, int32_t op, uint32_t column, uint32_t count,
                            const aero_value *values)
{
    const aero_status status = begin_change(query);
    if (status != AERO_OK)
        return status;
    return aei_clause_add(query, op, column, count, values,
                          ae_session_error_buffer(query->session));
}

aero_status ae_query_glob(aero_query *query, const char *pattern, size_t length)
{
    const aero_status status = begin_change(query);
    aero_error *error = ae_session_error_buffer(query->session);
    if (status != AERO_OK)
        return status;
    if (length > AEI_GLOB_BYTES_MAX)
        return ae_fail(error, AERO_LIMIT, "a pattern of %zu bytes is longer than %zu", length,
                       AEI_GLOB_BYTES_MAX);
    const aero_value value = {
        .type = AERO_TYPE_TEXT, .length = (uint32_t)length, .u.data = pattern};
    return aei_clause_add(query, AERO_OP_MATCH_CASE, query->table->key_column, 1, &value, error);
}

aero_status ae_query_sort(aero_query *query, uint32_t column, int32_t descending)
{
    const aero_status status = begin_change(query);
    aero_error *error = ae_session_error_buffer(query->session);
    if (status != AERO_OK)
        return status;
    if (column >= query->table->column_count)
        return ae_fail(error, AERO_USAGE, "table %s has no column number %u", query->table->name,
                       column);
    for (uint32_t i = 0; i < query->sort_count; i++) {
        if (query->sorts[i].column == column)
            return AERO_OK; /* decided by the earlier mention */
    }
    if (query->sort_count >= AEI_SORTS_MAX)
        return ae_fail(error, AERO_LIMIT, "a search may be sorted by %u columns", AEI_SORTS_MAX);
    query->sorts[query->sort_count++] = (aei_sort_key){.column = column,
                                                       .descending = descending != 0};
    return AERO_OK;
}

aero_status ae_query_limit(aero_query *query, int64_t limit, int64_t offset)
{
    const aero_status status = begin_change(query);
    if (status != AERO_OK)
        return status;
    if (offset < 0)
        return ae_fail(ae_session_error_buffer(query->session), AERO_USAGE,
                       "the offset of a search cannot be negative");
    AE_ASSERT(query->cursors == 0);
    query->limit = limit;
    query->offset = offset;
    return AERO_OK;
}

/* Does the text begin with a word and a space?  Then *rest is what follows. */
static bool begins(const char *text, size_t length, const char *word, const char **rest)
{
    const size_t size = strlen(word);
    *rest = text + size;
    return length > size && memcmp(text, word, size) == 0;
}

aero_status ae_query_using(aero_query *query, const char *way, size_t length)
{
    static const char *const words[] = {[AEI_USING_ANY] = "",
                                        [AEI_USING_SCAN] = "scan",
                                        [AEI_USING_KEY] = "key",
                                        [AEI_USING_INTERSECTION] = "intersection"};
    aero_error *error = ae_session_error_buffer(query->session);
    const char *name;
    const aero_status status = begin_change(query);
    if (status != AERO_OK)
        return status;
    if (begins(way, length, "index ", &name)) {
        const size_t size = length - (size_t)(name - way);
        const int32_t column = ae_column_lookup(query->table, name, size);
        if (column < 0) {
            (void)ae_fail(error, AERO_NAME, "unknown field '%.*s'", (int)(size < 64 ? size : 64),
                          name);
            ae_error_place(error, query->table->name, NULL);
            ae_error_field(error, name, size);
            return AERO_NAME;
        }
        query->using = AEI_USING_INDEX;
        query->using_column = (uint32_t)column;
        return AERO_OK;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i] != NULL && strlen(words[i]) == length &&
            (length == 0 || memcmp(words[i], way, length) == 0)) {
            query->using = (enum aei_using)i;
            return AERO_OK;
        }
    }
    return ae_fail(error, AERO_USAGE,
                   "a way to the rows is scan, key, index COLUMN or intersection, not '%.*s'",
                   (int)(length < 64 ? length : 64), way);
}

/* Count the rows that pass, up to `wanted`. */
static aero_status count_rows(aero_query *query, ae_reader *reader, uint64_t wanted,
                              uint64_t *matched)
{
    AE_ASSERT(wanted > 0 && *matched == 0);
    aei_stream stream;
    aero_status status = aei_stream_open(&stream, query, reader, true,
                                         ae_session_error_buffer(query->session));
    if (status != AERO_OK)
        return status;
    while (*matched < wanted && aei_stream_next(&stream))
        *matched += stream.count;
    if (*matched > wanted)
        *matched = wanted;
    status = stream.source.failed;
    aei_stream_close(&stream);
    return status;
}

aero_status ae_query_count(aero_query *query, uint64_t *count)
{
    ae_reader reader;
    uint64_t matched = 0;
    *count = 0;
    const uint64_t wanted = aei_rows_wanted(query);
    if (wanted == 0 || query->limit == 0)
        return AERO_OK;
    aero_status status = ae_reader_open(query->session, false, &reader);
    if (status != AERO_OK)
        return status;
    status = count_rows(query, &reader, wanted, &matched);
    ae_reader_close(&reader);
    if (status != AERO_OK)
        return status;
    const uint64_t offset = (uint64_t)query->offset;
    *count = matched > offset ? matched - offset : 0;
    return AERO_OK;
}
