/* Rounding a decimal of any length exactly: the slow, rare path of reading doubles.
 *
 * The decimal D * 10^q is compared, in big integers, with the middle between two neighbours of the
 * binary format, and the guess walks until the decimal lies between the middles on its two sides.
 * The guess comes from the first 19 digits, so it walks one step at most.
 *
 * I1 A middle has at most 767 significant decimal digits.  Digits behind the first 770 can
 *    therefore not decide more than "a little above"; a 1 stands for all of them.
 * I2 Exponents are bounded by the caller's range check (see decide_early), so every product fits in
 *    AE_BIG_WORDS: 770 digits take 2,558 bits, 5^1115 takes 2,589, a significand 54, a shift of
 *    2,086 at most.
 */
#include <string.h>

#include "base/error.h"
#include "base/number_private.h"

#define DIGITS_MAX 770
#define AE_BIG_WORDS 80 /* 5,120 bits; I2 needs 4,729 */

/* A natural number, least significant word first; words at and above `count` are not set. */
typedef struct ae_big {
    uint64_t words[AE_BIG_WORDS];
    uint32_t count;
} ae_big;

/* big = big * factor + add */
static void big_multiply_add(ae_big *big, uint64_t factor, uint64_t add)
{
    AE_ASSERT(big->count <= AE_BIG_WORDS);
    uint64_t carry = add;
    for (uint32_t i = 0; i < big->count; i++) {
        const unsigned __int128 product = (unsigned __int128)big->words[i] * factor + carry;
        big->words[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry != 0) {
        AE_ALWAYS(big->count < AE_BIG_WORDS);
        big->words[big->count++] = carry;
    }
}

static void big_multiply_pow5(ae_big *big, int32_t power)
{
    AE_ASSERT(power >= 0);
    for (; power >= 27; power -= 27)
        big_multiply_add(big, 7450580596923828125ull, 0); /* 5^27, the largest in a word */
    uint64_t rest = 1;
    for (; power > 0; power--)
        rest *= 5;
    big_multiply_add(big, rest, 0);
}

static void big_shift_left(ae_big *big, int32_t bits)
{
    AE_ASSERT(bits >= 0);
    const uint32_t words = (uint32_t)bits / 64;
    big_multiply_add(big, (uint64_t)1 << (bits % 64), 0);
    if (big->count == 0 || words == 0)
        return;
    AE_ALWAYS(big->count + words <= AE_BIG_WORDS);
    memmove(big->words + words, big->words, big->count * sizeof *big->words);
    memset(big->words, 0, words * sizeof *big->words);
    big->count += words;
}

static int32_t big_compare(const ae_big *left, const ae_big *right)
{
    AE_ASSERT(left->count <= AE_BIG_WORDS && right->count <= AE_BIG_WORDS);
    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    for (uint32_t i = left->count; i-- > 0;) {
        if (left->words[i] != right->words[i])
            return left->words[i] < right->words[i] ? -1 : 1;
    }
    return 0;
}

/* Up to DIGITS_MAX digits of the mantissa, and the power of ten that goes with them. */
static int64_t take_digits(const ae_decimal *decimal, ae_big *big)
{
    int64_t taken = 0;
    bool more = false;
    const char *text = decimal->digits;
    big->count = 0;
    for (; text < decimal->end && taken < DIGITS_MAX; text++) {
        if (*text != '.') {
            big_multiply_add(big, 10, (uint64_t)(*text - '0'));
            taken++;
        }
    }
    for (; text < decimal->end && !more; text++)
        more = *text != '.' && *text != '0';
    /* decimal->exponent belongs to the first 19 digits. */
    AE_ASSERT(taken <= DIGITS_MAX && text <= decimal->end);
    int64_t exponent = decimal->exponent + 19 - taken;
    if (more) {
        big_multiply_add(big, 10, 1); /* keeps I1 */
        exponent--;
    }
    return exponent;
}

/* Compare digits * 10^exponent with the middle between the numbers of bits `low` and `low` + 1. */
static int32_t compare_with_middle(const ae_big *digits, int32_t exponent, uint64_t low,
                                   const ae_real_format *format)
{
    uint64_t fraction = low & (((uint64_t)1 << format->fraction_bits) - 1);
    int32_t power = (int32_t)(low >> format->fraction_bits);
    if (power != 0)
        fraction |= (uint64_t)1 << format->fraction_bits;
    else
        power = 1;
    /* The middle is (2 * fraction + 1) * 2^(binary). */
    AE_ASSERT(power >= 1 && power < format->exponent_max);
    const int32_t binary = power - format->exponent_bias - format->fraction_bits - 1;
    ae_big left = *digits;
    ae_big right = {.words = {2 * fraction + 1}, .count = 1};
    if (exponent >= 0)
        big_multiply_pow5(&left, exponent);
    else
        big_multiply_pow5(&right, -exponent);
    const int32_t shift = binary - exponent;
    big_shift_left(shift > 0 ? &right : &left, shift > 0 ? shift : -shift);
    return big_compare(&left, &right);
}

/* Beyond these, the answer is zero or infinity and the big integers would not fit (I2). */
static bool decide_early(const ae_decimal *decimal, const ae_real_format *format, uint64_t *bits)
{
    /* The first of the 19 leading digits is not zero: the value is at least 10^(exponent + 18). */
    if (decimal->exponent + 18 > 309) {
        *bits = (uint64_t)format->exponent_max << format->fraction_bits;
        return true;
    }
    if (decimal->exponent + 19 < -330) {
        *bits = 0;
        return true;
    }
    return false;
}

uint64_t aei_number_exact(const ae_decimal *decimal, const ae_real_format *format, uint64_t guess)
{
    AE_ASSERT(decimal->digits < decimal->end);
    uint64_t bits = guess;
    if (decide_early(decimal, format, &bits))
        return bits;
    const uint64_t infinity = (uint64_t)format->exponent_max << format->fraction_bits;
    ae_big digits;
    const int32_t exponent = (int32_t)take_digits(decimal, &digits);
    bool grew = false;
    while (bits < infinity) {
        const int32_t order = compare_with_middle(&digits, exponent, bits, format);
        if (order < 0 || (order == 0 && (bits & 1) == 0))
            break;
        bits++;
        grew = true;
    }
    while (!grew && bits > 0) {
        const int32_t order = compare_with_middle(&digits, exponent, bits - 1, format);
        if (order > 0 || (order == 0 && (bits & 1) == 0))
            break;
        bits--;
    }
    return bits;
}
