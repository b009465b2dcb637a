/* number_inline.h — the hot path of reading numbers: short plain decimals, without a loop over
 * digits.
 *
 * Nearly every number in a feed is at most 16 characters of digits with at most one point.  They
 * are loaded right-aligned into two words, padded with '0' in front; the point is taken out by
 * moving what is in front of it up by one byte; then eight digits become a number by three
 * multiplications. Nothing branches on where the point is or how many digits there are.
 */
#ifndef AE_BASE_NUMBER_INLINE_H
#define AE_BASE_NUMBER_INLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AE_PLAIN_MAX 16
#define AE_PLAIN_ZEROS 0x3030303030303030ull

static inline uint64_t ae_load_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint64_t ae_load_half(const char *text)
{
    uint32_t half;
    memcpy(&half, text, sizeof half);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    half = __builtin_bswap32(half);
#endif
    return half;
}

/* 1..8 characters in the last bytes of a word, NULs before them; reads nothing else. */
static inline uint64_t ae_load_right(const char *text, size_t length)
{
    if (length == 8)
        return ae_load_word(text);
    if (length >= 4) /* two loads that overlap */
        return ae_load_half(text + length - 4) << 32 |
               ((ae_load_half(text) << (8 * (8 - length))) & 0xffffffff);
    /* First, middle and last: of one character all the same, of two the middle is the last. */
    const size_t middle = length / 2;
    return (uint64_t)(unsigned char)text[0] << (64 - 8 * length) |
           (uint64_t)(unsigned char)text[middle] << (64 - 8 * (length - middle)) |
           (uint64_t)(unsigned char)text[length - 1] << 56;
}

/* Are all eight bytes digits?  A digit's upper half is 3, and adding 6 does not carry into it. */
static inline bool ae_word_is_digits(uint64_t word)
{
    const uint64_t upper = 0xf0f0f0f0f0f0f0f0;
    return ((word & upper) | ((word + 0x0606060606060606) & upper) >> 4) == 0x3333333333333333;
}

/* Eight digits, the first in the lowest byte: neighbours are joined to pairs, pairs to fours, fours
 * to the whole. */
static inline uint64_t ae_word_digits(uint64_t word)
{
    word -= AE_PLAIN_ZEROS;
    word = word * 10 + (word >> 8);
    const uint64_t even = (word & 0x000000ff000000ff) * 0x000f424000000064;
    const uint64_t odd = ((word >> 16) & 0x000000ff000000ff) * 0x0000271000000001;
    return (even + odd) >> 32;
}

/* Take out byte `at` of a word: the bytes below move up, '0' comes in. */
static inline uint64_t ae_word_close_gap(uint64_t word, uint32_t at)
{
    const uint64_t below = ((uint64_t)1 << (8 * at)) - 1;
    return (word & ~(below << 8 | 0xff)) | (word & below) << 8;
}

/* An unsigned decimal of at most AE_PLAIN_MAX characters: its value is *digits / 10^*places, and
 * *point says whether there was a point.  False for everything else, which may still be a number.
 */
static inline __attribute__((always_inline)) bool ae_number_plain(const char *text, size_t length,
                                                                  uint64_t *digits,
                                                                  uint32_t *places, bool *point)
{
    uint64_t front = AE_PLAIN_ZEROS;
    uint64_t back;
    if (length - 1 >= AE_PLAIN_MAX)
        return false;
    if (length > 8) {
        front = ae_load_word(text) << (8 * (16 - length));
        back = ae_load_word(text + length - 8);
        /* Padding: bytes that are NUL because nothing was loaded.  A NUL of the text is refused
         * below all the same, since only the missing bytes are filled. */
        if (length < 16)
            front |= AE_PLAIN_ZEROS >> (8 * (length - 8));
    } else {
        back = ae_load_right(text, length);
        if (length < 8)
            back |= AE_PLAIN_ZEROS >> (8 * length);
    }
    const uint64_t same = back ^ 0x2e2e2e2e2e2e2e2e;
    const uint64_t found = (same - 0x0101010101010101) & ~same & 0x8080808080808080;
    *places = 0;
    *point = found != 0;
    if (found != 0) {
        const uint32_t at = (uint32_t)__builtin_ctzll(found) / 8; /* of the first point */
        back = ae_word_close_gap(back, at) | front >> 56;
        front = front << 8 | '0';
        *places = 7 - at;
        if (length == 1)
            return false;
    }
    if (!ae_word_is_digits(back) || !ae_word_is_digits(front))
        return false;
    *digits = ae_word_digits(back);
    if (length > 8)
        *digits += 100000000 * ae_word_digits(front);
    return true;
}

#endif
