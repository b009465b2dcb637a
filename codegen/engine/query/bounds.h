/* bounds.h — what the clauses on one column mean in the words of an index.
 *
 * An index's keys are words whose order is the order of the values (table/index_read.h).  Clauses
 * become points, or one closed interval of words.  Often the words say exactly what the clause
 * says; otherwise they keep too much, and the clause stays a filter: a long text has the words of
 * others, and a NULL in some kinds those of the greatest value.
 *
 * Concurrency: belongs to the query's thread.
 */
#ifndef AE_QUERY_BOUNDS_H
#define AE_QUERY_BOUNDS_H

#include "query/query_private.h"
#include "table/index_read.h"

/* Words of one column; the second is 0 in columns of one word. */
typedef struct aei_pair {
    uint64_t words[2];
} aei_pair;

enum aei_bounds_shape {
    AEI_BOUNDS_FREE,   /* nothing is said that words could tell */
    AEI_BOUNDS_POINTS, /* one of some words */
    AEI_BOUNDS_INTERVAL
};

typedef struct aei_bounds {
    enum aei_bounds_shape shape;
    const aei_pair *points; /* ascending, each once; none: no row can pass */
    size_t point_count;
    aei_pair low;
    aei_pair high;
} aei_bounds;

/* Bounds of column `column` in an index that gives it `word_count` words (1 or 2).  Clauses that
 * went into them are marked in `used`, those that they answer for good in `answered`; both are
 * arrays over the query's clauses.  `image` is scratch for a row.  Errors: LIMIT, NO_MEMORY. */
aero_status aei_bounds_make(const aero_query *query, uint32_t column, uint32_t word_count,
                            void *image, aei_pool *pool, aei_bounds *bounds, uint8_t *used,
                            uint8_t *answered, aero_error *error);

/* May words of all ones be a NULL's as well as a value's? */
bool aei_null_is_ambiguous(const aero_column *column);
/* Do these words, of a row of the column, belong to one value only? */
bool aei_words_exact(const aero_column *column, uint32_t word_count, const uint64_t *words);

int aei_pair_order(const aei_pair *left, const aei_pair *right);

#endif
