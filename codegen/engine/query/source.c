/* source.c — the sources of candidates, and the stream of those that pass the filters. */
#include <stdlib.h>
#include <string.h>

#include "query/plan.h"

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
    const aei_plan *plan = source->plan;
    const aero_table *table = ae_session_table(source->reader->session, source->table);
    const aero_column *column = &table->columns[table->key_column];
    size_t count = 0;
    while (count < max && source->key_at < plan->key_count) {
        column->set(plan->key_row, &plan->keys[source->key_at++]);
        if (ae_table_find(source->reader, source->table, plan->key_row, &views[count]))
            count++;
    }
    return count;
}

/* ---- what a transaction has read ------------------------------------------------------------ */

/* A noted scan: the filter, and what it stands on. */
typedef struct noted_scan {
    aei_plan *plan;
    aero_query *query;
} noted_scan;

static bool noted_match(void *context, const void *row, const char *base)
{
    const noted_scan *noted = context;
    const ae_view view = {.row = row, .base = base};
    uint16_t selection[1];
    return aei_program_run(&noted->plan->program, &view, 1, selection) > 0;
}

static void noted_release(void *context)
{
    noted_scan *noted = context;
    aei_plan_release(noted->plan);
    aei_query_release(noted->query);
    free(noted);
}

/* Tell the transaction the filter; without memory for it, it keeps the whole table as read. */
static void note_scan(aei_source *source, aero_query *query, aei_plan *plan)
{
    noted_scan *noted = ae_reader_notes(source->reader) && plan->program.step_count > 0
                            ? malloc(sizeof *noted)
                            : NULL;
    if (noted == NULL)
        return;
    noted->plan = plan;
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

void aei_source_open(aei_source *source, aero_query *query, aei_plan *plan, ae_reader *reader)
{
    memset(source, 0, sizeof *source);
    source->plan = plan;
    source->reader = reader;
    source->table = query->table_index;
    switch (plan->source) {
    case AEI_SOURCE_KEYS:
        source->next = next_keyed;
        break;
    case AEI_SOURCE_SCAN:
        source->next = next_scanned;
        note_scan(source, query, plan);
        ae_scan_start(&source->scan, reader, query->table_index);
        break;
    case AEI_SOURCE_NOTHING:
        source->next = next_nothing;
        break;
    }
}

size_t aei_source_next(aei_source *source, ae_view *views, size_t max)
{
    const size_t count = source->next(source, views, max);
    source->seen += count;
    return count;
}

bool aei_stream_next(aei_stream *stream)
{
    stream->at = 0;
    do {
        const size_t count = aei_source_next(&stream->source, stream->views, AEI_BATCH);
        stream->count = 0;
        if (count == 0)
            return false;
        stream->count = aei_program_run(&stream->source.plan->program, stream->views, count,
                                        stream->selection);
    } while (stream->count == 0);
    return true;
}
