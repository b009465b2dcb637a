/* Timestamps as texts: seconds since 1970 with fractions, and dates with offsets.
 *
 * Strategy: texts and what they mean, and every kind of text that means nothing.  Invariants: what
 * is taken is exact to the microsecond, half to even; what is refused says why and leaves the
 * answer alone; each value's own text reads back as itself.
 *
 * variants: plain asan
 * links: base row/text.c row/timestamp.c
 */
#include "harness.h"

#include <stdlib.h>

#include "aerostore/aerostore.h"
#include "include/aerostore/gen.h"

static const struct {
    const char *text;
    int64_t microseconds;
} good[] = {
    {"0", 0},
    {"-0", 0},
    {"+1", 1000000},
    {"1.5", 1500000},
    {".5", 500000},
    {"-.5", -500000},
    {"-1.25", -1250000},
    {"1.", 1000000},
    {"0.1234565", 123456},    /* half: to even */
    {"0.1234575", 123458},    /* half: to even, up */
    {"0.12345650", 123456},   /* still half */
    {"0.12345651", 123457},   /* more than half */
    {"0.1234564999", 123456}, /* less */
    {"0.1234566", 123457},
    {"0.9999999", 1000000}, /* a whole second */
    {"9223372036854.775807", INT64_MAX},
    {"-9223372036854.775808", INT64_MIN},
    {"0.0000000000000000000000000001", 0},
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01t00:00:00z", 0},
    {"1970-01-01 00:00:01+00:00", 1000000},
    {"1970-01-01 01:00:00+01:00", 0},
    {"1969-12-31 23:30:00-00:30", 0},
    {"2000-02-29T12:00:00.25Z", INT64_C(951825600250000)},
    {"2024-02-29T23:59:59.9999999Z", INT64_C(1709251200000000)},
    {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
    {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
};

static const char *const bad[] = {
    "",
    "-",
    "+",
    ".",
    "-.",
    "1e",
    "x",
    "1x",
    "1.x",
    "1.5x",
    "1.1234567x",
    "1.123456x",
    "--1",
    "1..5",
    "0x1",
    "9223372036854.775808",
    "-9223372036854.775809",
    "18446744073709.551616",
    "99999999999999999999",
    "18446744073709551615",
    "99999999999999999999999999.5",
    /* dates */
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970x01-01T00:00:00Z",
    "1970-01x01T00:00:00Z",
    "1970-01-01x00:00:00Z",
    "1970-01-01T00x00:00Z",
    "1970-01-01T00:00x00Z",
    "x970-01-01T00:00:00Z",
    "1970-x1-01T00:00:00Z",
    "1970-01-x1T00:00:00Z",
    "1970-01-01Tx0:00:00Z",
    "1970-01-01T00:x0:00Z",
    "1970-01-01T00:00:x0Z",
    "0000-01-01T00:00:00Z",
    "1970-00-01T00:00:00Z",
    "1970-13-01T00:00:00Z",
    "1970-01-00T00:00:00Z",
    "1970-01-32T00:00:00Z",
    "1970-04-31T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "1970-01-01T24:00:00Z",
    "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:60Z",
    "1970-01-01T00:00:00.Z",
    "1970-01-01T00:00:00.5",
    "1970-01-01T00:00:00.5x",
    "1970-01-01T00:00:00x",
    "1970-01-01T00:00:00ZZ",
    "1970-01-01T00:00:00+1",
    "1970-01-01T00:00:00*01:00",
    "1970-01-01T00:00:00+01x00",
    "1970-01-01T00:00:00+x1:00",
    "1970-01-01T00:00:00+01:x0",
    "1970-01-01T00:00:00+24:00",
    "1970-01-01T00:00:00+00:60",
    "1970-01-01T00:00:00+01:000",
    "1970-01-01T00:00:00.123456x8Z",
};

static void test_texts_that_mean_a_time(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        const char *reason = NULL;
        char text[40];
        int64_t value = 7;
        int64_t back = 7;
        if (ae_text_to_timestamp(good[index].text, strlen(good[index].text), &value, &reason) !=
                AERO_OK ||
            value != good[index].microseconds)
            fail_msg("%s: %lld %s", good[index].text, (long long)value, reason ? reason : "");
        const size_t length = ae_text_of_timestamp(value, text);
        assert_true(length < sizeof text);
        assert_int_equal(ae_text_to_timestamp(text, length, &back, &reason), AERO_OK);
        assert_true(back == value);
    }
}

static void test_texts_that_mean_none(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        /* Of exactly its length, so that a step too far is seen. */
        const size_t length = strlen(bad[index]);
        char *exact = malloc(length + (length == 0));
        const char *reason = NULL;
        int64_t value = 7;
        assert_non_null(exact);
        memcpy(exact, bad[index], length);
        const aero_status status = ae_text_to_timestamp(exact, length, &value, &reason);
        free(exact);
        if (status != AERO_TYPE || reason == NULL || value != 7)
            fail_msg("\"%s\": %d %lld", bad[index], status, (long long)value);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_texts_that_mean_a_time),
    cmocka_unit_test(test_texts_that_mean_none),
};

AE_TEST_MAIN(tests)
