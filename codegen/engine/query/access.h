/* access.h — one index as a way to a query's rows: which ranges of it, in which order, how many
 * entries, and what is left to filter and to sort.
 *
 * Clauses on the first columns of the index make ranges: points of leading columns are multiplied
 * out, the first interval ends the chain.  Ranges are disjoint and kept in the order they are read,
 * so that reading one after another is reading the index in order.
 *
 * Order.  If the sort's columns follow, after columns that are fixed to one value, the columns of
 * the index in one direction, rows come in groups of equal words that are in order already; only
 * within a group is there something left to sort, when words do not tell values apart or the index
 * does not have all sort columns.  A group ends with the first column whose words do not tell: two
 * values that share them lie in the order of the columns behind, not in their own.  NULLs come last
 * in both directions: backward, they are a range of their own at the end.
 *
 * Concurrency: belongs to the query's thread.
 */
#ifndef AE_QUERY_ACCESS_H
#define AE_QUERY_ACCESS_H

#include "query/bounds.h"

/* Of words that a NULL shares with a value, a range takes all rows, or those of one kind only. */
enum aei_nulls { AEI_NULLS_ANY, AEI_NULLS_NONE, AEI_NULLS_ONLY };

typedef struct aei_range {
    ae_index_range words;
    enum aei_nulls nulls; /* of the column `null_column` of the access */
} aei_range;

typedef struct aei_access {
    ae_index_info info;
    const aei_range *ranges; /* in the order they are read */
    size_t range_count;
    uint32_t chained;        /* columns of the index that the ranges bound */
    const uint8_t *used;     /* by clause: it went into the ranges */
    const uint8_t *answered; /* by clause: the ranges decide it */
    uint64_t estimate;       /* entries in the ranges, about */
    uint64_t entries;        /* of the index */
    bool one_row;            /* at most one row for each range: unique, and all columns given */
    bool backward;
    /* Order: */
    bool ordered;         /* groups come in the sort's order */
    bool covers;          /* the index has every sort column */
    bool exact;           /* with it: groups need no sorting, whatever their words */
    uint32_t group_words; /* leading words that are equal within a group, if all of them tell */
    uint32_t group_from;  /* columns of the index from here to group_to are sorted by */
    uint32_t group_to;
    uint32_t null_column; /* sort column whose NULLs have a range of their own */
} aei_access;

/* How `info` serves the query.  `image` is scratch for a row.  Nothing is estimated yet.  Errors:
 * LIMIT, NO_MEMORY. */
aero_status aei_access_make(const aero_query *query, const ae_index_info *info, void *image,
                            aei_pool *pool, aei_access *access, aero_error *error);
/* Fill in the estimate from the index as it is now; a table of `rows` has about as many entries. */
void aei_access_estimate(const aero_query *query, aei_access *access, uint64_t rows);
/* Is the column one value in all rows that pass?  Then sorting by it is nothing. */
bool aei_column_is_constant(const aero_query *query, uint32_t column);
/* How many leading words are equal in the group that a row with these words belongs to; 0 if it
 * needs no sorting. */
uint32_t aei_access_group(const aero_table *table, const aei_access *access, const uint64_t *words);

#endif
