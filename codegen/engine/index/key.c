/* key.c — making words of rows, and sorting them (see key.h). */
#include "index/key.h"

#include <stdio.h>
#include <string.h>

/* Rows may change under the eyes of ae_key_words_racy; the thread sanitizer must not see it. */
#if defined(AE_TSAN)
#define RACY __attribute__((no_sanitize("thread")))
#else
#define RACY
#endif

uint32_t ae_key_column_words(const aero_column *column)
{
    AE_ASSERT(column->kind != AERO_KIND_FIXED || column->size > 0);
    switch (column->kind) {
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        return column->max_length <= 8 ? 1 : 2;
    case AERO_KIND_FIXED:
        return column->size <= 8 ? 1 : 2;
    case AERO_KIND_IPV6:
        return 2;
    default:
        return 1;
    }
}

/* Can two values of a column be different with the same words? */
static bool column_is_cut(const aero_column *column)
{
    switch (column->kind) {
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        return column->max_length > 8 * ae_key_column_words(column) - 1;
    case AERO_KIND_FIXED:
        return column->size > 8 * ae_key_column_words(column);
    default:
        return false;
    }
}

void ae_key_shape_finish(const aero_table *of, ae_key_shape *shape, bool unique)
{
    bool cut = false;
    shape->worded_count = 0;
    shape->word_count = 0;
    for (uint32_t index = 0; index < shape->column_count; index++) {
        const aero_column *column = &of->columns[shape->columns[index]];
        const uint32_t words = ae_key_column_words(column);
        cut |= column_is_cut(column);
        if (shape->word_count + words > AE_KEY_WORDS_MAX || shape->worded_count < index) {
            cut = true;
            continue; /* this one and those behind it do not count for the order */
        }
        shape->word_count += words;
        shape->worded_count++;
    }
    AE_ASSERT(shape->word_count <= AE_KEY_WORDS_MAX && shape->worded_count <= shape->column_count);
    shape->width = shape->word_count + (unique && cut && shape->word_count < AE_KEY_WORDS_MAX);
}

/* Copy up to 16 bytes that may change meanwhile, without a call that a sanitizer watches. */
RACY static void bytes_copy(char *to, const char *from, uint32_t count)
{
#if defined(AE_TSAN)
    const volatile char *racy = from;
    for (uint32_t at = 0; at < count; at++)
        to[at] = racy[at];
#else
    memcpy(to, from, count);
#endif
}

/* Words of bytes: big-endian, zero-padded. */
RACY static void block_words(const char *bytes, uint32_t size, uint32_t count, uint64_t *words)
{
    AE_ASSERT(count >= 1 && count <= 2);
    char padded[16] = {0};
    bytes_copy(padded, bytes, size < 16 ? size : 16);
    for (uint32_t word = 0; word < count; word++) {
        uint64_t bits;
        memcpy(&bits, padded + 8 * word, sizeof bits);
        words[word] = __builtin_bswap64(bits);
    }
}

/* Words of a text; `room` is how many bytes lie behind `base`. */
RACY static bool cell_words(const aero_cell *from, const char *base, uint64_t room, uint32_t count,
                            uint64_t *words)
{
    AE_ASSERT(count >= 1 && count <= 2);
    aero_cell cell;
    char bytes[16] = {0};
    const uint32_t most = 8 * count - 1;
    memcpy(&cell, from, sizeof cell);
    const uint32_t taken = cell.length < most ? cell.length : most;
    if (cell.length <= AERO_CELL_INLINE) {
        memcpy(bytes, cell.prefix, 4);
        memcpy(bytes + 4, cell.u.tail, 8);
        if (taken < AERO_CELL_INLINE)
            memset(bytes + taken, 0, sizeof bytes - taken);
    } else {
        if (cell.u.where > room || cell.length > room - cell.u.where)
            return false;
        bytes_copy(bytes, (const char *)((uintptr_t)base + (uintptr_t)cell.u.where), taken);
    }
    bytes[most] = (char)(cell.length <= most ? cell.length : most + 1);
    for (uint32_t word = 0; word < count; word++) {
        uint64_t bits;
        memcpy(&bits, bytes + 8 * word, sizeof bits);
        words[word] = __builtin_bswap64(bits);
    }
    return true;
}

/* The word of a number, sign and size by its kind. */
RACY static uint64_t number_word(uint32_t kind, const char *at)
{
    int8_t tiny;
    int16_t small;
    int32_t medium;
    int64_t large;
    float single;
    double real;
    switch (kind) {
    case AERO_KIND_INT8:
        memcpy(&tiny, at, sizeof tiny);
        return ae_normal_int(tiny);
    case AERO_KIND_INT16:
        memcpy(&small, at, sizeof small);
        return ae_normal_int(small);
    case AERO_KIND_INT32:
        memcpy(&medium, at, sizeof medium);
        return ae_normal_int(medium);
    case AERO_KIND_INT64:
    case AERO_KIND_TIMESTAMP:
        memcpy(&large, at, sizeof large);
        return ae_normal_int(large);
    case AERO_KIND_BOOL:
    case AERO_KIND_UINT8:
        return (uint8_t)*at;
    case AERO_KIND_UINT16:
        memcpy(&small, at, sizeof small);
        return (uint16_t)small;
    case AERO_KIND_UINT32:
    case AERO_KIND_CHAR:
    case AERO_KIND_INET:
        memcpy(&medium, at, sizeof medium);
        return (uint32_t)medium;
    case AERO_KIND_UINT64:
        memcpy(&large, at, sizeof large);
        return (uint64_t)large;
    case AERO_KIND_FLOAT32:
        memcpy(&single, at, sizeof single);
        return ae_normal_real((double)single);
    default:
        memcpy(&real, at, sizeof real);
        return ae_normal_real(real);
    }
}

RACY static bool column_words(const aero_column *column, const char *row, const char *base,
                              uint64_t room, uint32_t count, uint64_t *words)
{
    AE_ASSERT(count >= 1 && count <= 2);
    const char *at = row + column->offset;
    if (column->null_index >= 0) {
        uint32_t nulls;
        memcpy(&nulls, row + 4 * (column->null_index / 32), sizeof nulls);
        if ((nulls >> (column->null_index % 32) & 1u) != 0) {
            words[0] = UINT64_MAX;
            if (count == 2)
                words[1] = UINT64_MAX;
            return true;
        }
    }
    switch (column->kind) {
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        return cell_words((const aero_cell *)(const void *)at, base, room, count, words);
    case AERO_KIND_FIXED:
    case AERO_KIND_IPV6:
    case AERO_KIND_MAC:
        block_words(at, column->size, count, words);
        return true;
    default:
        words[0] = number_word(column->kind, at);
        return true;
    }
}

/* Mix bytes into a hash; they may change meanwhile. */
RACY static uint64_t bytes_hash(uint64_t hash, const char *bytes, uint64_t count)
{
    const volatile char *racy = bytes;
    for (uint64_t at = 0; at < count; at++)
        hash = (hash ^ (uint8_t)racy[at]) * 0x100000001b3ull; /* FNV-1a */
    return hash;
}

/* A hash of the values in all columns of the index. */
RACY static bool shape_hash(const aero_table *of, const ae_key_shape *shape, const char *row,
                            const char *base, uint64_t room, uint64_t *hash)
{
    *hash = 0xcbf29ce484222325ull;
    for (uint32_t index = 0; index < shape->column_count; index++) {
        const aero_column *column = &of->columns[shape->columns[index]];
        const char *at = row + column->offset;
        aero_cell cell;
        if (column->kind != AERO_KIND_TEXT && column->kind != AERO_KIND_BYTES) {
            *hash = bytes_hash(*hash, at, column->size);
            continue;
        }
        memcpy(&cell, at, sizeof cell);
        *hash = bytes_hash(*hash, at, sizeof cell.length);
        if (cell.length <= AERO_CELL_INLINE)
            *hash = bytes_hash(*hash, at + offsetof(aero_cell, prefix), cell.length);
        else if (cell.u.where > room || cell.length > room - cell.u.where)
            return false;
        else
            *hash = bytes_hash(*hash, (const char *)((uintptr_t)base + (uintptr_t)cell.u.where),
                               cell.length);
    }
    return true;
}

RACY static bool shape_words(const aero_table *of, const ae_key_shape *shape, const char *row,
                             const char *base, uint64_t room, uint64_t words[AE_KEY_WORDS_MAX])
{
    uint32_t word = 0;
    words[0] = words[1] = words[2] = words[3] = 0;
    for (uint32_t index = 0; index < shape->worded_count; index++) {
        const aero_column *column = &of->columns[shape->columns[index]];
        const uint32_t count = ae_key_column_words(column);
        AE_ASSERT(word + count <= AE_KEY_WORDS_MAX);
        if (!column_words(column, row, base, room, count, words + word))
            return false;
        word += count;
    }
    return shape->width == word || shape_hash(of, shape, row, base, room, &words[word]);
}

void ae_key_words(const aero_table *of, const ae_key_shape *shape, const void *row,
                  const char *base, uint64_t words[AE_KEY_WORDS_MAX])
{
    (void)shape_words(of, shape, row, base, UINT64_MAX, words);
}

bool ae_key_words_racy(const ae_heap *heap, const aero_table *of, const ae_key_shape *shape,
                       const ae_version *version, uint64_t words[AE_KEY_WORDS_MAX])
{
    const ae_ref block = ae_load32(&version->overflow);
    const ae_slab *slab = block == 0 ? NULL : ae_heap_slab(heap, block);
    const char *base = NULL;
    uint64_t room = 0;
    if (slab != NULL && heap->pools[slab->pool].kind == AE_POOL_BLOCK) {
        base = (const char *)ae_at(heap->segment, block + 1);
        room = slab->object_size - sizeof(ae_block);
    }
    return shape_words(of, shape, version->row, base, room, words);
}

bool ae_key_has_null(const aero_table *of, const ae_key_shape *shape, const void *row)
{
    AE_ASSERT(shape->column_count <= AE_KEY_COLUMNS_MAX);
    for (uint32_t index = 0; index < shape->column_count; index++) {
        const int32_t null = of->columns[shape->columns[index]].null_index;
        if (null >= 0 && ae_null_get(row, (uint32_t)null))
            return true;
    }
    return false;
}

bool ae_key_values_equal(const aero_table *of, const ae_key_shape *shape, const void *left,
                         const char *left_base, const void *right, const char *right_base)
{
    AE_ASSERT(shape->column_count > 0);
    for (uint32_t index = 0; index < shape->column_count; index++) {
        const aero_column *column = &of->columns[shape->columns[index]];
        const bool nullable = column->null_index >= 0;
        const bool left_null = nullable && ae_null_get(left, (uint32_t)column->null_index);
        const bool right_null = nullable && ae_null_get(right, (uint32_t)column->null_index);
        if (left_null != right_null ||
            (!left_null && column->compare(left, left_base, right, right_base) != 0))
            return false;
    }
    return true;
}

void ae_key_name(const aero_table *of, uint32_t count, const uint32_t *columns,
                 char text[AE_KEY_NAME_SIZE])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t index = 0; index < count && used < AE_KEY_NAME_SIZE; index++) {
        const uint32_t column = columns[index];
        const int more = snprintf(text + used, AE_KEY_NAME_SIZE - used, "%s%s",
                                  index > 0 ? "," : "",
                                  column < of->column_count ? of->columns[column].name : "?");
        AE_ASSERT(more >= 0);
        used += (size_t)more;
    }
}

void ae_key_error_place(aero_error *error, const aero_table *of, uint32_t count,
                        const uint32_t *columns)
{
    AE_ASSERT(count > 0 && count <= AE_KEY_COLUMNS_MAX && columns[0] < of->column_count);
    _Static_assert(AE_KEY_COLUMNS_MAX <= AERO_INDEX_COLUMNS, "an index fits into an error");
    ae_error_place(error, of->name, of->columns[columns[0]].name);
    error->column_count = count;
    memcpy(error->columns, columns, count * sizeof *columns);
}

/* ---- sorting -------------------------------------------------------------------------------- */

static inline void sort_few(uint64_t *items, size_t count, const uint32_t width)
{
    const size_t stride = width + 1;
    for (size_t at = 1; at < count; at++) {
        uint64_t item[AE_KEY_WORDS_MAX + 1];
        memcpy(item, items + at * stride, stride * sizeof *item);
        size_t to = at;
        for (; to > 0 && ae_key_item_before(item, items + (to - 1) * stride, width); to--)
            memcpy(items + to * stride, items + (to - 1) * stride, stride * sizeof *item);
        memcpy(items + to * stride, item, stride * sizeof *item);
    }
}

/* Move items to `scratch` in the order of one digit. */
static inline void sort_digit(const uint64_t *items, uint64_t *scratch, size_t count,
                              const uint32_t width, uint32_t word, uint32_t shift)
{
    const size_t stride = width + 1;
    size_t places[256] = {0};
    for (size_t at = 0; at < count; at++)
        places[items[at * stride + word] >> shift & 0xffu]++;
    size_t sum = 0;
    for (uint32_t value = 0; value < 256; value++) {
        const size_t here = places[value];
        places[value] = sum;
        sum += here;
    }
    AE_ASSERT(sum == count);
    for (size_t at = 0; at < count; at++) {
        const uint64_t *item = items + at * stride;
        uint64_t *to = scratch + places[item[word] >> shift & 0xffu]++ * stride;
        memcpy(to, item, stride * sizeof *item);
    }
}

/* Below this an insertion sort is faster than counting digits. */
#define SORT_FEW 48u

/* Least significant digit first; digits that are the same in all items are passed over.  Inlined
 * for each width. */
static inline __attribute__((always_inline)) uint64_t *sort_width(uint64_t *items,
                                                                  uint64_t *scratch, size_t count,
                                                                  const uint32_t width)
{
    AE_ASSERT(width <= AE_KEY_WORDS_MAX && (count <= SORT_FEW || items != scratch));
    const size_t stride = width + 1;
    uint64_t differ[AE_KEY_WORDS_MAX + 1] = {0};
    if (count <= SORT_FEW) {
        sort_few(items, count, width);
        return items;
    }
    for (size_t at = 1; at < count; at++)
        for (uint32_t word = 0; word <= width; word++)
            differ[word] |= items[at * stride + word] ^ items[word];
    for (uint32_t turn = 0; turn <= width; turn++) {
        const uint32_t word = width - turn;
        const uint32_t bits = turn == 0 ? 32 : 64; /* of the last word only the anchor counts */
        for (uint32_t shift = 0; shift < bits; shift += 8) {
            if ((differ[word] >> shift & 0xffu) == 0)
                continue;
            sort_digit(items, scratch, count, width, word, shift);
            uint64_t *const other = items;
            items = scratch;
            scratch = other;
        }
    }
    return items;
}

uint64_t *ae_key_sort(uint64_t *items, uint64_t *scratch, size_t count, uint32_t width)
{
    switch (width) {
    case 1:
        return sort_width(items, scratch, count, 1);
    case 2:
        return sort_width(items, scratch, count, 2);
    case 3:
        return sort_width(items, scratch, count, 3);
    default:
        AE_ASSERT(width == AE_KEY_WORDS_MAX);
        return sort_width(items, scratch, count, AE_KEY_WORDS_MAX);
    }
}

size_t ae_key_pack(const uint64_t *items, size_t count, uint32_t width, uint64_t *words,
                   ae_ref *anchors)
{
    const size_t stride = width + 1;
    size_t packed = 0;
    for (size_t at = 0; at < count; at++) {
        const uint64_t *item = items + at * stride;
        if (at > 0 && !ae_key_item_before(item - stride, item, width))
            continue; /* sorted, and not before: equal */
        memcpy(words + packed * width, item, width * sizeof *words);
        anchors[packed++] = ae_key_item_anchor(item, width);
    }
    return packed;
}
