/* source.c — the sources of candidates, and the stream of those that pass the filters. */
#include "query/source.h"

#include <stdlib.h>
#include <string.h>

#include "query/row_inline.h"

static size_t next_nothing(aei_source *source, ae_view *views, size_t max)
{
    (void)source;
    (void)views;
    (void)max;
    return 0;
}

static size_t next_scanned(aei_source *source, ae_view *views, size_t max)
{
    return ae_scan_next(&source->scan, views, max);
}

static size_t next_keyed(aei_source *source, ae_view *views, size_t max)
{
    AE_ASSERT(source->at <= source->plan->key_count && source->plan->key_row != NULL);
    const aei_plan *plan = source->plan;
    const aero_table *table = ae_session_table(source->reader->session, source->table);
    const aero_column *column = &table->columns[table->key_column];
    size_t count = 0;
    while (count < max && source->at < plan->key_count) {
        column->set(plan->key_row, &plan->keys[source->at++]);
        if (ae_table_find(source->reader, source->table, plan->key_row, &views[count]))
            count++;
    }
    return count;
}

/* ---- ranges of an index --------------------------------------------------------------------- */

/* Of a range whose words NULLs and values share, keep the rows that are meant. */
static size_t keep_nulls(const aei_access *access, const aero_table *table, enum aei_nulls nulls,
                         ae_view *views, size_t count)
{
    uint32_t null_at;
    uint32_t null_mask;
    size_t kept = 0;
    aei_row_null_place(&table->columns[access->null_column], &null_at, &null_mask);
    for (size_t i = 0; i < count; i++) {
        views[kept] = views[i];
        kept += aei_row_null(views[i].row, null_at, null_mask) == (nulls == AEI_NULLS_ONLY);
    }
    AE_ASSERT(kept <= count && nulls != AEI_NULLS_ANY);
    return kept;
}

static size_t next_ranged(aei_source *source, ae_view *views, size_t max)
{
    AE_ASSERT(source->at < source->plan->accesses->range_count);
    const aei_access *access = source->plan->accesses;
    const aero_table *table = ae_session_table(source->reader->session, source->table);
    size_t count = 0;
    while (count < max) {
        size_t more = ae_index_read_next(&source->read, views + count, max - count);
        if (more > 0) {
            const enum aei_nulls nulls = access->ranges[source->at].nulls;
            if (nulls != AEI_NULLS_ANY)
                more = keep_nulls(access, table, nulls, views + count, more);
            count += more;
            continue;
        }
        source->failed = ae_index_read_status(&source->read);
        if (source->failed != AERO_OK || source->at + 1 >= access->range_count)
            break;
        ae_index_read_seek(&source->read, &access->ranges[++source->at].words);
    }
    return count;
}

static size_t next_intersected(aei_source *source, ae_view *views, size_t max)
{
    size_t count = 0;
    while (count == 0 && source->at < source->anchor_count) {
        const size_t left = source->anchor_count - source->at;
        const size_t most = left < max ? left : max;
        AE_ASSERT(most > 0);
        count = ae_anchors_read(source->reader, source->table, source->anchors + source->at, most,
                                views);
        source->at += most;
    }
    return count;
}

/* ---- what a transaction has read ------------------------------------------------------------ */

/* A noted search: the filter, and what it stands on. */
typedef struct noted_search {
    aei_plan *plan;
    const aei_program *program;
    aero_query *query;
} noted_search;

static bool noted_match(void *context, const void *row, const char *base)
{
    const noted_search *noted = context;
    const ae_view view = {.row = row, .base = base};
    uint16_t selection[1];
    return aei_program_run(noted->program, &view, 1, selection) > 0;
}

static void noted_release(void *context)
{
    noted_search *noted = context;
    aei_plan_release(noted->plan);
    aei_query_release(noted->query);
    free(noted);
}

/* Tell the transaction the filter, all clauses of it, whatever the source answers by itself.
 * Without a filter, or memory for it, the whole table counts as read. */
static void note_search(aei_source *source, aero_query *query, aei_plan *plan)
{
    AE_ASSERT(plan->references > 0);
    if (!ae_reader_notes(source->reader))
        return;
    const aei_program *whole = aei_plan_whole(plan, query);
    if (whole != NULL && whole->never)
        return; /* no row could ever change the answer */
    noted_search *noted = whole != NULL && whole->step_count > 0 ? malloc(sizeof *noted) : NULL;
    if (noted == NULL) {
        ae_reader_note_table(source->reader, query->table_index);
        return;
    }
    noted->plan = plan;
    noted->program = whole;
    noted->query = query;
    plan->references++;
    aei_query_hold(query);
    const ae_predicate predicate = {.table = query->table_index,
                                    .match = noted_match,
                                    .release = noted_release,
                                    .context = noted};
    ae_reader_predicate(source->reader, &predicate);
}

/* ---- sources -------------------------------------------------------------------------------- */

aero_status aei_source_open(aei_source *source, aero_query *query, aei_plan *plan,
                            ae_reader *reader, bool *gone, aero_error *error)
{
    aero_status status = AERO_OK;
    memset(source, 0, offsetof(aei_source, read));
    source->reading = false;
    source->at = 0;
    source->anchors = NULL;
    source->anchor_count = 0;
    source->seen = 0;
    source->failed = AERO_OK;
    source->plan = plan;
    source->reader = reader;
    source->table = query->table_index;
    *gone = false;
    plan->references++;
    switch (plan->source) {
    case AEI_SOURCE_KEYS:
        source->next = next_keyed;
        break;
    case AEI_SOURCE_INDEX:
        source->next = next_ranged;
        source->reading = ae_index_read_open(
            &source->read, reader, source->table, plan->accesses->info.number,
            &plan->accesses->ranges[0].words, plan->accesses->backward);
        *gone = !source->reading;
        break;
    case AEI_SOURCE_INTERSECTION:
        source->next = next_intersected;
        status = aei_intersect(source, gone, error);
        break;
    case AEI_SOURCE_SCAN:
        source->next = next_scanned;
        break;
    case AEI_SOURCE_NOTHING:
        source->next = next_nothing;
        break;
    }
    if (status != AERO_OK || *gone) {
        aei_source_close(source);
        return status;
    }
    if (plan->source != AEI_SOURCE_KEYS && plan->source != AEI_SOURCE_NOTHING)
        note_search(source, query, plan);
    if (plan->source == AEI_SOURCE_SCAN)
        ae_scan_start(&source->scan, reader, query->table_index);
    if (plan->source == AEI_SOURCE_SCAN && query->limit >= 0)
        ae_scan_seek(&source->scan);
    return AERO_OK;
}

size_t aei_source_next(aei_source *source, ae_view *views, size_t max)
{
    AE_ASSERT(max > 0 && max <= AEI_BATCH);
    const size_t count = source->next(source, views, max);
    AE_ASSERT(count <= max);
    source->seen += count;
    return count;
}

/* Anchors that were met stay anchors, of some row or none, for as long as there is a snapshot that
 * is older (slabs_drain of txn/vacuum.c); keys and slabs are looked up anew with each step. */
void aei_source_rest(aei_source *source)
{
    if (source->plan != NULL && source->reading)
        ae_index_read_rest(&source->read);
}

void aei_source_close(aei_source *source)
{
    if (source->plan != NULL)
        aei_plan_release(source->plan);
    source->plan = NULL;
    free(source->anchors);
    source->anchors = NULL;
}

/* ---- streams -------------------------------------------------------------------------------- */

/* Plans tried before a scan, which is always there, is taken. */
#define ATTEMPTS 3

aero_status aei_stream_open(aei_stream *stream, aero_query *query, ae_reader *reader, bool counting,
                            aero_error *error)
{
    AE_ASSERT(query->holders > 0 || counting);
    const uint64_t wanted = aei_rows_wanted(query);
    aero_status status = AERO_OK;
    bool gone = true;
    stream->count = stream->at = 0;
    stream->source.plan = NULL;
    stream->source.anchors = NULL;
    for (int attempt = 0; gone && status == AERO_OK; attempt++) {
        const enum aei_using asked = query->using;
        aei_plan *plan;
        if (attempt > 0)
            aei_plan_drop(query);
        if (attempt == ATTEMPTS)
            query->using = AEI_USING_ONLY_SCAN;
        status = aei_plan_get(query, counting, &plan, error);
        query->using = asked;
        if (status == AERO_OK)
            status = aei_source_open(&stream->source, query, plan, reader, &gone, error);
        if (attempt == ATTEMPTS)
            aei_plan_drop(query); /* the next run may use the indexes again */
    }
    /* Rows that nobody wants are not fetched; with filters more than the wanted ones are needed. */
    stream->most = AEI_BATCH;
    if (status == AERO_OK && wanted < AEI_BATCH) {
        const aei_plan *plan = stream->source.plan;
        const bool exactly = plan->sorting == AEI_SORTING_NONE && plan->program.step_count == 0;
        if (plan->sorting != AEI_SORTING_ALL)
            stream->most = exactly || wanted > AEI_BATCH / 8 ? (size_t)wanted : AEI_BATCH / 8;
    }
    return status;
}

bool aei_stream_next(aei_stream *stream)
{
    AE_ASSERT(stream->most > 0 && stream->most <= AEI_BATCH);
    stream->at = 0;
    do {
        const size_t count = aei_source_next(&stream->source, stream->views, stream->most);
        stream->most = 2 * stream->most < AEI_BATCH ? 2 * stream->most : AEI_BATCH;
        stream->count = 0;
        if (count == 0)
            return false;
        stream->count = aei_program_run(&stream->source.plan->program, stream->views, count,
                                        stream->selection);
    } while (stream->count == 0);
    return true;
}

void aei_stream_close(aei_stream *stream)
{
    aei_plan *plan = stream->source.plan;
    if (plan != NULL)
        plan->misjudged = (double)stream->source.seen / (plan->candidates + 1000);
    aei_source_close(&stream->source);
}
