/* logical.c — the logical stack: columns with their names and types (see codec.h).
 *
 *   u8 length, table name; varint columns; each: u8 length, name, u8 kind (bit 7: null), value
 *
 * The value of a whole number is a varint, zigzag when its kind is signed; reals are 8 bytes;
 * everything else is a varint length and bytes.
 *
 * A table is found by its name, and so are its columns.  A column may be gone, or new where it is
 * nullable or has a default; a number may have become wider.  Everything else is refused with the
 * name of what does not fit, whether or not this value would: what replays must not depend on the
 * data.
 */
#include <math.h>

#include "base/utf8.h"
#include "wal/codec_private.h"

#define KIND_NULL 0x80u
#define NAME_MAX_BYTES 255u

enum shape { SHAPE_SIGNED, SHAPE_UNSIGNED, SHAPE_REAL, SHAPE_DATA, SHAPE_NONE };

/* How a kind is written. */
static enum shape kind_shape(uint32_t kind)
{
    switch (kind) {
    case AERO_KIND_INT8:
    case AERO_KIND_INT16:
    case AERO_KIND_INT32:
    case AERO_KIND_INT64:
    case AERO_KIND_TIMESTAMP:
        return SHAPE_SIGNED;
    case AERO_KIND_BOOL:
    case AERO_KIND_UINT8:
    case AERO_KIND_UINT16:
    case AERO_KIND_UINT32:
    case AERO_KIND_UINT64:
    case AERO_KIND_CHAR:
    case AERO_KIND_INET:
        return SHAPE_UNSIGNED;
    case AERO_KIND_FLOAT32:
    case AERO_KIND_FLOAT64:
        return SHAPE_REAL;
    case AERO_KIND_FIXED:
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
    case AERO_KIND_IPV6:
    case AERO_KIND_MAC:
        return SHAPE_DATA;
    default:
        return SHAPE_NONE;
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

static void put_name(aei_out *out, const char *name)
{
    const size_t length = strlen(name);
    const uint8_t short_length = (uint8_t)length;
    AE_ALWAYS(length <= NAME_MAX_BYTES);
    aei_put(out, &short_length, 1);
    aei_put(out, name, length);
}

static void put_value(aei_out *out, uint32_t kind, const aero_value *value)
{
    AE_ASSERT(kind_shape(kind) != SHAPE_NONE && value->type != AERO_TYPE_NULL);
    const uint64_t bits = (uint64_t)value->u.integer;
    switch (kind_shape(kind)) {
    case SHAPE_SIGNED:
        aei_put_varint(out, bits << 1 ^ (value->u.integer < 0 ? ~(uint64_t)0 : 0));
        break;
    case SHAPE_UNSIGNED:
        aei_put_varint(out, bits);
        break;
    case SHAPE_REAL:
        aei_put(out, &value->u.real, sizeof value->u.real);
        break;
    default: /* SHAPE_DATA: columns have a kind */
        aei_put_varint(out, value->length);
        aei_put(out, value->u.data, value->length);
        break;
    }
}

void aei_logical_encode(const aero_table *table, const uint64_t *mask, const ae_image *image,
                        aei_out *out)
{
    AE_ALWAYS(table->column_count <= 64 * AEI_MASK_WORDS);
    uint64_t count = 0;
    for (uint32_t word = 0; word < (table->column_count + 63) / 64; word++)
        count += (uint64_t)__builtin_popcountll(mask[word]);
    AE_ASSERT(count > 0 && count <= table->column_count);
    put_name(out, table->name);
    aei_put_varint(out, count);
    for (uint32_t index = 0; index < table->column_count; index++) {
        if ((mask[index / 64] >> (index % 64) & 1) == 0)
            continue;
        const aero_column *column = &table->columns[index];
        aero_value value;
        column->get(image->row, image->base, &value);
        const bool null = value.type == AERO_TYPE_NULL;
        const uint8_t kind = (uint8_t)(column->kind | (null ? KIND_NULL : 0));
        put_name(out, column->name);
        aei_put(out, &kind, 1);
        if (!null)
            put_value(out, column->kind, &value);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct input {
    const uint8_t *data;
    size_t left;
} input;

static bool take(input *in, size_t size, const uint8_t **data)
{
    if (size > in->left)
        return false;
    *data = in->data;
    in->data += size;
    in->left -= size;
    return true;
}

static bool take_varint(input *in, uint64_t *value)
{
    const size_t size = ae_varint_get(in->data, in->left, value);
    in->data += size;
    in->left -= size;
    return size != 0;
}

static bool take_name(input *in, const char **name, size_t *length)
{
    const uint8_t *size = NULL;
    const uint8_t *bytes = NULL;
    if (!take(in, 1, &size) || *size == 0 || !take(in, *size, &bytes))
        return false;
    *name = (const char *)bytes;
    *length = *size;
    return true;
}

static bool name_is(const char *known, const char *name, size_t length)
{
    return strlen(known) == length && memcmp(known, name, length) == 0;
}

aero_status aei_logical_table(const struct aero_schema *schema, ae_op *op, aero_error *error)
{
    input in = {op->data, op->size};
    const char *name = NULL;
    size_t length = 0;
    if (!take_name(&in, &name, &length) || !ae_utf8_valid(name, length))
        return aei_op_corrupt(error, "it names no table");
    for (uint32_t index = 0; index < schema->table_count; index++) {
        if (!name_is(schema->tables[index].name, name, length))
            continue;
        op->table = index;
        op->data = in.data;
        op->size = in.left;
        return AERO_OK;
    }
    return ae_fail(error, AERO_SCHEMA, "the log has rows of table %.*s, which the schema lacks",
                   (int)length, name);
}

/* A value of a known kind; *value keeps pointing at the input. */
static bool take_value(input *in, uint32_t kind, aero_value *value)
{
    AE_ALWAYS(kind_shape(kind) != SHAPE_NONE);
    uint64_t bits = 0;
    const uint8_t *data = NULL;
    *value = (aero_value){.type = AERO_TYPE_NULL};
    switch (kind_shape(kind)) {
    case SHAPE_SIGNED:
        value->type = kind == AERO_KIND_TIMESTAMP ? AERO_TYPE_TIME : AERO_TYPE_INT;
        if (!take_varint(in, &bits))
            return false;
        value->u.natural = bits >> 1 ^ (0 - (bits & 1));
        return true;
    case SHAPE_UNSIGNED:
        value->type = AERO_TYPE_UINT;
        return take_varint(in, &value->u.natural);
    case SHAPE_REAL:
        value->type = AERO_TYPE_DOUBLE;
        if (!take(in, sizeof value->u.real, &data))
            return false;
        memcpy(&value->u.real, data, sizeof value->u.real);
        return isfinite(value->u.real) != 0;
    default: /* SHAPE_DATA: the kind is known */
        value->type = kind == AERO_KIND_TEXT || kind == AERO_KIND_FIXED ? AERO_TYPE_TEXT
                                                                        : AERO_TYPE_BYTES;
        if (!take_varint(in, &bits) || bits > UINT32_MAX || !take(in, (size_t)bits, &data))
            return false;
        value->length = (uint32_t)bits;
        value->u.data = (const char *)data;
        return true;
    }
}

/* Whole numbers by how many bits they take, 0 for other kinds. */
static uint32_t kind_bits(uint32_t kind)
{
    switch (kind) {
    case AERO_KIND_INT8:
    case AERO_KIND_UINT8:
        return 8;
    case AERO_KIND_INT16:
    case AERO_KIND_UINT16:
        return 16;
    case AERO_KIND_INT32:
    case AERO_KIND_UINT32:
        return 32;
    case AERO_KIND_INT64:
    case AERO_KIND_UINT64:
        return 64;
    default:
        return 0;
    }
}

/* May a column of kind `from` have become one of kind `to`? */
static bool kind_widens(uint32_t from, uint32_t to)
{
    if (from == to)
        return true;
    if (kind_bits(from) != 0 && kind_bits(to) != 0) {
        const bool was_signed = kind_shape(from) == SHAPE_SIGNED;
        const bool is_signed = kind_shape(to) == SHAPE_SIGNED;
        return kind_bits(to) > kind_bits(from) && (is_signed || !was_signed);
    }
    /* Every whole number of up to 32 bits is a double, and every float. */
    if (to == AERO_KIND_FLOAT64)
        return from == AERO_KIND_FLOAT32 || (kind_bits(from) != 0 && kind_bits(from) <= 32);
    return from == AERO_KIND_FIXED && to == AERO_KIND_TEXT;
}

/* Does a whole number lie in the range of its kind? */
static bool number_fits(uint32_t kind, const aero_value *value)
{
    AE_ASSERT(value->type != AERO_TYPE_NULL);
    const uint32_t bits = kind_bits(kind);
    if (kind == AERO_KIND_BOOL)
        return value->u.natural <= 1;
    if (kind == AERO_KIND_CHAR)
        return value->u.natural <= 0x10ffff &&
               (value->u.natural < 0xd800 || value->u.natural > 0xdfff);
    if (kind == AERO_KIND_INET)
        return value->u.natural <= UINT32_MAX;
    if (bits == 0 || bits == 64)
        return true;
    if (value->type == AERO_TYPE_UINT)
        return value->u.natural >> bits == 0;
    const int64_t half = (int64_t)1 << (bits - 1);
    return value->u.integer >= -half && value->u.integer < half;
}

/* Is a value one that the column's kind can have at all?  `kind` is the one it was written with. */
static bool value_sound(uint32_t kind, const aero_value *value)
{
    switch (kind_shape(kind)) {
    case SHAPE_SIGNED:
    case SHAPE_UNSIGNED:
        return number_fits(kind, value);
    case SHAPE_REAL:
        return kind == AERO_KIND_FLOAT64 || fabs(value->u.real) <= 3.4028234663852886e38;
    default: /* SHAPE_DATA */
        if (kind == AERO_KIND_IPV6)
            return value->length == 16;
        if (kind == AERO_KIND_MAC)
            return value->length == 6;
        return kind == AERO_KIND_BYTES || ae_utf8_valid(value->u.data, value->length);
    }
}

/* Make the raw value that `set` of the column takes. */
static void value_widen(uint32_t from, const aero_column *column, aero_value *value)
{
    AE_ASSERT(kind_widens(from, column->kind));
    const bool was_signed = kind_shape(from) == SHAPE_SIGNED;
    switch (kind_shape(column->kind)) {
    case SHAPE_REAL:
        if (kind_shape(from) != SHAPE_REAL)
            value->u.real = was_signed ? (double)value->u.integer : (double)value->u.natural;
        value->type = AERO_TYPE_DOUBLE;
        break;
    case SHAPE_SIGNED:
        value->type = column->kind == AERO_KIND_TIMESTAMP ? AERO_TYPE_TIME : AERO_TYPE_INT;
        break;
    case SHAPE_UNSIGNED:
        value->type = column->kind == AERO_KIND_BOOL ? AERO_TYPE_BOOL
                      : kind_bits(column->kind) != 0 ? AERO_TYPE_UINT
                                                     : AERO_TYPE_INT;
        break;
    default: /* bytes and texts stay as they are */
        break;
    }
}

static aero_status refuse(aero_error *error, const aero_table *table, const aero_column *column,
                          const char *why)
{
    ae_fail(error, AERO_SCHEMA, "the log does not fit the schema: %s.%s %s", table->name,
            column->name, why);
    ae_error_place(error, table->name, column->name);
    return AERO_SCHEMA;
}

static aero_status column_apply(const aero_table *table, const aero_column *column, uint32_t kind,
                                bool null, aero_value *value, void *row, aero_error *error)
{
    AE_ASSERT(null || value->type != AERO_TYPE_NULL);
    if (!kind_widens(kind, column->kind))
        return refuse(error, table, column, "had another type");
    if (null && column->null_index < 0)
        return refuse(error, table, column, "was null, and is not nullable now");
    if (!null) {
        const uint32_t most = column->max_length;
        if (most != 0 && value->length > most)
            return refuse(error, table, column, "was longer than it may be now");
        value_widen(kind, column, value);
    }
    column->set(row, value);
    return AERO_OK;
}

/* A column that an insert does not bring must have something to be. */
static aero_status missing_check(const aero_table *table, const uint64_t *seen,
                                 enum ae_op_kind kind, aero_error *error)
{
    AE_ASSERT(table->column_count <= 64 * AEI_MASK_WORDS);
    for (uint32_t index = 0; index < table->column_count; index++) {
        const aero_column *column = &table->columns[index];
        if ((seen[index / 64] >> (index % 64) & 1) != 0)
            continue;
        if (index == table->key_column)
            return refuse(error, table, column, "is the key, and is not in the log");
        if (kind == AE_OP_INSERT && column->null_index < 0 &&
            (column->flags & AERO_COLUMN_DEFAULT) == 0)
            return refuse(error, table, column,
                          "is not in the log, is not nullable and has no default");
    }
    return AERO_OK;
}

aero_status aei_logical_apply(const struct aero_schema *schema, const ae_op *op, void *row,
                              aero_error *error)
{
    AE_ALWAYS(op->table < schema->table_count && row != NULL);
    const aero_table *table = &schema->tables[op->table];
    input in = {op->data, op->size};
    uint64_t seen[AEI_MASK_WORDS] = {0};
    uint64_t count = 0;
    if (!take_varint(&in, &count))
        return aei_op_corrupt(error, "its columns are cut off");
    for (; count > 0; count--) {
        const char *name = NULL;
        size_t length = 0;
        const uint8_t *head = NULL;
        aero_value value = {.type = AERO_TYPE_NULL};
        if (!take_name(&in, &name, &length) || !take(&in, 1, &head))
            return aei_op_corrupt(error, "a column is cut off");
        const bool null = (*head & KIND_NULL) != 0;
        const uint32_t kind = *head & ~KIND_NULL;
        if (kind_shape(kind) == SHAPE_NONE)
            return aei_op_corrupt(error, "a column is of no known kind");
        if (!null && (!take_value(&in, kind, &value) || !value_sound(kind, &value)))
            return aei_op_corrupt(error, "a value is none of its kind");
        uint32_t index = 0;
        while (index < table->column_count && !name_is(table->columns[index].name, name, length))
            index++;
        if (index == table->column_count)
            continue; /* the column was dropped */
        if ((seen[index / 64] >> (index % 64) & 1) != 0)
            return aei_op_corrupt(error, "a column comes twice");
        seen[index / 64] |= (uint64_t)1 << (index % 64);
        const aero_status status = column_apply(table, &table->columns[index], kind, null, &value,
                                                row, error);
        if (status != AERO_OK)
            return status;
    }
    if (in.left != 0)
        return aei_op_corrupt(error, "bytes follow its last column");
    return missing_check(table, seen, op->kind, error);
}
