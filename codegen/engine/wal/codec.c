/* codec.c — operations of both stacks, and the columns of the row stack (see codec.h). */
#include "wal/codec_private.h"

/* Kind in the low two bits, in the row stack the table above. */
#define KIND_BITS 2u
#define KIND_MASK 3u

aero_status aei_op_corrupt(aero_error *error, const char *what)
{
    return ae_fail(error, AERO_CORRUPT, "a logged operation is damaged: %s", what);
}

size_t ae_varint_get(const uint8_t *data, size_t left, uint64_t *value)
{
    uint64_t total = 0;
    for (size_t index = 0; index < left && index < AE_VARINT_MAX; index++) {
        const uint64_t bits = data[index] & 127u;
        /* The tenth byte has one bit to give; a last byte of nothing could have been left out. */
        if (index == AE_VARINT_MAX - 1 && bits > 1)
            return 0;
        total |= bits << (7 * index);
        if ((data[index] & 128u) != 0)
            continue;
        if (bits == 0 && index > 0)
            return 0;
        *value = total;
        return index + 1;
    }
    return 0;
}

static void mask_set(uint64_t *mask, uint32_t column)
{
    AE_ASSERT(column < 64 * AEI_MASK_WORDS);
    mask[column / 64] |= (uint64_t)1 << (column % 64);
}

static void mask_fill(const aero_table *table, uint64_t *mask)
{
    for (uint32_t word = 0; word < table->column_count / 64; word++)
        mask[word] = ~(uint64_t)0;
    if (table->column_count % 64 != 0)
        mask[table->column_count / 64] = ((uint64_t)1 << (table->column_count % 64)) - 1;
}

enum ae_op_kind aei_op_mask(const aero_table *table, enum ae_op_kind kind, const ae_image *before,
                            const ae_image *after, uint64_t *mask)
{
    AE_ASSERT(kind <= AE_OP_EXPIRE && table->key_column < table->column_count);
    const uint32_t words = (table->column_count + 63) / 64;
    AE_ALWAYS(words <= AEI_MASK_WORDS);
    mask[0] = 0; /* most tables need but one: no loop for that */
    for (uint32_t word = 1; word < words; word++)
        mask[word] = 0;
    if (kind == AE_OP_UPDATE) {
        const uint32_t differ = table->dirty(before->row, before->base, after->row, after->base,
                                             mask);
        const uint32_t key = table->key_column;
        const bool key_differs = (mask[key / 64] >> (key % 64) & 1) != 0;
        if (differ + !key_differs >= table->column_count)
            kind = AE_OP_INSERT;
    }
    AE_ASSERT(kind != AE_OP_INSERT || after != NULL);
    if (kind == AE_OP_INSERT)
        mask_fill(table, mask);
    mask_set(mask, table->key_column);
    return kind;
}

size_t ae_codec_encode(enum ae_stack stack, const aero_table *table, uint32_t table_number,
                       enum ae_op_kind kind, const ae_image *before, const ae_image *after,
                       uint8_t *out, size_t capacity)
{
    AE_ASSERT(stack == AE_STACK_ROW || stack == AE_STACK_LOGICAL);
    uint64_t mask[AEI_MASK_WORDS];
    const enum ae_op_kind what = aei_op_mask(table, kind, before, after, mask);
    const ae_image *image = what == AE_OP_DELETE || what == AE_OP_EXPIRE ? before : after;
    AE_ASSERT(image != NULL && image->row != NULL);
    const bool row = stack == AE_STACK_ROW;
    const uint32_t head = row ? (uint32_t)what | table_number << KIND_BITS : (uint32_t)what;
    /* The length comes before what it counts.  Most operations are shorter than 128 bytes: leave
     * one byte for it, and move the others. */
    const size_t room = capacity > 2 ? capacity - 2 : 0;
    uint8_t *body = capacity > 2 ? out + 2 : out;
    size_t length = 0;
    if (row) {
        length = table->encode_delta(image->row, image->base, mask, body, room);
    } else {
        aei_out columns = {.data = body, .capacity = room, .length = 0};
        aei_logical_encode(table, mask, image, &columns);
        length = columns.length;
    }
    const size_t prefix = ae_varint_size(length);
    const size_t total = 1 + prefix + length;
    if (total > capacity)
        return total;
    AE_ASSERT(head < 256);
    if (prefix > 1)
        memmove(out + 1 + prefix, body, length);
    out[0] = (uint8_t)head;
    (void)ae_varint_put(out + 1, length);
    return total;
}

/* ---- reading -------------------------------------------------------------------------------- */

aero_status ae_ops_next(ae_ops *ops, ae_op *op, aero_error *error)
{
    AE_ASSERT(ops->stack == AE_STACK_ROW || ops->stack == AE_STACK_LOGICAL);
    uint64_t length = 0;
    *op = (ae_op){.stack = ops->stack};
    if (ops->left == 0)
        return AERO_OK;
    const uint32_t head = ops->data[0];
    const size_t prefix = ae_varint_get(ops->data + 1, ops->left - 1, &length);
    if (prefix == 0)
        return aei_op_corrupt(error, "its length is cut off");
    const uint8_t *body = ops->data + 1 + prefix;
    const size_t left = ops->left - 1 - prefix;
    if (length > left)
        return aei_op_corrupt(error, "it is longer than what holds it");
    op->kind = (enum ae_op_kind)(head & KIND_MASK);
    op->table = head >> KIND_BITS;
    op->data = body;
    op->size = (size_t)length;
    ops->data = body + length;
    ops->left = left - (size_t)length;
    if (ops->stack == AE_STACK_ROW) {
        if (op->table >= ops->schema->table_count)
            return aei_op_corrupt(error, "it names a table that is not there");
        return AERO_OK;
    }
    if (op->table != 0)
        return aei_op_corrupt(error, "it is of no known kind");
    return aei_logical_table(ops->schema, op, error);
}

/* Does the delta carry the key, without which the row could not be found?  Columns come in rising
 * order; those before the key are stepped over.  apply_delta checks everything else. */
static bool delta_has_key(const aero_table *table, const ae_op *op)
{
    const uint8_t *at = op->data;
    size_t left = op->size;
    for (;;) {
        uint16_t head = 0;
        uint32_t length = 0;
        if (left < sizeof head)
            return false;
        memcpy(&head, at, sizeof head);
        const uint32_t column = head & 0x7fffu;
        if (column >= table->key_column)
            return head == table->key_column; /* and not null */
        const uint32_t kind = table->columns[column].kind;
        at += sizeof head;
        left -= sizeof head;
        if ((head & 0x8000u) != 0)
            continue;
        size_t size = table->columns[column].size;
        if (kind == AERO_KIND_TEXT || kind == AERO_KIND_BYTES) {
            if (left < sizeof length)
                return false;
            memcpy(&length, at, sizeof length);
            size = sizeof length + (size_t)length;
        }
        if (size > left)
            return false;
        at += size;
        left -= size;
    }
}

aero_status ae_op_apply(const struct aero_schema *schema, const ae_op *op, void *row,
                        aero_error *error)
{
    AE_ALWAYS(op->data != NULL && op->table < schema->table_count);
    const aero_table *table = &schema->tables[op->table];
    if (op->stack == AE_STACK_LOGICAL)
        return aei_logical_apply(schema, op, row, error);
    if (!delta_has_key(table, op) || table->apply_delta(row, op->data, op->size) != AERO_OK) {
        aei_op_corrupt(error, "its columns do not fit the table");
        ae_error_place(error, table->name, NULL);
        return AERO_CORRUPT;
    }
    return AERO_OK;
}
