/* sink.c — applying what files hold to the tables of a new segment (see sink.h).
 *
 * Rows of one table that follow one another are decoded into an array and written by one call, so
 * that the misses of many look-ups overlap.  A transaction takes some thousand operations: larger
 * ones only hold memory, smaller ones pay for the commit.
 */
#include "durable/sink.h"

#include <stdlib.h>
#include <string.h>

#include "table/table.h"
#include "txn/txn.h"

/* Images written by one call: some 100 KiB of them at most, so that they stay in the cache. */
#define SINK_ROWS 512u
#define SINK_OPERATIONS 4096u

static uint32_t widest(const struct aero_schema *schema)
{
    uint32_t size = 0;
    for (uint32_t table = 0; table < schema->table_count; table++)
        size = schema->tables[table].row_size > size ? schema->tables[table].row_size : size;
    return (size + 63) & ~63u;
}

aero_status ae_sink_open(ae_sink *sink, aero_session *session, enum ae_stack stack)
{
    memset(sink, 0, sizeof *sink);
    sink->session = session;
    sink->schema = session->db->schema;
    sink->stack = stack;
    sink->expected = UINT32_MAX;
    sink->stride = widest(sink->schema);
    sink->images = aligned_alloc(64, (size_t)SINK_ROWS * sink->stride);
    AE_ALWAYS(sink->stride > 0 && sink->stride % 64 == 0);
    if (sink->images == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for rows to recover");
    return AERO_OK;
}

/* The error of a call on the session, with the file in front. */
static aero_status sink_fail(const ae_sink *sink, aero_status status)
{
    aero_error error = sink->session->error;
    if (status == AERO_FULL)
        return ae_fail(&sink->session->error, AERO_FULL,
                       "the segment (%llu bytes at most) is too small for what %s holds: %.300s",
                       (unsigned long long)sink->session->db->segment.size, sink->file, error.text);
    if (status == AERO_EXISTS)
        return ae_fail(&sink->session->error, AERO_CORRUPT, "%s holds a row twice: %.300s",
                       sink->file, error.text);
    return status;
}

/* An operation cannot be read: say where it stands. */
static aero_status sink_damaged(const ae_sink *sink, aero_status status)
{
    if (status != AERO_CORRUPT)
        return status;
    const aero_error error = sink->session->error;
    return ae_fail(&sink->session->error, AERO_CORRUPT, "%s: %.300s", sink->file, error.text);
}

static aero_status sink_begin(ae_sink *sink)
{
    if (sink->session->txn.open)
        return AERO_OK;
    return ae_txn_begin(sink->session, AERO_ISOLATION_SNAPSHOT, true);
}

aero_status ae_sink_commit(ae_sink *sink)
{
    sink->pending = 0;
    return sink->session->txn.open ? ae_txn_commit(sink->session) : AERO_OK;
}

aero_status ae_sink_flush(ae_sink *sink)
{
    AE_ASSERT(sink->count <= SINK_ROWS && sink->images != NULL);
    uint64_t inserted = 0;
    uint64_t updated = 0;
    if (sink->count > 0) {
        aero_status status = sink_begin(sink);
        if (status == AERO_OK)
            status = ae_table_write(sink->session, sink->table, sink->images, sink->stride,
                                    sink->count, sink->fresh ? AE_WRITE_INSERT : AE_WRITE_REPLACE,
                                    &inserted, &updated);
        if (status != AERO_OK)
            return sink_fail(sink, status);
        sink->pending += sink->count;
        sink->rows += inserted;
        sink->count = 0;
    }
    return sink->pending >= SINK_OPERATIONS && !sink->whole ? ae_sink_commit(sink) : AERO_OK;
}

/* What ae_table_change needs to put an update's columns into the row that is there. */
typedef struct sink_change {
    const ae_sink *sink;
    const ae_op *op;
} sink_change;

static aero_status change_row(void *context, void *row, bool is_new)
{
    const sink_change *change = context;
    (void)is_new;
    return ae_op_apply(change->sink->schema, change->op, row, &change->sink->session->error);
}

/* An update, a delete or an expiry; the row must be there. */
static aero_status sink_change_one(ae_sink *sink, const ae_op *op)
{
    AE_ASSERT(op->kind != AE_OP_INSERT && !sink->fresh);
    const aero_table *table = &sink->schema->tables[op->table];
    aero_status status = ae_sink_flush(sink);
    if (status == AERO_OK)
        status = sink_begin(sink);
    if (status != AERO_OK)
        return status;
    AE_ASSERT(sink->count == 0);
    table->clear(sink->images);
    status = ae_op_apply(sink->schema, op, sink->images, &sink->session->error);
    if (status != AERO_OK)
        return sink_damaged(sink, status);
    bool found = false;
    int32_t outcome = 0;
    sink_change change = {sink, op};
    if (op->kind == AE_OP_DELETE || op->kind == AE_OP_EXPIRE) {
        status = ae_table_remove(sink->session, op->table, sink->images, op->kind == AE_OP_EXPIRE,
                                 &found);
    } else {
        status = ae_table_change(sink->session, op->table, sink->images, false, change_row, &change,
                                 NULL, &outcome);
        found = outcome == 1;
    }
    if (status == AERO_OK && !found)
        return ae_fail(&sink->session->error, AERO_CORRUPT,
                       "%s changes a row of %s that is not there", sink->file, table->name);
    sink->pending++;
    return status == AERO_OK ? AERO_OK : sink_fail(sink, status);
}

static aero_status sink_insert_one(ae_sink *sink, const ae_op *op)
{
    if (sink->count == SINK_ROWS || (sink->count > 0 && sink->table != op->table)) {
        const aero_status status = ae_sink_flush(sink);
        if (status != AERO_OK)
            return status;
    }
    AE_ASSERT(sink->count < SINK_ROWS && op->table < sink->schema->table_count);
    sink->table = op->table;
    char *image = sink->images + (size_t)sink->count * sink->stride;
    sink->schema->tables[op->table].clear(image);
    const aero_status status = ae_op_apply(sink->schema, op, image, &sink->session->error);
    if (status == AERO_OK)
        sink->count++;
    return sink_damaged(sink, status);
}

aero_status ae_sink_apply(ae_sink *sink, const uint8_t *data, size_t size)
{
    ae_ops ops = {.stack = sink->stack, .schema = sink->schema, .data = data, .left = size};
    ae_op op;
    for (;;) {
        aero_status status = ae_ops_next(&ops, &op, &sink->session->error);
        if (status != AERO_OK || op.data == NULL)
            return sink_damaged(sink, status);
        if (sink->filtered && op.table != sink->only)
            continue;
        if (sink->fresh && op.kind != AE_OP_INSERT)
            return ae_fail(&sink->session->error, AERO_CORRUPT, "%s holds what is no row",
                           sink->file);
        status = op.kind == AE_OP_INSERT ? sink_insert_one(sink, &op) : sink_change_one(sink, &op);
        if (status != AERO_OK)
            return status;
        sink->operations++;
    }
}

aero_status ae_sink_expect(ae_sink *sink, const uint8_t *data, size_t size, uint64_t rows)
{
    aero_session *session = sink->session;
    ae_ops ops = {.stack = sink->stack, .schema = sink->schema, .data = data, .left = size};
    ae_op op;
    aero_status status = ae_ops_next(&ops, &op, &session->error);
    if (status != AERO_OK || op.data == NULL || op.table == sink->expected)
        return sink_damaged(sink, status);
    AE_ASSERT(op.table < sink->schema->table_count);
    sink->expected = op.table;
    ae_hash *hash = &session->db->hashes[op.table];
    status = sink_begin(sink);
    if (status == AERO_OK)
        status = ae_hash_expect(hash, session->txn.slot, rows, &session->error);
    return status == AERO_OK ? AERO_OK : sink_fail(sink, status);
}

aero_status ae_sink_close(ae_sink *sink, bool keep)
{
    aero_status status = AERO_OK;
    if (keep)
        status = ae_sink_flush(sink);
    if (keep && status == AERO_OK)
        status = ae_sink_commit(sink);
    if (sink->session->txn.open)
        ae_txn_rollback(sink->session);
    AE_ALWAYS(!sink->session->txn.open);
    free(sink->images);
    sink->images = NULL;
    return status;
}
