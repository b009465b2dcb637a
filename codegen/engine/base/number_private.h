/* number_private.h — what the parts of number share: powers of ten, a decimal as read from text, and
 * the two binary formats.
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
