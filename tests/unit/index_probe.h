/* index_probe.h — ordered indexes held against a scan of the same snapshot.
 *
 * Every row that a scan shows must come out of every index exactly once, in the order of its words,
 * in both directions; and of any range of words just those rows that lie in it.
 */
#ifndef AE_TEST_INDEX_PROBE_H
#define AE_TEST_INDEX_PROBE_H

#include "store.h"
#include "table/index_read.h"
#include "txn/handles.h"

typedef struct probe_row {
    uint64_t words[AE_INDEX_WORDS];
    const void *row;
    const char *base;
} probe_row;

static inline int probe_words_order(const uint64_t *left, const uint64_t *right)
{
    for (uint32_t word = 0; word < AE_INDEX_WORDS; word++)
        if (left[word] != right[word])
            return left[word] < right[word] ? -1 : 1;
    return 0;
}

static inline int probe_order(const void *left, const void *right)
{
    const probe_row *one = left;
    const probe_row *other = right;
    const int order = probe_words_order(one->words, other->words);
    return order != 0 ? order : (one->row > other->row) - (one->row < other->row);
}

static inline int probe_row_order(const void *left, const void *right)
{
    const void *const *one = left;
    const void *const *other = right;
    return (*one > *other) - (*one < *other);
}

/* All rows the reader sees, by a scan.  The caller frees. */
static inline probe_row *probe_scan(ae_reader *reader, uint32_t table, size_t *count)
{
    ae_scan scan;
    ae_view views[64];
    size_t capacity = 1024;
    probe_row *rows = malloc(capacity * sizeof *rows);
    *count = 0;
    ae_scan_start(&scan, reader, table);
    for (size_t got; (got = ae_scan_next(&scan, views, 64)) > 0;)
        for (size_t index = 0; index < got; index++) {
            if (*count == capacity)
                rows = realloc(rows, (capacity *= 2) * sizeof *rows);
            rows[*count].row = views[index].row;
            rows[(*count)++].base = views[index].base;
        }
    return rows;
}

/* One range of one index against sorted rows.  Returns what is wrong, or NULL. */
static inline const char *probe_range(ae_reader *reader, uint32_t table, const ae_index_info *info,
                                      const ae_index_range *range, bool backward,
                                      const probe_row *rows, size_t count, const void **seen)
{
    const aero_table *of = &reader->session->db->schema->tables[table];
    static __thread ae_index_read read;
    ae_view views[AE_INDEX_BATCH];
    uint64_t last[AE_INDEX_WORDS] = {0};
    size_t wanted = 0;
    size_t found = 0;
    if (!ae_index_read_open(&read, reader, table, info->number, range, backward))
        return NULL; /* dropped since it was listed */
    for (size_t got; (got = ae_index_read_next(&read, views, AE_INDEX_BATCH)) > 0;)
        for (size_t index = 0; index < got; index++) {
            uint64_t words[AE_INDEX_WORDS];
            ae_index_words(of, info, views[index].row, views[index].base, words);
            const int order = found == 0 ? 0 : probe_words_order(last, words);
            if (backward ? order < 0 : order > 0)
                return "out of order";
            if (probe_words_order(words, range->low) < 0 ||
                probe_words_order(words, range->high) > 0)
                return "out of range";
            if (found == count)
                return "more rows than there are";
            memcpy(last, words, sizeof last);
            seen[found++] = views[index].row;
        }
    qsort(seen, found, sizeof *seen, probe_row_order);
    for (size_t index = 1; index < found; index++)
        if (seen[index] == seen[index - 1])
            return "a row twice";
    for (size_t index = 0; index < count; index++)
        if (probe_words_order(rows[index].words, range->low) >= 0 &&
            probe_words_order(rows[index].words, range->high) <= 0) {
            wanted++;
            if (bsearch(&rows[index].row, seen, found, sizeof *seen, probe_row_order) == NULL)
                return "a row is missing";
        }
    return wanted == found ? NULL : "too many rows";
}

/* All indexes of a table, as the session sees it.  Returns what is wrong, or NULL. */
static inline const char *probe_indexes(aero_session *session, uint32_t table, uint64_t *random,
                                        uint32_t ranges)
{
    const aero_table *of = &session->db->schema->tables[table];
    ae_index_info infos[AE_INDEXES_MAX];
    ae_reader reader;
    const char *wrong = NULL;
    size_t count = 0;
    if (ae_reader_open(session, false, &reader) != AERO_OK)
        return "no reader";
    const uint32_t indexes = ae_index_list(session, table, infos, AE_INDEXES_MAX);
    probe_row *rows = probe_scan(&reader, table, &count);
    const void **seen = malloc((count + 1) * sizeof *seen);
    for (uint32_t index = 0; index < indexes && wrong == NULL; index++) {
        const uint32_t width = infos[index].word_count;
        ae_index_range range;
        for (size_t row = 0; row < count; row++)
            ae_index_words(of, &infos[index], rows[row].row, rows[row].base, rows[row].words);
        qsort(rows, count, sizeof *rows, probe_order);
        for (uint32_t turn = 0; turn < ranges + 2 && wrong == NULL; turn++) {
            memset(&range, 0, sizeof range);
            for (uint32_t word = 0; word < width; word++)
                range.high[word] = UINT64_MAX;
            if (turn >= 2 && count > 0) {
                memcpy(range.low, rows[next_random(random) % count].words, sizeof range.low);
                memcpy(range.high, rows[next_random(random) % count].words, sizeof range.high);
            }
            wrong = probe_range(&reader, table, &infos[index], &range, turn % 2 == 1, rows, count,
                                seen);
        }
        if (wrong != NULL)
            printf("index %u of %s: %s (%zu rows)\n", infos[index].number, of->name, wrong, count);
    }
    free(seen);
    free(rows);
    ae_reader_close(&reader);
    return wrong;
}

#endif
