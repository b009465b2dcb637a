/* index_read.h — rows through an ordered index: ranges of its key words, visible rows, each once.
 *
 * A range is closed on both sides, in words: order-preserving keys are whole numbers, so an
 * excluded bound is its neighbour's.  Of every entry in the range the reader's version of the row
 * is handed out if its own words are the entry's: a row whose key has moved is met under one of its
 * keys only.
 *
 * Words of texts and bytes: 15 bytes of the value, and last its length if that is all of it, else
 * 16 (in one word: 7 bytes and the length or 8).  So equal words mean equal values but for long
 * ones, and a value that is the beginning of another, or that one with NULs behind, has other
 * words. FIXED and IPV6 have the bytes themselves.  NULL is all ones, after everything.
 *
 * Concurrency: as table.h; a read belongs to its reader, and ends with it.
 */
#ifndef AE_TABLE_INDEX_READ_H
#define AE_TABLE_INDEX_READ_H

#include "index/tree.h"
#include "index/key.h"
#include "table/table.h"

#define AE_INDEX_WORDS 4u
#define AE_INDEX_COLUMNS 4u
/* Entries read together: enough to overlap the misses on their rows. */
#define AE_INDEX_BATCH 64u

/* An index that may be read. */
typedef struct ae_index_info {
    uint32_t number;       /* its place in the table's catalogue */
    uint32_t word_count;   /* of a key */
    uint32_t column_count; /* those cut off at the fourth word are left out */
    uint32_t columns[AE_INDEX_COLUMNS];
    uint32_t word_at[AE_INDEX_COLUMNS + 1]; /* column i has the words word_at[i]..word_at[i + 1] */
    bool unique;
} ae_index_info;

/* Indexes of a table that are ready; returns how many there are, writes at most `max`. */
uint32_t ae_index_list(const aero_session *session, uint32_t table, ae_index_info *infos,
                       uint32_t max);
/* All columns of an index, also those that are not in its words (AE_KEY_COLUMNS_MAX at most);
 * returns how many, 0 when it is gone. */
uint32_t ae_index_columns(const aero_session *session, uint32_t table, uint32_t number,
                          uint32_t *columns);
/* The name of an index that is ready, or "": its columns', with commas between.  It lives as long
 * as the attachment.  Not for hot paths. */
const char *ae_index_title(const aero_session *session, uint32_t table, uint32_t number);
/* Moves whenever an index becomes ready or is dropped: plans made before are looked at again. */
uint64_t ae_index_epoch(const aero_session *session, uint32_t table);

/* low <= words <= high, lexicographically. */
typedef struct ae_index_range {
    uint64_t low[AE_INDEX_WORDS];
    uint64_t high[AE_INDEX_WORDS];
} ae_index_range;

/* Entries in the range, about; cheap (two descents). */
uint64_t ae_index_estimate(aero_session *session, uint32_t table, uint32_t number,
                           const ae_index_range *range);
/* Different keys, about; and entries. */
void ae_index_size(aero_session *session, uint32_t table, uint32_t number, uint64_t *entries,
                   uint64_t *distinct);

/* The same with the bytes of its nodes, about, and its name.  False when it is gone. */
typedef struct ae_index_figures {
    const char *title;
    uint64_t entries;
    uint64_t distinct;
    uint64_t bytes;
} ae_index_figures;
bool ae_index_figures_take(aero_session *session, uint32_t table, uint32_t number,
                           ae_index_figures *figures);

typedef struct ae_index_read {
    ae_reader *reader;
    uint64_t entries; /* looked at so far */
    uint32_t table;
    uint32_t number;
    ae_index_range range;
    bool backward;
    /* The implementation's: the tree, a walk over it, and a batch of its entries. */
    bool begun;   /* entries up to `last` were given */
    bool ended;   /* nothing is left of the range */
    bool resting; /* the walk is worth nothing */
    aero_status failed;
    ae_key_shape shape;
    ae_tree tree;
    ae_tree_cursor cursor;
    ae_tree_key last;
    uint32_t taken;
    uint32_t count;
    uint64_t words[AE_INDEX_BATCH * AE_INDEX_WORDS]; /* packed: tree.width of each */
    ae_ref anchors[AE_INDEX_BATCH];
} ae_index_read;

/* Start reading a range.  Notes nothing for validation: the caller does, by ae_reader_predicate or
 * ae_reader_note_table, once for all it reads.  False when the index is gone, or too new for the
 * reader's snapshot: the caller plans anew. */
bool ae_index_read_open(ae_index_read *read, ae_reader *reader, uint32_t table, uint32_t number,
                        const ae_index_range *range, bool backward);
/* Go on with another range, in the same direction.  Never fails: an open read keeps its index, also
 * one that is being dropped meanwhile, for its snapshot. */
void ae_index_read_seek(ae_index_read *read, const ae_index_range *range);
/* The reader is going to rest: until the next call nodes of the index may be freed and used again.
 * So the place is a key from now on, that of the last entry taken. */
void ae_index_read_rest(ae_index_read *read);
/* Why there is no more: AERO_OK at the end, else CORRUPT, told to the session. */
static inline aero_status ae_index_read_status(const ae_index_read *read)
{
    return read->failed;
}
/* Up to `max` more visible rows in key order (equal keys by anchor); 0 at the end, or where it
 * failed.  `entries` grows by the entries looked at. */
size_t ae_index_read_next(ae_index_read *read, ae_view *views, size_t max);
/* Up to `max` more anchors, seen or not, one for each entry: for intersections. */
size_t ae_index_read_anchors(ae_index_read *read, ae_ref *anchors, size_t max);
/* The rows of some anchors that the reader sees: at most `count`, in their order. */
size_t ae_anchors_read(ae_reader *reader, uint32_t table, const ae_ref *anchors, size_t count,
                       ae_view *views);

/* The least and the greatest non-null value of the first column among the rows seen now; texts are
 * copied to the session's memory. */
aero_status ae_index_span(aero_session *session, uint32_t table, const ae_index_info *info,
                          aero_value *low, aero_value *high, int32_t *found);

/* The words of a row's columns in this index; a row with a NULL has all ones there. */
void ae_index_words(const aero_table *table, const ae_index_info *info, const void *row,
                    const char *base, uint64_t words[AE_INDEX_WORDS]);

#endif
