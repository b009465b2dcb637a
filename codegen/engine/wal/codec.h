/* codec.h — rows to bytes and back: the operations inside log frames and checkpoint blocks.
 *
 * Two stacks share everything but this.  The row stack refers to columns by number: short, and
 * bound to one schema.  The logical stack names tables, columns and types: it can be replayed into
 * a changed schema.
 *
 *   row stack      u8 kind | table << 2, varint length, delta (descriptor.h: encode_delta)
 *   logical stack  u8 kind, varint length, table name, u16 columns, columns (name, type, value)
 *
 * An insert carries every column, an update the key and the columns that differ (or every column
 * when that is no longer), a delete or an expiry the key.
 *
 * Concurrency: pure functions over private images, or images that a caller keeps in place.
 */
#ifndef AE_WAL_CODEC_H
#define AE_WAL_CODEC_H

#include "aerostore/descriptor.h"
#include "base/error.h"

/* Numbers are part of the format. */
enum ae_stack { AE_STACK_ROW = 1, AE_STACK_LOGICAL = 2 };
enum ae_op_kind {
    AE_OP_INSERT = 0, /* the whole row: replaces what is there */
    AE_OP_UPDATE = 1, /* some columns of a row that exists */
    AE_OP_DELETE = 2, /* the row with this key */
    AE_OP_EXPIRE = 3  /* the same, because its time to live was over */
};

/* A row where it lies. */
typedef struct ae_image {
    const void *row;
    const char *base;
} ae_image;

/* Encode one write.  `before` is used by updates (what differs), and `after` by inserts and
 * updates; a delete and an expiry take their key from `before`.  Returns the bytes it takes, which
 * may exceed `capacity`: then nothing of use was written. */
size_t ae_codec_encode(enum ae_stack stack, const aero_table *table, uint32_t table_number,
                       enum ae_op_kind kind, const ae_image *before, const ae_image *after,
                       uint8_t *out, size_t capacity);

/* One operation as it lies in a payload. */
typedef struct ae_op {
    enum ae_op_kind kind;
    uint32_t table;      /* in the current schema */
    const uint8_t *data; /* the columns */
    size_t size;
    enum ae_stack stack;
} ae_op;

/* A cursor over operations.  Nothing of the bytes is trusted. */
typedef struct ae_ops {
    enum ae_stack stack;
    const struct aero_schema *schema;
    const uint8_t *data;
    size_t left;
} ae_ops;

/* The next operation.  Returns OK with op->data NULL at the end.  CORRUPT when the bytes are no
 * operation, SCHEMA (with the name) when they name a table that the schema does not have. */
aero_status ae_ops_next(ae_ops *ops, ae_op *op, aero_error *error);

/* Put an operation's columns into a private image: the caller prepares it (clear() for an insert or
 * to read a key, a copy of the row for an update).  Texts keep pointing at the operation's bytes.
 * Row stack: CORRUPT when they do not fit the table.  Logical stack: columns that the table no
 * longer has are left out, numbers may be widened, anything else is SCHEMA with table and column
 * named. */
aero_status ae_op_apply(const struct aero_schema *schema, const ae_op *op, void *row,
                        aero_error *error);

/* ---- numbers of variable length ------------------------------------------------------------- */

#define AE_VARINT_MAX 10u
static inline size_t ae_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 128; value >>= 7)
        size++;
    return size;
}
static inline size_t ae_varint_put(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    for (; value >= 128; value >>= 7)
        out[size++] = (uint8_t)(value | 128);
    out[size++] = (uint8_t)value;
    return size;
}
/* Bytes read, or 0 when there is none within `left`, or it is longer than it need be. */
size_t ae_varint_get(const uint8_t *data, size_t left, uint64_t *value);

#endif
