/* The codecs of both stacks over columns of every kind, and over tables with many columns.
 *
 * Method: tables made by hand, whose rows are arrays of values and whose columns change their kind
 * from test to test; operations are written byte by byte where no encoder would write them.
 *
 * variants: plain asan
 */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "wal/codec.h"

enum { COLUMNS = 130, BYTES = 4096 };
typedef struct row {
    aero_value values[COLUMNS];
    bool set[COLUMNS];
} row;

/* A column's functions are not told which column they are for: a set of them for each of the first
 * few, and the others share those of column 3. */
#define ACCESS(n) \
    static void get_##n(const void *image, const char *base, aero_value *value) \
    { \
        (void)base; \
        *value = ((const row *)image)->values[n]; \
    } \
    static void set_##n(void *image, const aero_value *value) \
    { \
        ((row *)image)->values[n] = *value; \
        ((row *)image)->set[n] = true; \
    }
ACCESS(0)
ACCESS(1)
ACCESS(2)
ACCESS(3)

static aero_column columns[COLUMNS];
static aero_table table;
static struct aero_schema schema;

static void row_clear(void *image)
{
    memset(image, 0, sizeof(row));
}

static uint32_t row_dirty(const void *before, const char *old_base, const void *after,
                          const char *new_base, uint64_t *mask)
{
    uint32_t count = 0;
    (void)old_base;
    (void)new_base;
    for (uint32_t column = 0; column < table.column_count; column++) {
        const bool differs = ((const row *)before)->values[column].u.integer !=
                             ((const row *)after)->values[column].u.integer;
        mask[column / 64] |= (uint64_t)differs << (column % 64);
        count += differs;
    }
    return count;
}

/* Writes the mask itself: what the codec asked for. */
static size_t row_delta(const void *image, const char *base, const uint64_t *mask, uint8_t *out,
                        size_t capacity)
{
    const size_t size = (table.column_count + 63) / 64 * sizeof *mask;
    (void)image;
    (void)base;
    if (size <= capacity)
        memcpy(out, mask, size);
    return size;
}

static aero_status row_apply(void *image, const uint8_t *data, size_t length)
{
    (void)image;
    (void)data;
    return length % 2 == 0 ? AERO_OK : AERO_CORRUPT;
}

static void tables_make(uint32_t count)
{
    static char names[COLUMNS][8];
    memset(columns, 0, sizeof columns);
    for (uint32_t column = 0; column < COLUMNS; column++) {
        snprintf(names[column], sizeof names[column], "c%u", column);
        columns[column] = (aero_column){.name = names[column],
                                        .kind = AERO_KIND_INT32,
                                        .size = 4,
                                        .null_index = -1,
                                        .get = column == 0   ? get_0
                                               : column == 1 ? get_1
                                               : column == 2 ? get_2
                                                             : get_3,
                                        .set = column == 0   ? set_0
                                               : column == 1 ? set_1
                                               : column == 2 ? set_2
                                                             : set_3};
    }
    table = (aero_table){.name = "T",
                         .columns = columns,
                         .column_count = count,
                         .row_size = sizeof(row),
                         .clear = row_clear,
                         .dirty = row_dirty,
                         .encode_delta = row_delta,
                         .apply_delta = row_apply};
    schema = (struct aero_schema){.table_count = 1, .tables = &table};
}

/* ---- the row stack -------------------------------------------------------------------------- */

/* Goal: the columns that an operation carries, for tables of one word of columns, a whole one, and
 * several. */
static void test_masks_of_tables_of_any_width(void **state)
{
    static row before;
    static row after;
    static const uint32_t counts[] = {2, 63, 64, 65, 128, 130};
    uint8_t bytes[BYTES];
    (void)state;
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        uint64_t mask[3] = {0, 0, 0};
        const uint32_t count = counts[index];
        const size_t words = (count + 63) / 64;
        tables_make(count);
        memset(&before, 0, sizeof before);
        memset(&after, 0, sizeof after);
        const ae_image old_image = {&before, NULL};
        const ae_image new_image = {&after, NULL};
        size_t size = ae_codec_encode(AE_STACK_ROW, &table, 0, AE_OP_INSERT, NULL, &new_image,
                                      bytes, sizeof bytes);
        assert_int_equal(bytes[0], AE_OP_INSERT);
        memcpy(mask, bytes + size - words * 8, words * 8);
        uint32_t bits = 0;
        for (uint32_t word = 0; word < 3; word++)
            bits += (uint32_t)__builtin_popcountll(mask[word]);
        assert_int_equal(bits, count);
        /* One column besides the key, which did not change but comes along. */
        after.values[count - 1].u.integer = 1;
        size = ae_codec_encode(AE_STACK_ROW, &table, 0, AE_OP_UPDATE, &old_image, &new_image, bytes,
                               sizeof bytes);
        memset(mask, 0, sizeof mask);
        memcpy(mask, bytes + size - words * 8, words * 8);
        assert_int_equal(bytes[0], count == 2 ? AE_OP_INSERT : AE_OP_UPDATE);
        assert_true((mask[0] & 1) != 0 && (mask[(count - 1) / 64] >> ((count - 1) % 64) & 1) != 0);
    }
}

static aero_status delta_apply(const uint8_t *data, size_t size)
{
    row image;
    aero_error error;
    const ae_op op = {.stack = AE_STACK_ROW, .kind = AE_OP_UPDATE, .data = data, .size = size};
    row_clear(&image);
    /* In memory of its own, so that the sanitizer sees a byte too many. */
    uint8_t *exact = malloc(size + (size == 0));
    memcpy(exact, data, size);
    const ae_op moved = {op.kind, op.table, exact, op.size, op.stack};
    const aero_status status = ae_op_apply(&schema, &moved, &image, &error);
    free(exact);
    return status;
}

/* Goal: an operation without its key is refused, and looking for the key reads nothing outside.
 * Method: the key is column 3; before it a number, a text and bytes; every cut of a good delta. */
static void test_a_delta_is_searched_for_its_key(void **state)
{
    static const uint8_t good[] = {0,   0, 9, 9, 9, 9, 1, 0,   3,   0, 0, 0, 'a', 'b',
                                   'c', 2, 0, 2, 0, 0, 0, 'd', 'e', 3, 0, 7, 7,   7};
    static const uint8_t nulls[] = {0, 0x80, 1, 0x80, 2, 0x80, 3, 0};
    static const uint8_t null_key[] = {3, 0x80};
    static const uint8_t beyond[] = {4, 0};
    (void)state;
    tables_make(5);
    table.key_column = 3;
    columns[1].kind = AERO_KIND_TEXT;
    columns[2].kind = AERO_KIND_BYTES;
    for (size_t cut = 0; cut <= sizeof good; cut++) {
        const bool has_key = cut >= 25;
        assert_int_equal(delta_apply(good, cut), has_key && cut % 2 == 0 ? AERO_OK : AERO_CORRUPT);
    }
    assert_int_equal(delta_apply(nulls, sizeof nulls), AERO_OK);
    assert_int_equal(delta_apply(null_key, sizeof null_key), AERO_CORRUPT);
    assert_int_equal(delta_apply(beyond, sizeof beyond), AERO_CORRUPT);
    const uint8_t long_text[] = {1, 0, 0xff, 0xff, 0xff, 0xff, 'a', 3, 0};
    assert_int_equal(delta_apply(long_text, sizeof long_text), AERO_CORRUPT);
}

/* ---- the logical stack ---------------------------------------------------------------------- */

typedef struct bytes {
    uint8_t data[BYTES];
    size_t size;
} bytes;

static void put_byte(bytes *out, uint8_t value)
{
    out->data[out->size++] = value;
}

static void put_number(bytes *out, uint64_t value)
{
    out->size += ae_varint_put(out->data + out->size, value);
}

static void put_name(bytes *out, const char *name)
{
    put_byte(out, (uint8_t)strlen(name));
    memcpy(out->data + out->size, name, strlen(name));
    out->size += strlen(name);
}

static void put_bytes(bytes *out, const void *data, size_t size)
{
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

/* The columns of an operation with the key 1 and, if there is a kind, a column c1 of it. */
static bytes columns_with_key(uint32_t kind)
{
    bytes out = {.size = 0};
    put_number(&out, kind == 0 ? 1 : 2);
    put_name(&out, "c0");
    put_byte(&out, AERO_KIND_INT32);
    put_number(&out, 2);
    if (kind != 0) {
        put_name(&out, "c1");
        put_byte(&out, (uint8_t)kind);
    }
    return out;
}

static aero_status logical_apply(const bytes *of, row *image)
{
    aero_error error;
    row_clear(image);
    uint8_t *exact = malloc(of->size + (of->size == 0));
    memcpy(exact, of->data, of->size);
    const ae_op op = {AE_OP_UPDATE, 0, exact, of->size, AE_STACK_LOGICAL};
    const aero_status status = ae_op_apply(&schema, &op, image, &error);
    free(exact);
    return status;
}

static bool is_signed(uint32_t kind)
{
    return kind >= AERO_KIND_INT8 && kind <= AERO_KIND_INT64;
}

static uint32_t bits_of(uint32_t kind)
{
    static const uint32_t bits[] = {8, 16, 32, 64};
    if (is_signed(kind))
        return bits[kind - AERO_KIND_INT8];
    return kind >= AERO_KIND_UINT8 && kind <= AERO_KIND_UINT64 ? bits[kind - AERO_KIND_UINT8] : 0;
}

/* What FORMAT.md allows, written down once more. */
static bool may_become(uint32_t from, uint32_t to)
{
    if (from == to)
        return true;
    if (bits_of(from) != 0 && bits_of(to) != 0)
        return bits_of(to) > bits_of(from) && (is_signed(to) || !is_signed(from));
    if (to == AERO_KIND_FLOAT64)
        return from == AERO_KIND_FLOAT32 || (bits_of(from) != 0 && bits_of(from) <= 32);
    return from == AERO_KIND_FIXED && to == AERO_KIND_TEXT;
}

static void put_value(bytes *out, uint32_t kind)
{
    const double real = 3;
    if (kind == AERO_KIND_FLOAT32 || kind == AERO_KIND_FLOAT64) {
        put_bytes(out, &real, sizeof real);
    } else if (kind == AERO_KIND_IPV6 || kind == AERO_KIND_MAC) {
        put_number(out, kind == AERO_KIND_IPV6 ? 16 : 6);
        put_bytes(out, "sixteen bytes...", kind == AERO_KIND_IPV6 ? 16 : 6);
    } else if (kind == AERO_KIND_TEXT || kind == AERO_KIND_BYTES || kind == AERO_KIND_FIXED) {
        put_number(out, 3);
        put_bytes(out, "abc", 3);
    } else {
        const bool zigzag = is_signed(kind) || kind == AERO_KIND_TIMESTAMP;
        put_number(out, kind == AERO_KIND_BOOL ? 1 : zigzag ? 6 : 3);
    }
}

/* Goal: each kind may become the kinds that FORMAT.md says, and keeps its value; no other. */
static void test_every_kind_into_every_kind(void **state)
{
    row image;
    (void)state;
    tables_make(2);
    for (uint32_t from = AERO_KIND_BOOL; from <= AERO_KIND_MAC; from++)
        for (uint32_t to = AERO_KIND_BOOL; to <= AERO_KIND_MAC; to++) {
            bytes of = columns_with_key(from);
            put_value(&of, from);
            columns[1].kind = (uint8_t)to;
            const aero_status status = logical_apply(&of, &image);
            if (status != (may_become(from, to) ? AERO_OK : AERO_SCHEMA))
                fail_msg("%u to %u: %d", from, to, status);
            if (status != AERO_OK)
                continue;
            const aero_value *value = &image.values[1];
            if (value->type == AERO_TYPE_DOUBLE)
                assert_true(value->u.real == 3);
            else if (value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES)
                assert_true(value->length == 3 || value->length == 6 || value->length == 16);
            else
                assert_int_equal(value->u.integer, to == AERO_KIND_BOOL ? 1 : 3);
            for (size_t cut = 0; cut < of.size; cut++) {
                const bytes part = {.size = cut};
                bytes less = part;
                memcpy(less.data, of.data, cut);
                assert_int_equal(logical_apply(&less, &image), AERO_CORRUPT);
            }
        }
}

/* Goal: what is written is read back, for every kind, null or not. */
static void test_every_kind_reads_back(void **state)
{
    static const char text[] = "sixteen bytes...";
    row written;
    row image;
    (void)state;
    tables_make(2);
    for (uint32_t kind = AERO_KIND_BOOL; kind <= AERO_KIND_MAC; kind++)
        for (int null = 0; null < 2; null++) {
            uint8_t out[BYTES];
            aero_error error;
            ae_op op;
            const bool real = kind == AERO_KIND_FLOAT32 || kind == AERO_KIND_FLOAT64;
            const bool data = (kind >= AERO_KIND_FIXED && kind <= AERO_KIND_BYTES) ||
                              kind >= AERO_KIND_IPV6;
            row_clear(&written);
            columns[1].kind = (uint8_t)kind;
            columns[1].null_index = null != 0 ? 0 : -1;
            written.values[0] = (aero_value){.type = AERO_TYPE_INT, .u.integer = -7};
            written.values[1] = (aero_value){.type = real ? AERO_TYPE_DOUBLE : AERO_TYPE_INT,
                                             .u.integer = 1};
            if (real)
                written.values[1].u.real = -2.5;
            if (data)
                written.values[1] = (aero_value){.type = AERO_TYPE_BYTES,
                                                 .length = kind == AERO_KIND_MAC ? 6 : 16,
                                                 .u.data = text};
            if (null != 0)
                written.values[1] = (aero_value){.type = AERO_TYPE_NULL};
            const ae_image of = {&written, NULL};
            const size_t size = ae_codec_encode(AE_STACK_LOGICAL, &table, 0, AE_OP_INSERT, NULL,
                                                &of, out, sizeof out);
            ae_ops ops = {AE_STACK_LOGICAL, &schema, out, size};
            assert_int_equal(ae_ops_next(&ops, &op, &error), AERO_OK);
            row_clear(&image);
            assert_int_equal(ae_op_apply(&schema, &op, &image, &error), AERO_OK);
            assert_int_equal(image.values[0].u.integer, -7);
            if (null != 0)
                assert_int_equal(image.values[1].type, AERO_TYPE_NULL);
            else if (data)
                assert_memory_equal(image.values[1].u.data, text, image.values[1].length);
            else
                assert_int_equal(image.values[1].u.integer, written.values[1].u.integer);
        }
}

static aero_status number_apply(uint32_t kind, uint64_t value)
{
    row image;
    bytes of = columns_with_key(kind);
    const bool zigzag = is_signed(kind) || kind == AERO_KIND_TIMESTAMP;
    put_number(&of, zigzag ? value << 1 ^ (0 - (value >> 63)) : value);
    columns[1].kind = (uint8_t)kind;
    return logical_apply(&of, &image);
}

static aero_status real_apply(uint32_t kind, double value)
{
    row image;
    bytes of = columns_with_key(kind);
    put_bytes(&of, &value, sizeof value);
    columns[1].kind = (uint8_t)kind;
    return logical_apply(&of, &image);
}

static aero_status data_apply(uint32_t kind, const void *data, size_t size)
{
    row image;
    bytes of = columns_with_key(kind);
    put_number(&of, size);
    put_bytes(&of, data, size);
    columns[1].kind = (uint8_t)kind;
    return logical_apply(&of, &image);
}

/* Goal: a value that its kind cannot have is damage. */
static void test_values_out_of_their_range_are_refused(void **state)
{
    (void)state;
    tables_make(2);
    assert_int_equal(number_apply(AERO_KIND_BOOL, 2), AERO_CORRUPT);
    for (uint32_t bits = 8; bits <= 32; bits *= 2) {
        const uint32_t step = bits == 8 ? 0 : bits == 16 ? 1 : 2;
        const int64_t half = (int64_t)1 << (bits - 1);
        assert_int_equal(number_apply(AERO_KIND_INT8 + step, (uint64_t)(half - 1)), AERO_OK);
        assert_int_equal(number_apply(AERO_KIND_INT8 + step, (uint64_t)half), AERO_CORRUPT);
        assert_int_equal(number_apply(AERO_KIND_INT8 + step, (uint64_t)-half), AERO_OK);
        assert_int_equal(number_apply(AERO_KIND_INT8 + step, (uint64_t)(-half - 1)), AERO_CORRUPT);
        assert_int_equal(number_apply(AERO_KIND_UINT8 + step, 2 * (uint64_t)half), AERO_CORRUPT);
    }
    assert_int_equal(number_apply(AERO_KIND_INT64, (uint64_t)INT64_MIN), AERO_OK);
    assert_int_equal(number_apply(AERO_KIND_UINT64, UINT64_MAX), AERO_OK);
    assert_int_equal(number_apply(AERO_KIND_CHAR, 0xd7ff), AERO_OK);
    assert_int_equal(number_apply(AERO_KIND_CHAR, 0xd800), AERO_CORRUPT);
    assert_int_equal(number_apply(AERO_KIND_CHAR, 0xe000), AERO_OK);
    assert_int_equal(number_apply(AERO_KIND_CHAR, 0x110000), AERO_CORRUPT);
    assert_int_equal(number_apply(AERO_KIND_INET, (uint64_t)UINT32_MAX + 1), AERO_CORRUPT);
    assert_int_equal(real_apply(AERO_KIND_FLOAT64, 1e300), AERO_OK);
    assert_int_equal(real_apply(AERO_KIND_FLOAT32, 1e300), AERO_CORRUPT);
    assert_int_equal(real_apply(AERO_KIND_FLOAT64, (double)INFINITY), AERO_CORRUPT);
    assert_int_equal(data_apply(AERO_KIND_IPV6, "0123456789abcdef", 15), AERO_CORRUPT);
    assert_int_equal(data_apply(AERO_KIND_MAC, "0123456789abcdef", 7), AERO_CORRUPT);
    assert_int_equal(data_apply(AERO_KIND_TEXT, "\xc0\x80", 2), AERO_CORRUPT);
    assert_int_equal(data_apply(AERO_KIND_BYTES, "\xc0\x80", 2), AERO_OK);
    columns[1].max_length = 2;
    assert_int_equal(data_apply(AERO_KIND_BYTES, "abc", 3), AERO_SCHEMA);
    assert_int_equal(data_apply(AERO_KIND_BYTES, "ab", 2), AERO_OK);
}

/* Goal: the columns of an operation are those of a row: none twice, none missing that must be. */
static void test_columns_that_make_no_row_are_refused(void **state)
{
    row image;
    aero_error error;
    (void)state;
    tables_make(2);
    bytes of = columns_with_key(0);
    of.data[0] = 2;
    put_bytes(&of, of.data + 1, of.size - 1);
    assert_int_equal(logical_apply(&of, &image), AERO_CORRUPT); /* the key twice */
    of = columns_with_key(77);
    assert_int_equal(logical_apply(&of, &image), AERO_CORRUPT);
    of = columns_with_key(AERO_KIND_INT32 | 0x80);
    assert_int_equal(logical_apply(&of, &image), AERO_SCHEMA); /* null, and may not be */
    of = columns_with_key(0);
    put_byte(&of, 1);
    assert_int_equal(logical_apply(&of, &image), AERO_CORRUPT); /* more than was counted */
    of.size = 0;
    put_byte(&of, 0x80);
    assert_int_equal(logical_apply(&of, &image), AERO_CORRUPT); /* no count */
    of.size = 0;
    put_byte(&of, 0);
    assert_int_equal(logical_apply(&of, &image), AERO_SCHEMA); /* no key */
    /* An insert needs every column that has no default and is not nullable. */
    of = columns_with_key(0);
    const ae_op op = {AE_OP_INSERT, 0, of.data, of.size, AE_STACK_LOGICAL};
    row_clear(&image);
    assert_int_equal(ae_op_apply(&schema, &op, &image, &error), AERO_SCHEMA);
    columns[1].flags = AERO_COLUMN_DEFAULT;
    assert_int_equal(ae_op_apply(&schema, &op, &image, &error), AERO_OK);
    columns[1].flags = 0;
    columns[1].null_index = 0;
    assert_int_equal(ae_op_apply(&schema, &op, &image, &error), AERO_OK);
    assert_int_equal(logical_apply(&of, &image), AERO_OK);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_masks_of_tables_of_any_width),
    cmocka_unit_test(test_a_delta_is_searched_for_its_key),
    cmocka_unit_test(test_every_kind_into_every_kind),
    cmocka_unit_test(test_every_kind_reads_back),
    cmocka_unit_test(test_values_out_of_their_range_are_refused),
    cmocka_unit_test(test_columns_that_make_no_row_are_refused),
};

AE_TEST_MAIN(tests)
