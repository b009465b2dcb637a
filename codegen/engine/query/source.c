/* source.c — the sources of candidates, and the stream of those that pass the filters. */
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

void aei_source_open(aei_source *source, const aei_plan *plan, ae_reader *reader, uint32_t table)
{
    memset(source, 0, sizeof *source);
    source->plan = plan;
    source->reader = reader;
    source->table = table;
    switch (plan->source) {
    case AEI_SOURCE_KEYS:
        source->next = next_keyed;
        break;
    case AEI_SOURCE_SCAN:
        source->next = next_scanned;
        ae_scan_start(&source->scan, reader, table);
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
