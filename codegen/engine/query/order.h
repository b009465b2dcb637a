/* order.h — sorting: keys are taken from each row once, and only the rows that can still be wanted
 * are kept.
 *
 * NULLs come last in both directions; rows with equal keys stay in the order they came in.
 *
 * Concurrency: belongs to one thread.
 */
#ifndef AE_QUERY_ORDER_H
#define AE_QUERY_ORDER_H

#include "query/query_private.h"

typedef struct aei_order_column aei_order_column;
/* Keys of the first sort column of a batch; null ones are marked. */
typedef void (*aei_extract)(const aei_order_column *column, const ae_view *views,
                            const uint16_t *selection, size_t count, uint64_t *keys,
                            uint8_t *nulls);

struct aei_order_column {
    const aero_column *column;
    aei_extract extract;
    uint32_t null_at;
    uint32_t null_mask;
    uint64_t flip; /* all ones when descending: keys are complemented */
    bool exact;    /* equal keys mean equal values */
    bool text;     /* … of short texts, as their key says */
};

/* A kept row.  The keys of further sort columns follow it in memory. */
typedef struct aei_entry {
    const void *row;
    const char *base;
    uint64_t key;
    uint32_t sequence; /* when it came in; rows of a segment fit 32 bits */
    uint32_t nulls;    /* bit i: sort column i is NULL */
    uint64_t more[];
} aei_entry;

typedef struct aei_order {
    aei_order_column columns[AEI_SORTS_MAX];
    uint32_t column_count;
    uint32_t words;  /* of an entry */
    uint64_t wanted; /* rows wanted, UINT64_MAX for all */
    uint64_t *entries;
    size_t count;
    size_t room;
    uint32_t sequence;
    bool full; /* `entries` holds the best rows so far, sorted, up to `wanted` */
} aei_order;

/* Sort columns of a query; wanted = offset + limit. */
void aei_order_open(aei_order *order, const aero_table *table, const aei_sort_key *keys,
                    uint32_t count, uint64_t wanted);
/* Forget the rows, for as many others that are wanted. */
void aei_order_clear(aei_order *order, uint64_t wanted);
/* Take in the selected rows of a batch.  NO_MEMORY, LIMIT. */
aero_status aei_order_add(aei_order *order, const ae_view *views, const uint16_t *selection,
                          size_t count, aero_error *error);
/* Sort what is there: afterwards count entries, at most `wanted`, are in order. */
aero_status aei_order_finish(aei_order *order, aero_error *error);
const aei_entry *aei_order_at(const aei_order *order, size_t index);
void aei_order_close(aei_order *order);

#endif
