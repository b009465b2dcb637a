/* choose.c — weigh the ways to a query's rows, and take the cheapest.
 *
 * Ways: look-ups of keys; ranges of one index, in its order or sorted afterwards; several indexes
 * intersected; a scan.  Each is given a cost in nanoseconds from the table's size, the entries its
 * ranges hold now, and the share of rows the other clauses are expected to pass; shares are
 * measured where an index begins with the clause's column, and guessed otherwise.  A wrong guess
 * makes a search slower, never wrong.
 *
 * The constants were measured on one core of a shared two-core machine, rows of two to three cache
 * lines in a table that does not fit the last cache; only their ratios matter.
 */
#include <stdlib.h>
#include <string.h>

#include "query/plan.h"

#define COST_SCANNED 12.0 /* a version, looked at where it lies in order */
#define COST_KEY 250.0    /* a key looked up */
#define COST_SEEK 300.0   /* a range of an index found */
#define COST_ENTRY 8.0    /* an entry passed by */
#define COST_FETCHED 45.0 /* the row of an entry, fetched ahead */
#define COST_SORTED 100.0 /* a row sorted among many */
#define COST_TOP 10.0     /* a row compared with the worst that is wanted */
#define COST_GROUPED 60.0 /* a row sorted within its group */

/* One way, and what it costs. */
typedef struct way {
    enum aei_source_kind source;
    enum aei_sorting sorting;
    uint32_t access; /* the only one of an index */
    double candidates;
    double cost;
    bool asked; /* it is the one the user asked for */
} way;

typedef struct choosing {
    const aero_query *query;
    aei_plan *plan;
    aei_access *accesses;
    uint32_t access_count;
    double *shares;  /* by clause: rows expected to pass */
    double rows;     /* of the table */
    double wanted;   /* rows, or infinity */
    uint32_t driver; /* clause of key look-ups, UINT32_MAX: none */
    bool sorts;      /* the rows must be brought in order */
    uint32_t intersected[AEI_INTERSECT_MAX];
    uint32_t intersected_count;
    way best;
} choosing;

/* ---- shares --------------------------------------------------------------------------------- */

static double guess(const aei_clause *clause)
{
    switch (clause->op) {
    case AERO_OP_EQ:
        return 0.01;
    case AERO_OP_IN:
        return clause->count < 50 ? 0.01 * clause->count : 0.5;
    case AERO_OP_RANGE:
        return 0.1;
    case AERO_OP_LT:
    case AERO_OP_LE:
    case AERO_OP_GT:
    case AERO_OP_GE:
        return 0.33;
    case AERO_OP_NULL:
    case AERO_OP_MATCH:
    case AERO_OP_MATCH_CASE:
        return 0.1;
    case AERO_OP_TRUE:
    case AERO_OP_FALSE:
        return 0.5;
    default:
        return 0.9;
    }
}

static double share_of(const aei_access *access)
{
    if (access->entries == 0)
        return 1.0;
    const double share = (double)access->estimate / (double)access->entries;
    AE_ASSERT(share >= 0);
    return share < 1.0 ? share : 1.0;
}

/* Guesses first; then what an index that bounds one column only has measured. */
static void find_shares(choosing *choose)
{
    const aero_query *query = choose->query;
    for (uint32_t i = 0; i < query->clause_count; i++)
        choose->shares[i] = guess(&query->clauses[i]);
    for (uint32_t a = 0; a < choose->access_count; a++) {
        const aei_access *access = &choose->accesses[a];
        double share = share_of(access);
        if (access->chained != 1)
            continue;
        for (uint32_t i = 0; i < query->clause_count; i++) {
            if (access->used[i] == 0)
                continue;
            choose->shares[i] = share; /* the column's clauses together */
            share = 1.0;
        }
    }
}

/* The share of rows that pass the clauses which `used` (or nothing) has not looked at. */
static double share_besides(const choosing *choose, const uint8_t *used)
{
    double share = 1.0;
    for (uint32_t i = 0; i < choose->query->clause_count; i++) {
        if (used == NULL || used[i] == 0)
            share *= choose->shares[i];
    }
    AE_ASSERT(share >= 0 && share <= 1);
    return share;
}

/* ---- weighing ------------------------------------------------------------------------------- */

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* Keep the cheaper; one that was asked for beats every other. */
static void consider(choosing *choose, const way *candidate)
{
    AE_ASSERT(candidate->cost >= 0 && candidate->candidates >= 0);
    const way *best = &choose->best;
    const bool better = candidate->asked != best->asked ? candidate->asked
                                                        : candidate->cost < best->cost;
    if (better)
        choose->best = *candidate;
}

/* What it costs to sort the rows of a source that are left, when only some are wanted. */
static double sorting_cost(const choosing *choose, double rows)
{
    if (choose->wanted < rows)
        return rows * COST_TOP + choose->wanted * COST_SORTED;
    return rows * COST_SORTED;
}

/* Candidates that are read when reading can stop, and the cost of sorting otherwise. */
static void settle(const choosing *choose, way *candidate, double each, double share)
{
    AE_ASSERT(share >= 0 && each > 0);
    if (choose->sorts && candidate->sorting != AEI_SORTING_GROUP) {
        candidate->sorting = AEI_SORTING_ALL;
        candidate->cost += candidate->candidates * each +
                           sorting_cost(choose, candidate->candidates * share);
        return;
    }
    const double needed = share > 0 ? choose->wanted / share : candidate->candidates;
    candidate->candidates = least(candidate->candidates, needed + 1);
    candidate->cost += candidate->candidates * each;
}

static void weigh_scan(choosing *choose)
{
    way scan = {.source = AEI_SOURCE_SCAN,
                .candidates = choose->rows,
                .asked = choose->query->using == AEI_USING_SCAN};
    settle(choose, &scan, COST_SCANNED, share_besides(choose, NULL));
    consider(choose, &scan);
}

static void weigh_keys(choosing *choose)
{
    if (choose->driver == UINT32_MAX)
        return;
    const aei_clause *clause = &choose->query->clauses[choose->driver];
    way keys = {.source = AEI_SOURCE_KEYS,
                .candidates = clause->count,
                .asked = choose->query->using == AEI_USING_KEY};
    settle(choose, &keys, COST_KEY, 0.5);
    consider(choose, &keys);
}

static bool is_asked(const choosing *choose, const aei_access *access)
{
    return choose->query->using == AEI_USING_INDEX &&
           choose->query->using_column == access->info.columns[0];
}

/* Rows of a group that must be read to its end before the first is given. */
static double group_rows(const choosing *choose, const aei_access *access)
{
    uint64_t entries;
    uint64_t distinct;
    ae_index_size(choose->query->session, choose->query->table_index, access->info.number, &entries,
                  &distinct);
    return distinct > 0 ? (double)entries / (double)distinct : 1.0;
}

static void weigh_index(choosing *choose, uint32_t number)
{
    AE_ASSERT(number < choose->access_count);
    const aei_access *access = &choose->accesses[number];
    const double share = share_besides(choose, access->used);
    const double seeks = (double)access->range_count * COST_SEEK;
    way plain = {.source = AEI_SOURCE_INDEX,
                 .access = number,
                 .candidates = (double)access->estimate,
                 .cost = seeks,
                 .asked = is_asked(choose, access)};
    way ordered = plain;
    if (access->chained > 0 || plain.asked) {
        settle(choose, &plain, COST_FETCHED, share);
        consider(choose, &plain);
    }
    if (!access->ordered || !choose->sorts)
        return;
    ordered.sorting = AEI_SORTING_GROUP;
    settle(choose, &ordered, COST_FETCHED + (access->exact ? 0 : COST_GROUPED), share);
    if (!access->covers) {
        const double group = least(group_rows(choose, access), (double)access->estimate);
        ordered.cost += group * (COST_FETCHED + COST_GROUPED);
    }
    consider(choose, &ordered);
}

/* The index that leaves fewest rows, among those that bound something of their own. */
static uint32_t next_narrow(const choosing *choose, const uint8_t *used)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t a = 0; a < choose->access_count; a++) {
        const aei_access *access = &choose->accesses[a];
        bool fresh = access->chained > 0 && access->entries > 0;
        for (uint32_t i = 0; i < choose->query->clause_count && fresh; i++)
            fresh = used[i] == 0 || access->used[i] == 0;
        if (fresh && (best == UINT32_MAX || access->estimate < choose->accesses[best].estimate))
            best = a;
    }
    return best;
}

static bool add_intersected(choosing *choose, uint8_t *used, way *both, double *survivors)
{
    const uint32_t next = next_narrow(choose, used);
    if (next == UINT32_MAX)
        return false;
    AE_ASSERT(next < choose->access_count && choose->intersected_count < AEI_INTERSECT_MAX);
    const aei_access *access = &choose->accesses[next];
    choose->intersected[choose->intersected_count++] = next;
    for (uint32_t i = 0; i < choose->query->clause_count; i++)
        used[i] |= access->used[i];
    both->cost += (double)access->range_count * COST_SEEK + (double)access->estimate * COST_ENTRY;
    both->candidates = *survivors = *survivors * share_of(access);
    return true;
}

/* Entries are cheap beside rows: pass over the narrowest indexes' entries, fetch what is in all. */
static void weigh_intersection(choosing *choose, uint8_t *used)
{
    way both = {.source = AEI_SOURCE_INTERSECTION,
                .asked = choose->query->using == AEI_USING_INTERSECTION};
    double survivors = choose->rows;
    while (choose->intersected_count < AEI_INTERSECT_MAX &&
           add_intersected(choose, used, &both, &survivors)) {
        if (choose->intersected_count < 2)
            continue;
        way candidate = both;
        candidate.access = choose->intersected_count; /* how many of them */
        settle(choose, &candidate, COST_FETCHED + COST_ENTRY, share_besides(choose, used));
        consider(choose, &candidate);
    }
}

/* ---- the ways there are --------------------------------------------------------------------- */

/* The clause to drive key look-ups: the one with the fewest keys. */
static uint32_t choose_driver(const aero_query *query)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < query->clause_count; i++) {
        const aei_clause *clause = &query->clauses[i];
        if (clause->column != query->table->key_column)
            continue;
        if (clause->op != AERO_OP_EQ && clause->op != AERO_OP_IN)
            continue;
        if (best == UINT32_MAX || clause->count < query->clauses[best].count)
            best = i;
    }
    return best;
}

/* Can an index that begins with this column be of use? */
static bool is_concerned(const aero_query *query, const ae_index_info *info)
{
    for (uint32_t i = 0; i < query->clause_count; i++) {
        if (query->clauses[i].column == info->columns[0])
            return true;
    }
    for (uint32_t i = 0; i < query->sort_count; i++) {
        if (query->sorts[i].column == info->columns[0])
            return true;
    }
    return query->using == AEI_USING_INDEX && query->using_column == info->columns[0];
}

/* Sorting by columns that are one value in all rows is no sorting. */
static bool needs_sorting(const aero_query *query)
{
    for (uint32_t s = 0; s < query->sort_count; s++) {
        if (!aei_column_is_constant(query, query->sorts[s].column))
            return true;
    }
    return false;
}

/* Lay the clauses along the indexes.  Finds contradictions, too. */
static aero_status find_accesses(choosing *choose, bool *empty, aero_error *error)
{
    const aero_query *query = choose->query;
    aei_plan *plan = choose->plan;
    ae_index_info infos[AEI_INDEXES_MAX];
    uint32_t count = ae_index_list(query->session, query->table_index, infos, AEI_INDEXES_MAX);
    count = count < AEI_INDEXES_MAX ? count : AEI_INDEXES_MAX;
    *empty = false;
    if (count == 0)
        return AERO_OK;
    choose->accesses = aei_pool_array(&plan->pool, count, sizeof *choose->accesses, error);
    if (choose->accesses == NULL)
        return error->code;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_concerned(query, &infos[i]))
            continue;
        aei_access *access = &choose->accesses[choose->access_count++];
        const aero_status status = aei_access_make(query, &infos[i], plan->key_row, &plan->pool,
                                                   access, error);
        if (status != AERO_OK)
            return status;
        *empty = *empty || access->range_count == 0;
    }
    AE_ASSERT(choose->access_count <= count);
    for (uint32_t i = 0; i < choose->access_count; i++)
        aei_access_estimate(query, &choose->accesses[i], plan->size);
    return AERO_OK;
}

static aero_status plan_keys(aei_plan *plan, const aero_query *query, aero_error *error)
{
    const aero_column *column = &query->table->columns[query->table->key_column];
    size_t count;
    aero_value *keys = (aero_value *)(uintptr_t)aei_values_sorted(column->kind, plan->driver,
                                                                  &plan->pool, &count, error);
    if (keys == NULL)
        return error->code;
    plan->keys = keys;
    for (size_t i = 0; i < count; i++) {
        /* Texts longer than the column are no row's key, and do not fit its image. */
        if (column->max_length == 0 || keys[i].length <= column->max_length)
            keys[plan->key_count++] = keys[i];
    }
    AE_ASSERT(plan->key_count <= count);
    if (plan->key_count == 0)
        plan->source = AEI_SOURCE_NOTHING;
    return AERO_OK;
}

/* Make keys, sorting and program of a plan whose source and accesses are there. */
static aero_status complete(aei_plan *plan, const aero_query *query, aero_error *error)
{
    AE_ASSERT(!plan->in_order || plan->sorts);
    uint8_t *skip = NULL;
    plan->source = plan->chosen;
    plan->sorting = AEI_SORTING_NONE;
    if (plan->sorts && !plan->in_order)
        plan->sorting = AEI_SORTING_ALL;
    else if (plan->sorts && !plan->accesses->exact)
        plan->sorting = AEI_SORTING_GROUP;
    if (plan->chosen == AEI_SOURCE_KEYS) {
        skip = aei_pool_take(&plan->pool, query->clause_count, error);
        if (skip == NULL)
            return error->code;
        memset(skip, 0, query->clause_count);
        skip[plan->driver_number] = 1;
        plan->driver = &query->clauses[plan->driver_number];
        const aero_status status = plan_keys(plan, query, error);
        if (status != AERO_OK)
            return status;
    } else if (plan->chosen == AEI_SOURCE_INDEX) {
        skip = (uint8_t *)(uintptr_t)plan->accesses->answered;
    }
    const aero_status status = aei_program_build(&plan->program, query, skip, &plan->pool, error);
    if (plan->program.never)
        plan->source = AEI_SOURCE_NOTHING;
    return status;
}

/* Put the chosen way into the plan. */
/* The share of the candidates that pass what the chosen way has not looked at. */
static double share_left(const choosing *choose, const aei_plan *plan)
{
    double share = 1.0;
    for (uint32_t i = 0; i < choose->query->clause_count; i++) {
        bool looked_at = plan->chosen == AEI_SOURCE_KEYS && i == choose->driver;
        for (uint32_t a = 0; a < plan->access_count && !looked_at; a++)
            looked_at = plan->accesses[a].used[i] != 0;
        share *= looked_at ? 1.0 : choose->shares[i];
    }
    return share;
}

static aero_status build(choosing *choose, aero_error *error)
{
    aei_plan *plan = choose->plan;
    const way *best = &choose->best;
    plan->chosen = best->source;
    plan->sorts = choose->sorts;
    plan->in_order = best->sorting == AEI_SORTING_GROUP;
    plan->driver_number = choose->driver;
    plan->candidates = best->candidates;
    plan->cost_ns = best->cost;
    if (best->source == AEI_SOURCE_INDEX) {
        plan->accesses = &choose->accesses[best->access];
        plan->access_count = 1;
    } else if (best->source == AEI_SOURCE_INTERSECTION) {
        aei_access *chosen = aei_pool_array(&plan->pool, best->access, sizeof *chosen, error);
        if (chosen == NULL)
            return error->code;
        for (uint32_t i = 0; i < best->access; i++)
            chosen[i] = choose->accesses[choose->intersected[i]];
        plan->accesses = chosen;
        plan->access_count = best->access;
    }
    AE_ASSERT(plan->access_count <= AEI_INTERSECT_MAX);
    for (uint32_t i = 0; i < plan->access_count; i++)
        plan->infos[i] = plan->accesses[i].info;
    plan->share = share_left(choose, plan);
    return complete(plan, choose->query, error);
}

/* Scratch for a row image. */
static aero_status take_image(aei_plan *plan, const aero_query *query, aero_error *error)
{
    plan->key_row = aei_pool_take(&plan->pool, query->table->row_size, error);
    if (plan->key_row == NULL)
        return error->code;
    memset(plan->key_row, 0, query->table->row_size);
    return AERO_OK;
}

aero_status aei_plan_again(aei_plan *plan, const aero_query *query, bool *fits, aero_error *error)
{
    AE_ASSERT(plan->access_count <= AEI_INTERSECT_MAX);
    AE_ASSERT(plan->references == 1);
    *fits = true;
    aei_pool_reset(&plan->pool);
    plan->whole = NULL;
    plan->key_count = 0;
    plan->misjudged = 0;
    aero_status status = take_image(plan, query, error);
    aei_access *accesses = NULL;
    if (plan->access_count > 0)
        accesses = aei_pool_array(&plan->pool, plan->access_count, sizeof *accesses, error);
    plan->accesses = accesses;
    if (status == AERO_OK && plan->access_count > 0 && accesses == NULL)
        status = error->code;
    bool empty = false;
    /* A pattern may have been a plain text, that is a `=`, and be none now. */
    if (plan->sorts != (!plan->counting && needs_sorting(query)))
        *fits = false;
    if (plan->chosen == AEI_SOURCE_KEYS) {
        const int32_t op = query->clauses[plan->driver_number].op;
        *fits = *fits && (op == AERO_OP_EQ || op == AERO_OP_IN);
    }
    for (uint32_t i = 0; i < plan->access_count && status == AERO_OK; i++) {
        status = aei_access_make(query, &plan->infos[i], plan->key_row, &plan->pool, &accesses[i],
                                 error);
        empty = empty || accesses[i].range_count == 0;
        *fits = *fits && (accesses[i].ordered || !plan->in_order);
    }
    if (status == AERO_OK && *fits)
        status = complete(plan, query, error);
    if (empty)
        plan->source = AEI_SOURCE_NOTHING;
    return status;
}

aero_status aei_plan_choose(aei_plan *plan, const aero_query *query, aero_error *error)
{
    choosing choose = {.query = query,
                       .plan = plan,
                       .driver = choose_driver(query),
                       .sorts = !plan->counting && needs_sorting(query),
                       .rows = (double)plan->size,
                       .wanted = (double)aei_rows_wanted(query)};
    bool empty = false;
    uint8_t *used = aei_pool_take(&plan->pool, query->clause_count, error);
    choose.shares = aei_pool_array(&plan->pool, query->clause_count, sizeof *choose.shares, error);
    aero_status status = take_image(plan, query, error);
    if (used == NULL || choose.shares == NULL || status != AERO_OK)
        return error->code;
    memset(used, 0, query->clause_count);
    choose.best.cost = 1e300;
    /* One key is one look-up: nothing is cheaper, and there is nothing to weigh. */
    const bool one_key = choose.driver != UINT32_MAX && query->clauses[choose.driver].count == 1 &&
                         query->using == AEI_USING_ANY;
    if (!one_key && query->using != AEI_USING_ONLY_SCAN)
        status = find_accesses(&choose, &empty, error);
    if (status != AERO_OK)
        return status;
    find_shares(&choose);
    weigh_keys(&choose);
    if (!one_key) {
        weigh_scan(&choose);
        for (uint32_t i = 0; i < choose.access_count; i++)
            weigh_index(&choose, i);
        if (choose.access_count > 1)
            weigh_intersection(&choose, used);
    }
    status = build(&choose, error);
    if (empty)
        plan->source = AEI_SOURCE_NOTHING;
    return status;
}
