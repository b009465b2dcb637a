/* Timestamps from text and to text: Unix seconds or ISO 8601 in, Unix seconds out.
 *
 * A timestamp is microseconds since 1970 UTC in an int64_t, so every text of at most six decimal
 * places is kept exactly; further places are rounded half to even.  No time zone data and no C
 * library calendar is involved: days are counted by the proleptic Gregorian rules.
 */
#include "aerostore/gen.h"
#include "base/number.h"
#include "base/error.h"
#include "base/number_inline.h"

#define MICROSECONDS 1000000

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly `count` digits as a number, or -1. */
static int32_t read_field(const char *text, size_t count)
{
    AE_ASSERT(count > 0 && count <= 4);
    int32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(text[i]))
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* The digits behind a point, as microseconds 0..1000000 (rounding can reach a whole second). */
static bool read_fraction(const char *text, const char *end, int32_t *microseconds)
{
    int32_t value = 0;
    int places = 0;
    const char *at = text;
    for (; at < end && places < 6; at++, places++) {
        if (!is_digit(*at))
            return false;
        value = value * 10 + (*at - '0');
    }
    for (; places < 6; places++)
        value *= 10;
    if (at < end) {
        const char first = *at;
        bool more = false;
        for (const char *rest = at; rest < end; rest++) {
            if (!is_digit(*rest))
                return false;
            more = more || (rest > at && *rest != '0');
        }
        if (first > '5' || (first == '5' && (more || (value & 1) != 0)))
            value++;
    }
    AE_ASSERT(value >= 0 && value <= 1000000);
    *microseconds = value;
    return true;
}

/* sign * (seconds * 10^6 + microseconds), false if it does not fit. */
static bool compose(bool negative, uint64_t seconds, int32_t microseconds, int64_t *value)
{
    AE_ASSERT(microseconds >= 0 && microseconds <= MICROSECONDS);
    uint64_t total = 0;
    if (__builtin_mul_overflow(seconds, (uint64_t)MICROSECONDS, &total) ||
        __builtin_add_overflow(total, (uint64_t)microseconds, &total) ||
        total > (uint64_t)INT64_MAX + negative)
        return false;
    *value = (int64_t)(negative ? 0 - total : total);
    return true;
}

static aero_status read_seconds(const char *text, size_t length, int64_t *microseconds,
                                const char **reason)
{
    static const uint64_t scales[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    const char *const end = text + length;
    const bool negative = length > 0 && *text == '-';
    if (length > 0 && (*text == '-' || *text == '+'))
        text++;
    uint64_t total;
    uint32_t places;
    bool has_point;
    if (ae_number_plain(text, (size_t)(end - text), &total, &places, &has_point) && places <= 6 &&
        !__builtin_mul_overflow(total, scales[places], &total) && total <= INT64_MAX) {
        *microseconds = negative ? -(int64_t)total : (int64_t)total;
        return AERO_OK;
    }
    const char *point = text;
    while (point < end && is_digit(*point))
        point++;
    const bool has_fraction = end - point >= 2 && *point == '.';
    int32_t fraction = 0;
    uint64_t seconds = 0;
    *reason = "invalid timestamp";
    if ((point == text && !has_fraction) || (point < end && *point != '.'))
        return AERO_TYPE;
    if (has_fraction && !read_fraction(point + 1, end, &fraction))
        return AERO_TYPE;
    if ((point > text &&
         ae_number_read_uint(text, (size_t)(point - text), &seconds) != AE_NUMBER_OK) ||
        !compose(negative, seconds, fraction, microseconds)) {
        *reason = "timestamp out of range";
        return AERO_TYPE;
    }
    return AERO_OK;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar; years start in March here, so
 * that the leap day is the last of its year. */
static int64_t days_of_date(int32_t year, int32_t month, int32_t day)
{
    AE_ASSERT(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    const int64_t y = year - (month <= 2);
    const int64_t m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

static bool is_date(int32_t year, int32_t month, int32_t day)
{
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= days[month - 1] + (leap && month == 2);
}

/* "Z", "+hh:mm" or "-hh:mm" as seconds east of UTC. */
static bool read_offset(const char *text, size_t length, int32_t *seconds)
{
    if (length == 1 && (*text == 'Z' || *text == 'z')) {
        *seconds = 0;
        return true;
    }
    if (length != 6 || (*text != '+' && *text != '-') || text[3] != ':')
        return false;
    const int32_t hours = read_field(text + 1, 2);
    const int32_t minutes = read_field(text + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    AE_ASSERT(hours < 24 && minutes < 60);
    *seconds = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* YYYY-MM-DD, then T or a space, hh:mm:ss, perhaps a fraction, and Z or an offset. */
static bool read_iso(const char *text, size_t length, int64_t *microseconds)
{
    AE_ASSERT(length > 4 && text[4] == '-');
    if (length < 20 || text[7] != '-' || text[13] != ':' || text[16] != ':' ||
        (text[10] != 'T' && text[10] != 't' && text[10] != ' '))
        return false;
    const int32_t year = read_field(text, 4);
    const int32_t month = read_field(text + 5, 2);
    const int32_t day = read_field(text + 8, 2);
    const int32_t hour = read_field(text + 11, 2);
    const int32_t minute = read_field(text + 14, 2);
    const int32_t second = read_field(text + 17, 2);
    if (!is_date(year, month, day) || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59)
        return false;
    const char *const end = text + length;
    const char *zone = text + 19;
    int32_t fraction = 0;
    if (*zone == '.') {
        const char *const digits = ++zone;
        while (zone < end && is_digit(*zone))
            zone++;
        if (zone == digits || !read_fraction(digits, zone, &fraction))
            return false;
    }
    int32_t offset = 0;
    if (!read_offset(zone, (size_t)(end - zone), &offset))
        return false;
    const int64_t seconds = days_of_date(year, month, day) * 86400 + hour * 3600 + minute * 60 +
                            second - offset;
    *microseconds = seconds * MICROSECONDS + fraction; /* years 1..9999 cannot overflow */
    return true;
}

aero_status ae_text_to_timestamp(const char *text, size_t length, int64_t *microseconds,
                                 const char **reason)
{
    int64_t value = 0;
    if (length > 4 && text[4] == '-') {
        if (!read_iso(text, length, &value)) {
            *reason = "invalid timestamp";
            return AERO_TYPE;
        }
    } else {
        const aero_status status = read_seconds(text, length, &value, reason);
        if (status != AERO_OK)
            return status;
    }
    *microseconds = value;
    return AERO_OK;
}

size_t ae_text_of_timestamp(int64_t microseconds, char *out)
{
    char *at = out;
    uint64_t total = (uint64_t)microseconds;
    if (microseconds < 0) {
        *at++ = '-';
        total = 0 - total;
    }
    at += ae_number_write_uint(total / MICROSECONDS, at);
    uint64_t fraction = total % MICROSECONDS;
    if (fraction == 0)
        return (size_t)(at - out);
    int places = 6;
    while (fraction % 10 == 0) {
        fraction /= 10;
        places--;
    }
    *at = '.';
    for (int place = places; place > 0; place--) {
        at[place] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
    return (size_t)(at + 1 + places - out);
}
