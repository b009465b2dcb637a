/* glob_search.c — find a piece in a value in linear time: memmem for bytes, bit-parallel search
 * (R. Baeza-Yates, G. Gonnet: A new approach to text searching, 1992) for pieces with ? or [ ].
 *
 * State bit i means: the last i + 1 characters match the first i + 1 atoms.  A character shifts the
 * state by one and keeps the bits whose atoms accept it; the piece ends where its last bit comes
 * up.
 *
 * Progress: AEI_GLOB_PIECE_MAX / 64 word operations a character at most.
 */
#include <stdlib.h>
#include <string.h>

#include "query/fold.h"
#include "query/glob_private.h"
#include "query/limits.h"

#define WORDS_MAX (AEI_GLOB_PIECE_MAX / 64)

static int bound_order(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The class of a character: how many bounds are at or below it. */
static uint32_t class_of(const aei_glob_table *table, uint32_t character)
{
    uint32_t low = 0;
    uint32_t high = table->class_count - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (table->bounds[middle] <= character)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where ranges begin and end, sorted, each once.  Returns how many. */
static uint32_t collect_bounds(const aei_glob *glob, const aei_glob_piece *piece, uint32_t *bounds)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < piece->atom_count; i++) {
        const aei_glob_atom *atom = &glob->atoms[piece->atom_first + i];
        for (uint32_t r = 0; r < atom->range_count; r++) {
            bounds[count++] = glob->ranges[atom->range_first + r].low;
            bounds[count++] = glob->ranges[atom->range_first + r].high + 1;
        }
    }
    qsort(bounds, count, sizeof *bounds, bound_order);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || bounds[kept - 1] != bounds[i])
            bounds[kept++] = bounds[i];
    }
    return kept;
}

static void fill_masks(const aei_glob *glob, const aei_glob_piece *piece, aei_glob_table *table,
                       uint64_t *masks)
{
    memset(masks, 0, (size_t)table->class_count * table->words * sizeof *masks);
    for (uint32_t i = 0; i < piece->atom_count; i++) {
        const aei_glob_atom *atom = &glob->atoms[piece->atom_first + i];
        for (uint32_t r = 0; r < atom->range_count; r++) {
            const aei_glob_range *range = &glob->ranges[atom->range_first + r];
            const uint32_t end = class_of(table, range->high);
            for (uint32_t c = class_of(table, range->low); c <= end; c++)
                masks[(size_t)c * table->words + i / 64] |= (uint64_t)1 << (i % 64);
        }
    }
    for (uint32_t c = 0; c < 128; c++)
        table->ascii[c] = (uint16_t)class_of(table, c);
}

const aei_glob_table *aei_glob_table_build(const aei_glob *glob, const aei_glob_piece *piece,
                                           aei_pool *pool, aero_error *error)
{
    size_t ranges = 0;
    for (uint32_t i = 0; i < piece->atom_count; i++)
        ranges += glob->atoms[piece->atom_first + i].range_count;
    if (piece->atom_count > AEI_GLOB_PIECE_MAX || ranges > AEI_GLOB_RANGES_MAX) {
        (void)ae_fail(error, AERO_LIMIT,
                      "a pattern may have %u characters and %u ranges between two stars, "
                      "if one of them is ? or [",
                      AEI_GLOB_PIECE_MAX, AEI_GLOB_RANGES_MAX);
        return NULL;
    }
    aei_glob_table *table = aei_pool_take(pool, sizeof *table, error);
    uint32_t *bounds = aei_pool_array(pool, 2 * ranges, sizeof *bounds, error);
    if (table == NULL || bounds == NULL)
        return NULL;
    const uint32_t bound_count = collect_bounds(glob, piece, bounds);
    table->class_count = bound_count + 1;
    table->words = (piece->atom_count + 63) / 64;
    table->bounds = bounds;
    uint64_t *masks = aei_pool_array(pool, (size_t)table->class_count * table->words, sizeof *masks,
                                     error);
    if (masks == NULL)
        return NULL;
    table->masks = masks;
    fill_masks(glob, piece, table, masks);
    return table;
}

static size_t search_masks(const aei_glob_piece *piece, const char *data, size_t length,
                           size_t from)
{
    const aei_glob_table *table = piece->table;
    const uint32_t words = table->words;
    const uint32_t last = piece->atom_count - 1;
    uint64_t state[WORDS_MAX] = {0};
    while (from < length) {
        uint32_t character;
        from += aei_utf8_get(data + from, length - from, &character);
        const uint32_t c = character < 128 ? table->ascii[character] : class_of(table, character);
        const uint64_t *mask = table->masks + (size_t)c * words;
        uint64_t carry = 1; /* a match may begin at every character */
        for (uint32_t w = 0; w < words; w++) {
            const uint64_t next = state[w] >> 63;
            state[w] = (state[w] << 1 | carry) & mask[w];
            carry = next;
        }
        if (state[last / 64] >> (last % 64) & 1)
            return from;
    }
    return SIZE_MAX;
}

size_t aei_glob_search(const aei_glob_piece *piece, const char *data, size_t length, size_t from)
{
    if (piece->literal == NULL)
        return search_masks(piece, data, length, from);
    if (piece->literal_length == 0)
        return from;
    const char *found = memmem(data + from, length - from, piece->literal, piece->literal_length);
    return found == NULL ? SIZE_MAX : (size_t)(found - data) + piece->literal_length;
}
