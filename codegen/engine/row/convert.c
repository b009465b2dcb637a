/* Values on their way into a column: one function per family of column types, chosen by kind.
 *
 * Each takes a value of any type and either yields exactly what it means in the column's type or
 * refuses; nothing is cut, wrapped or rounded, except that reals are rounded to single precision
 * for a FLOAT32 column and to microseconds for a timestamp.
 *
 * I1 A result other than AERO_OK leaves *out alone and sets *reason.
 * I2 What is written to `scratch` is at most AE_TEXT_MAX + in->length bytes.
 */
#include "row/convert.h"

#include "row/hex.h"

static aero_status fail(const char **reason, const char *text, int32_t code)
{
    *reason = text;
    return code;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* Bounds of the signed and unsigned kinds. */
static int64_t int_low(uint8_t kind)
{
    return kind == AERO_KIND_INT8    ? INT8_MIN
           : kind == AERO_KIND_INT16 ? INT16_MIN
           : kind == AERO_KIND_INT32 ? INT32_MIN
                                     : INT64_MIN;
}

static uint64_t int_high(uint8_t kind)
{
    switch (kind) {
    case AERO_KIND_INT8:
        return INT8_MAX;
    case AERO_KIND_INT16:
        return INT16_MAX;
    case AERO_KIND_INT32:
        return INT32_MAX;
    case AERO_KIND_INT64:
        return INT64_MAX;
    case AERO_KIND_UINT8:
        return UINT8_MAX;
    case AERO_KIND_UINT16:
        return UINT16_MAX;
    case AERO_KIND_UINT32:
    case AERO_KIND_INET:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

/* A whole number of any size between INT64_MIN and UINT64_MAX. */
typedef struct ae_whole {
    bool negative;
    uint64_t bits; /* two's complement when negative */
} ae_whole;

/* The whole number a value is; false if it is none. */
static bool whole_of(const aero_value *in, ae_whole *whole)
{
    AE_ASSERT(in->type >= AERO_TYPE_NULL && in->type <= AERO_TYPE_TIME);
    switch (in->type) {
    case AERO_TYPE_BOOL:
    case AERO_TYPE_INT:
        *whole = (ae_whole){in->u.integer < 0, (uint64_t)in->u.integer};
        return true;
    case AERO_TYPE_UINT:
        *whole = (ae_whole){false, in->u.natural};
        return true;
    default:
        break;
    }
    const double real = in->u.real;
    if (in->type != AERO_TYPE_DOUBLE || !(real >= -0x1p63 && real < 0x1p64))
        return false;
    *whole = (ae_whole){real < 0, real < 0 ? (uint64_t)(int64_t)real : (uint64_t)real};
    return (real < 0 ? (double)(int64_t)whole->bits : (double)whole->bits) == real;
}

static aero_status to_bool(const aero_value *in, aero_value *out, const char **reason)
{
    uint8_t truth = 0;
    ae_whole whole;
    if (in->type == AERO_TYPE_TEXT) {
        const aero_status status = ae_text_to_bool(in->u.data, in->length, &truth, reason);
        if (status != AERO_OK)
            return status;
    } else if (whole_of(in, &whole) && whole.bits <= 1) {
        truth = (uint8_t)whole.bits;
    } else {
        return fail(reason, "invalid boolean", AERO_TYPE);
    }
    *out = (aero_value){.type = AERO_TYPE_BOOL, .u.integer = truth};
    return AERO_OK;
}

static aero_status to_int(uint8_t kind, const aero_value *in, aero_value *out, const char **reason)
{
    const int64_t low = int_low(kind);
    const int64_t high = (int64_t)int_high(kind);
    int64_t value = 0;
    ae_whole whole;
    if (in->type == AERO_TYPE_TEXT) {
        const aero_status status = ae_text_to_int(in->u.data, in->length, low, high, &value,
                                                  reason);
        if (status != AERO_OK)
            return status;
    } else if (whole_of(in, &whole)) {
        value = (int64_t)whole.bits;
        if ((!whole.negative && whole.bits > (uint64_t)high) || (whole.negative && value < low))
            return fail(reason, "integer out of range", AERO_TYPE);
    } else {
        return fail(reason, "not a whole number in range", AERO_TYPE);
    }
    AE_ASSERT(value >= low && value <= high);
    *out = (aero_value){.type = AERO_TYPE_INT, .u.integer = value};
    return AERO_OK;
}

/* UINT kinds; INET too when a number is given for it (it is raw already then). */
static aero_status to_uint(uint8_t kind, const aero_value *in, aero_value *out, const char **reason)
{
    const uint64_t high = int_high(kind);
    uint64_t value = 0;
    ae_whole whole;
    if (in->type == AERO_TYPE_TEXT) {
        const aero_status status = ae_text_to_uint(in->u.data, in->length, high, &value, reason);
        if (status != AERO_OK)
            return status;
    } else if (whole_of(in, &whole)) {
        value = whole.bits;
        if (whole.negative || value > high)
            return fail(reason, "integer out of range", AERO_TYPE);
    } else {
        return fail(reason, "not a whole number in range", AERO_TYPE);
    }
    AE_ASSERT(value <= high);
    *out = (aero_value){.type = AERO_TYPE_UINT, .u.natural = value};
    return AERO_OK;
}

/* The double a whole number is; false if none is exactly it. */
static bool exact_real(const ae_whole *whole, double *real)
{
    *real = whole->negative ? (double)(int64_t)whole->bits : (double)whole->bits;
    if (*real >= 0x1p64 || (!whole->negative && (uint64_t)*real != whole->bits))
        return false;
    return !whole->negative || (int64_t)*real == (int64_t)whole->bits;
}

static aero_status to_double(const aero_value *in, aero_value *out, const char **reason)
{
    double value = in->u.real;
    ae_whole whole;
    if (in->type == AERO_TYPE_TEXT) {
        const aero_status status = ae_text_to_double(in->u.data, in->length, &value, reason);
        if (status != AERO_OK)
            return status;
    } else if (in->type == AERO_TYPE_DOUBLE) {
        if (value - value != 0)
            return fail(reason, "not a finite number", AERO_TYPE);
    } else if (!whole_of(in, &whole)) {
        return fail(reason, "invalid number", AERO_TYPE);
    } else if (!exact_real(&whole, &value)) {
        return fail(reason, "integer too large to be kept exactly", AERO_TYPE);
    }
    AE_ASSERT(value - value == 0);
    *out = (aero_value){.type = AERO_TYPE_DOUBLE, .u.real = value + 0.0}; /* no -0.0 in rows */
    return AERO_OK;
}

static aero_status to_float(const aero_value *in, aero_value *out, const char **reason)
{
    float value = 0;
    if (in->type == AERO_TYPE_TEXT) { /* rounded once, straight from the text */
        const aero_status status = ae_text_to_float(in->u.data, in->length, &value, reason);
        if (status != AERO_OK)
            return status;
    } else {
        aero_value wide;
        const aero_status status = to_double(in, &wide, reason);
        if (status != AERO_OK)
            return status;
        /* From the middle between FLT_MAX and the next power of two on, it would round to
         * infinity. */
        if (wide.u.real >= 0x1.ffffffp127 || wide.u.real <= -0x1.ffffffp127)
            return fail(reason, "number out of range", AERO_TYPE);
        value = (float)wide.u.real;
        if (in->type != AERO_TYPE_DOUBLE && (double)value != wide.u.real)
            return fail(reason, "integer too large to be kept exactly", AERO_TYPE);
    }
    AE_ASSERT(value - value == 0);
    *out = (aero_value){.type = AERO_TYPE_DOUBLE, .u.real = (double)(value + 0.0f)};
    return AERO_OK;
}

/* ---- timestamps ----------------------------------------------------------------------------- */

/* Seconds to the nearest microsecond.  Whole seconds and the rest are taken apart first: a product
 * of 10^6 and all of it would lose bits. */
static bool microseconds_of(double seconds, int64_t *microseconds)
{
    if (!(seconds > -9.3e12 && seconds < 9.3e12))
        return false;
    const int64_t whole = (int64_t)seconds;
    const double scaled = (seconds - (double)whole) * 1e6; /* the difference is exact */
    int64_t rest = (int64_t)scaled;
    const double error = scaled - (double)rest;
    const bool odd = (rest & 1) != 0;
    if (error > 0.5 || (error == 0.5 && odd))
        rest++;
    else if (error < -0.5 || (error == -0.5 && odd))
        rest--;
    AE_ASSERT(rest >= -1000000 && rest <= 1000000);
    int64_t total = 0;
    if (__builtin_mul_overflow(whole, (int64_t)1000000, &total) ||
        __builtin_add_overflow(total, rest, &total))
        return false;
    *microseconds = total;
    return true;
}

static aero_status to_time(const aero_value *in, aero_value *out, const char **reason)
{
    int64_t value = in->u.integer;
    ae_whole whole;
    if (in->type == AERO_TYPE_TEXT) {
        const aero_status status = ae_text_to_timestamp(in->u.data, in->length, &value, reason);
        if (status != AERO_OK)
            return status;
    } else if (in->type == AERO_TYPE_DOUBLE) {
        if (!microseconds_of(in->u.real, &value))
            return fail(reason, "timestamp out of range", AERO_TYPE);
    } else if (in->type == AERO_TYPE_INT || in->type == AERO_TYPE_UINT) {
        if (!whole_of(in, &whole) || (!whole.negative && whole.bits > INT64_MAX) ||
            __builtin_mul_overflow((int64_t)whole.bits, (int64_t)1000000, &value))
            return fail(reason, "timestamp out of range", AERO_TYPE);
    } else if (in->type != AERO_TYPE_TIME) {
        return fail(reason, "invalid timestamp", AERO_TYPE);
    }
    *out = (aero_value){.type = AERO_TYPE_TIME, .u.integer = value};
    return AERO_OK;
}

/* ---- texts, bytes, addresses ---------------------------------------------------------------- */

/* The text form of a number in `scratch`; 0 if the value is no number. */
static size_t number_text(const aero_value *in, char *scratch)
{
    switch (in->type) {
    case AERO_TYPE_BOOL:
    case AERO_TYPE_INT:
        return ae_text_of_int(in->u.integer, scratch);
    case AERO_TYPE_UINT:
        return ae_text_of_uint(in->u.natural, scratch);
    case AERO_TYPE_DOUBLE:
        return ae_text_of_double(in->u.real, scratch);
    case AERO_TYPE_TIME:
        return ae_text_of_timestamp(in->u.integer, scratch);
    default:
        return 0;
    }
}

static aero_status to_text(const aero_column *column, const aero_value *in, char *scratch,
                           aero_value *out, const char **reason)
{
    aero_value text = {.type = AERO_TYPE_TEXT, .length = in->length, .u.data = in->u.data};
    if (in->type == AERO_TYPE_DOUBLE && in->u.real - in->u.real != 0)
        return fail(reason, "not a finite number", AERO_TYPE);
    if (in->type != AERO_TYPE_TEXT && in->type != AERO_TYPE_BYTES) {
        text.length = (uint32_t)number_text(in, scratch);
        text.u.data = scratch;
    }
    AE_ASSERT(text.u.data != NULL || text.length == 0);
    if (column->kind == AERO_KIND_CHAR) {
        uint32_t point = 0;
        const aero_status status = ae_text_to_char(text.u.data, text.length, &point, reason);
        if (status == AERO_OK)
            *out = (aero_value){.type = AERO_TYPE_INT, .u.integer = point};
        return status;
    }
    const aero_status status = ae_text_check(text.u.data, text.length, column->max_length, reason);
    if (status != AERO_OK)
        return status;
    if (column->kind == AERO_KIND_FIXED && text.length > 0 && text.u.data[text.length - 1] == '\0')
        return fail(reason, "a fixed text cannot end in NUL", AERO_TYPE); /* it is the padding */
    *out = text;
    return AERO_OK;
}

static aero_status to_bytes(const aero_column *column, const aero_value *in, char *scratch,
                            aero_value *out, const char **reason)
{
    aero_value bytes = {.type = AERO_TYPE_BYTES, .length = in->length, .u.data = in->u.data};
    if (in->type == AERO_TYPE_TEXT) {
        if (!ae_hex_decode(in->u.data, in->length, scratch))
            return fail(reason, "invalid hexadecimal", AERO_TYPE);
        bytes.length = in->length / 2;
        bytes.u.data = scratch;
    } else if (in->type != AERO_TYPE_BYTES) {
        return fail(reason, "a number is not bytes", AERO_TYPE);
    }
    const aero_status status = ae_bytes_check(bytes.length, column->max_length, reason);
    if (status == AERO_OK)
        *out = bytes;
    return status;
}

/* IPV6 and MAC: from text into `scratch`, or bytes of the right length. */
static aero_status to_address(uint8_t kind, const aero_value *in, char *scratch, aero_value *out,
                              const char **reason)
{
    AE_ASSERT(kind == AERO_KIND_IPV6 || kind == AERO_KIND_MAC);
    const uint32_t size = kind == AERO_KIND_IPV6 ? 16 : 6;
    aero_value address = {.type = AERO_TYPE_BYTES, .length = size, .u.data = scratch};
    if (in->type == AERO_TYPE_TEXT) {
        uint8_t *const bytes = (uint8_t *)scratch;
        const aero_status status = kind == AERO_KIND_IPV6
                                       ? ae_text_to_ipv6(in->u.data, in->length, bytes, reason)
                                       : ae_text_to_mac(in->u.data, in->length, bytes, reason);
        if (status != AERO_OK)
            return status;
    } else if (in->type == AERO_TYPE_BYTES && in->length == size) {
        address.u.data = in->u.data;
    } else {
        return fail(reason, kind == AERO_KIND_IPV6 ? "invalid IPv6 address" : "invalid MAC address",
                    AERO_TYPE);
    }
    *out = address;
    return AERO_OK;
}

static aero_status to_inet(const aero_value *in, aero_value *out, const char **reason)
{
    uint32_t address = 0;
    if (in->type != AERO_TYPE_TEXT) {
        const aero_status status = to_uint(AERO_KIND_INET, in, out, reason);
        if (status == AERO_OK)
            out->type = AERO_TYPE_INT;
        return status;
    }
    const aero_status status = ae_text_to_inet(in->u.data, in->length, &address, reason);
    if (status == AERO_OK)
        *out = (aero_value){.type = AERO_TYPE_INT, .u.integer = address};
    return status;
}

/* ---- the public functions ------------------------------------------------------------------- */

aero_status ae_convert_value(const aero_column *column, const aero_value *in, char *scratch,
                             aero_value *out, const char **reason)
{
    if (in->type < AERO_TYPE_NULL || in->type > AERO_TYPE_TIME)
        return fail(reason, "a value of an unknown type", AERO_USAGE);
    if (in->type == AERO_TYPE_NULL) {
        if (!(column->flags & AERO_COLUMN_NULLABLE))
            return fail(reason, "null in a column that is not nullable", AERO_NULL_VALUE);
        *out = (aero_value){.type = AERO_TYPE_NULL};
        return AERO_OK;
    }
    switch (column->kind) {
    case AERO_KIND_BOOL:
        return to_bool(in, out, reason);
    case AERO_KIND_INT8:
    case AERO_KIND_INT16:
    case AERO_KIND_INT32:
    case AERO_KIND_INT64:
        return to_int(column->kind, in, out, reason);
    case AERO_KIND_UINT8:
    case AERO_KIND_UINT16:
    case AERO_KIND_UINT32:
    case AERO_KIND_UINT64:
        return to_uint(column->kind, in, out, reason);
    case AERO_KIND_FLOAT32:
        return to_float(in, out, reason);
    case AERO_KIND_FLOAT64:
        return to_double(in, out, reason);
    case AERO_KIND_TIMESTAMP:
        return to_time(in, out, reason);
    case AERO_KIND_CHAR:
    case AERO_KIND_FIXED:
    case AERO_KIND_TEXT:
        return to_text(column, in, scratch, out, reason);
    case AERO_KIND_BYTES:
        return to_bytes(column, in, scratch, out, reason);
    case AERO_KIND_INET:
        return to_inet(in, out, reason);
    case AERO_KIND_IPV6:
    case AERO_KIND_MAC:
        return to_address(column->kind, in, scratch, out, reason);
    default:
        return fail(reason, "a column of an unknown kind", AERO_MISMATCH);
    }
}

aero_status ae_convert(const aero_table *table, uint32_t column, const aero_value *in,
                       char *scratch, aero_value *out, aero_error *error)
{
    AE_ASSERT(column < table->column_count);
    const aero_column *const target = &table->columns[column];
    const char *reason = "";
    const aero_status status = ae_convert_value(target, in, scratch, out, &reason);
    if (status == AERO_OK)
        return AERO_OK;
    if (status == AERO_LENGTH)
        ae_fail(error, status, "%s.%s: %s (%u of at most %u bytes)", table->name, target->name,
                reason, in->length, target->max_length);
    else
        ae_fail(error, status, "%s.%s: %s", table->name, target->name, reason);
    ae_error_place(error, table->name, target->name);
    return status;
}
