/* key.h — the words of an index key: a row's columns as whole numbers in the same order.
 *
 * Each column gives one word, texts and IPv6 addresses two, and an index has at most four; columns
 * that do not fit are left out of the words.  Words of texts and bytes: 15 bytes of the value, and
 * last its length if that is all of it, else 16 (in one word: 7 bytes, and the length or 8).  So
 * equal words mean equal values but for long ones, and a value that is the beginning of another has
 * other words.  FIXED, IPV6 and MAC have the bytes themselves.  NULL is all ones, after everything;
 * the largest whole numbers share that.
 *
 * A unique index whose words may be equal without the values being so has one word more, if there
 * is room: a hash of the values.  So values with a common beginning are told apart without looking
 * at their rows.
 *
 * Concurrency: pure functions.  Rows that may be reused while they are read: ae_key_words_racy.
 */
#ifndef AE_INDEX_KEY_H
#define AE_INDEX_KEY_H

#include "row/version.h"

#define AE_KEY_WORDS_MAX 4u
#define AE_KEY_COLUMNS_MAX 16u

/* Which columns an index is over. */
typedef struct ae_key_shape {
    uint32_t column_count; /* all of them: a unique index compares all */
    uint32_t worded_count; /* the first ones, which are in the words */
    uint32_t word_count;   /* of those columns */
    uint32_t width;        /* of a key: with the hash, if it has one */
    uint32_t columns[AE_KEY_COLUMNS_MAX];
} ae_key_shape;

/* Words a column takes. */
uint32_t ae_key_column_words(const aero_column *column);
/* Count words and columns of a shape whose `columns` and `column_count` are set. */
void ae_key_shape_finish(const aero_table *of, ae_key_shape *shape, bool unique);

/* The words of a row that stays while it is read; those beyond its width are 0. */
void ae_key_words(const aero_table *of, const ae_key_shape *shape, const void *row,
                  const char *base, uint64_t words[AE_KEY_WORDS_MAX]);
/* The words of a version that may be recycled meanwhile: the caller looks afterwards whether it
 * was.  False when its texts contradict each other, as only a recycled one's do. */
bool ae_key_words_racy(const ae_heap *heap, const aero_table *of, const ae_key_shape *shape,
                       const ae_version *version, uint64_t words[AE_KEY_WORDS_MAX]);
static inline bool ae_key_words_equal(const uint64_t left[AE_KEY_WORDS_MAX],
                                      const uint64_t right[AE_KEY_WORDS_MAX])
{
    return ((left[0] ^ right[0]) | (left[1] ^ right[1]) | (left[2] ^ right[2]) |
            (left[3] ^ right[3])) == 0;
}
/* Is a column of the key NULL?  Such rows are no duplicates of each other. */
bool ae_key_has_null(const aero_table *of, const ae_key_shape *shape, const void *row);
/* Have two rows that stay the same values in all columns of the index? */
bool ae_key_values_equal(const aero_table *of, const ae_key_shape *shape, const void *left,
                         const char *left_base, const void *right, const char *right_base);

/* The names of an index's columns with commas between, which is its name, in `text`; cut where it
 * ends.  A column that the table has not is "?". */
#define AE_KEY_NAME_SIZE 512u
void ae_key_name(const aero_table *of, uint32_t count, const uint32_t *columns,
                 char text[AE_KEY_NAME_SIZE]);
/* Say which columns the values of an error (already set) must be unique in. */
void ae_key_error_place(aero_error *error, const aero_table *of, uint32_t count,
                        const uint32_t *columns);

/* ---- sorting -------------------------------------------------------------------------------- */

/* Keys in hand are arrays of width + 1 words: the key's, and last the anchor with the caller's 32
 * bits above it. */
static inline ae_ref ae_key_item_anchor(const uint64_t *item, uint32_t width)
{
    return (ae_ref)item[width];
}
static inline bool ae_key_item_before(const uint64_t *left, const uint64_t *right, uint32_t width)
{
    for (uint32_t word = 0; word < width; word++)
        if (left[word] != right[word])
            return left[word] < right[word];
    return ae_key_item_anchor(left, width) < ae_key_item_anchor(right, width);
}

/* Sort by words, then anchor.  `scratch` has room for as many; the result lies in one of the two,
 * which is returned. */
uint64_t *ae_key_sort(uint64_t *items, uint64_t *scratch, size_t count, uint32_t width);
/* Of sorted items, words and anchors in the form trees take, repetitions left out; returns how
 * many. */
size_t ae_key_pack(const uint64_t *items, size_t count, uint32_t width, uint64_t *words,
                   ae_ref *anchors);

#endif
