/* plan.h — how a query will be run: where its candidates come from, in which order, and what
 * filters them.
 *
 * A source hands out candidates in batches, each visible row at most once.  Whatever a source has
 * decided exactly is left out of the program.
 *
 * Concurrency: private to the query's thread.
 */
#ifndef AE_QUERY_PLAN_H
#define AE_QUERY_PLAN_H

#include "query/access.h"
#include "query/program.h"

enum aei_source_kind {
    AEI_SOURCE_NOTHING, /* the conditions contradict each other */
    AEI_SOURCE_KEYS,
    AEI_SOURCE_INDEX,
    AEI_SOURCE_INTERSECTION, /* rows met in each of several indexes */
    AEI_SOURCE_SCAN
};

enum aei_sorting {
    AEI_SORTING_NONE,  /* the rows come as they shall be given */
    AEI_SORTING_GROUP, /* groups come in order; each may need to be sorted */
    AEI_SORTING_ALL
};

typedef struct aei_plan {
    uint32_t references; /* the query's, those of sources, and of reads kept for validation */
    aei_pool pool;
    enum aei_source_kind source;
    enum aei_sorting sorting;
    bool counting; /* made for a count: the sort is left out */
    /* What was chosen; with other constants the rest is made again from these. */
    enum aei_source_kind chosen;
    uint32_t driver_number; /* of the clause the key look-ups answer */
    bool sorts;             /* the rows must be brought in order */
    bool in_order;          /* … and come in that of the index, at least in groups */
    ae_index_info infos[AEI_INTERSECT_MAX];
    const aei_clause *driver;
    const aero_value *keys; /* of AEI_SOURCE_KEYS: sorted, each once */
    size_t key_count;
    void *key_row;              /* scratch: a row image */
    const aei_access *accesses; /* one for an index, several for an intersection */
    uint32_t access_count;
    aei_program program;
    aei_program *whole; /* all clauses, for validation; NULL until it is needed */
    double candidates;  /* expected */
    double share;       /* of them that are expected to pass the filters */
    double cost_ns;
    double misjudged; /* candidates met by the last run beyond the expected ones, as a factor */
    uint32_t runs;
    uint64_t epoch; /* of the table's indexes */
    uint64_t size;  /* of the table */
} aei_plan;

/* The plan of the query as it is now, made if needed; a counted result is not sorted.  It lives
 * until the query changes or is planned again; whoever needs it longer takes a reference.  USAGE
 * when a parameter has no value, LIMIT, NO_MEMORY. */
aero_status aei_plan_get(aero_query *query, bool counting, aei_plan **plan, aero_error *error);
/* Give back a reference. */
void aei_plan_release(aei_plan *plan);
/* Forget the query's plan. */
void aei_plan_drop(aero_query *query);
/* A program of all clauses, or NULL when there is no memory for it. */
aei_program *aei_plan_whole(aei_plan *plan, const aero_query *query);

/* Rows wanted of a sorted or counted result: offset + limit, UINT64_MAX for all. */
uint64_t aei_rows_wanted(const aero_query *query);

/* choose.c: decide source, accesses and sorting, and build the program. */
aero_status aei_plan_choose(aei_plan *plan, const aero_query *query, aero_error *error);
/* Make the same choice for the constants of now.  *fits is false when they need another. */
aero_status aei_plan_again(aei_plan *plan, const aero_query *query, bool *fits, aero_error *error);

#endif
