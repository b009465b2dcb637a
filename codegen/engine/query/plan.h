/* plan.h — how a query will be run: where its candidates come from, and what filters them.
 *
 * A source hands out candidates in batches, each visible row at most once.  Sources today: the rows
 * of a few keys, and a scan of the table.  Another kind (an ordered index) is one more enum member,
 * its choice in plan.c, and its `next` in source.c; whatever a source has decided exactly is left
 * out of the program.
 *
 * Concurrency: private to the query's thread.
 */
#ifndef AE_QUERY_PLAN_H
#define AE_QUERY_PLAN_H

#include "query/program.h"

enum aei_source_kind {
    AEI_SOURCE_NOTHING, /* the conditions contradict each other */
    AEI_SOURCE_KEYS,
    AEI_SOURCE_SCAN
};

typedef struct aei_plan {
    uint32_t references; /* the query's, and those of reads kept for validation */
    aei_pool pool;
    enum aei_source_kind source;
    const aei_clause *driver; /* the clause the source answers, or NULL */
    const aero_value *keys;   /* of AEI_SOURCE_KEYS: sorted, each once */
    size_t key_count;
    void *key_row; /* scratch: an image that holds one key */
    aei_program program;
} aei_plan;

/* The plan of the query as it is now, made if needed.  LIMIT, NO_MEMORY. */
aero_status aei_plan_get(aero_query *query, aei_plan **plan, aero_error *error);
/* Give back a reference. */
void aei_plan_release(aei_plan *plan);

/* Rows wanted of a sorted or counted result: offset + limit, UINT64_MAX for all. */
uint64_t aei_rows_wanted(const aero_query *query);

/* source.c */
typedef struct aei_source {
    size_t (*next)(struct aei_source *source, ae_view *views, size_t max);
    const aei_plan *plan;
    ae_reader *reader;
    uint32_t table;
    ae_scan scan;
    size_t key_at;
    uint64_t seen; /* candidates handed out */
} aei_source;

/* Start reading.  In a serializable transaction this notes what is read: the keys looked up (the
 * table does), or the program as a predicate, which keeps query and plan until the transaction
 * ends. */
void aei_source_open(aei_source *source, aero_query *query, aei_plan *plan, ae_reader *reader);
/* Up to `max` more candidates; 0 at the end. */
size_t aei_source_next(aei_source *source, ae_view *views, size_t max);

/* Candidates through the program, a batch at a time. */
typedef struct aei_stream {
    aei_source source;
    ae_view views[AEI_BATCH];
    uint16_t selection[AEI_BATCH]; /* numbers of views that passed */
    size_t count;
    size_t at; /* taken by the caller */
} aei_stream;

/* Load the next batch in which some row passed; false at the end. */
bool aei_stream_next(aei_stream *stream);

#endif
