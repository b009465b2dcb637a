/* plan.c — choose the source.  The rule of today: a look-up by key beats a scan; of several clauses
 * on the key `=` beats `in`, and of those the shorter list wins.
 */
#include "query/plan.h"

#include <stdlib.h>
#include <string.h>

/* The clause to drive a key look-up, UINT32_MAX when there is none. */
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

static aero_status plan_keys(aei_plan *plan, const aero_query *query, aero_error *error)
{
    const aero_column *column = &query->table->columns[query->table->key_column];
    size_t count;
    aero_value *keys = (aero_value *)(uintptr_t)aei_values_sorted(column->kind, plan->driver,
                                                                  &plan->pool, &count, error);
    plan->key_row = aei_pool_take(&plan->pool, query->table->row_size, error);
    if (keys == NULL || plan->key_row == NULL)
        return error->code;
    memset(plan->key_row, 0, query->table->row_size);
    plan->keys = keys;
    for (size_t i = 0; i < count; i++) {
        /* Texts longer than the column are no row's key, and do not fit its image. */
        if (column->max_length == 0 || keys[i].length <= column->max_length)
            keys[plan->key_count++] = keys[i];
    }
    plan->source = plan->key_count > 0 ? AEI_SOURCE_KEYS : AEI_SOURCE_NOTHING;
    return AERO_OK;
}

static aero_status plan_fill(aei_plan *plan, const aero_query *query, aero_error *error)
{
    const uint32_t driver = choose_driver(query);
    aero_status status = aei_program_build(&plan->program, query, driver, &plan->pool, error);
    if (status != AERO_OK)
        return status;
    plan->source = AEI_SOURCE_SCAN;
    if (driver != UINT32_MAX) {
        plan->driver = &query->clauses[driver];
        status = plan_keys(plan, query, error);
    }
    if (plan->program.never)
        plan->source = AEI_SOURCE_NOTHING;
    return status;
}

aero_status aei_plan_get(aero_query *query, aei_plan **plan, aero_error *error)
{
    *plan = query->plan;
    if (query->plan != NULL)
        return AERO_OK;
    aei_plan *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a query");
    fresh->references = 1;
    const aero_status status = plan_fill(fresh, query, error);
    if (status != AERO_OK) {
        aei_plan_release(fresh);
        return status;
    }
    *plan = query->plan = fresh;
    return AERO_OK;
}

void aei_plan_release(aei_plan *plan)
{
    AE_ASSERT(plan->references > 0);
    if (--plan->references == 0) {
        aei_pool_free(&plan->pool);
        free(plan);
    }
}

uint64_t aei_rows_wanted(const aero_query *query)
{
    return query->limit < 0 ? UINT64_MAX : (uint64_t)query->limit + (uint64_t)query->offset;
}
