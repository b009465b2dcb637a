/* Loose values into columns and back to text: every type given to every kind.
 *
 * links: base row/text.c row/timestamp.c row/convert.c row/present.c
 */
#include "harness.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "aerostore/gen.h"
#include "row/convert.h"

static const char *const aliases[] = {"alt", "height"};

/* A table of one column of each kind, named by hand: only descriptors matter here. */
#define COLUMN(column_name, column_kind, longest) \
    { \
        .name = column_name, .kind = column_kind, .flags = AERO_COLUMN_NULLABLE, \
        .max_length = longest, .aliases = aliases, \
        .alias_count = column_kind == AERO_KIND_INT32 ? 2 : 0 \
    }
static const aero_column columns[] = {
    COLUMN("none", 0, 0),
    COLUMN("bool", AERO_KIND_BOOL, 0),
    COLUMN("int8", AERO_KIND_INT8, 0),
    COLUMN("int16", AERO_KIND_INT16, 0),
    COLUMN("int32", AERO_KIND_INT32, 0),
    COLUMN("int64", AERO_KIND_INT64, 0),
    COLUMN("uint8", AERO_KIND_UINT8, 0),
    COLUMN("uint16", AERO_KIND_UINT16, 0),
    COLUMN("uint32", AERO_KIND_UINT32, 0),
    COLUMN("uint64", AERO_KIND_UINT64, 0),
    COLUMN("float32", AERO_KIND_FLOAT32, 0),
    COLUMN("float64", AERO_KIND_FLOAT64, 0),
    COLUMN("time", AERO_KIND_TIMESTAMP, 0),
    COLUMN("char", AERO_KIND_CHAR, 0),
    COLUMN("fixed", AERO_KIND_FIXED, 4),
    COLUMN("text", AERO_KIND_TEXT, 20),
    COLUMN("bytes", AERO_KIND_BYTES, 4),
    COLUMN("inet", AERO_KIND_INET, 0),
    COLUMN("ipv6", AERO_KIND_IPV6, 0),
    COLUMN("mac", AERO_KIND_MAC, 0),
};
static const aero_table table = {
    .name = "Kinds", .columns = columns, .column_count = sizeof columns / sizeof *columns};

static aero_value integer(int64_t value)
{
    return (aero_value){.type = AERO_TYPE_INT, .u.integer = value};
}

static aero_value natural(uint64_t value)
{
    return (aero_value){.type = AERO_TYPE_UINT, .u.natural = value};
}

static aero_value real(double value)
{
    return (aero_value){.type = AERO_TYPE_DOUBLE, .u.real = value};
}

static aero_value boolean(int value)
{
    return (aero_value){.type = AERO_TYPE_BOOL, .u.integer = value};
}

static aero_value instant(int64_t value)
{
    return (aero_value){.type = AERO_TYPE_TIME, .u.integer = value};
}

static aero_value text(const char *value)
{
    return (aero_value){.type = AERO_TYPE_TEXT, .length = (uint32_t)strlen(value), .u.data = value};
}

static aero_value bytes(const char *value, uint32_t length)
{
    return (aero_value){.type = AERO_TYPE_BYTES, .length = length, .u.data = value};
}

/* Convert, show users the result, and compare its text. */
static void check(uint32_t kind, aero_value in, const char *expected)
{
    char scratch[AE_TEXT_MAX + 100], shown[AE_TEXT_MAX + 100];
    aero_value out;
    aero_error error;
    if (ae_convert(&table, kind, &in, scratch, &out, &error) != AERO_OK)
        fail_msg("%s: %s, not %s", columns[kind].name, error.text, expected);
    const char *as_text;
    size_t length;
    ae_format(&columns[kind], &out, shown, &as_text, &length);
    if (length != strlen(expected) || memcmp(as_text, expected, length) != 0)
        fail_msg("%s: %.*s, not %s", columns[kind].name, (int)length, as_text, expected);
}

static void check_refused(uint32_t kind, aero_value in, int32_t code)
{
    char scratch[AE_TEXT_MAX + 100];
    aero_value out = integer(4711);
    aero_error error;
    memset(&error, 0, sizeof error);
    if (ae_convert(&table, kind, &in, scratch, &out, &error) != code)
        fail_msg("%s: not refused with %d", columns[kind].name, code);
    assert_int_equal(out.u.integer, 4711); /* I1 */
    assert_int_equal(error.code, code);
    assert_string_equal(error.table, "Kinds");
    assert_string_equal(error.field, columns[kind].name);
    assert_non_null(strstr(error.text, "Kinds."));
}

/* Goal: whole numbers fit or are refused, whatever type they come in; method: bounds of each
 * kind. */
static void whole_numbers(void **state)
{
    (void)state;
    check(AERO_KIND_INT8, integer(-128), "-128");
    check_refused(AERO_KIND_INT8, integer(128), AERO_TYPE);
    check_refused(AERO_KIND_INT16, real(32768), AERO_TYPE);
    check(AERO_KIND_INT16, real(-32768), "-32768");
    check_refused(AERO_KIND_INT32, real(0.5), AERO_TYPE);
    check(AERO_KIND_INT32, text("-2147483648"), "-2147483648");
    check_refused(AERO_KIND_INT32, text("2147483648"), AERO_TYPE);
    check(AERO_KIND_INT64, natural(INT64_MAX), "9223372036854775807");
    check_refused(AERO_KIND_INT64, natural((uint64_t)INT64_MAX + 1), AERO_TYPE);
    check(AERO_KIND_INT64, real(-0x1p63), "-9223372036854775808");
    check_refused(AERO_KIND_INT64, real(0x1p63), AERO_TYPE);
    check_refused(AERO_KIND_INT64, real(NAN), AERO_TYPE);
    check_refused(AERO_KIND_INT64, real(-INFINITY), AERO_TYPE);
    check_refused(AERO_KIND_INT64, text(""), AERO_TYPE);
    check_refused(AERO_KIND_INT64, instant(5), AERO_TYPE);
    check_refused(AERO_KIND_INT64, bytes("1", 1), AERO_TYPE);
    check(AERO_KIND_INT64, boolean(1), "1");
    check(AERO_KIND_UINT8, integer(255), "255");
    check_refused(AERO_KIND_UINT8, integer(256), AERO_TYPE);
    check_refused(AERO_KIND_UINT16, integer(-1), AERO_TYPE);
    check(AERO_KIND_UINT32, real(4294967295.0), "4294967295");
    check_refused(AERO_KIND_UINT32, natural(4294967296), AERO_TYPE);
    check(AERO_KIND_UINT64, natural(UINT64_MAX), "18446744073709551615");
    check(AERO_KIND_UINT64, text("18446744073709551615"), "18446744073709551615");
    check_refused(AERO_KIND_UINT64, real(0x1p64), AERO_TYPE);
    check(AERO_KIND_UINT64, real(0x1.fffffffffffffp63), "18446744073709549568");
    check_refused(AERO_KIND_UINT64, real(-1), AERO_TYPE);
    check(AERO_KIND_BOOL, integer(1), "1");
    check(AERO_KIND_BOOL, text("off"), "0");
    check(AERO_KIND_BOOL, real(0), "0");
    check_refused(AERO_KIND_BOOL, integer(2), AERO_TYPE);
    check_refused(AERO_KIND_BOOL, integer(-1), AERO_TYPE);
    check_refused(AERO_KIND_BOOL, instant(1), AERO_TYPE);
}

/* Goal: reals are finite, and integers become reals exactly or not at all; method: both sides of
 * each border. */
static void real_numbers(void **state)
{
    (void)state;
    check(AERO_KIND_FLOAT64, integer(9007199254740992), "9007199254740992.0");
    check_refused(AERO_KIND_FLOAT64, integer(9007199254740993), AERO_TYPE);
    check(AERO_KIND_FLOAT64, integer(INT64_MIN), "-9.223372036854776e+18");
    check_refused(AERO_KIND_FLOAT64, integer(INT64_MAX), AERO_TYPE);
    check_refused(AERO_KIND_FLOAT64, natural(UINT64_MAX), AERO_TYPE);
    check(AERO_KIND_FLOAT64, natural(0xfffffffffffff800u), "1.844674407370955e+19");
    check(AERO_KIND_FLOAT64, text("1e-320"), "1e-320");
    check(AERO_KIND_FLOAT64, real(-0.0), "0.0");
    check_refused(AERO_KIND_FLOAT64, real(NAN), AERO_TYPE);
    check_refused(AERO_KIND_FLOAT64, real(INFINITY), AERO_TYPE);
    check_refused(AERO_KIND_FLOAT64, text("inf"), AERO_TYPE);
    check_refused(AERO_KIND_FLOAT64, bytes("1.5", 3), AERO_TYPE);
    check(AERO_KIND_FLOAT32, real(0.1), "0.1");
    check(AERO_KIND_FLOAT32, real((double)FLT_MAX), "3.4028235e+38");
    check(AERO_KIND_FLOAT32, real(0x1.fffffefffffffp127), "3.4028235e+38");
    check_refused(AERO_KIND_FLOAT32, real(0x1.ffffffp127), AERO_TYPE);
    check_refused(AERO_KIND_FLOAT32, real(-1e39), AERO_TYPE);
    check(AERO_KIND_FLOAT32, integer(16777216), "16777216.0");
    check_refused(AERO_KIND_FLOAT32, integer(16777217), AERO_TYPE);
    check(AERO_KIND_FLOAT32, text("-0"), "0.0");
}

/* Goal: numbers given to a timestamp are seconds; method: whole, fractional, exact and too
 * large. */
static void timestamps(void **state)
{
    (void)state;
    check(AERO_KIND_TIMESTAMP, integer(1533099600), "1533099600");
    check(AERO_KIND_TIMESTAMP, real(1533099600.25), "1533099600.25");
    check(AERO_KIND_TIMESTAMP, real(1533099600.123456), "1533099600.123456");
    check(AERO_KIND_TIMESTAMP, real(-0.0000005), "0");
    check(AERO_KIND_TIMESTAMP, real(-1.5), "-1.5");
    check(AERO_KIND_TIMESTAMP, instant(INT64_MIN), "-9223372036854.775808");
    check(AERO_KIND_TIMESTAMP, integer(9223372036854), "9223372036854");
    check_refused(AERO_KIND_TIMESTAMP, integer(9223372036855), AERO_TYPE);
    check_refused(AERO_KIND_TIMESTAMP, natural(UINT64_MAX), AERO_TYPE);
    check_refused(AERO_KIND_TIMESTAMP, real(1e300), AERO_TYPE);
    check_refused(AERO_KIND_TIMESTAMP, real(9223372036855.0), AERO_TYPE);
    check_refused(AERO_KIND_TIMESTAMP, real(NAN), AERO_TYPE);
    check_refused(AERO_KIND_TIMESTAMP, boolean(1), AERO_TYPE);
    check(AERO_KIND_TIMESTAMP, text("2018-08-01T05:00:00Z"), "1533099600");
    for (int64_t value = -2000000; value <= 2000000; value += 1111) /* a double per microsecond */
        for (int64_t base = 0; base <= 4000000000; base += 1000000000) {
            const int64_t total = base * 1000000 + value;
            const aero_value in = real((double)total / 1e6);
            char scratch[AE_TEXT_MAX];
            aero_value out;
            assert_int_equal(ae_convert(&table, AERO_KIND_TIMESTAMP, &in, scratch, &out, NULL),
                             AERO_OK);
            assert_true(out.u.integer == total);
        }
}

/* Goal: texts are kept byte by byte, numbers given to text columns become their text; method: each
 * kind of text column with each type. */
static void texts_and_bytes(void **state)
{
    (void)state;
    check(AERO_KIND_TEXT, text("Zürich"), "Zürich");
    check(AERO_KIND_TEXT, integer(12345), "12345");
    check(AERO_KIND_TEXT, natural(UINT64_MAX), "18446744073709551615");
    check(AERO_KIND_TEXT, real(0.1), "0.1");
    check(AERO_KIND_TEXT, instant(1500000), "1.5");
    check(AERO_KIND_TEXT, bytes("abc", 3), "abc");
    check_refused(AERO_KIND_TEXT, bytes("\xff", 1), AERO_TYPE);
    check_refused(AERO_KIND_TEXT, real(NAN), AERO_TYPE);
    check_refused(AERO_KIND_TEXT, text("123456789012345678901"), AERO_LENGTH);
    check_refused(AERO_KIND_TEXT, real(-1.2345678901234567e-300), AERO_LENGTH);
    check(AERO_KIND_TEXT, text(""), "");
    check(AERO_KIND_FIXED, text("ab"), "ab");
    check(AERO_KIND_FIXED, integer(1234), "1234");
    check_refused(AERO_KIND_FIXED, integer(12345), AERO_LENGTH);
    aero_value padded = text("abc");
    padded.u.data = "abc\0";
    padded.length = 4;
    check_refused(AERO_KIND_FIXED, padded, AERO_TYPE);
    check(AERO_KIND_CHAR, text("é"), "é");
    check(AERO_KIND_CHAR, integer(7), "7");
    check_refused(AERO_KIND_CHAR, integer(77), AERO_TYPE);
    check_refused(AERO_KIND_CHAR, text(""), AERO_TYPE);
    check(AERO_KIND_BYTES, bytes("\0\xff", 2), "00ff");
    check(AERO_KIND_BYTES, text("00fF"), "00ff");
    check(AERO_KIND_BYTES, text(""), "");
    check_refused(AERO_KIND_BYTES, text("0"), AERO_TYPE);
    check_refused(AERO_KIND_BYTES, text("zz"), AERO_TYPE);
    check_refused(AERO_KIND_BYTES, text("0011223344"), AERO_LENGTH);
    check_refused(AERO_KIND_BYTES, integer(12), AERO_TYPE);
}

/* Goal: addresses come as text or in their raw form; method: both, and wrong lengths. */
static void addresses(void **state)
{
    (void)state;
    check(AERO_KIND_INET, text("10.0.0.1"), "10.0.0.1");
    check(AERO_KIND_INET, integer(0x0a000001), "10.0.0.1");
    check_refused(AERO_KIND_INET, integer(-1), AERO_TYPE);
    check_refused(AERO_KIND_INET, natural(0x100000000), AERO_TYPE);
    check_refused(AERO_KIND_INET, text("10.0.0"), AERO_TYPE);
    check(AERO_KIND_IPV6, text("::1"), "::1");
    check(AERO_KIND_IPV6, bytes("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16), "::1");
    check_refused(AERO_KIND_IPV6, bytes("\0", 1), AERO_TYPE);
    check_refused(AERO_KIND_IPV6, integer(1), AERO_TYPE);
    check(AERO_KIND_MAC, text("00-00-5e-00-53-AF"), "00:00:5e:00:53:af");
    check(AERO_KIND_MAC, bytes("\1\2\3\4\5\6", 6), "01:02:03:04:05:06");
    check_refused(AERO_KIND_MAC, bytes("\1\2\3\4\5", 5), AERO_TYPE);
}

/* Goal: NULL stays NULL, in nullable columns only; method: every kind, both ways. */
static void nulls(void **state)
{
    (void)state;
    const aero_value null = {.type = AERO_TYPE_NULL};
    for (uint32_t kind = 1; kind < table.column_count; kind++) {
        check(kind, null, "");
        aero_column strict = columns[kind];
        strict.flags = 0;
        const char *reason = "";
        char scratch[AE_TEXT_MAX];
        aero_value out;
        assert_int_equal(ae_convert_value(&strict, &null, scratch, &out, &reason), AERO_NULL_VALUE);
        char shown[AE_TEXT_MAX];
        ae_present(&strict, &null, shown, &out);
        assert_int_equal(out.type, AERO_TYPE_NULL);
    }
}

/* Goal: users never see raw values; method: present every kind and look at its type. */
static void presented_values(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind;
        const char *in;
        int32_t type;
    } cases[] = {{AERO_KIND_BOOL, "true", AERO_TYPE_BOOL},
                 {AERO_KIND_INT32, "5", AERO_TYPE_INT},
                 {AERO_KIND_UINT64, "5", AERO_TYPE_UINT},
                 {AERO_KIND_FLOAT32, "5.5", AERO_TYPE_DOUBLE},
                 {AERO_KIND_TIMESTAMP, "5.5", AERO_TYPE_TIME},
                 {AERO_KIND_CHAR, "x", AERO_TYPE_TEXT},
                 {AERO_KIND_FIXED, "x", AERO_TYPE_TEXT},
                 {AERO_KIND_TEXT, "x", AERO_TYPE_TEXT},
                 {AERO_KIND_BYTES, "00", AERO_TYPE_BYTES},
                 {AERO_KIND_INET, "1.2.3.4", AERO_TYPE_TEXT},
                 {AERO_KIND_IPV6, "::1", AERO_TYPE_TEXT},
                 {AERO_KIND_MAC, "00:00:5e:00:53:af", AERO_TYPE_TEXT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char scratch[AE_TEXT_MAX + 20], shown[AE_TEXT_MAX];
        const aero_value in = text(cases[i].in);
        aero_value raw, out;
        assert_int_equal(ae_convert(&table, cases[i].kind, &in, scratch, &raw, NULL), AERO_OK);
        ae_present(&columns[cases[i].kind], &raw, shown, &out);
        assert_int_equal(out.type, cases[i].type);
        if (out.type == AERO_TYPE_TEXT) {
            assert_int_equal(out.length, in.length);
            assert_memory_equal(out.u.data, in.u.data, in.length);
        }
    }
}

/* Goal: columns are found by name and alias, exactly; method: hits, near misses, a NUL inside. */
static void columns_by_name(void **state)
{
    (void)state;
    assert_int_equal(ae_column_lookup(&table, "int32", 5), AERO_KIND_INT32);
    assert_int_equal(ae_column_lookup(&table, "height", 6), AERO_KIND_INT32);
    assert_int_equal(ae_column_lookup(&table, "int3", 4), -1);
    assert_int_equal(ae_column_lookup(&table, "int32 ", 6), -1);
    assert_int_equal(ae_column_lookup(&table, "INT32", 5), -1);
    assert_int_equal(ae_column_lookup(&table, "", 0), -1);
    assert_int_equal(ae_column_lookup(&table, "mac\0x", 5), -1);
    assert_int_equal(ae_column_lookup(&table, "mac\0", 4), -1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(whole_numbers),    cmocka_unit_test(real_numbers),
    cmocka_unit_test(timestamps),       cmocka_unit_test(texts_and_bytes),
    cmocka_unit_test(addresses),        cmocka_unit_test(nulls),
    cmocka_unit_test(presented_values), cmocka_unit_test(columns_by_name),
};

AE_TEST_MAIN(tests)
