/* The text form of every column type: UTF-8, booleans, timestamps, addresses, TSV escapes.
 *
 * links: base row/text.c row/timestamp.c
 */
#include "harness.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "aerostore/gen.h"
#include "base/utf8.h"

/* A text and its length from a literal, so that it may hold NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1

static uint64_t random_word(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ull;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t new_seed(void)
{
    const char *const given = getenv("AEROSTORE_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %" PRIu64 "\n", seed);
    return seed;
}

/* Goal: exactly the code points are characters; method: write and read all numbers to 0x120000. */
static void utf8_of_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char out[AE_UTF8_MAX];
        const size_t size = ae_utf8_write(point, out);
        const int is_character = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        assert_int_equal(size > 0, is_character);
        uint32_t back = 0;
        assert_int_equal(ae_utf8_read(out, size, &back), size);
        if (size > 0) {
            assert_int_equal(back, point);
            assert_true(ae_utf8_valid(out, size));
            assert_int_equal(ae_utf8_read(out, size - 1, &back), 0); /* cut off */
        }
    }
}

/* Goal: malformed sequences are refused wherever they stand; method: overlong forms, surrogates,
 * too large, lone and missing continuations, at every offset of a long ASCII text. */
static void utf8_that_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\x80",
                                      "\xbf",
                                      "\xff",
                                      "\xfe",
                                      "\xc3",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98",
                                      "\xc3(",
                                      "\xe2\x82(",
                                      "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t offset = 0; offset < 20; offset++) {
            char text[40];
            memset(text, 'a', sizeof text);
            memcpy(text + offset, bad[i], strlen(bad[i]));
            assert_false(ae_utf8_valid(text, sizeof text));
            assert_false(ae_utf8_valid(text, offset + strlen(bad[i])));
            assert_true(ae_utf8_valid(text, offset));
        }
    }
    assert_true(ae_utf8_valid(TEXT("a\0b")));
    assert_true(ae_utf8_valid(TEXT("Zürich 東京 😀 \xef\xbb\xbf")));
}

/* Goal: Tcl's boolean words, in any case, and nothing else; method: lists of both. */
static void booleans(void **state)
{
    (void)state;
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "y", "Yes", "on", "oN"};
    static const char *const no[] = {"0", "f", "false", "False", "n", "NO", "off", "OFF"};
    const char *reason = "";
    uint8_t value = 9;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        assert_int_equal(ae_text_to_bool(yes[i], strlen(yes[i]), &value, &reason), AERO_OK);
        assert_int_equal(value, 1);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        assert_int_equal(ae_text_to_bool(no[i], strlen(no[i]), &value, &reason), AERO_OK);
        assert_int_equal(value, 0);
    }
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {{TEXT("")},     {TEXT("2")},    {TEXT("tru")}, {TEXT("true ")},
               {TEXT("\x10")}, {TEXT("\x11")}, {TEXT("of")},  {TEXT("on\0")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ae_text_to_bool(bad[i].text, bad[i].length, &value, &reason), AERO_TYPE);
        assert_string_equal(reason, "invalid boolean");
    }
}

/* Goal: integers of a narrow kind stop at its bounds; method: both sides of int8 and uint16. */
static void integers_of_narrow_kinds(void **state)
{
    (void)state;
    const char *reason = "";
    int64_t value = 0;
    uint64_t natural = 0;
    assert_int_equal(ae_text_to_int(TEXT("-128"), -128, 127, &value, &reason), AERO_OK);
    assert_int_equal(ae_text_to_int(TEXT("128"), -128, 127, &value, &reason), AERO_TYPE);
    assert_string_equal(reason, "integer out of range");
    assert_int_equal(ae_text_to_int(TEXT("1.0"), -128, 127, &value, &reason), AERO_TYPE);
    assert_string_equal(reason, "invalid integer");
    assert_int_equal(ae_text_to_uint(TEXT("65535"), 65535, &natural, &reason), AERO_OK);
    assert_int_equal(ae_text_to_uint(TEXT("65536"), 65535, &natural, &reason), AERO_TYPE);
    assert_int_equal(ae_text_to_uint(TEXT("-1"), 65535, &natural, &reason), AERO_TYPE);
}

/* Goal: a real is finite and never -0.0; method: the values that are not, with their reasons. */
static void reals_are_finite_and_have_one_zero(void **state)
{
    (void)state;
    const char *reason = "";
    double value = 1;
    float narrow = 1;
    assert_int_equal(ae_text_to_double(TEXT("-0.0"), &value, &reason), AERO_OK);
    assert_int_equal(signbit(value), 0);
    assert_int_equal(ae_text_to_float(TEXT("-0"), &narrow, &reason), AERO_OK);
    assert_int_equal(signbit(narrow), 0);
    assert_int_equal(ae_text_to_double(TEXT("nan"), &value, &reason), AERO_TYPE);
    assert_string_equal(reason, "not a finite number");
    assert_int_equal(ae_text_to_double(TEXT("1e309"), &value, &reason), AERO_TYPE);
    assert_string_equal(reason, "number out of range");
    assert_int_equal(ae_text_to_float(TEXT("1e39"), &narrow, &reason), AERO_TYPE);
    assert_string_equal(reason, "number out of range");
    assert_int_equal(ae_text_to_double(TEXT(" 1"), &value, &reason), AERO_TYPE);
    assert_string_equal(reason, "invalid number");
}

static void check_timestamp(const char *text, int64_t expected)
{
    const char *reason = "";
    int64_t value = -1;
    if (ae_text_to_timestamp(text, strlen(text), &value, &reason) != AERO_OK || value != expected)
        fail_msg("%s: %" PRId64 " (%s), not %" PRId64, text, value, reason, expected);
}

/* Goal: seconds and ISO 8601 read as the same instants; method: known pairs, and both ends. */
static void timestamps_in_both_forms(void **state)
{
    (void)state;
    check_timestamp("0", 0);
    check_timestamp("1533099600", 1533099600000000);
    check_timestamp("1533099600.000", 1533099600000000);
    check_timestamp("1533099600.123456", 1533099600123456);
    check_timestamp("1533099600.25", 1533099600250000);
    check_timestamp("-1.5", -1500000);
    check_timestamp("+.5", 500000);
    check_timestamp("7.", 7000000);
    check_timestamp("0.0000005", 0); /* ties to even */
    check_timestamp("0.0000015", 2);
    check_timestamp("0.00000050000001", 1);
    check_timestamp("0.9999995", 1000000);
    check_timestamp("9223372036854.775807", INT64_MAX);
    check_timestamp("-9223372036854.775808", INT64_MIN);
    check_timestamp("2018-08-01T05:00:00Z", 1533099600000000);
    check_timestamp("2018-08-01 05:00:00.25z", 1533099600250000);
    check_timestamp("2018-08-01T07:00:00.1234565+02:00", 1533099600123456);
    check_timestamp("1969-12-31T23:59:59.5Z", -500000);
    check_timestamp("2000-02-29T00:00:00Z", 951782400000000);
    check_timestamp("1900-02-28T12:00:00-00:30", -2203932600000000);
    check_timestamp("2038-01-19T03:14:08Z", 2147483648000000);
    check_timestamp("0001-01-01T00:00:00Z", -62135596800000000);
    check_timestamp("9999-12-31T23:59:59.999999Z", 253402300799999999);
}

/* Goal: what is no instant is refused; method: a list of near misses. */
static void timestamps_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      ".",
                                      "1e9",
                                      "12:00",
                                      "1533099600.12x",
                                      "nan",
                                      "9223372036854.775808",
                                      "-9223372036854.775809",
                                      "99999999999999999999",
                                      "2018-08-01",
                                      "2018-08-01T05:00:00",
                                      "2018-02-29T00:00:00Z",
                                      "2018-13-01T00:00:00Z",
                                      "2018-00-01T00:00:00Z",
                                      "2018-01-32T00:00:00Z",
                                      "2018-08-01T24:00:00Z",
                                      "2018-08-01T05:60:00Z",
                                      "2018-08-01T05:00:60Z",
                                      "2018-08-01T05:00:00.Z",
                                      "2018-08-01T05:00:00+0200",
                                      "2018-08-01T05:00:00+25:00",
                                      "2018-08-01T05:00:00ZZ",
                                      "0000-01-01T00:00:00Z",
                                      "2018-08-01X05:00:00Z",
                                      "1900-02-29T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *reason = "";
        int64_t value = 0;
        if (ae_text_to_timestamp(bad[i], strlen(bad[i]), &value, &reason) != AERO_TYPE)
            fail_msg("%s was taken", bad[i]);
        assert_true(strlen(reason) > 0);
    }
}

/* Goal: every microsecond prints and reads back; method: bounds and random instants; ISO days
 * against gmtime. */
static void timestamps_read_back(void **state)
{
    (void)state;
    uint64_t random = new_seed();
    for (int round = 0; round < 50000; round++) {
        int64_t value = (int64_t)random_word(&random);
        if (round < 4)
            value = (int64_t[]){INT64_MIN, INT64_MAX, 0, -1}[round];
        else if (round % 2 == 0)
            value = value / 1000000 * 1000000;
        char text[AE_TEXT_MAX];
        const size_t length = ae_text_of_timestamp(value, text);
        assert_true(length <= AE_TEXT_MAX);
        const char *reason = "";
        int64_t back = 0;
        assert_int_equal(ae_text_to_timestamp(text, length, &back, &reason), AERO_OK);
        assert_true(back == value);
        assert_int_equal(memchr(text, '.', length) == NULL, value % 1000000 == 0);
    }
    for (int64_t day = -100000; day < 100000; day += 37) {
        const time_t instant = (time_t)(day * 86400 + 12345);
        struct tm parts;
        char text[80];
        assert_non_null(gmtime_r(&instant, &parts));
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        check_timestamp(text, (int64_t)instant * 1000000);
    }
}

/* Goal: a char is one character; method: none, one of each size, two, a broken one. */
static void one_character(void **state)
{
    (void)state;
    const char *reason = "";
    uint32_t point = 0;
    assert_int_equal(ae_text_to_char(TEXT("\0"), &point, &reason), AERO_OK);
    assert_int_equal(point, 0);
    assert_int_equal(ae_text_to_char(TEXT("😀"), &point, &reason), AERO_OK);
    assert_int_equal(point, 0x1f600);
    char out[AE_TEXT_MAX];
    assert_int_equal(ae_text_of_char(point, out), 4);
    assert_memory_equal(out, "😀", 4);
    assert_int_equal(ae_text_to_char(TEXT(""), &point, &reason), AERO_TYPE);
    assert_int_equal(ae_text_to_char(TEXT("ab"), &point, &reason), AERO_TYPE);
    assert_int_equal(ae_text_to_char(TEXT("\xc3"), &point, &reason), AERO_TYPE);
    assert_string_equal(reason, "invalid UTF-8");
}

/* Goal: addresses read in every usual form and print in one; method: pairs, and near misses. */
static void addresses(void **state)
{
    (void)state;
    const char *reason = "";
    char out[AE_TEXT_MAX];
    uint32_t inet = 0;
    uint8_t ipv6[16], mac[6];
    assert_int_equal(ae_text_to_inet(TEXT("192.168.0.255"), &inet, &reason), AERO_OK);
    assert_true(inet == 0xc0a800ffu);
    assert_int_equal(ae_text_of_inet(inet, out), 13);
    assert_memory_equal(out, "192.168.0.255", 13);
    static const char *const bad_inet[] = {"",          "1.2.3",    "1.2.3.256",
                                           "1.2.3.4.5", "1.2.3.04", "1.2.3.4 ",
                                           "0x1.2.3.4", "::1",      "1.2.3.4\n"};
    for (size_t i = 0; i < sizeof bad_inet / sizeof *bad_inet; i++)
        assert_int_equal(ae_text_to_inet(bad_inet[i], strlen(bad_inet[i]), &inet, &reason),
                         AERO_TYPE);
    assert_int_equal(ae_text_to_inet(TEXT("1.2.3.4\0"), &inet, &reason), AERO_TYPE);

    assert_int_equal(ae_text_to_ipv6(TEXT("2001:0DB8:0:0:0:0:0:1"), ipv6, &reason), AERO_OK);
    assert_int_equal(ae_text_of_ipv6(ipv6, out), 11);
    assert_memory_equal(out, "2001:db8::1", 11);
    assert_int_equal(ae_text_to_ipv6(TEXT("::ffff:1.2.3.4"), ipv6, &reason), AERO_OK);
    static const char *const bad_ipv6[] = {
        "", ":", "1::2::3", "12345::", "::g", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0"};
    for (size_t i = 0; i < sizeof bad_ipv6 / sizeof *bad_ipv6; i++)
        assert_int_equal(ae_text_to_ipv6(bad_ipv6[i], strlen(bad_ipv6[i]), ipv6, &reason),
                         AERO_TYPE);

    assert_int_equal(ae_text_to_mac(TEXT("00:1A:2b:3c:4D:ff"), mac, &reason), AERO_OK);
    assert_int_equal(ae_text_of_mac(mac, out), 17);
    assert_memory_equal(out, "00:1a:2b:3c:4d:ff", 17);
    assert_int_equal(ae_text_to_mac(TEXT("00-1A-2b-3c-4D-ff"), mac, &reason), AERO_OK);
    static const char *const bad_mac[] = {"",
                                          "00:1a:2b:3c:4d",
                                          "00:1a:2b:3c:4d:fg",
                                          "00:1a-2b:3c:4d:ff",
                                          "001a2b3c4dff",
                                          "00:1a:2b:3c:4d:ff:",
                                          "00 1a 2b 3c 4d ff"};
    for (size_t i = 0; i < sizeof bad_mac / sizeof *bad_mac; i++)
        assert_int_equal(ae_text_to_mac(bad_mac[i], strlen(bad_mac[i]), mac, &reason), AERO_TYPE);
}

static void check_put(const char *text, size_t length, bool nullable, const char *expected)
{
    char room[100];
    ae_tsv_out out = {.data = room, .capacity = sizeof room};
    ae_tsv_put_text(&out, text, length, nullable);
    assert_int_equal(out.length, strlen(expected));
    assert_memory_equal(room, expected, out.length);
    /* Too little room: the length is right all the same, and nothing is written past the end. */
    for (size_t capacity = 0; capacity < out.length; capacity++) {
        char *const small = malloc(capacity + 1);
        ae_tsv_out cut = {.data = small, .capacity = capacity};
        ae_tsv_put_text(&cut, text, length, nullable);
        assert_int_equal(cut.length, out.length);
        free(small);
    }
}

/* Goal: what TSV gives a meaning is escaped, all else is not; method: each special case. */
static void escapes_on_the_way_out(void **state)
{
    (void)state;
    check_put(TEXT("plain text"), true, "plain text");
    check_put(TEXT("a\tb\nc\rd\\e\0f"), false, "a\\tb\\nc\\rd\\\\e\\0f");
    check_put(TEXT("\\N"), true, "\\\\N");
    check_put(TEXT(""), true, "\\e");
    check_put(TEXT(""), false, "");
    check_put(TEXT("\xef\xbb\xbfx"), false, "\\e\xef\xbb\xbfx");
    char room[8];
    ae_tsv_out out = {.data = room, .capacity = sizeof room};
    ae_tsv_put_bytes(&out, TEXT("\0\x7f\xff"), true);
    assert_int_equal(out.length, 6);
    assert_memory_equal(room, "007fff", 6);
    out.length = 0;
    ae_tsv_put_bytes(&out, "", 0, true);
    assert_int_equal(out.length, 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(utf8_of_every_code_point),
    cmocka_unit_test(utf8_that_is_malformed),
    cmocka_unit_test(booleans),
    cmocka_unit_test(integers_of_narrow_kinds),
    cmocka_unit_test(reals_are_finite_and_have_one_zero),
    cmocka_unit_test(timestamps_in_both_forms),
    cmocka_unit_test(timestamps_that_are_none),
    cmocka_unit_test(timestamps_read_back),
    cmocka_unit_test(one_character),
    cmocka_unit_test(addresses),
    cmocka_unit_test(escapes_on_the_way_out),
};

AE_TEST_MAIN(tests)
