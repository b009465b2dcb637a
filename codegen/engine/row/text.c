/* The text form of every column type: what TSV cells, Tcl values and query constants are made of.
 *
 * Contract in gen.h; generated decode and encode functions call these.  Nothing here depends on the
 * locale, allocates, skips white space or needs a NUL behind the text.
 *
 *   bool       0 1 t f true false y n yes no on off, in any case; written 1 and 0
 *   integers   decimal with an optional sign
 *   reals      decimal; finite; -0 becomes 0, since rows hold one zero only
 *   timestamp  Unix seconds with an optional fraction, rounded to microseconds (half to even), or
 *              ISO 8601 "2018-08-01T05:00:00.25Z" with Z or an offset such as +02:00
 *   char       one character of UTF-8
 *   inet, ipv6 as inet_pton takes them; written in the shortest canonical form (RFC 5952)
 *   mac        six pairs of hexadecimal digits with ':' or '-' between; written with ':'
 *   bytes      hexadecimal pairs
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "aerostore/gen.h"
#include "base/number.h"
#include "base/error.h"
#include "base/utf8.h"
#include "row/hex.h"

static aero_status fail(const char **reason, const char *text, int32_t code)
{
    *reason = text;
    return code;
}

/* ---- booleans and integers ------------------------------------------------------------------ */

aero_status ae_text_to_bool(const char *text, size_t length, uint8_t *value, const char **reason)
{
    static const struct {
        char text[6];
        uint8_t length;
        uint8_t value;
    } words[] = {{"0", 1, 0},   {"1", 1, 1},   {"f", 1, 0},    {"t", 1, 1},
                 {"n", 1, 0},   {"y", 1, 1},   {"no", 2, 0},   {"on", 2, 1},
                 {"off", 3, 0}, {"yes", 3, 1}, {"true", 4, 1}, {"false", 5, 0}};
    for (size_t word = 0; word < sizeof words / sizeof *words; word++) {
        if (words[word].length != length)
            continue;
        size_t same = 0;
        while (same < length && (text[same] | 0x20) == (words[word].text[same] | 0x20))
            same++;
        if (same == length && (length > 1 || *text >= '0')) {
            *value = words[word].value;
            return AERO_OK;
        }
    }
    return fail(reason, "invalid boolean", AERO_TYPE);
}

aero_status ae_text_to_int(const char *text, size_t length, int64_t low, int64_t high,
                           int64_t *value, const char **reason)
{
    AE_ASSERT(low <= high);
    int64_t number = 0;
    const enum ae_number_result result = ae_number_read_int(text, length, &number);
    if (result == AE_NUMBER_INVALID)
        return fail(reason, "invalid integer", AERO_TYPE);
    if (result != AE_NUMBER_OK || number < low || number > high)
        return fail(reason, "integer out of range", AERO_TYPE);
    *value = number;
    return AERO_OK;
}

aero_status ae_text_to_uint(const char *text, size_t length, uint64_t high, uint64_t *value,
                            const char **reason)
{
    uint64_t number = 0;
    const enum ae_number_result result = ae_number_read_uint(text, length, &number);
    if (result == AE_NUMBER_INVALID)
        return fail(reason, "invalid integer", AERO_TYPE);
    if (result != AE_NUMBER_OK || number > high)
        return fail(reason, "integer out of range", AERO_TYPE);
    *value = number;
    return AERO_OK;
}

/* ---- reals ---------------------------------------------------------------------------------- */

static aero_status real_failed(enum ae_number_result result, const char **reason)
{
    if (result == AE_NUMBER_RANGE)
        return fail(reason, "number out of range", AERO_TYPE);
    if (result == AE_NUMBER_NOT_FINITE)
        return fail(reason, "not a finite number", AERO_TYPE);
    return fail(reason, "invalid number", AERO_TYPE);
}

aero_status ae_text_to_double(const char *text, size_t length, double *value, const char **reason)
{
    double number = 0;
    const enum ae_number_result result = ae_number_read_double(text, length, &number);
    if (result != AE_NUMBER_OK)
        return real_failed(result, reason);
    *value = number + 0.0; /* -0.0 becomes 0.0 */
    return AERO_OK;
}

aero_status ae_text_to_float(const char *text, size_t length, float *value, const char **reason)
{
    float number = 0;
    const enum ae_number_result result = ae_number_read_float(text, length, &number);
    if (result != AE_NUMBER_OK)
        return real_failed(result, reason);
    *value = number + 0.0f;
    return AERO_OK;
}

/* ---- characters, text, bytes ---------------------------------------------------------------- */

aero_status ae_text_to_char(const char *text, size_t length, uint32_t *code_point,
                            const char **reason)
{
    uint32_t point = 0;
    const size_t size = ae_utf8_read(text, length, &point);
    if (length == 0)
        return fail(reason, "not one character", AERO_TYPE);
    if (size == 0)
        return fail(reason, "invalid UTF-8", AERO_TYPE);
    if (size != length)
        return fail(reason, "not one character", AERO_TYPE);
    AE_ASSERT(point <= 0x10ffff);
    *code_point = point;
    return AERO_OK;
}

aero_status ae_text_check(const char *text, size_t length, uint32_t max_length, const char **reason)
{
    if (length > max_length)
        return fail(reason, "longer than the column allows", AERO_LENGTH);
    if (!ae_utf8_valid(text, length))
        return fail(reason, "invalid UTF-8", AERO_TYPE);
    return AERO_OK;
}

aero_status ae_bytes_check(size_t length, uint32_t max_length, const char **reason)
{
    if (length > max_length)
        return fail(reason, "longer than the column allows", AERO_LENGTH);
    return AERO_OK;
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* inet_pton on text without a NUL behind it. */
static bool read_address(int family, const char *text, size_t length, void *address)
{
    AE_ASSERT(family == AF_INET || family == AF_INET6);
    char copy[INET6_ADDRSTRLEN];
    if (length >= sizeof copy || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return inet_pton(family, copy, address) == 1;
}

aero_status ae_text_to_inet(const char *text, size_t length, uint32_t *address, const char **reason)
{
    uint32_t network = 0;
    if (length == 0 || !read_address(AF_INET, text, length, &network))
        return fail(reason, "invalid IPv4 address", AERO_TYPE);
    *address = ntohl(network);
    return AERO_OK;
}

aero_status ae_text_to_ipv6(const char *text, size_t length, uint8_t address[16],
                            const char **reason)
{
    uint8_t network[16];
    if (length == 0 || !read_address(AF_INET6, text, length, network))
        return fail(reason, "invalid IPv6 address", AERO_TYPE);
    memcpy(address, network, sizeof network);
    return AERO_OK;
}

aero_status ae_text_to_mac(const char *text, size_t length, uint8_t address[6], const char **reason)
{
    uint8_t bytes[6];
    bool valid = length == 17 && (text[2] == ':' || text[2] == '-');
    for (size_t i = 0; i < 6 && valid; i++) {
        valid = ae_hex_decode(text + 3 * i, 2, (char *)&bytes[i]) &&
                (i == 5 || text[3 * i + 2] == text[2]);
    }
    if (!valid)
        return fail(reason, "invalid MAC address", AERO_TYPE);
    memcpy(address, bytes, sizeof bytes);
    return AERO_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

size_t ae_text_of_int(int64_t value, char *out)
{
    return ae_number_write_int(value, out);
}

size_t ae_text_of_uint(uint64_t value, char *out)
{
    return ae_number_write_uint(value, out);
}

size_t ae_text_of_double(double value, char *out)
{
    return ae_number_write_double(value, out);
}

size_t ae_text_of_float(float value, char *out)
{
    return ae_number_write_float(value, out);
}

size_t ae_text_of_char(uint32_t code_point, char *out)
{
    return ae_utf8_write(code_point, out);
}

size_t ae_text_of_inet(uint32_t address, char *out)
{
    size_t length = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        length += ae_number_write_uint(address >> shift & 0xff, out + length);
        if (shift > 0)
            out[length++] = '.';
    }
    return length;
}

size_t ae_text_of_ipv6(const uint8_t address[16], char *out)
{
    _Static_assert(INET6_ADDRSTRLEN <= AE_TEXT_MAX, "an IPv6 address fits");
    return inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN) == NULL ? 0 : strlen(out);
}

size_t ae_text_of_mac(const uint8_t address[6], char *out)
{
    for (size_t i = 0; i < 6; i++) {
        ae_hex_encode((const char *)&address[i], 1, out + 3 * i);
        if (i < 5)
            out[3 * i + 2] = ':';
    }
    return 17;
}

/* ---- TSV cells ------------------------------------------------------------------------------ */

/* The letter of the escape of a byte, or 0. */
static inline char escape_of(char c)
{
    switch (c) {
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\\':
        return '\\';
    case '\0':
        return '0';
    default:
        return '\0';
    }
}

void ae_tsv_put_text(ae_tsv_out *out, const char *data, size_t length, bool nullable)
{
    /* \e stands for nothing: it keeps an empty text from reading as NULL, and a leading byte order
     * mark from being taken for the file's. */
    if (length == 0 ? nullable : length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        ae_tsv_put(out, "\\e", 2);
    size_t plain = 0; /* start of the run not written yet */
    for (size_t i = 0; i < length; i++) {
        const char letter = escape_of(data[i]);
        if (letter == '\0')
            continue;
        ae_tsv_put(out, data + plain, i - plain);
        ae_tsv_put(out, (const char[2]){'\\', letter}, 2);
        plain = i + 1;
    }
    AE_ASSERT(plain <= length);
    ae_tsv_put(out, data + plain, length - plain);
}

void ae_tsv_put_bytes(ae_tsv_out *out, const char *data, size_t length, bool nullable)
{
    if (length == 0 && nullable)
        ae_tsv_put(out, "\\e", 2);
    for (size_t i = 0; i < length; i++) {
        char pair[2];
        ae_hex_encode(data + i, 1, pair);
        ae_tsv_put(out, pair, 2);
    }
}
