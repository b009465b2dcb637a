/* gen_row.h — the steps generated functions are made of beyond gen.h: raw values, cells of a TSV
 * line, and deltas.
 *
 * Each helper does one step for one group of kinds, so that a generated function is a few straight
 * calls.  Null bits are the generated function's business, never a helper's.
 *
 * A delta is, for each column in column order: u16 column (bit 15: null), then unless null the
 * value little-endian as it lies in the row, or for texts and bytes u32 length and the bytes.
 *
 * Only generated C includes this header.
 */
#ifndef AEROSTORE_GEN_ROW_H
#define AEROSTORE_GEN_ROW_H

#include "aerostore/gen.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows and deltas are little-endian; this machine is not"
#endif

/* ---- raw values ----------------------------------------------------------------------------- */

static inline aero_value ae_value_null(void)
{
    return (aero_value){.type = AERO_TYPE_NULL, .length = 0, .u = {.integer = 0}};
}

static inline aero_value ae_value_bool(uint8_t value)
{
    return (aero_value){.type = AERO_TYPE_BOOL, .length = 0, .u = {.integer = value}};
}

static inline aero_value ae_value_int(int64_t value)
{
    return (aero_value){.type = AERO_TYPE_INT, .length = 0, .u = {.integer = value}};
}

static inline aero_value ae_value_uint(uint64_t value)
{
    return (aero_value){.type = AERO_TYPE_UINT, .length = 0, .u = {.natural = value}};
}

static inline aero_value ae_value_real(double value)
{
    return (aero_value){.type = AERO_TYPE_DOUBLE, .length = 0, .u = {.real = value}};
}

static inline aero_value ae_value_time(int64_t value)
{
    return (aero_value){.type = AERO_TYPE_TIME, .length = 0, .u = {.integer = value}};
}

static inline aero_value ae_value_data(int32_t type, const char *data, size_t length)
{
    return (aero_value){.type = type, .length = (uint32_t)length, .u = {.data = data}};
}

static inline aero_value ae_value_cell(int32_t type, const aero_cell *cell, const char *base)
{
    return ae_value_data(type, ae_cell_data(cell, base), cell->length);
}

/* Length of a fixed text: up to its padding, which is NULs. */
static inline size_t ae_fixed_length(const char *block, size_t size)
{
    while (size > 0 && block[size - 1] == '\0')
        size--;
    return size;
}

static inline aero_value ae_value_fixed(const char *block, size_t size)
{
    return ae_value_data(AERO_TYPE_TEXT, block, ae_fixed_length(block, size));
}

/* A cell takes a raw TEXT or BYTES value; anything else (NULL) empties it. */
static inline void ae_cell_store(aero_cell *cell, const aero_value *value)
{
    const bool has_data = value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES;
    ae_cell_set(cell, has_data ? value->u.data : NULL, has_data ? value->length : 0);
}

/* ---- blocks: FIXED, IPV6, MAC lie in the row as so many bytes ------------------------------- */

static inline void ae_block_store(void *block, size_t size, const char *data, size_t length)
{
    memset(block, 0, size);
    if (length > 0)
        memcpy(block, data, length < size ? length : size);
}

static inline void ae_block_store_value(void *block, size_t size, const aero_value *value)
{
    const bool has_data = value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES;
    ae_block_store(block, size, has_data ? value->u.data : NULL, has_data ? value->length : 0);
}

static inline int32_t ae_block_compare(const void *left, const void *right, size_t size)
{
    const int order = memcmp(left, right, size);
    return (order > 0) - (order < 0);
}

/* ---- reading cells of a TSV line ------------------------------------------------------------ */
/* Each returns 0, or a code with *reason set. */

/* In a nullable column: \N, or an empty cell.  (An explicit \e looks the same here; the ingest
 * stores the empty text afterwards.) */
static inline bool ae_span_is_null(const aero_span *cell)
{
    return cell->length == 0;
}

/* In a column that is never null: \N, and for all but texts and bytes an empty cell too. */
static inline aero_status ae_span_missing(const aero_span *cell, const char **reason)
{
    *reason = cell->data == NULL ? "null in a column that is not nullable"
                                 : "empty cell in a column that is not nullable";
    return AERO_NULL_VALUE;
}

#define AE_READ_INT(name, ctype, low, high) \
    static inline aero_status ae_read_##name(const aero_span *cell, ctype *value, \
                                             const char **reason) \
    { \
        int64_t wide = 0; \
        const aero_status status = ae_text_to_int(cell->data, cell->length, low, high, &wide, \
                                                  reason); \
        *value = (ctype)wide; \
        return status; \
    }
AE_READ_INT(int8, int8_t, INT8_MIN, INT8_MAX)
AE_READ_INT(int16, int16_t, INT16_MIN, INT16_MAX)
AE_READ_INT(int32, int32_t, INT32_MIN, INT32_MAX)
AE_READ_INT(int64, int64_t, INT64_MIN, INT64_MAX)
#undef AE_READ_INT

#define AE_READ_UINT(name, ctype, high) \
    static inline aero_status ae_read_##name(const aero_span *cell, ctype *value, \
                                             const char **reason) \
    { \
        uint64_t wide = 0; \
        const aero_status status = ae_text_to_uint(cell->data, cell->length, high, &wide, reason); \
        *value = (ctype)wide; \
        return status; \
    }
AE_READ_UINT(uint8, uint8_t, UINT8_MAX)
AE_READ_UINT(uint16, uint16_t, UINT16_MAX)
AE_READ_UINT(uint32, uint32_t, UINT32_MAX)
AE_READ_UINT(uint64, uint64_t, UINT64_MAX)
#undef AE_READ_UINT

static inline aero_status ae_read_bool(const aero_span *cell, uint8_t *value, const char **reason)
{
    return ae_text_to_bool(cell->data, cell->length, value, reason);
}

static inline aero_status ae_read_float64(const aero_span *cell, double *value, const char **reason)
{
    const aero_status status = ae_text_to_double(cell->data, cell->length, value, reason);
    *value += 0.0; /* -0.0 becomes 0.0 */
    return status;
}

static inline aero_status ae_read_float32(const aero_span *cell, float *value, const char **reason)
{
    const aero_status status = ae_text_to_float(cell->data, cell->length, value, reason);
    *value += 0.0f;
    return status;
}

static inline aero_status ae_read_timestamp(const aero_span *cell, int64_t *value,
                                            const char **reason)
{
    return ae_text_to_timestamp(cell->data, cell->length, value, reason);
}

static inline aero_status ae_read_char(const aero_span *cell, uint32_t *value, const char **reason)
{
    return ae_text_to_char(cell->data, cell->length, value, reason);
}

static inline aero_status ae_read_inet(const aero_span *cell, uint32_t *value, const char **reason)
{
    return ae_text_to_inet(cell->data, cell->length, value, reason);
}

static inline aero_status ae_read_ipv6(const aero_span *cell, uint8_t *block, const char **reason)
{
    return ae_text_to_ipv6(cell->data, cell->length, block, reason);
}

static inline aero_status ae_read_mac(const aero_span *cell, uint8_t *block, const char **reason)
{
    return ae_text_to_mac(cell->data, cell->length, block, reason);
}

static inline aero_status ae_read_fixed(const aero_span *cell, char *block, uint32_t size,
                                        const char **reason)
{
    const aero_status status = ae_text_check(cell->data, cell->length, size, reason);
    if (status != AERO_OK)
        return status;
    if (cell->length > 0 && cell->data[cell->length - 1] == '\0') {
        *reason = "a fixed text cannot end in NUL"; /* it would be taken for padding */
        return AERO_TYPE;
    }
    ae_block_store(block, size, cell->data, cell->length);
    return AERO_OK;
}

static inline aero_status ae_read_text(const aero_span *cell, aero_cell *value, uint32_t max_length,
                                       const char **reason)
{
    const aero_status status = ae_text_check(cell->data, cell->length, max_length, reason);
    if (status == AERO_OK)
        ae_cell_set(value, cell->data, cell->length);
    return status;
}

static inline aero_status ae_read_bytes(const aero_span *cell, aero_cell *value,
                                        uint32_t max_length, const char **reason)
{
    const aero_status status = ae_bytes_check(cell->length, max_length, reason);
    if (status == AERO_OK)
        ae_cell_set(value, cell->data, cell->length);
    return status;
}

/* A line with too few or too many cells. */
static inline aero_status ae_decode_count(aero_cell_error *error, uint32_t count, uint32_t columns)
{
    *error = (aero_cell_error){.code = AERO_PARSE, .cell = count, .reason = "missing column"};
    if (count > columns) {
        error->cell = columns;
        error->reason = "unexpected extra columns";
    }
    return AERO_PARSE;
}

static inline aero_status ae_decode_failed(aero_cell_error *error, uint32_t cell,
                                           aero_status status)
{
    error->code = status;
    error->cell = cell;
    return status;
}

/* ---- writing cells of a TSV line ------------------------------------------------------------ */

static inline void ae_write_bool(ae_tsv_out *out, uint8_t value)
{
    ae_tsv_put(out, value != 0 ? "1" : "0", 1);
}

#define AE_WRITE_SCALAR(name, ctype, convert) \
    static inline void ae_write_##name(ae_tsv_out *out, ctype value) \
    { \
        char text[AE_TEXT_MAX]; \
        ae_tsv_put(out, text, convert(value, text)); \
    }
AE_WRITE_SCALAR(int, int64_t, ae_text_of_int)
AE_WRITE_SCALAR(uint, uint64_t, ae_text_of_uint)
AE_WRITE_SCALAR(float64, double, ae_text_of_double)
AE_WRITE_SCALAR(float32, float, ae_text_of_float)
AE_WRITE_SCALAR(timestamp, int64_t, ae_text_of_timestamp)
AE_WRITE_SCALAR(inet, uint32_t, ae_text_of_inet)
AE_WRITE_SCALAR(ipv6, const uint8_t *, ae_text_of_ipv6)
AE_WRITE_SCALAR(mac, const uint8_t *, ae_text_of_mac)
#undef AE_WRITE_SCALAR

/* A character may be a tab or a newline: it is escaped as text is. */
static inline void ae_write_char(ae_tsv_out *out, uint32_t code_point, bool nullable)
{
    char text[AE_TEXT_MAX];
    ae_tsv_put_text(out, text, ae_text_of_char(code_point, text), nullable);
}

static inline void ae_write_fixed(ae_tsv_out *out, const char *block, size_t size, bool nullable)
{
    ae_tsv_put_text(out, block, ae_fixed_length(block, size), nullable);
}

static inline void ae_write_text(ae_tsv_out *out, const aero_cell *cell, const char *base,
                                 bool nullable)
{
    ae_tsv_put_text(out, ae_cell_data(cell, base), cell->length, nullable);
}

static inline void ae_write_bytes(ae_tsv_out *out, const aero_cell *cell, const char *base,
                                  bool nullable)
{
    ae_tsv_put_bytes(out, ae_cell_data(cell, base), cell->length, nullable);
}

/* ---- dirty columns and deltas --------------------------------------------------------------- */

static inline uint32_t ae_dirty_mark(uint64_t *mask, uint32_t column, bool equal)
{
    mask[column / 64] |= (uint64_t)!equal << (column % 64);
    return equal ? 0 : 1;
}

static inline bool ae_mask_has(const uint64_t *mask, uint32_t column)
{
    return (mask[column / 64] >> (column % 64)) & 1u;
}

static inline void ae_delta_put_head(ae_tsv_out *out, uint32_t column, bool null)
{
    const uint16_t head = (uint16_t)(column | (null ? 0x8000u : 0u));
    ae_tsv_put(out, (const char *)&head, sizeof head);
}

static inline void ae_delta_put(ae_tsv_out *out, uint32_t column, bool null, const void *value,
                                size_t size)
{
    ae_delta_put_head(out, column, null);
    if (!null)
        ae_tsv_put(out, value, size);
}

static inline void ae_delta_put_cell(ae_tsv_out *out, uint32_t column, bool null,
                                     const aero_cell *cell, const char *base)
{
    ae_delta_put_head(out, column, null);
    if (null)
        return;
    ae_tsv_put(out, (const char *)&cell->length, sizeof cell->length);
    ae_tsv_put(out, ae_cell_data(cell, base), cell->length);
}

/* Input of apply_delta.  Nothing of it is trusted: every step checks what is left. */
typedef struct ae_delta_in {
    const uint8_t *data;
    size_t left;
    uint32_t next; /* columns come in rising order: the lowest that may follow */
} ae_delta_in;

static inline bool ae_delta_take(ae_delta_in *in, void *value, size_t size)
{
    if (in->left < size)
        return false;
    memcpy(value, in->data, size);
    in->data += size;
    in->left -= size;
    return true;
}

static inline bool ae_delta_take_head(ae_delta_in *in, uint32_t *column, bool *null)
{
    uint16_t head;
    if (!ae_delta_take(in, &head, sizeof head))
        return false;
    *column = head & 0x7fffu;
    *null = (head & 0x8000u) != 0;
    if (*column < in->next)
        return false;
    in->next = *column + 1;
    return true;
}

static inline bool ae_delta_take_data(ae_delta_in *in, aero_cell *cell, uint32_t max_length)
{
    uint32_t length;
    if (!ae_delta_take(in, &length, sizeof length) || length > in->left || length > max_length)
        return false;
    ae_cell_set(cell, (const char *)in->data, length);
    in->data += length;
    in->left -= length;
    return true;
}

static inline bool ae_delta_take_text(ae_delta_in *in, aero_cell *cell, uint32_t max_length)
{
    const char *reason;
    return ae_delta_take_data(in, cell, max_length) &&
           ae_text_check(ae_cell_data(cell, NULL), cell->length, max_length, &reason) == AERO_OK;
}

static inline bool ae_delta_take_bool(ae_delta_in *in, uint8_t *value)
{
    return ae_delta_take(in, value, sizeof *value) && *value <= 1;
}

static inline bool ae_delta_take_char(ae_delta_in *in, uint32_t *value)
{
    return ae_delta_take(in, value, sizeof *value) && *value <= 0x10ffff &&
           (*value < 0xd800 || *value > 0xdfff);
}

static inline bool ae_delta_take_float64(ae_delta_in *in, double *value)
{
    return ae_delta_take(in, value, sizeof *value) && __builtin_isfinite(*value);
}

static inline bool ae_delta_take_float32(ae_delta_in *in, float *value)
{
    return ae_delta_take(in, value, sizeof *value) && __builtin_isfinite(*value);
}

static inline bool ae_delta_take_fixed(ae_delta_in *in, char *block, uint32_t size)
{
    const char *reason;
    return ae_delta_take(in, block, size) &&
           ae_text_check(block, ae_fixed_length(block, size), size, &reason) == AERO_OK;
}

#endif
