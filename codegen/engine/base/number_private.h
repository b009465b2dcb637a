/* number_private.h — what the parts of number share: powers of ten, the two binary formats,
 * rounding a short decimal to them, and a decimal as read from text.
 */
#ifndef AE_BASE_NUMBER_PRIVATE_H
#define AE_BASE_NUMBER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AE_POW10_MIN (-342)
#define AE_POW10_MAX 324

typedef struct ae_pow10 {
    uint64_t high;
    uint64_t low;
} ae_pow10;

extern const ae_pow10 ae_pow10_table[AE_POW10_MAX - AE_POW10_MIN + 1];

/* floor(log2(10^power)), right for |power| <= 1233. */
static inline int32_t aei_log2_of_pow10(int32_t power)
{
    return (power * 1741647) >> 19;
}

/* A binary format of IEEE 754. */
typedef struct ae_real_format {
    int32_t fraction_bits; /* stored bits of the significand */
    int32_t exponent_bias; /* of the stored exponent */
    int32_t exponent_max;  /* stored exponent of infinity */
    int32_t even_low;      /* a decimal significand times 10^q with q outside even_low..even_high */
    int32_t even_high;     /* cannot lie exactly between two numbers of the format */
} ae_real_format;

static const ae_real_format aei_double_format = {52, 1023, 0x7ff, -4, 23};
static const ae_real_format aei_float_format = {23, 127, 0xff, -17, 10};

/* w * 10^q as a 128-bit product with enough right bits for `format`: w has its top bit set. */
static inline unsigned __int128 aei_scale(uint64_t w, int32_t q, const ae_real_format *format)
{
    const ae_pow10 power = ae_pow10_table[q - AE_POW10_MIN];
    unsigned __int128 product = (unsigned __int128)w * power.high;
    const uint64_t mask = UINT64_MAX >> (format->fraction_bits + 3);
    if (((uint64_t)(product >> 64) & mask) == mask) {
        /* The bits that round are all ones: a carry from below could change them.  The small
         * negative powers have to be rounded up for the proof to hold. */
        const uint64_t low = power.low + (q < 0 && q >= -27);
        product += (uint64_t)(((unsigned __int128)w * low) >> 64);
    }
    return product;
}

/* Bits of w * 10^exponent, correctly rounded; those of infinity when it is too large.  Inlined by
 * force, so that the fast paths have their format as constants. */
static inline __attribute__((always_inline)) uint64_t aei_nearest(uint64_t w, int64_t exponent,
                                                                  const ae_real_format *format)
{
    const int32_t fraction_bits = format->fraction_bits;
    const uint64_t infinity = (uint64_t)format->exponent_max << fraction_bits;
    if (w == 0 || exponent < AE_POW10_MIN)
        return 0;
    if (exponent > 308)
        return infinity;
    const int32_t q = (int32_t)exponent;
    const int32_t zeros = __builtin_clzll(w);
    const unsigned __int128 product = aei_scale(w << zeros, q, format);
    const uint64_t high = (uint64_t)(product >> 64);
    const uint64_t low = (uint64_t)product;
    const int32_t upper = (int32_t)(high >> 63);
    const int32_t shift = upper + 64 - fraction_bits - 3;
    uint64_t fraction = high >> shift; /* one bit more than the format keeps */
    int32_t power = (((152170 + 65536) * q) >> 16) + 63 + upper - zeros + format->exponent_bias;
    if (power <= 0) { /* denormal */
        if (1 - power >= 64)
            return 0;
        fraction >>= 1 - power;
        fraction += fraction & 1;
        return fraction >> 1; /* rounding up into the normal numbers carries into the exponent */
    }
    /* Exactly between two numbers: round to even.  Possible only where 5^|q| is small. */
    if (low <= 1 && q >= format->even_low && q <= format->even_high && (fraction & 3) == 1 &&
        fraction << shift == high)
        fraction &= ~(uint64_t)1;
    fraction += fraction & 1;
    fraction >>= 1;
    if (fraction >= (uint64_t)2 << fraction_bits) {
        fraction = (uint64_t)1 << fraction_bits;
        power++;
    }
    if (power >= format->exponent_max)
        return infinity;
    fraction &= ~((uint64_t)1 << fraction_bits);
    return fraction | (uint64_t)power << fraction_bits;
}

/* A decimal number as its text has it: digits[0..digit_count) with an optional point among them. */
typedef struct ae_decimal {
    const char *digits; /* first significant digit (leading zeros and a point skipped) */
    const char *end;    /* behind the last digit or point of the mantissa */
    uint64_t leading;   /* the first 19 significant digits, or all if fewer */
    int64_t exponent;   /* value is leading * 10^exponent, when not truncated */
    bool truncated;     /* there are more digits than in `leading` */
} ae_decimal;

/* The number of the format nearest to a decimal, by exact comparison in big integers, starting at
 * `guess` (bits of a non-negative number of the format, infinity at most).  Returns bits. */
uint64_t aei_number_exact(const ae_decimal *decimal, const ae_real_format *format, uint64_t guess);

#endif
