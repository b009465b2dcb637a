/* Splitting by masks: see split.h.
 *
 * I1 No byte outside the piece is read: its last, partial block is copied aside first.
 */
#include "ingest/split.h"

#include "base/error.h"

#include <string.h>

#if defined(__SSE2__) && !defined(AE_PORTABLE)
#include <emmintrin.h>
#endif

#define BLOCK 64

/* One bit for each byte of a block. */
typedef struct ae_masks {
    uint64_t breaks;
    uint64_t escapes;
} ae_masks;

#if defined(__SSE2__) && !defined(AE_PORTABLE)

/* 16 bytes: bits of the breaks; what equals a backslash is added to *escapes. */
static inline uint64_t scan_part(const char *part, __m128i separator, __m128i *escapes)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)part);
    const __m128i breaks = _mm_or_si128(_mm_cmpeq_epi8(bytes, separator),
                                        _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
    *escapes = _mm_or_si128(*escapes, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return (uint32_t)_mm_movemask_epi8(breaks);
}

static inline ae_masks scan_block(const char *block, char separator)
{
    const __m128i pattern = _mm_set1_epi8(separator);
    __m128i escapes = _mm_setzero_si128();
    ae_masks masks;
    masks.breaks = scan_part(block, pattern, &escapes);
    masks.breaks |= scan_part(block + 16, pattern, &escapes) << 16;
    masks.breaks |= scan_part(block + 32, pattern, &escapes) << 32;
    masks.breaks |= scan_part(block + 48, pattern, &escapes) << 48;
    masks.escapes = (uint32_t)_mm_movemask_epi8(escapes);
    return masks;
}

#else

/* One bit for each byte of a word that equals the wanted one. */
static inline uint64_t mask_of(uint64_t word, char wanted)
{
    const uint64_t ones = 0x0101010101010101;
    const uint64_t low = 0x7f7f7f7f7f7f7f7f;
    const uint64_t same = word ^ (ones * (unsigned char)wanted);
    const uint64_t zero = ~(((same & low) + low) | same | low); /* bit 7 of each byte that is 0 */
    return ((zero >> 7) * 0x0102040810204080) >> 56;
}

static inline ae_masks scan_block(const char *block, char separator)
{
    ae_masks masks = {0, 0};
    for (int i = 0; i < BLOCK / 8; i++) {
        uint64_t word = 0;
        for (int byte = 0; byte < 8; byte++)
            word |= (uint64_t)(unsigned char)block[8 * i + byte] << (8 * byte);
        masks.breaks |= (mask_of(word, '\n') | mask_of(word, separator)) << (8 * i);
        masks.escapes |= mask_of(word, '\\') << (8 * i);
    }
    return masks;
}

#endif

/* Set bits of a word, without the instruction that not every processor has. */
static inline int count_bits(uint64_t mask)
{
    mask -= (mask >> 1) & 0x5555555555555555;
    mask = (mask & 0x3333333333333333) + ((mask >> 2) & 0x3333333333333333);
    mask = (mask + (mask >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)((mask * 0x0101010101010101) >> 56);
}

/* The position of the lowest bit, which is taken out; of no bit, any position. */
static inline uint16_t next_break(uint64_t *mask, size_t offset)
{
    const int bit = __builtin_ctzll(*mask | (uint64_t)1 << 63);
    *mask &= *mask - 1;
    return (uint16_t)(offset + (size_t)bit);
}

/* Append the positions of a mask's bits; returns the end.  A group is written whatever the
 * number of bits is: what is too much of it is overwritten by the next block's. */
static inline uint16_t *list_breaks(uint16_t *out, uint64_t mask, size_t offset)
{
    while (mask != 0) {
        const int bits = count_bits(mask);
        out[0] = next_break(&mask, offset);
        out[1] = next_break(&mask, offset);
        out[2] = next_break(&mask, offset);
        out[3] = next_break(&mask, offset);
        out[4] = next_break(&mask, offset);
        out[5] = next_break(&mask, offset);
        out[6] = next_break(&mask, offset);
        out[7] = next_break(&mask, offset);
        out[8] = next_break(&mask, offset);
        out[9] = next_break(&mask, offset);
        out[10] = next_break(&mask, offset);
        out[11] = next_break(&mask, offset);
        _Static_assert(AE_SPLIT_GROUP == 12, "as many as are written above");
        out += bits < 12 ? bits : 12;
    }
    return out;
}

/* Look at the next stretch; false when the piece is at its end. */
static bool load_stretch(ae_splitter *splitter)
{
    const char *const start = splitter->stretch + splitter->stretch_size;
    size_t size = (size_t)(splitter->end - start);
    if (size == 0)
        return false;
    size = size < AE_SPLIT_STRETCH ? size : AE_SPLIT_STRETCH;
    uint16_t *out = splitter->breaks;
    uint64_t escapes = 0;
    size_t offset = 0;
    for (; offset + BLOCK <= size; offset += BLOCK) {
        const ae_masks masks = scan_block(start + offset, splitter->separator);
        out = list_breaks(out, masks.breaks, offset);
        escapes |= masks.escapes;
    }
    if (offset < size) {
        char copy[BLOCK] = {0}; /* 0 is neither a newline nor a separator nor a backslash */
        memcpy(copy, start + offset, size - offset);
        const ae_masks masks = scan_block(copy, splitter->separator);
        out = list_breaks(out, masks.breaks, offset);
        escapes |= masks.escapes;
    }
    AE_ASSERT(out >= splitter->breaks && (size_t)(out - splitter->breaks) <= size);
    splitter->stretch = start;
    splitter->stretch_size = size;
    splitter->break_count = (uint32_t)(out - splitter->breaks);
    splitter->break_index = 0;
    splitter->has_escape = escapes != 0;
    return true;
}

void ae_split_start(ae_splitter *splitter, const char *data, size_t length, char separator)
{
    splitter->next = data;
    splitter->end = data + length;
    splitter->stretch = data;
    splitter->stretch_size = 0;
    splitter->break_count = 0;
    splitter->break_index = 0;
    splitter->has_escape = false;
    splitter->separator = separator;
}

bool ae_split_next(ae_splitter *splitter, aero_span *cells, uint32_t capacity, ae_line *line)
{
    const char *cell = splitter->next;
    uint32_t count = 0;
    if (cell >= splitter->end)
        return false;
    AE_ASSERT(capacity > 0 && splitter->break_index <= splitter->break_count);
    line->start = cell;
    line->complete = false;
    bool may_have_escape = splitter->has_escape;
    do {
        const char *const stretch = splitter->stretch;
        may_have_escape = may_have_escape || splitter->has_escape;
        for (uint32_t i = splitter->break_index; i < splitter->break_count; i++) {
            const char *const at = stretch + splitter->breaks[i];
            if (count < capacity)
                cells[count] = (aero_span){cell, (size_t)(at - cell)};
            count += count < UINT32_MAX;
            cell = at + 1;
            if (*at == '\n') {
                splitter->break_index = i + 1;
                line->complete = true;
                break;
            }
        }
    } while (!line->complete && load_stretch(splitter));
    splitter->next = line->complete ? cell : splitter->end;
    line->length = (size_t)(splitter->next - line->start) - line->complete;
    AE_ASSERT(splitter->next > line->start && splitter->next <= splitter->end);
    line->has_escape = may_have_escape && memchr(line->start, '\\', line->length) != NULL;
    if (!line->complete) {
        if (count < capacity)
            cells[count] = (aero_span){cell, (size_t)(splitter->end - cell)};
        count += count < UINT32_MAX;
    }
    line->cell_count = count;
    return true;
}
