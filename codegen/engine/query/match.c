/* match.c — all clauses of a query as one program (see match.h). */
#include "query/match.h"

#include <stdlib.h>

#include "query/program.h"

struct ae_matcher {
    aero_query *query;
    aei_pool pool;
    aei_program program;
};

aero_status ae_matcher_new(aero_query *query, ae_matcher **matcher)
{
    aero_error *error = ae_session_error_buffer(query->session);
    *matcher = NULL;
    ae_matcher *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a filter");
    aero_status status = aei_bound_check(query, error);
    if (status == AERO_OK)
        status = aei_program_build(&fresh->program, query, NULL, &fresh->pool, error);
    if (status != AERO_OK) {
        aei_pool_free(&fresh->pool);
        free(fresh);
        return status;
    }
    fresh->query = query;
    query->cursors++; /* so that its clauses stay as they are */
    aei_query_hold(query);
    *matcher = fresh;
    return AERO_OK;
}

void ae_matcher_free(ae_matcher *matcher)
{
    AE_ASSERT(matcher->query->cursors > 0);
    matcher->query->cursors--;
    aei_query_release(matcher->query);
    aei_pool_free(&matcher->pool);
    free(matcher);
}

bool ae_matcher_match(void *context, const void *row, const char *base)
{
    const ae_matcher *matcher = context;
    const ae_view view = {.row = row, .base = base};
    uint16_t selection[1];
    return !matcher->program.never && aei_program_run(&matcher->program, &view, 1, selection) > 0;
}

uint32_t ae_query_table(const aero_query *query)
{
    return query->table_index;
}
