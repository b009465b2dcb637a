/* UTF-8 validation, and single characters to and from code points. */
#include "base/utf8.h"

#include <string.h>

size_t ae_utf8_read(const char *text, size_t length, uint32_t *code_point)
{
    if (length == 0)
        return 0;
    const unsigned char *const bytes = (const unsigned char *)text;
    const uint32_t first = bytes[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) /* a continuation, overlong, or above U+10FFFF */
        return 0;
    const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length < size)
        return 0;
    uint32_t point = first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    if (size == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000)))
        return 0;
    if (size == 4 && (point < 0x10000 || point > 0x10ffff))
        return 0;
    *code_point = point;
    return size;
}

size_t ae_utf8_write(uint32_t code_point, char *out)
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xc0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        if (code_point >= 0xd800 && code_point < 0xe000)
            return 0;
        out[0] = (char)(0xe0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    if (code_point > 0x10ffff)
        return 0;
    out[0] = (char)(0xf0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

/* Are all bytes ASCII?  Up to 16 bytes, which is most texts, without a loop: two loads overlap. */
static inline bool is_short_ascii(const char *text, size_t length)
{
    uint64_t bytes = 0;
    if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, text, 8);
        memcpy(&last, text + length - 8, 8);
        bytes = first | last;
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, text, 4);
        memcpy(&last, text + length - 4, 4);
        bytes = first | last;
    } else {
        for (size_t i = 0; i < length; i++)
            bytes |= (unsigned char)text[i];
    }
    return (bytes & 0x8080808080808080) == 0;
}

bool ae_utf8_valid(const char *text, size_t length)
{
    if (length <= 16 && is_short_ascii(text, length))
        return true;
    const char *const end = text + length;
    while (text < end) {
        uint64_t word;
        while (end - text >= 8 && (memcpy(&word, text, 8), (word & 0x8080808080808080) == 0))
            text += 8;
        if (text == end)
            break;
        uint32_t code_point; /* an ASCII character in front of the others, or one of more bytes */
        const size_t size = ae_utf8_read(text, (size_t)(end - text), &code_point);
        if (size == 0)
            return false;
        text += size;
    }
    return true;
}
