/* Numbers from text: integers with overflow checks, and doubles and floats rounded exactly.
 *
 * A decimal is scanned into up to 19 significant digits and a power of ten, which one or two
 * 64 x 64-bit products with a 128-bit power of ten round correctly (D. Lemire, "Number parsing at a
 * gigabyte per second", 2021; that no product of a 64-bit significand needs a third word is shown
 * by N. Mushtak and D. Lemire, "Fast number parsing without fallback", 2023).  Only integer
 * arithmetic is used, so neither the rounding mode nor flush-to-zero of the host can change a
 * result.  With more than 19 digits, the digits cut off matter only if the significand and its
 * successor round differently; then number_exact.c decides.
 *
 * I1 A result other than AE_NUMBER_OK leaves the output alone.
 * I2 Nothing is read outside text[0..length); the text need not be NUL-terminated.
 */
#include "base/number.h"

#include "base/number_inline.h"
#include "base/error.h"
#include "base/number_private.h"

/* More digits than this overflow a 64-bit significand. */
#define SIGNIFICANT_MAX 19
/* An exponent further out than this is infinity or zero whatever the digits are, unless there are
 * this many of them; exponents are cut here so that sums with digit counts cannot overflow. */
#define EXPONENT_CUT 1000000000000000ll

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* ---- integers ------------------------------------------------------------------------------- */

/* Digits to a number; the sign is gone already. */
static inline enum ae_number_result read_natural(const char *text, const char *end, uint64_t *value)
{
    AE_ASSERT(text <= end);
    uint32_t places;
    bool point;
    if (ae_number_plain(text, (size_t)(end - text), value, &places, &point))
        return point ? AE_NUMBER_INVALID : AE_NUMBER_OK;
    if (text == end)
        return AE_NUMBER_INVALID;
    uint64_t sum = 0;
    bool overflow = false;
    for (; text < end; text++) {
        if (!is_digit(*text))
            return AE_NUMBER_INVALID;
        overflow = overflow || __builtin_mul_overflow(sum, (uint64_t)10, &sum);
        overflow = overflow || __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum);
    }
    if (overflow)
        return AE_NUMBER_RANGE;
    *value = sum;
    return AE_NUMBER_OK;
}

enum ae_number_result ae_number_read_int(const char *text, size_t length, int64_t *value)
{
    const char *const end = text + length;
    const bool negative = length > 0 && *text == '-';
    text += negative | (length > 0 && *text == '+'); /* no branch: signs are hard to predict */
    uint64_t natural = 0;
    const enum ae_number_result result = read_natural(text, end, &natural);
    if (result != AE_NUMBER_OK)
        return result;
    if (natural > (uint64_t)INT64_MAX + negative)
        return AE_NUMBER_RANGE;
    *value = (int64_t)(negative ? 0 - natural : natural);
    return AE_NUMBER_OK;
}

enum ae_number_result ae_number_read_uint(const char *text, size_t length, uint64_t *value)
{
    const char *const end = text + length;
    const bool negative = length > 0 && *text == '-';
    text += negative | (length > 0 && *text == '+'); /* no branch: signs are hard to predict */
    uint64_t natural = 0;
    const enum ae_number_result result = read_natural(text, end, &natural);
    if (result != AE_NUMBER_OK)
        return result;
    if (negative && natural != 0)
        return AE_NUMBER_RANGE;
    *value = natural;
    return AE_NUMBER_OK;
}

/* ---- scanning a decimal --------------------------------------------------------------------- */

/* Add digits to *sum until something else or `end`; eight at a time where there are as many. */
static inline const char *scan_digits(const char *text, const char *end, uint64_t *sum)
{
    uint64_t total = *sum;
    while (end - text >= 8) {
        const uint64_t word = ae_load_word(text);
        if (!ae_word_is_digits(word))
            break;
        total = total * 100000000 + ae_word_digits(word);
        text += 8;
    }
    for (; text < end && is_digit(*text); text++)
        total = total * 10 + (uint64_t)(*text - '0');
    *sum = total;
    return text;
}

/* Take the first 19 significant digits of a mantissa that has more digits. */
static void scan_many_digits(ae_decimal *decimal, const char *point)
{
    const char *text = decimal->digits;
    while (text < decimal->end && (*text == '0' || *text == '.'))
        text++;
    decimal->digits = text;
    uint64_t leading = 0;
    int count = 0;
    for (; text < decimal->end && count < SIGNIFICANT_MAX; text++) {
        if (*text == '.')
            continue;
        leading = leading * 10 + (uint64_t)(*text - '0');
        count++;
    }
    AE_ASSERT(count <= SIGNIFICANT_MAX && text <= decimal->end);
    decimal->leading = leading;
    /* Digits taken behind the point (zeros in front included), or left in front of it. */
    decimal->exponent = text > point ? point + 1 - text : point - text;
    decimal->truncated = text < decimal->end && !(text == point && text + 1 == decimal->end);
}

/* Scan behind the sign.  False: not a number. */
static inline bool scan_decimal(const char *text, const char *end, ae_decimal *decimal)
{
    uint64_t sum = 0;
    decimal->digits = text;
    decimal->exponent = 0;
    decimal->truncated = false;
    const char *at = scan_digits(text, end, &sum);
    int64_t digits = at - text;
    const char *point = at;
    if (at < end && *at == '.') {
        const char *const fraction = at + 1;
        at = scan_digits(fraction, end, &sum);
        digits += at - fraction;
        decimal->exponent = fraction - at;
    }
    if (digits == 0)
        return false;
    decimal->end = at;
    AE_ASSERT(at > text && at <= end);
    decimal->leading = sum;
    int64_t power = 0;
    if (at < end) {
        if ((*at | 0x20) != 'e')
            return false;
        at++;
        const bool negative = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (at == end)
            return false;
        for (; at < end; at++) {
            if (!is_digit(*at))
                return false;
            if (power < EXPONENT_CUT)
                power = power * 10 + (*at - '0');
        }
        power = negative ? -power : power;
    }
    if (digits > SIGNIFICANT_MAX)
        scan_many_digits(decimal, point);
    decimal->exponent += power;
    return true;
}

/* ---- reals ---------------------------------------------------------------------------------- */

/* Is the text nan, inf or infinity? */
static bool is_not_finite(const char *text, const char *end)
{
    AE_ASSERT(text <= end);
    static const char *const words[] = {"nan", "inf", "infinity"};
    const size_t length = (size_t)(end - text);
    for (size_t word = 0; word < sizeof words / sizeof *words; word++) {
        size_t same = 0;
        while (same < length && words[word][same] != '\0' &&
               (text[same] | 0x20) == words[word][same])
            same++;
        if (same == length && words[word][same] == '\0')
            return true;
    }
    return false;
}

/* All but short plain decimals; the sign is gone already. */
static __attribute__((noinline)) enum ae_number_result read_other(const char *text, const char *end,
                                                                  const ae_real_format *format,
                                                                  uint64_t *bits)
{
    ae_decimal decimal;
    if (!scan_decimal(text, end, &decimal))
        return is_not_finite(text, end) ? AE_NUMBER_NOT_FINITE : AE_NUMBER_INVALID;
    uint64_t result = aei_nearest(decimal.leading, decimal.exponent, format);
    if (decimal.truncated && result != aei_nearest(decimal.leading + 1, decimal.exponent, format))
        result = aei_number_exact(&decimal, format, result);
    if (result == (uint64_t)format->exponent_max << format->fraction_bits)
        return AE_NUMBER_RANGE;
    *bits = result;
    return AE_NUMBER_OK;
}

static inline __attribute__((always_inline)) enum ae_number_result read_real(
    const char *text, size_t length, const ae_real_format *format, uint64_t *bits)
{
    AE_ASSERT(text != NULL || length == 0);
    const char *const end = text + length;
    const bool negative = length > 0 && *text == '-';
    text += negative | (length > 0 && *text == '+'); /* no branch: signs are hard to predict */
    uint64_t digits;
    uint32_t places;
    bool point;
    if (ae_number_plain(text, (size_t)(end - text), &digits, &places, &point)) {
        *bits = aei_nearest(digits, -(int64_t)places, format);
    } else {
        const enum ae_number_result result = read_other(text, end, format, bits);
        if (result != AE_NUMBER_OK)
            return result;
    }
    *bits |= (uint64_t)negative << (format->fraction_bits == 23 ? 31 : 63);
    return AE_NUMBER_OK;
}

enum ae_number_result ae_number_read_double(const char *text, size_t length, double *value)
{
    uint64_t bits = 0;
    const enum ae_number_result result = read_real(text, length, &aei_double_format, &bits);
    if (result == AE_NUMBER_OK)
        memcpy(value, &bits, sizeof *value);
    return result;
}

enum ae_number_result ae_number_read_float(const char *text, size_t length, float *value)
{
    uint64_t bits = 0;
    const enum ae_number_result result = read_real(text, length, &aei_float_format, &bits);
    if (result == AE_NUMBER_OK) {
        const uint32_t narrow = (uint32_t)bits;
        memcpy(value, &narrow, sizeof *value);
    }
    return result;
}
