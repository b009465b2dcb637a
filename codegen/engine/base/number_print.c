/* Numbers to text: integers two digits at a time, doubles and floats by the shortest digits.
 *
 * The shortest decimal inside a number's rounding interval is found with the Schubfach method
 * (R. Giulietti, "The Schubfach way to render doubles", 2020): the interval is scaled by one
 * 128-bit power of ten so that it holds one or two integers, each bound rounded to odd so that the
 * comparisons stay exact.  Doubles and floats share the code: only significand and exponent differ.
 *
 * I1 The text reads back to the same bits, and no shorter text does.
 */
#include <string.h>

#include "base/number.h"
#include "base/error.h"
#include "base/number_private.h"

static const char digit_pairs[200] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

static inline uint32_t count_digits(uint64_t value)
{
    static const uint64_t limits[] = {0,
                                      10ull,
                                      100ull,
                                      1000ull,
                                      10000ull,
                                      100000ull,
                                      1000000ull,
                                      10000000ull,
                                      100000000ull,
                                      1000000000ull,
                                      10000000000ull,
                                      100000000000ull,
                                      1000000000000ull,
                                      10000000000000ull,
                                      100000000000000ull,
                                      1000000000000000ull,
                                      10000000000000000ull,
                                      100000000000000000ull,
                                      1000000000000000000ull,
                                      10000000000000000000ull};
    const uint32_t bits = 64 - (uint32_t)__builtin_clzll(value | 1);
    const uint32_t guess = (bits * 1233) >> 12; /* log10(2), a little low */
    return guess + 1 - (value < limits[guess]);
}

/* Write exactly `count` digits of value. */
static inline void write_digits(uint64_t value, uint32_t count, char *out)
{
    AE_ASSERT(count <= 20);
    while (count >= 2) {
        const uint64_t rest = value / 100;
        count -= 2;
        memcpy(out + count, digit_pairs + 2 * (value - rest * 100), 2);
        value = rest;
    }
    if (count == 1)
        *out = (char)('0' + value);
}

size_t ae_number_write_uint(uint64_t value, char *out)
{
    const uint32_t count = count_digits(value);
    write_digits(value, count, out);
    return count;
}

size_t ae_number_write_int(int64_t value, char *out)
{
    if (value >= 0)
        return ae_number_write_uint((uint64_t)value, out);
    *out = '-';
    return 1 + ae_number_write_uint(0 - (uint64_t)value, out + 1);
}

/* ---- shortest digits ------------------------------------------------------------------------ */

/* floor(log10(2^power)), or of 3/4 * 2^power when `closer`; right for |power| <= 1500. */
static inline int32_t log10_of_pow2(int32_t power, bool closer)
{
    return (power * 1262611 - (closer ? 524031 : 0)) >> 22;
}

/* The power rounded up, as the method wants it. */
static inline ae_pow10 pow10_up(int32_t power)
{
    AE_ASSERT(power >= AE_POW10_MIN && power <= AE_POW10_MAX);
    ae_pow10 result = ae_pow10_table[power - AE_POW10_MIN];
    if (power < 0 || power > 55) {
        result.low++;
        result.high += result.low == 0;
    }
    return result;
}

/* floor(power * value / 2^128), with the lowest bit set if anything was cut off. */
static inline uint64_t round_to_odd(ae_pow10 power, uint64_t value)
{
    const uint64_t low = (uint64_t)(((unsigned __int128)power.low * value) >> 64);
    const unsigned __int128 sum = (unsigned __int128)power.high * value + low;
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* Shortest digits of significand * 2^binary: *digits * 10^(answer).  `closer`: the next smaller
 * number is only half as far away as the next larger. */
static int32_t shortest(uint64_t significand, int32_t binary, bool closer, uint64_t *digits)
{
    AE_ASSERT(significand != 0);
    const uint64_t odd = significand & 1; /* an even significand owns the ends of its interval */
    const int32_t power = log10_of_pow2(binary, closer);
    const int32_t shift = binary + aei_log2_of_pow10(-power) + 1;
    const ae_pow10 scale = pow10_up(-power);
    const uint64_t low = round_to_odd(scale, (4 * significand - 2 + closer) << shift) + odd;
    const uint64_t middle = round_to_odd(scale, (4 * significand) << shift);
    const uint64_t high = round_to_odd(scale, (4 * significand + 2) << shift) - odd;
    AE_ASSERT(low <= middle + odd && middle <= high + odd);
    const uint64_t whole = middle / 4;
    if (whole >= 10) { /* one digit less, if just one such number is inside */
        const uint64_t tens = whole / 10;
        const bool below = low <= 40 * tens;
        const bool above = 40 * tens + 40 <= high;
        if (below != above) {
            *digits = tens + above;
            return power + 1;
        }
    }
    const bool below = low <= 4 * whole;
    const bool above = 4 * whole + 4 <= high;
    const uint64_t half = 4 * whole + 2;
    if (below != above)
        *digits = whole + above;
    else
        *digits = whole + (middle > half || (middle == half && (whole & 1) != 0));
    return power;
}

/* ---- layout --------------------------------------------------------------------------------- */

static size_t write_exponent(int32_t exponent, char *out)
{
    AE_ASSERT(exponent > -1000 && exponent < 1000);
    char *at = out;
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    const uint64_t size = (uint64_t)(exponent < 0 ? -exponent : exponent);
    const uint32_t count = size < 100 ? 2 : 3;
    write_digits(size, count, at);
    return (size_t)(at - out) + count;
}

/* digits * 10^power in the form number.h describes. */
static size_t write_decimal(uint64_t digits, int32_t power, char *out)
{
    AE_ASSERT(digits != 0);     /* its zeros at the end have one */
    if (digits % 100000 == 0) { /* whole numbers and round ones: fewer steps */
        digits /= 100000;
        power += 5;
    }
    while (digits % 10 == 0) {
        digits /= 10;
        power++;
    }
    const int32_t count = (int32_t)count_digits(digits);
    const int32_t point = count + power; /* the value is 0.DIGITS * 10^point */
    if (point > 16 || point < -3) {
        write_digits(digits, (uint32_t)count, out + 1);
        out[0] = out[1];
        out[1] = '.';
        const size_t length = count == 1 ? 1 : (size_t)count + 1;
        return length + write_exponent(point - 1, out + length);
    }
    if (point <= 0) {
        const size_t zeros = (size_t)-point;
        memcpy(out, "0.000", 5);
        write_digits(digits, (uint32_t)count, out + 2 + zeros);
        return 2 + zeros + (size_t)count;
    }
    if (power >= 0) {
        write_digits(digits, (uint32_t)count, out);
        memset(out + count, '0', (size_t)power);
        memcpy(out + point, ".0", 2);
        return (size_t)point + 2;
    }
    write_digits(digits, (uint32_t)count, out + 1);
    memmove(out, out + 1, (size_t)point);
    out[point] = '.';
    return (size_t)count + 1;
}

/* Most numbers of a feed have at most six decimal places and fifteen digits.  Two decimals of up to
 * fifteen digits never round to the same double, so one that reads back is the shortest. */
static inline bool is_short_decimal(uint64_t bits, uint64_t *digits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!(value < 1e9))
        return false;
    *digits = (uint64_t)(value * 1e6 + 0.5);
    return *digits != 0 && aei_nearest(*digits, -6, &aei_double_format) == bits;
}

/* Bits without the sign. */
static inline size_t write_real(uint64_t bits, const ae_real_format *format, char *out)
{
    uint64_t fraction = bits & (((uint64_t)1 << format->fraction_bits) - 1);
    const int32_t stored = (int32_t)(bits >> format->fraction_bits);
    if (stored == format->exponent_max) {
        memcpy(out, fraction == 0 ? "inf" : "nan", 3);
        return 3;
    }
    if (bits == 0) {
        memcpy(out, "0.0", 3);
        return 3;
    }
    uint64_t digits = 0;
    if (format == &aei_double_format && is_short_decimal(bits, &digits))
        return write_decimal(digits, -6, out);
    const bool closer = fraction == 0 && stored > 1;
    if (stored != 0)
        fraction |= (uint64_t)1 << format->fraction_bits;
    const int32_t binary = (stored != 0 ? stored : 1) - format->exponent_bias -
                           format->fraction_bits;
    if (binary <= 0 && -binary <= format->fraction_bits &&
        (fraction & (((uint64_t)1 << -binary) - 1)) == 0)
        return write_decimal(fraction >> -binary, 0, out); /* a small whole number */
    const int32_t power = shortest(fraction, binary, closer, &digits);
    return write_decimal(digits, power, out);
}

size_t ae_number_write_double(double value, char *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const bool negative = bits >> 63 && value == value;
    if (negative)
        *out++ = '-';
    return negative + write_real(bits & INT64_MAX, &aei_double_format, out);
}

size_t ae_number_write_float(float value, char *out)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const bool negative = bits >> 31 && value == value;
    if (negative)
        *out++ = '-';
    return negative + write_real(bits & INT32_MAX, &aei_float_format, out);
}
