/* gen.h — what generated code is made of: the small inline operations on row images, per kind, and
 * the text conversions the engine provides (hidden symbols of the same library).
 *
 * Only generated C, tests and the modules that read rows (row, txn, query) include this header.
 */
#ifndef AEROSTORE_GEN_H
#define AEROSTORE_GEN_H

#include <stdbool.h>
#include <string.h>

#include "aerostore/descriptor.h"

/* ---- null bits ------------------------------------------------------------------------------ */

static inline bool ae_null_get(const uint32_t *words, uint32_t bit)
{
    return (words[bit / 32] >> (bit % 32)) & 1u;
}

static inline void ae_null_set(uint32_t *words, uint32_t bit, bool null)
{
    const uint32_t mask = (uint32_t)1 << (bit % 32);
    words[bit / 32] = null ? words[bit / 32] | mask : words[bit / 32] & ~mask;
}

/* ---- cells ---------------------------------------------------------------------------------- */

static inline const char *ae_cell_data(const aero_cell *cell, const char *base)
{
    if (cell->length <= AERO_CELL_INLINE)
        return cell->prefix;
    return (const char *)((uintptr_t)base + (uintptr_t)cell->u.where);
}

/* Store bytes in a private image's cell: short ones are copied, long ones are pointed at. */
static inline void ae_cell_set(aero_cell *cell, const char *data, size_t length)
{
    memset(cell, 0, sizeof *cell);
    cell->length = (uint32_t)length;
    if (length <= AERO_CELL_INLINE) {
        if (length > 0)
            memcpy(cell->prefix, data, length);
        return;
    }
    memcpy(cell->prefix, data, sizeof cell->prefix);
    cell->u.where = (uint64_t)(uintptr_t)data;
}

static inline int32_t ae_bytes_compare(const char *left, size_t left_length, const char *right,
                                       size_t right_length)
{
    const size_t shared = left_length < right_length ? left_length : right_length;
    const int order = shared == 0 ? 0 : memcmp(left, right, shared);
    if (order != 0)
        return order < 0 ? -1 : 1;
    return left_length < right_length ? -1 : left_length > right_length;
}

static inline int32_t ae_cell_compare(const aero_cell *left, const char *left_base,
                                      const aero_cell *right, const char *right_base)
{
    return ae_bytes_compare(ae_cell_data(left, left_base), left->length,
                            ae_cell_data(right, right_base), right->length);
}

static inline bool ae_cell_equal(const aero_cell *left, const char *left_base,
                                 const aero_cell *right, const char *right_base)
{
    if (memcmp(left, right, 8) != 0) /* length and prefix decide almost always */
        return false;
    if (left->length <= AERO_CELL_INLINE)
        return memcmp(left->u.tail, right->u.tail, sizeof left->u.tail) == 0;
    return memcmp(ae_cell_data(left, left_base), ae_cell_data(right, right_base), left->length) ==
           0;
}

/* ---- hashing: multiply-and-fold over 64-bit words, after wyhash (Wang Yi, public domain) ---- */

static inline uint64_t ae_hash_fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t ae_hash_u64(uint64_t value)
{
    return ae_hash_fold(value ^ 0xa0761d6478bd642full, 0xe7037ed1a0b428dbull);
}

static inline uint64_t ae_hash_bytes(const char *data, size_t length)
{
    uint64_t seed = ae_hash_u64(length);
    while (length >= 16) {
        uint64_t words[2];
        memcpy(words, data, 16);
        seed = ae_hash_fold(words[0] ^ 0xa0761d6478bd642full, words[1] ^ seed);
        data += 16;
        length -= 16;
    }
    uint64_t tail[2] = {0, 0};
    if (length > 0)
        memcpy(tail, data, length);
    seed = ae_hash_fold(tail[0] ^ 0xe7037ed1a0b428dbull, tail[1] ^ seed);
    return ae_hash_fold(seed ^ 0x8ebc6af09c88c6e3ull, 0x589965cc75374cc3ull);
}

static inline uint64_t ae_hash_cell(const aero_cell *cell, const char *base)
{
    if (cell->length > AERO_CELL_INLINE)
        return ae_hash_bytes(ae_cell_data(cell, base), cell->length);
    uint64_t words[2];
    memcpy(words, cell,
           sizeof words); /* zero padding makes the whole cell a function of the text */
    const uint64_t seed = ae_hash_fold(words[0] ^ 0xa0761d6478bd642full,
                                       words[1] ^ 0xe7037ed1a0b428dbull);
    return ae_hash_fold(seed ^ 0x8ebc6af09c88c6e3ull, 0x589965cc75374cc3ull);
}

/* ---- normalised keys ------------------------------------------------------------------------ */

static inline uint64_t ae_normal_int(int64_t value)
{
    return (uint64_t)value ^ 0x8000000000000000ull;
}

/* Order of IEEE numbers as unsigned integers; rows hold no NaN and no -0.0. */
static inline uint64_t ae_normal_real(double value)
{
    uint64_t bits;
    value += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x8000000000000000ull ? ~bits : bits | 0x8000000000000000ull;
}

/* The first eight bytes, big-endian, zero-padded. */
static inline uint64_t ae_normal_bytes(const char *data, size_t length)
{
    uint64_t key = 0;
    const size_t count = length < 8 ? length : 8;
    if (count > 0)
        memcpy(&key, data, count);
    return __builtin_bswap64(key);
}

/* Three-way order of two plain values. */
#define AE_ORDER(left, right) ((int32_t)((left) > (right)) - (int32_t)((left) < (right)))

/* ---- text conversions (engine: row/text.c) -------------------------------------------------- */
/* Parse the text of one cell for a kind.  0, or a code with *reason set to a constant text such as
 * "invalid integer", "integer out of range", "invalid number", "not a finite number",
 * "invalid timestamp", "invalid UTF-8", "longer than the column allows".  No white space is
 * skipped. */

aero_status ae_text_to_bool(const char *text, size_t length, uint8_t *value, const char **reason);
aero_status ae_text_to_int(const char *text, size_t length, int64_t low, int64_t high,
                           int64_t *value, const char **reason);
aero_status ae_text_to_uint(const char *text, size_t length, uint64_t high, uint64_t *value,
                            const char **reason);
aero_status ae_text_to_double(const char *text, size_t length, double *value, const char **reason);
aero_status ae_text_to_float(const char *text, size_t length, float *value, const char **reason);
aero_status ae_text_to_timestamp(const char *text, size_t length, int64_t *microseconds,
                                 const char **reason);
aero_status ae_text_to_char(const char *text, size_t length, uint32_t *code_point,
                            const char **reason);
/* Check text for a TEXT or FIXED column: valid UTF-8 and at most max_length bytes. */
aero_status ae_text_check(const char *text, size_t length, uint32_t max_length,
                          const char **reason);
/* BYTES cells are hexadecimal in text form, two digits a byte; decoding is done by the caller of
 * decode_tsv before (it owns the scratch memory); this only checks the length. */
aero_status ae_bytes_check(size_t length, uint32_t max_length, const char **reason);
aero_status ae_text_to_inet(const char *text, size_t length, uint32_t *address,
                            const char **reason);
aero_status ae_text_to_ipv6(const char *text, size_t length, uint8_t address[16],
                            const char **reason);
aero_status ae_text_to_mac(const char *text, size_t length, uint8_t address[6],
                           const char **reason);

/* Write the text of a value; `out` has room for AE_TEXT_MAX bytes; returns the bytes written.
 * Doubles: the shortest text that reads back to the same bits, always with '.' or an exponent
 * ("438.0", "46.679232", "1e+300").  Timestamps: "1533099600" or "1533099600.25". */
#define AE_TEXT_MAX 64
size_t ae_text_of_int(int64_t value, char *out);
size_t ae_text_of_uint(uint64_t value, char *out);
size_t ae_text_of_double(double value, char *out);
size_t ae_text_of_float(float value, char *out);
size_t ae_text_of_timestamp(int64_t microseconds, char *out);
size_t ae_text_of_char(uint32_t code_point, char *out);
size_t ae_text_of_inet(uint32_t address, char *out);
size_t ae_text_of_ipv6(const uint8_t address[16], char *out);
size_t ae_text_of_mac(const uint8_t address[6], char *out);

/* Output helper of encode_tsv: counts past the end instead of failing. */
typedef struct ae_tsv_out {
    char *data;
    size_t capacity;
    size_t length;
} ae_tsv_out;

static inline void ae_tsv_put(ae_tsv_out *out, const char *data, size_t length)
{
    if (out->length + length <= out->capacity && length > 0)
        memcpy(out->data + out->length, data, length);
    out->length += length;
}
/* Text with \t \n \r \\ and NUL (\0) escaped; `nullable` writes an empty text as \e, so that it
 * does not read back as NULL. */
void ae_tsv_put_text(ae_tsv_out *out, const char *data, size_t length, bool nullable);
/* Bytes as hexadecimal digits. */
void ae_tsv_put_bytes(ae_tsv_out *out, const char *data, size_t length, bool nullable);

#endif
