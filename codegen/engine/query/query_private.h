/* query_private.h — the query as this module's files share it.
 *
 *   text ──stapi──▶ clause ──plan──▶ source + program + order ──cursor──▶ rows
 *   values ────────▶
 */
#ifndef AE_QUERY_PRIVATE_H
#define AE_QUERY_PRIVATE_H

#include "query/glob.h"
#include "query/limits.h"
#include "query/pool.h"
#include "query/query.h"
#include "table/table.h"

/* One condition on one column.  Its constants are raw values of the column's kind, copied into the
 * query's pool; a pattern stands in values[0] as TEXT beside its compiled form. */
typedef struct aei_clause {
    int32_t op; /* enum aero_operator */
    uint32_t column;
    uint32_t count;
    const aero_value *values;
    const aei_glob *glob;
    /* Of a clause with parameters (bind.c): */
    const aero_value *given; /* as it was added; NULL when all its values are constants */
    int32_t given_op;
    uint32_t given_count;
    aei_pool bound; /* its constants as they are now */
    bool unbound;   /* a parameter has no value yet, or one that did not fit */
} aei_clause;

/* A parameter's value: several where an `in` takes it. */
typedef struct aei_parameter {
    bool bound;
    uint32_t count;
    aero_value *values;
    size_t room;
    char *bytes; /* of texts */
    size_t bytes_room;
} aei_parameter;

typedef struct aei_sort_key {
    uint32_t column;
    bool descending;
} aei_sort_key;

struct aei_plan;

/* Which way to the rows the user asked for.  The planner takes it if there is such a one. */
enum aei_using {
    AEI_USING_ANY,
    AEI_USING_SCAN,
    AEI_USING_KEY,
    AEI_USING_INDEX, /* one that begins with using_column */
    AEI_USING_INTERSECTION,
    AEI_USING_ONLY_SCAN /* no index is to be looked at */
};

struct aero_query {
    ae_session_child child; /* tells when the session closes */
    aero_session *session;  /* NULL from then on */
    const aero_table *table;
    uint32_t table_index;
    uint32_t cursors; /* open ones */
    uint32_t holders; /* cursors, and reads that a transaction keeps for validation */
    bool freed;       /* by its owner; goes with its last holder */
    aei_pool pool;    /* constants and patterns */
    aei_clause *clauses;
    uint32_t clause_count;
    uint32_t clause_room;
    uint64_t value_count;
    aei_sort_key sorts[AEI_SORTS_MAX];
    uint32_t sort_count;
    int64_t limit; /* < 0: none */
    int64_t offset;
    aei_parameter *parameters;
    uint32_t parameter_count;
    uint32_t open_count; /* clauses with parameters */
    bool rebound;        /* the plan was made for other values */
    aei_pool kept;       /* constants that noted reads still need */
    enum aei_using using;
    uint32_t using_column;
    struct aei_plan *plan; /* NULL until needed, and after a change */
    char *scratch;         /* for converting one value */
    size_t scratch_size;
    char *text;                /* of the last explain */
    struct aero_cursor *spare; /* memory of a closed cursor, for the next one; or NULL */
};

/* query.c: keep the query and what its pool holds until as many releases. */
void aei_query_hold(aero_query *query);
void aei_query_release(aero_query *query);

/* cursor.c: free a spare cursor, which may be NULL. */
void aei_cursor_discard(struct aero_cursor *spare);

/* clause.c */

/* What the parser and the explainer need to know of an operator. */
typedef struct aei_operator {
    const char *name;
    int32_t op;
    uint32_t values; /* 0, 1, 2; UINT32_MAX: a list */
} aei_operator;
/* The operator with this name, in any case, or NULL. */
const aei_operator *aei_operator_named(const char *name, size_t length);
/* The operator with this number, under its first name, or NULL. */
const aei_operator *aei_operator_numbered(int32_t op);

/* Check, convert and copy; leaves the query as it was on failure. */
aero_status aei_clause_add(aero_query *query, int32_t op, uint32_t column, uint64_t count,
                           const aero_value *values, aero_error *error);

/* Turn given values into the column's, in `pool`. */
aero_status aei_clause_convert(aero_query *query, aei_pool *pool, aei_clause *clause,
                               aero_error *error);

/* bind.c */
bool aei_clause_is_open(const aei_clause *clause);
/* Keep a clause's values as given; they are converted when they are bound. */
aero_status aei_clause_leave_open(aero_query *query, aei_clause *clause, aero_error *error);
/* USAGE while a parameter has no value. */
aero_status aei_bound_check(const aero_query *query, aero_error *error);
/* Nothing refers to the query's constants any more. */
void aei_bound_settle(aero_query *query);
void aei_bound_free(aero_query *query);

/* stapi.c */
aero_status aei_stapi_add(aero_query *query, const char *text, size_t length, aero_error *error);

/* kinds.c: what a kind's raw values are, for clauses, programs and orders. */
bool aei_kind_is_integer(
    uint8_t kind); /* raw values are whole numbers: also BOOL, TIME, CHAR, INET */
bool aei_kind_is_real(uint8_t kind);
bool aei_kind_is_text(uint8_t kind); /* TEXT, FIXED */
/* Order-preserving, one-to-one key of a raw value of an integer or real kind. */
uint64_t aei_value_key(uint8_t kind, const aero_value *value);
/* Order of two raw non-null values of one kind. */
int aei_value_order(uint8_t kind, const aero_value *left, const aero_value *right);

#endif
