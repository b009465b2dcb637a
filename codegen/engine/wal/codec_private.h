/* codec_private.h — the two stacks, between the files of this module.
 */
#ifndef AE_WAL_CODEC_PRIVATE_H
#define AE_WAL_CODEC_PRIVATE_H

#include <string.h>

#include "wal/codec.h"

/* Words of a column mask: a table has at most 1,024 columns. */
#define AEI_MASK_WORDS 16u

/* Appends that count on past the end, as the generated encoders do. */
typedef struct aei_out {
    uint8_t *data;
    size_t capacity;
    size_t length;
} aei_out;

static inline void aei_put(aei_out *out, const void *data, size_t size)
{
    if (out->length <= out->capacity && size <= out->capacity - out->length && size > 0)
        memcpy(out->data + out->length, data, size);
    out->length += size;
}
static inline void aei_put_varint(aei_out *out, uint64_t value)
{
    uint8_t bytes[AE_VARINT_MAX];
    aei_put(out, bytes, ae_varint_put(bytes, value));
}

/* Which columns an operation carries.  Turns an update that carries all of them into an insert. */
enum ae_op_kind aei_op_mask(const aero_table *table, enum ae_op_kind kind, const ae_image *before,
                            const ae_image *after, uint64_t *mask);

/* The logical stack: everything after kind and length. */
void aei_logical_encode(const aero_table *table, const uint64_t *mask, const ae_image *image,
                        aei_out *out);
/* Read the table's name, and leave the rest in the operation. */
aero_status aei_logical_table(const struct aero_schema *schema, ae_op *op, aero_error *error);
aero_status aei_logical_apply(const struct aero_schema *schema, const ae_op *op, void *row,
                              aero_error *error);

aero_status aei_op_corrupt(aero_error *error, const char *what);

#endif
