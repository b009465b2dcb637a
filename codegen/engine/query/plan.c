/* plan.c — a plan's life: made when it is needed, shared by sources and noted reads, made anew when
 * the table has become another one.
 */
#include "query/plan.h"

#include <stdlib.h>
#include <string.h>

/* A table that grew or shrank by this factor, and candidates beyond the expected ones by this
 * factor, are reasons to weigh again. */
#define MUCH 4.0

/* Does the plan still fit the table? */
static bool is_current(const aero_query *query, const aei_plan *plan)
{
    if (plan->epoch != ae_index_epoch(query->session, query->table_index))
        return false;
    if (plan->runs < AEI_RUNS_MAX && plan->misjudged < MUCH)
        return true;
    if (plan->misjudged >= MUCH)
        return false;
    const double now = (double)ae_table_size(query->session, query->table_index) + 64;
    const double then = (double)plan->size + 64;
    return now < then * MUCH && then < now * MUCH;
}

aero_status aei_plan_get(aero_query *query, bool counting, aei_plan **plan, aero_error *error)
{
    aero_status status = aei_bound_check(query, error);
    if (status != AERO_OK)
        return status;
    *plan = query->plan;
    if (query->plan != NULL && is_current(query, query->plan) &&
        (query->plan->counting == counting || query->sort_count == 0)) {
        bool fits = !query->rebound;
        if (!fits && query->plan->references == 1)
            status = aei_plan_again(query->plan, query, &fits, error);
        if (status != AERO_OK) {
            aei_plan_drop(query);
            return status;
        }
        if (fits) {
            query->rebound = false;
            query->plan->runs = query->plan->runs >= AEI_RUNS_MAX ? 0 : query->plan->runs + 1;
            return AERO_OK;
        }
    }
    aei_plan *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a query");
    fresh->references = 1;
    fresh->counting = counting;
    fresh->epoch = ae_index_epoch(query->session, query->table_index);
    fresh->size = ae_table_size(query->session, query->table_index);
    status = aei_plan_choose(fresh, query, error);
    if (status != AERO_OK) {
        aei_plan_release(fresh);
        return status;
    }
    aei_plan_drop(query);
    *plan = query->plan = fresh;
    query->rebound = false;
    return AERO_OK;
}

void aei_plan_drop(aero_query *query)
{
    if (query->plan != NULL)
        aei_plan_release(query->plan);
    query->plan = NULL;
}

void aei_plan_release(aei_plan *plan)
{
    AE_ASSERT(plan->references > 0);
    if (--plan->references == 0) {
        aei_pool_free(&plan->pool);
        free(plan);
    }
}

aei_program *aei_plan_whole(aei_plan *plan, const aero_query *query)
{
    aero_error ignored;
    if (plan->whole != NULL)
        return plan->whole;
    aei_program *whole = aei_pool_take(&plan->pool, sizeof *whole, &ignored);
    if (whole == NULL || aei_program_build(whole, query, NULL, &plan->pool, &ignored) != AERO_OK)
        return NULL;
    plan->whole = whole;
    return whole;
}

uint64_t aei_rows_wanted(const aero_query *query)
{
    return query->limit < 0 ? UINT64_MAX : (uint64_t)query->limit + (uint64_t)query->offset;
}
