/* explain.c — a plan in words: source, filters in the order they run, sort, limit; when executed,
 * also what came of it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "query/cursor_private.h"
#include "row/convert.h"

/* A growing text; `failed` once memory ran out. */
typedef struct text_out {
    char *data;
    size_t length;
    size_t room;
    bool failed;
} text_out;

static bool text_reserve(text_out *out, size_t more)
{
    if (out->failed || out->room - out->length > more)
        return !out->failed;
    const size_t room = 2 * out->room + more + 256;
    char *fresh = realloc(out->data, room);
    if (fresh == NULL) {
        out->failed = true;
        return false;
    }
    AE_ASSERT(room - out->length > more);
    out->data = fresh;
    out->room = room;
    return true;
}

static void put(text_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(text_out *out, const char *format, ...)
{
    char piece[512];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    const size_t length = size < 0                      ? 0
                          : (size_t)size < sizeof piece ? (size_t)size
                                                        : sizeof piece - 1;
    if (!text_reserve(out, length + 1))
        return;
    AE_ASSERT(length < sizeof piece && out->length + length < out->room);
    memcpy(out->data + out->length, piece, length + 1);
    out->length += length;
}

/* A constant: quoted when it is a text, cut when it is long. */
static void put_value(text_out *out, const aero_column *column, const aero_value *value,
                      bool pattern)
{
    char scratch[AE_TEXT_MAX + 2 * AEI_EXPLAIN_VALUE_MAX];
    aero_value part = *value;
    const bool bytes = part.type == AERO_TYPE_TEXT || part.type == AERO_TYPE_BYTES;
    const bool raw = bytes && (column->kind == AERO_KIND_IPV6 || column->kind == AERO_KIND_MAC);
    const bool cut = bytes && (pattern || !raw) && part.length > AEI_EXPLAIN_VALUE_MAX;
    const char *text = part.u.data;
    size_t length = part.length;
    if (cut) {
        part.length = AEI_EXPLAIN_VALUE_MAX;
        while (part.length > 0 && part.type == AERO_TYPE_TEXT &&
               ((unsigned char)part.u.data[part.length] & 0xc0) == 0x80)
            part.length--; /* not in the middle of a character */
        length = part.length;
    }
    if (!pattern)
        ae_format(column, &part, scratch, &text, &length);
    AE_ASSERT(text != NULL || length == 0);
    const char *quote = pattern || part.type == AERO_TYPE_TEXT ? "\"" : "";
    put(out, "%s%.*s%s%s", quote, (int)length, text, quote, cut ? "…" : "");
}

static void put_clause(text_out *out, const aero_table *table, const aei_clause *clause)
{
    AE_ASSERT(clause->column < table->column_count);
    const aero_column *column = &table->columns[clause->column];
    put(out, "%s %s", column->name, aei_operator_numbered(clause->op)->name);
    for (uint32_t i = 0; i < clause->count && i < AEI_EXPLAIN_VALUES_MAX; i++) {
        put(out, " ");
        put_value(out, column, &clause->values[i], clause->glob != NULL);
    }
    if (clause->count > AEI_EXPLAIN_VALUES_MAX)
        put(out, " … (%u values)", clause->count);
}

/* The clauses that an access uses, once each; those it does not decide are filters, too. */
static void put_access(text_out *out, const aero_query *query, const aei_access *access)
{
    AE_ASSERT(access->info.column_count > 0);
    const char *between = ":";
    for (uint32_t i = 0; i < access->info.column_count; i++)
        put(out, "%s %s", i == 0 ? "" : ",", query->table->columns[access->info.columns[i]].name);
    for (uint32_t i = 0; i < query->clause_count; i++) {
        if (access->used[i] == 0)
            continue;
        put(out, "%s ", between);
        put_clause(out, query->table, &query->clauses[i]);
        between = " and";
    }
    if (access->range_count > 1)
        put(out, " (%zu ranges)", access->range_count);
}

static void put_source(text_out *out, const aero_query *query, const aei_plan *plan)
{
    AE_ASSERT(plan->source != AEI_SOURCE_INTERSECTION || plan->access_count > 1);
    put(out, "%s: ", query->table->name);
    switch (plan->source) {
    case AEI_SOURCE_NOTHING:
        put(out, "nothing to read, the conditions exclude every row\n");
        return;
    case AEI_SOURCE_KEYS:
        put(out, "key look-up, %zu key%s: ", plan->key_count, plan->key_count == 1 ? "" : "s");
        put_clause(out, query->table, plan->driver);
        break;
    case AEI_SOURCE_INDEX:
        put(out, "index on");
        put_access(out, query, plan->accesses);
        if (plan->in_order)
            put(out, ", in its order%s", plan->accesses->backward ? ", backward" : "");
        break;
    case AEI_SOURCE_INTERSECTION:
        put(out, "intersection of indexes");
        for (uint32_t i = 0; i < plan->access_count; i++) {
            put(out, "\n  index on");
            put_access(out, query, &plan->accesses[i]);
            put(out, ", about %" PRIu64 " entries", plan->accesses[i].estimate);
        }
        break;
    case AEI_SOURCE_SCAN:
        put(out, "scan of the table");
        break;
    }
    put(out, "\n");
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* What was expected when the way was chosen.  The planner knows the places there are for versions,
 * which come by the slab; where only few of them are in use, that says little about the rows. */
static void put_estimates(text_out *out, const aero_query *query, const aei_plan *plan)
{
    if (plan->source == AEI_SOURCE_NOTHING)
        return;
    const double counted = (double)ae_table_rows(query->session, query->table_index);
    const double candidates = plan->source == AEI_SOURCE_KEYS ? plan->candidates
                                                              : least(plan->candidates, counted);
    const double passed = least(least(candidates, counted) * plan->share,
                                (double)aei_rows_wanted(query));
    put(out, "  expected: %.0f candidates, %.0f rows, %.3f ms\n", candidates, passed,
        plan->cost_ns / 1e6);
}

static void put_filters(text_out *out, const aero_query *query, const aei_plan *plan)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < plan->program.step_count; i++) {
        const aei_step *step = &plan->program.steps[i];
        if (step->clause_count == 0)
            continue; /* the second half of the one before */
        put(out, "  filter %u: ", ++number);
        for (uint32_t c = 0; c < step->clause_count; c++) {
            put(out, "%s", c > 0 ? " and " : "");
            put_clause(out, query->table, step->clauses[c]);
        }
        put(out, "\n");
    }
}

static void put_order(text_out *out, const aero_query *query, const aei_plan *plan)
{
    if (query->sort_count > 0 && plan->sorting != AEI_SORTING_NONE) {
        put(out, plan->sorting == AEI_SORTING_GROUP ? "  sort within equal keys:" : "  sort:");
        for (uint32_t i = 0; i < query->sort_count; i++)
            put(out, "%s %s%s", i > 0 ? "," : "",
                query->table->columns[query->sorts[i].column].name,
                query->sorts[i].descending ? " descending" : "");
        if (query->limit >= 0 && plan->sorting == AEI_SORTING_ALL)
            put(out, " (only the first %" PRIu64 " rows are kept)", aei_rows_wanted(query));
        put(out, "\n");
    }
    if (query->offset > 0)
        put(out, "  offset: %" PRId64 "\n", query->offset);
    if (query->limit >= 0)
        put(out, "  limit: %" PRId64 "\n", query->limit);
}

/* Run the query as a cursor would, and tell what it took. */
static aero_status put_actual(text_out *out, aero_query *query)
{
    ae_view views[AEI_BATCH];
    aero_cursor *cursor;
    const uint64_t begin = ae_os_monotonic_ns();
    const aero_status status = ae_cursor_open(query, &cursor);
    if (status != AERO_OK)
        return status;
    uint64_t rows = 0;
    size_t count;
    while ((count = aei_cursor_take(cursor, views, AEI_BATCH)) > 0)
        rows += count;
    const uint64_t seen = cursor->stream.source.seen;
    const aero_status ended = ae_cursor_status(cursor);
    ae_cursor_close(cursor);
    if (ended != AERO_OK)
        return ended;
    const double elapsed_ms = (double)(ae_os_monotonic_ns() - begin) / 1e6;
    put(out, "  actual: %" PRIu64 " candidates read, %" PRIu64 " rows given, %.3f ms\n", seen, rows,
        elapsed_ms);
    return AERO_OK;
}

aero_status ae_query_explain(aero_query *query, bool execute, const char **text, size_t *length)
{
    aero_error *error = ae_session_error_buffer(query->session);
    aei_plan *plan;
    text_out out = {0};
    *text = "";
    *length = 0;
    aero_status status = aei_plan_get(query, false, &plan, error);
    if (status != AERO_OK)
        return status;
    put_source(&out, query, plan);
    put_filters(&out, query, plan);
    put_order(&out, query, plan);
    put_estimates(&out, query, plan);
    if (execute)
        status = put_actual(&out, query);
    if (status == AERO_OK && out.failed)
        status = ae_fail(error, AERO_NO_MEMORY, "no memory for the plan's text");
    if (status != AERO_OK) {
        free(out.data);
        return status;
    }
    free(query->text);
    query->text = out.data;
    *text = out.data;
    *length = out.length;
    return AERO_OK;
}
