/* hex.h — bytes as pairs of hexadecimal digits: the text form of BYTES columns and MAC addresses.
 *
 * Concurrency: pure functions.
 */
#ifndef AE_ROW_HEX_H
#define AE_ROW_HEX_H

#include <stdbool.h>
#include <stddef.h>

static inline int ae_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decode `length` digits into length / 2 bytes; false if they are odd in number or not digits. */
static inline bool ae_hex_decode(const char *text, size_t length, char *out)
{
    if (length % 2 != 0)
        return false;
    for (size_t i = 0; i < length; i += 2) {
        const int high = ae_hex_digit(text[i]);
        const int low = ae_hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (char)(high << 4 | low);
    }
    return true;
}

/* Encode `length` bytes into 2 * length digits. */
static inline void ae_hex_encode(const char *data, size_t length, char *out)
{
    static const char digits[16] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)data[i];
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
}

#endif
