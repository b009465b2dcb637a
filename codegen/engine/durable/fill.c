/* fill.c — the two parts of a recovery that several threads do: rows of a checkpoint, and indexes.
 *
 * Blocks are read and judged one after the other, each by the thread that will apply it: rows of a
 * checkpoint have different keys, so it does not matter who is first.  Indexes are made when all
 * rows are in, each by one thread from sorted keys: several times as fast as row by row.
 */
#include <stdlib.h>

#include "durable/crew.h"
#include "durable/sink.h"
#include "table/index_build.h"

/* ---- rows ----------------------------------------------------------------------------------- */

/* What the threads that load share. */
typedef struct load {
    ae_checkpoint_file *file;
    const ae_recovery_goal *goal;
    const aero_session *opener; /* of the thread that may tell how far it is */
    bool done;                  /* no more blocks.  With the crew's lock */
    uint64_t rows;              /* with the lock */
} load;

/* One block, read in the file's order, for a thread that applies it while others read on. */
typedef struct loaded {
    uint8_t *buffer;
    size_t capacity;
    const uint8_t *payload;
    size_t size;
    uint64_t offset; /* behind it */
    uint32_t rows;
} loaded;

/* How many rows like those of the last block the rest of the file has room for, and that block. */
static uint64_t rows_expected(const ae_checkpoint_file *file)
{
    AE_ALWAYS(file->block_size > 0 && file->offset <= file->size);
    return ((file->size - file->offset) / file->block_size + 1) * file->block_rows;
}

static aero_status block_take(ae_crew *crew, ae_sink *sink, loaded *block)
{
    load *at = crew->context;
    aero_session *session = sink->session;
    ae_checkpoint_file *file = at->file;
    aero_status status = AERO_OK;
    block->payload = NULL;
    ae_crew_lock(crew);
    if (!at->done && !ae_crew_stopped(crew)) {
        uint8_t *const buffer = file->buffer;
        const size_t capacity = file->capacity;
        file->buffer = block->buffer;
        file->capacity = block->capacity;
        status = aei_checkpoint_next(file, &session->error);
        *block = (loaded){.buffer = file->buffer,
                          .capacity = file->capacity,
                          .payload = status == AERO_OK ? file->payload : NULL,
                          .size = file->payload_size,
                          .offset = file->offset,
                          .rows = file->block_rows};
        file->buffer = buffer;
        file->capacity = capacity;
        at->done = block->payload == NULL;
        /* With the lock: before anybody has another block of the table. */
        if (status == AERO_OK && !at->done)
            status = ae_sink_expect(sink, block->payload, block->size, rows_expected(file));
    }
    ae_crew_unlock(crew);
    return status;
}

static aero_status block_apply(ae_sink *sink, const loaded *block)
{
    AE_ASSERT(block->payload != NULL);
    const uint64_t before = sink->operations;
    AE_ASSERT(sink->fresh && sink->count == 0);
    aero_status status = ae_sink_apply(sink, block->payload, block->size);
    if (status == AERO_OK)
        status = ae_sink_flush(sink);
    if (status == AERO_OK && sink->operations - before != block->rows)
        status = ae_fail(&sink->session->error, AERO_CORRUPT,
                         "checkpoint %.500s: a block before offset %llu holds %llu rows, "
                         "expected %u",
                         sink->file, (unsigned long long)block->offset,
                         (unsigned long long)(sink->operations - before), block->rows);
    return status;
}

static aero_status load_work(ae_crew *crew, aero_session *session)
{
    load *at = crew->context;
    loaded block = {.payload = NULL};
    ae_sink sink;
    aero_status status = ae_sink_open(&sink, session, aei_durable_stack(crew->db->profile_kind));
    sink.file = at->file->path;
    sink.fresh = true;
    while (status == AERO_OK) {
        status = block_take(crew, &sink, &block);
        if (status != AERO_OK || block.payload == NULL)
            break;
        status = block_apply(&sink, &block);
        if (status == AERO_OK && session == at->opener)
            status = aei_recovery_tell(at->goal->teller, AERO_RECOVERY_CHECKPOINT, block.offset,
                                       false, &session->error);
    }
    /* Repair keeps what was good before the damage. */
    const bool keep = status == AERO_OK || (status == AERO_CORRUPT && at->goal->lenient);
    const aero_error error = session->error;
    const aero_status closed = ae_sink_close(&sink, keep);
    AE_ALWAYS(!session->txn.open);
    ae_crew_lock(crew);
    at->rows += sink.rows;
    ae_crew_unlock(crew);
    free(block.buffer);
    if (status == AERO_OK)
        return closed;
    session->error = error;
    return status;
}

aero_status aei_rows_load(aero_session *session, ae_checkpoint_file *file,
                          const ae_recovery_goal *goal, uint64_t *rows)
{
    load at = {.file = file, .goal = goal, .opener = session};
    ae_crew crew = {.db = session->db, .context = &at, .work = load_work};
    const aero_status status = ae_crew_run(&crew, session, file->size / AE_BLOCK_TARGET + 1);
    *rows = at.rows;
    return status;
}

/* ---- the indexes ---------------------------------------------------------------------------- */

/* The next index that nobody has filled; false: there is none. */
static bool index_take(ae_crew *crew, uint32_t *table, uint32_t *number)
{
    const aero_db *db = crew->db;
    while (!ae_crew_stopped(crew)) {
        const uint32_t job = ae_add32(&crew->next, 1);
        *table = job / AE_INDEXES_MAX;
        *number = job % AE_INDEXES_MAX;
        if (*table >= db->schema->table_count)
            return false;
        AE_ASSERT(*number < AE_INDEXES_MAX);
        if (ae_index_deferred(db, *table, *number))
            return true;
    }
    return false;
}

static aero_status index_work(ae_crew *crew, aero_session *session)
{
    uint32_t table = 0;
    uint32_t number = 0;
    ae_index_memory memory = {.count = 0};
    aero_status status = AERO_OK;
    while (status == AERO_OK && index_take(crew, &table, &number))
        status = ae_index_fill(session, table, number, &memory);
    ae_index_memory_free(&memory);
    return status;
}

aero_status aei_indexes_fill(aero_session *session)
{
    const aero_db *db = session->db;
    ae_crew crew = {.db = session->db, .work = index_work};
    uint64_t indexes = 0;
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        indexes += db->schema->tables[table].index_count;
    const aero_status status = ae_crew_run(&crew, session, indexes);
    const aero_error found = session->error;
    if (status != AERO_EXISTS)
        return status;
    return ae_fail(&session->error,
                   db->profile_kind == AE_PROFILE_LOGICAL ? AERO_MISMATCH : AERO_CORRUPT,
                   "what %.400s holds does not fit a unique index: %.300s; nothing was changed",
                   db->data_dir, found.text);
}
