/* sink.h — rows and operations read from files, on their way into the tables of a new segment.
 *
 * The segment has no name yet, so nobody else is there: operations are applied in batches, one
 * transaction each, and order is all that counts.
 */
#ifndef AE_DURABLE_SINK_H
#define AE_DURABLE_SINK_H

#include "durable/durable_private.h"
#include "wal/codec.h"

typedef struct ae_sink {
    aero_session *session;
    const struct aero_schema *schema;
    enum ae_stack stack;
    const char *file; /* named in errors */
    bool fresh;       /* rows of a checkpoint: each key occurs once */
    bool filtered;    /* what is of other tables than `only` is left out */
    bool whole;       /* only ae_sink_commit ends a transaction */
    uint32_t only;
    uint32_t expected; /* table of the last ae_sink_expect */
    /* Inserted rows of one table that wait to be written together. */
    char *images;
    size_t stride;
    uint32_t table;
    uint32_t count;
    uint32_t pending; /* operations in the open transaction */
    uint64_t rows;    /* inserted in all */
    uint64_t operations;
} ae_sink;

aero_status ae_sink_open(ae_sink *sink, aero_session *session, enum ae_stack stack);
/* Apply a run of operations.  The bytes must live until the next call of ae_sink_flush. */
aero_status ae_sink_apply(ae_sink *sink, const uint8_t *data, size_t size);
/* A run of rows is about to be applied, and `rows` may come of its table.  Nobody else applies rows
 * of that table meanwhile. */
aero_status ae_sink_expect(ae_sink *sink, const uint8_t *data, size_t size, uint64_t rows);
/* Write what waits; the bytes are no longer needed. */
aero_status ae_sink_flush(ae_sink *sink);
/* Commit what has been flushed: it gets a number of its own. */
aero_status ae_sink_commit(ae_sink *sink);
/* Commit the rest (or roll it back, when `keep` is false) and let go. */
aero_status ae_sink_close(ae_sink *sink, bool keep);

#endif
