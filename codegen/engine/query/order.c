/* order.c — rows as entries of normalised keys; a merge sort; and, when few rows are wanted, a
 * buffer that is cut back to the best whenever it fills.
 *
 * Top rows: the buffer holds the `wanted` best rows so far and as many newcomers.  A row no better
 * than the last of the best is not taken in at all, which after a while is nearly every row; so a
 * search for 50 rows of a million costs little more than the scan.
 *
 * The sort is a bottom-up merge of runs made by insertion: it moves entries in memory order, needs
 * no recursion, and is stable (`sequence` makes all entries different anyway).
 *
 * Invariants: I1 entries[0..count) hold every row seen that may be among the `wanted` first.
 *             I2 when `full`, entries[wanted - 1] is the worst of the best: what does not precede
 *                it is not wanted.
 */
#include "query/order.h"

#include <stdlib.h>
#include <string.h>

#include "query/row_inline.h"

#define RUN_LENGTH ((size_t)12)
#define ENTRY_WORDS (sizeof(aei_entry) / 8)

_Static_assert(sizeof(aei_entry) % 8 == 0, "entries are moved as words");

#define WHOLE_EXTRACT(kind, type, is_signed) \
    static void extract_##kind(const aei_order_column *column, const ae_view *views, \
                               const uint16_t *selection, size_t count, uint64_t *keys, \
                               uint8_t *nulls) \
    { \
        const uint32_t offset = column->column->offset; \
        const uint64_t flip = column->flip ^ (is_signed ? ae_normal_int(0) : 0); \
        for (size_t i = 0; i < count; i++) { \
            const char *row = views[selection[i]].row; \
            type value; \
            memcpy(&value, row + offset, sizeof value); \
            keys[i] = (is_signed ? (uint64_t)(int64_t)value : (uint64_t)value) ^ flip; \
            nulls[i] = aei_row_null(row, column->null_at, column->null_mask); \
        } \
    }

#define REAL_EXTRACT(kind, type) \
    static void extract_##kind(const aei_order_column *column, const ae_view *views, \
                               const uint16_t *selection, size_t count, uint64_t *keys, \
                               uint8_t *nulls) \
    { \
        const uint32_t offset = column->column->offset; \
        for (size_t i = 0; i < count; i++) { \
            const char *row = views[selection[i]].row; \
            type value; \
            memcpy(&value, row + offset, sizeof value); \
            keys[i] = ae_normal_real((double)value) ^ column->flip; \
            nulls[i] = aei_row_null(row, column->null_at, column->null_mask); \
        } \
    }

AEI_WHOLE_KINDS(WHOLE_EXTRACT)
AEI_REAL_KINDS(REAL_EXTRACT)

/* Key of a text: its first seven bytes and, last, its length if these are all of it, else
 * TEXT_LONG. A text that is the beginning of another is shorter, so this keeps the order; and equal
 * keys of short texts are equal texts, which spares looking at the rows again. */
#define TEXT_BYTES 7u
#define TEXT_LONG 8u

static inline uint64_t text_key(const char *data, size_t length)
{
    const uint64_t start = ae_normal_bytes(data, length < TEXT_BYTES ? length : TEXT_BYTES);
    return start | (length <= TEXT_BYTES ? length : TEXT_LONG);
}

static void extract_cell(const aei_order_column *column, const ae_view *views,
                         const uint16_t *selection, size_t count, uint64_t *keys, uint8_t *nulls)
{
    for (size_t i = 0; i < count; i++) {
        const ae_view *view = &views[selection[i]];
        const char *row = view->row;
        const aero_cell *cell = (const aero_cell *)(const void *)(row + column->column->offset);
        nulls[i] = aei_row_null(row, column->null_at, column->null_mask);
        keys[i] = nulls[i] ? 0
                           : text_key(ae_cell_data(cell, view->base), cell->length) ^ column->flip;
    }
}

static void extract_other(const aei_order_column *column, const ae_view *views,
                          const uint16_t *selection, size_t count, uint64_t *keys, uint8_t *nulls)
{
    for (size_t i = 0; i < count; i++) {
        const ae_view *view = &views[selection[i]];
        aero_value value;
        nulls[i] = aei_row_null(view->row, column->null_at, column->null_mask);
        keys[i] = 0;
        if (nulls[i])
            continue;
        if (column->text) {
            column->column->get(view->row, view->base, &value);
            keys[i] = text_key(value.u.data, value.length) ^ column->flip;
        } else {
            keys[i] = column->column->normalize(view->row, view->base) ^ column->flip;
        }
    }
}

#define WHOLE_CASE(kind, type, is_signed) \
    case AERO_KIND_##kind: \
        return extract_##kind;
#define REAL_CASE(kind, type) \
    case AERO_KIND_##kind: \
        return extract_##kind;

static aei_extract extract_of(uint8_t kind)
{
    switch (kind) {
        AEI_WHOLE_KINDS(WHOLE_CASE)
        AEI_REAL_KINDS(REAL_CASE)
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        return extract_cell;
    default:
        return extract_other;
    }
}

void aei_order_open(aei_order *order, const aero_table *table, const aei_sort_key *keys,
                    uint32_t count, uint64_t wanted)
{
    AE_ASSERT(count > 0 && count <= AEI_SORTS_MAX);
    *order = (aei_order){.column_count = count, .wanted = wanted};
    order->words = (uint32_t)ENTRY_WORDS + count - 1;
    for (uint32_t i = 0; i < count; i++) {
        const aero_column *column = &table->columns[keys[i].column];
        aei_order_column *out = &order->columns[i];
        out->column = column;
        out->extract = extract_of(column->kind);
        out->flip = keys[i].descending ? UINT64_MAX : 0;
        out->exact = aei_kind_is_integer(column->kind) || aei_kind_is_real(column->kind) ||
                     column->kind == AERO_KIND_MAC; /* six bytes fit the key */
        out->text = aei_kind_is_text(column->kind) || column->kind == AERO_KIND_BYTES;
        aei_row_null_place(column, &out->null_at, &out->null_mask);
    }
}

void aei_order_clear(aei_order *order, uint64_t wanted)
{
    order->wanted = wanted;
    order->count = 0;
    order->sequence = 0;
    order->full = false;
}

static aei_entry *entry_at(const aei_order *order, size_t index)
{
    AE_ASSERT(order->entries != NULL);
    return (aei_entry *)(void *)(order->entries + index * order->words);
}

const aei_entry *aei_order_at(const aei_order *order, size_t index)
{
    AE_ASSERT(index < order->count);
    return entry_at(order, index);
}

/* Sort column i of two entries. */
static int column_order(const aei_order *order, uint32_t i, const aei_entry *left,
                        const aei_entry *right)
{
    AE_ASSERT(i < order->column_count);
    const aei_order_column *column = &order->columns[i];
    const uint32_t left_null = left->nulls >> i & 1;
    const uint32_t right_null = right->nulls >> i & 1;
    if ((left_null | right_null) != 0)
        return (int)left_null - (int)right_null;
    const uint64_t a = i == 0 ? left->key : left->more[i - 1];
    const uint64_t b = i == 0 ? right->key : right->more[i - 1];
    const bool exact = column->exact || (column->text && ((a ^ column->flip) & 0xff) <= TEXT_BYTES);
    if (a != b || exact)
        return (a > b) - (a < b);
    const int32_t way = column->column->compare(left->row, left->base, right->row, right->base);
    return column->flip != 0 ? (way < 0) - (way > 0) : way;
}

static bool precedes_slow(const aei_order *order, const aei_entry *left, const aei_entry *right)
{
    for (uint32_t i = 0; i < order->column_count; i++) {
        const int way = column_order(order, i, left, right);
        if (way != 0)
            return way < 0;
    }
    return left->sequence < right->sequence;
}

static inline bool precedes(const aei_order *order, const aei_entry *left, const aei_entry *right)
{
    if (((left->nulls | right->nulls) & 1) == 0 && left->key != right->key)
        return left->key < right->key;
    return precedes_slow(order, left, right);
}

static inline void copy_entry(uint64_t *to, const uint64_t *from, uint32_t words)
{
    /* memcpy, not assignment: the words are read back as fields of an aei_entry. */
    for (uint32_t w = 0; w < words; w++)
        memcpy(&to[w], &from[w], sizeof *to);
}

static const aei_entry *as_entry(const uint64_t *words)
{
    return (const aei_entry *)(const void *)words;
}

/* Sort a few entries in place; `spare` has room for one. */
static void sort_run(const aei_order *order, uint64_t *first, size_t count, uint64_t *spare)
{
    AE_ASSERT(count > 0);
    const uint32_t words = order->words;
    for (size_t i = 1; i < count; i++) {
        size_t at = i;
        copy_entry(spare, first + i * words, words);
        while (at > 0 && precedes(order, as_entry(spare), as_entry(first + (at - 1) * words))) {
            copy_entry(first + at * words, first + (at - 1) * words, words);
            at--;
        }
        copy_entry(first + at * words, spare, words);
    }
}

/* Merge two neighbouring sorted runs, [0, middle) and [middle, count), into `out`. */
static void merge(const aei_order *order, const uint64_t *in, size_t middle, size_t count,
                  uint64_t *out)
{
    const uint32_t words = order->words;
    const uint64_t *left = in;
    const uint64_t *left_end = in + middle * words;
    const uint64_t *right = left_end;
    const uint64_t *right_end = in + count * words;
    while (left < left_end && right < right_end) {
        const bool take_right = precedes(order, as_entry(right), as_entry(left));
        copy_entry(out, take_right ? right : left, words);
        right += take_right ? words : 0;
        left += take_right ? 0 : words;
        out += words;
    }
    if (left < left_end)
        memcpy(out, left, (size_t)(left_end - left) * sizeof *out);
    else if (right < right_end)
        memcpy(out, right, (size_t)(right_end - right) * sizeof *out);
}

/* Sort all entries.  NO_MEMORY leaves them as they were. */
static aero_status sort_entries(aei_order *order, aero_error *error)
{
    const uint32_t words = order->words;
    const size_t count = order->count;
    uint64_t spare[ENTRY_WORDS + AEI_SORTS_MAX];
    if (count < 2)
        return AERO_OK;
    uint64_t *from = order->entries;
    for (size_t at = 0; at < count; at += RUN_LENGTH)
        sort_run(order, from + at * words, count - at < RUN_LENGTH ? count - at : RUN_LENGTH,
                 spare);
    if (count <= RUN_LENGTH)
        return AERO_OK;
    uint64_t *to = aei_array_resize(NULL, order->room, words * sizeof *to, error);
    if (to == NULL)
        return AERO_NO_MEMORY;
    for (size_t width = RUN_LENGTH; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width) {
            const size_t left = count - at;
            const size_t both = left < 2 * width ? left : 2 * width;
            merge(order, from + at * words, both < width ? both : width, both, to + at * words);
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    order->entries = from;
    free(to);
    return AERO_OK;
}

/* Make room for `more` entries; when only some rows are wanted, by dropping those that are not. */
static aero_status make_room(aei_order *order, size_t more, aero_error *error)
{
    const uint64_t slack = order->wanted > AEI_TOP_SLACK ? order->wanted : AEI_TOP_SLACK;
    uint64_t most;
    if (__builtin_add_overflow(order->wanted, slack, &most))
        most = UINT64_MAX;
    if (order->count >= most) {
        const aero_status status = sort_entries(order, error);
        if (status != AERO_OK)
            return status;
        order->count = (size_t)order->wanted;
        order->full = true;
    }
    if (order->count + more <= order->room)
        return AERO_OK;
    size_t room = order->room < 1024 ? 1024 : order->room * 2;
    if (most < room)
        room = (size_t)most + AEI_BATCH; /* the batch that overfills it is taken in whole */
    uint64_t *fresh = aei_array_resize(order->entries, room, order->words * sizeof *fresh, error);
    if (fresh == NULL)
        return AERO_NO_MEMORY;
    order->entries = fresh;
    order->room = room;
    return AERO_OK;
}

static void fill_entry(aei_order *order, aei_entry *entry, const ae_view *view, uint64_t key,
                       uint8_t null)
{
    entry->row = view->row;
    entry->base = view->base;
    entry->key = key;
    entry->sequence = order->sequence++;
    entry->nulls = null;
    for (uint32_t i = 1; i < order->column_count; i++) {
        const aei_order_column *column = &order->columns[i];
        const uint16_t self = 0;
        uint8_t is_null;
        column->extract(column, view, &self, 1, &entry->more[i - 1], &is_null);
        entry->nulls |= (uint32_t)is_null << i;
    }
}

aero_status aei_order_add(aei_order *order, const ae_view *views, const uint16_t *selection,
                          size_t count, aero_error *error)
{
    uint64_t keys[AEI_BATCH];
    uint8_t nulls[AEI_BATCH];
    if (order->wanted == 0 || count == 0)
        return AERO_OK;
    const aero_status status = make_room(order, count, error);
    if (status != AERO_OK)
        return status;
    order->columns[0].extract(&order->columns[0], views, selection, count, keys, nulls);
    const aei_entry *worst = order->full ? entry_at(order, (size_t)order->wanted - 1) : NULL;
    const bool worst_null = worst != NULL && (worst->nulls & 1) != 0;
    for (size_t i = 0; i < count; i++) {
        if (worst != NULL && !worst_null && (nulls[i] != 0 || keys[i] > worst->key))
            continue;
        aei_entry *entry = entry_at(order, order->count);
        fill_entry(order, entry, &views[selection[i]], keys[i], nulls[i]);
        if (worst == NULL || precedes(order, entry, worst))
            order->count++;
    }
    return AERO_OK;
}

aero_status aei_order_finish(aei_order *order, aero_error *error)
{
    const aero_status status = sort_entries(order, error);
    if (status == AERO_OK && order->count > order->wanted)
        order->count = (size_t)order->wanted;
    return status;
}

void aei_order_close(aei_order *order)
{
    free(order->entries);
    order->entries = NULL;
    order->count = 0;
    order->room = 0;
}
