/* Numbers from and to text, against strtod and against the definition.
 *
 * links: base
 */
#include "harness.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/number.h"
#include "base/number_private.h"

#define RANDOM_ROUNDS 60000

static uint64_t random_state;

static uint64_t random_word(void)
{
    random_state += 0x9e3779b97f4a7c15ull;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void seed_random(void)
{
    const char *const given = getenv("AEROSTORE_TEST_SEED");
    random_state = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %" PRIu64 "\n", random_state);
}

/* Read as double and as float and compare with the C library, bit for bit. */
static void check_read(const char *text)
{
    const size_t length = strlen(text);
    const double expected = strtod(text, NULL);
    double value = -1;
    enum ae_number_result result = ae_number_read_double(text, length, &value);
    if (isinf(expected))
        assert_int_equal(result, AE_NUMBER_RANGE);
    else if (result != AE_NUMBER_OK || memcmp(&value, &expected, sizeof value) != 0)
        fail_msg("double %s: %d %a, strtod %a", text, (int)result, value, expected);

    const float narrow_expected = strtof(text, NULL);
    float narrow = -1;
    result = ae_number_read_float(text, length, &narrow);
    if (isinf(narrow_expected))
        assert_int_equal(result, AE_NUMBER_RANGE);
    else if (result != AE_NUMBER_OK || memcmp(&narrow, &narrow_expected, sizeof narrow) != 0)
        fail_msg("float %s: %d %a, strtof %a", text, (int)result, (double)narrow,
                 (double)narrow_expected);
}

static void check_write(double value, const char *expected)
{
    char out[AE_NUMBER_TEXT_MAX + 1];
    const size_t length = ae_number_write_double(value, out);
    assert_true(length <= AE_NUMBER_TEXT_MAX);
    out[length] = '\0';
    assert_string_equal(out, expected);
}

/* Goal: integers at and around the bounds convert or are refused; method: a list of texts. */
static void integers_at_the_bounds(void **state)
{
    (void)state;
    int64_t value = 7;
    assert_int_equal(ae_number_read_int("9223372036854775807", 19, &value), AE_NUMBER_OK);
    assert_true(value == INT64_MAX);
    assert_int_equal(ae_number_read_int("-9223372036854775808", 20, &value), AE_NUMBER_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(ae_number_read_int("+0000000000000000000000012", 26, &value), AE_NUMBER_OK);
    assert_int_equal(value, 12);
    assert_int_equal(ae_number_read_int("9223372036854775808", 19, &value), AE_NUMBER_RANGE);
    assert_int_equal(ae_number_read_int("-9223372036854775809", 20, &value), AE_NUMBER_RANGE);
    assert_int_equal(ae_number_read_int("99999999999999999999999", 23, &value), AE_NUMBER_RANGE);
    assert_int_equal(value, 12); /* I1: left alone */
    uint64_t natural = 7;
    assert_int_equal(ae_number_read_uint("18446744073709551615", 20, &natural), AE_NUMBER_OK);
    assert_true(natural == UINT64_MAX);
    assert_int_equal(ae_number_read_uint("18446744073709551616", 20, &natural), AE_NUMBER_RANGE);
    assert_int_equal(ae_number_read_uint("-1", 2, &natural), AE_NUMBER_RANGE);
    assert_int_equal(ae_number_read_uint("-0", 2, &natural), AE_NUMBER_OK);
    assert_true(natural == 0);
}

/* Goal: what is no number is refused by all readers; method: a list of texts, NUL and blanks
 * too. */
static void text_that_is_no_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {{"", 0},      {"-", 1},        {"+", 1},     {" 1", 2},       {"1 ", 2},
               {"1\0", 2},   {"0x10", 4},     {"1,5", 3},   {"1e", 2},       {"1e+", 3},
               {"e5", 2},    {".", 1},        {"-.", 2},    {"1.2.3", 5},    {"--1", 3},
               {"1e5.5", 5}, {"\xd9\xa1", 2}, {"1_000", 5}, {"12345678x", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t whole;
        uint64_t natural;
        double real;
        float narrow;
        assert_int_equal(ae_number_read_int(bad[i].text, bad[i].length, &whole), AE_NUMBER_INVALID);
        assert_int_equal(ae_number_read_uint(bad[i].text, bad[i].length, &natural),
                         AE_NUMBER_INVALID);
        assert_int_equal(ae_number_read_double(bad[i].text, bad[i].length, &real),
                         AE_NUMBER_INVALID);
        assert_int_equal(ae_number_read_float(bad[i].text, bad[i].length, &narrow),
                         AE_NUMBER_INVALID);
    }
}

/* Goal: words for what is not finite are told from nonsense; method: both spellings, all signs. */
static void words_that_are_not_finite(void **state)
{
    (void)state;
    static const char *const words[] = {"nan", "NaN", "-nan", "inf", "-INF", "+Infinity"};
    double value;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(ae_number_read_double(words[i], strlen(words[i]), &value),
                         AE_NUMBER_NOT_FINITE);
    assert_int_equal(ae_number_read_double("infinit", 7, &value), AE_NUMBER_INVALID);
    assert_int_equal(ae_number_read_double("nan(1)", 6, &value), AE_NUMBER_INVALID);
}

/* Goal: known hard cases are exact; method: texts from the literature, compared with strtod. */
static void doubles_that_are_hard(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0000",
        "1",
        "46.679232",
        "1e0",
        "1E5",
        "1e-5",
        ".5",
        "5.",
        "1e23",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.00000000000000000000000001",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327208e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "-1e400",
        "1e-400",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000123456789012345678",
        "6929495644600919.5",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "1.4012984643248171e-45",
        "8.5e-46",
        "16777217",
        "16777219",
        "0e999999999999999999999",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "179769313486231580793728971405303415079934132710037826936173"
        "778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671"
        "505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834"
        "936475292719074168444365510704342711559699508093042880e0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_read(texts[i]);
}

/* Goal: texts exactly between two doubles, and a hair off, round right; method: print the middle of
 * random neighbours in full, then change what follows its last digit. */
static void doubles_in_the_middle(void **state)
{
    (void)state;
    seed_random();
    char text[1600];
    for (int round = 0; round < RANDOM_ROUNDS / 20; round++) {
        uint64_t bits = random_word() & INT64_MAX;
        if (round % 3 == 0)
            bits &= 0xfffffffffffff; /* denormal */
        double low, high;
        memcpy(&low, &bits, sizeof low);
        bits++;
        memcpy(&high, &bits, sizeof high);
        if (!isfinite(low) || !isfinite(high))
            continue;
        const long double middle = ((long double)low + (long double)high) / 2; /* exact */
        int length = snprintf(text, sizeof text, "%.1100Lf", middle);
        if (middle < 1e-300L || middle > 1e300L)
            length = snprintf(text, sizeof text, "%.1080Le", middle);
        assert_true(length > 0 && (size_t)length < sizeof text);
        check_read(text);
        char *const exponent = strchr(text, 'e');
        char *const last = exponent != NULL ? exponent - 1 : text + length - 1;
        *last = '1'; /* far behind the 770 digits that are looked at */
        check_read(text);
    }
}

/* Goal: random texts of many forms agree with strtod; method: seven generators, both precisions. */
static void doubles_at_random(void **state)
{
    (void)state;
    seed_random();
    char text[1000];
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        uint64_t bits = random_word();
        double value;
        memcpy(&value, &bits, sizeof value);
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        size_t length = 0;
        switch (random_word() % 6) {
        case 0:
            snprintf(text, sizeof text, "%.*e", (int)(random_word() % 25),
                     isfinite(value) ? value : 1.0);
            break;
        case 1:
            snprintf(text, sizeof text, "%d.%06d", (int)(random_word() % 360) - 180,
                     (int)(random_word() % 1000000));
            break;
        case 2: {
            const int digits = 1 + (int)(random_word() % 60);
            const int point = (int)(random_word() % (uint64_t)(digits + 1));
            for (int i = 0; i < digits; i++) {
                if (i == point)
                    text[length++] = '.';
                text[length++] = (char)('0' + random_word() % 10);
            }
            snprintf(text + length, sizeof text - length, "e%d", (int)(random_word() % 720) - 360);
            break;
        }
        case 3:
            snprintf(text, sizeof text, "%" PRIu64 "e%d", random_word() >> (random_word() % 64),
                     (int)(random_word() % 700) - 350);
            break;
        case 4:
            snprintf(text, sizeof text, "%.*g", (int)(1 + random_word() % 60),
                     isfinite(narrow) ? (double)narrow : 1.0);
            break;
        default:
            length = (size_t)snprintf(text, sizeof text, "%0*d.%0*d", (int)(1 + random_word() % 30),
                                      0, (int)(1 + random_word() % 350), 0);
            snprintf(text + length, sizeof text - length, "%" PRIu64 "e%d", random_word(),
                     (int)(random_word() % 800) - 100);
        }
        check_read(text);
    }
}

/* Goal: a text of 10 million digits takes linear time and is right; method: zeros around a 1. */
static void text_of_ten_million_digits(void **state)
{
    (void)state;
    const size_t half = 5000000;
    char *const text = malloc(2 * half + 20);
    assert_non_null(text);
    memset(text, '0', 2 * half);
    text[1] = '.';
    text[half] = '1';
    const int tail = snprintf(text + 2 * half, 20, "e%zu", half);
    double value = 0;
    assert_int_equal(ae_number_read_double(text, 2 * half + (size_t)tail, &value), AE_NUMBER_OK);
    assert_true(value == 10.0);
    memset(text, '9', 2 * half);
    assert_int_equal(ae_number_read_double(text, 2 * half, &value), AE_NUMBER_RANGE);
    free(text);
}

/* Goal: the form of printed doubles is as documented; method: values at the borders of each
 * form. */
static void layout_of_printed_doubles(void **state)
{
    (void)state;
    check_write(0.0, "0.0");
    check_write(-0.0, "-0.0");
    check_write(438.0, "438.0");
    check_write(46.679232, "46.679232");
    check_write(-0.5, "-0.5");
    check_write(0.1, "0.1");
    check_write(0.0001, "0.0001");
    check_write(0.00001, "1e-05");
    check_write(1.5e-7, "1.5e-07");
    check_write(1e15, "1000000000000000.0");
    check_write(9999999999999998.0, "9999999999999998.0");
    check_write(1e16, "1e+16");
    check_write(1.2345e300, "1.2345e+300");
    check_write(1e300, "1e+300");
    check_write(DBL_MAX, "1.7976931348623157e+308");
    check_write(5e-324, "5e-324");
    check_write(2.2250738585072014e-308, "2.2250738585072014e-308");
    check_write((double)NAN, "nan");
    check_write((double)-INFINITY, "-inf");
    char out[AE_NUMBER_TEXT_MAX];
    assert_int_equal(ae_number_write_float(0.1f, out), 3);
    assert_memory_equal(out, "0.1", 3);
    assert_int_equal(ae_number_write_float(16777216.0f, out), 10);
    assert_memory_equal(out, "16777216.0", 10);
}

/* Digits of a printed number without leading and trailing zeros. */
static int significant_digits(const char *text)
{
    int count = 0;
    int zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (count == 0 && *text == '0'))
            continue;
        count++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return count - zeros;
}

/* Goal: printing is exact and shortest, for doubles and floats; method: read back, and look for a
 * shorter text with printf's own rounding. */
static void printed_doubles_read_back(void **state)
{
    (void)state;
    seed_random();
    char out[AE_NUMBER_TEXT_MAX + 1];
    char shorter[40];
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        uint64_t bits = random_word();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (round % 2 == 0)
            value = (double)((int64_t)(bits % 360000000) - 180000000) / 1e6;
        if (!isfinite(value))
            continue;
        out[ae_number_write_double(value, out)] = '\0';
        const double back = strtod(out, NULL);
        assert_memory_equal(&back, &value, sizeof value);
        const int digits = significant_digits(out);
        if (digits > 1) {
            snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
            if (strtod(shorter, NULL) == value)
                fail_msg("%s is shorter than %s", shorter, out);
        }
        /* Of all texts with so many digits, the nearest to the value. */
        snprintf(shorter, sizeof shorter, "%.*e", digits > 0 ? digits - 1 : 0, value);
        const double nearest = strtod(shorter, NULL);
        if (nearest == value && strtold(shorter, NULL) != strtold(out, NULL))
            fail_msg("%s is nearer than %s", shorter, out);

        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        if (!isfinite(narrow))
            continue;
        out[ae_number_write_float(narrow, out)] = '\0';
        const float narrow_back = strtof(out, NULL);
        assert_memory_equal(&narrow_back, &narrow, sizeof narrow);
    }
}

/* Goal: integers print as printf prints them; method: every length, bounds, random numbers. */
static void printed_integers(void **state)
{
    (void)state;
    seed_random();
    char out[AE_NUMBER_TEXT_MAX];
    char expected[32];
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        const uint64_t value = round == 0 ? (uint64_t)INT64_MIN : random_word() >> (round % 64);
        int length = snprintf(expected, sizeof expected, "%" PRId64, (int64_t)value);
        assert_int_equal(ae_number_write_int((int64_t)value, out), length);
        assert_memory_equal(out, expected, (size_t)length);
        length = snprintf(expected, sizeof expected, "%" PRIu64, value);
        assert_int_equal(ae_number_write_uint(value, out), length);
        assert_memory_equal(out, expected, (size_t)length);
    }
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10) {
        assert_int_equal(ae_number_write_uint(power, out), digits);
        assert_int_equal(ae_number_write_uint(power - 1, out), digits == 1 ? 1 : digits - 1);
    }
}

/* Goal: the locale changes nothing; method: a locale with a decimal comma, both directions. */
static void a_locale_with_a_comma(void **state)
{
    (void)state;
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
        skip();
    double value = 0;
    assert_int_equal(ae_number_read_double("1.5", 3, &value), AE_NUMBER_OK);
    assert_true(value == 1.5);
    assert_int_equal(ae_number_read_double("1,5", 3, &value), AE_NUMBER_INVALID);
    check_write(1234567.25, "1234567.25");
    setlocale(LC_ALL, "C");
}

/* A natural number of up to 1,280 bits, enough for 10^342 * 2^128. */
typedef struct big {
    uint32_t words[40];
} big;

static void big_multiply(big *number, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < 40; i++) {
        carry += (uint64_t)number->words[i] * factor;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_int_equal(carry, 0);
}

static int big_bits(const big *number)
{
    for (int i = 39; i >= 0; i--) {
        if (number->words[i] != 0)
            return 32 * i + 32 - __builtin_clz(number->words[i]);
    }
    return 0;
}

static int big_bit(const big *number, int bit)
{
    return bit < 0 ? 0 : (int)(number->words[bit / 32] >> (bit % 32) & 1);
}

/* left -= right if that is not negative; left is doubled first. */
static int big_double_subtract(big *left, const big *right)
{
    big_multiply(left, 2);
    big rest;
    int64_t borrow = 0;
    for (int i = 0; i < 40; i++) {
        borrow += (int64_t)left->words[i] - right->words[i];
        rest.words[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    if (borrow == 0)
        *left = rest;
    return borrow == 0;
}

/* Goal: every entry of the table of powers is what its comment says; method: compute 10^i, and for
 * negative powers divide bit by bit, in big integers written for this test. */
static void table_of_powers_of_ten(void **state)
{
    (void)state;
    for (int power = AE_POW10_MIN; power <= AE_POW10_MAX; power++) {
        big ten = {.words = {1}};
        for (int i = 0; i < abs(power); i++)
            big_multiply(&ten, 10);
        const int bits = big_bits(&ten);
        unsigned __int128 expected = 0;
        if (power >= 0) {
            for (int i = 1; i <= 128; i++)
                expected = expected << 1 | (unsigned)big_bit(&ten, bits - i);
        } else { /* 2^k / 10^-power, from its first bit that is set */
            big rest = {.words = {0}};
            rest.words[(bits - 1) / 32] = 1u << ((bits - 1) % 32);
            for (int taken = 0; taken < 128;) {
                const int bit = big_double_subtract(&rest, &ten);
                expected = expected << 1 | (unsigned)bit;
                taken += taken > 0 || bit;
            }
        }
        const ae_pow10 entry = ae_pow10_table[power - AE_POW10_MIN];
        assert_true(entry.high == (uint64_t)(expected >> 64));
        assert_true(entry.low == (uint64_t)expected);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(integers_at_the_bounds),     cmocka_unit_test(text_that_is_no_number),
    cmocka_unit_test(words_that_are_not_finite),  cmocka_unit_test(doubles_that_are_hard),
    cmocka_unit_test(doubles_in_the_middle),      cmocka_unit_test(doubles_at_random),
    cmocka_unit_test(text_of_ten_million_digits), cmocka_unit_test(layout_of_printed_doubles),
    cmocka_unit_test(printed_doubles_read_back),  cmocka_unit_test(printed_integers),
    cmocka_unit_test(a_locale_with_a_comma),      cmocka_unit_test(table_of_powers_of_ten),
};

AE_TEST_MAIN(tests)
