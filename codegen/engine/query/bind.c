/* bind.c — parameters: clauses whose constants are given later, and again and again.
 *
 * A clause with parameters keeps its values as they were given.  When one of its parameters is
 * bound, and all have a value, they are converted like any constants, into a pool of the clause's
 * own, which is used again for the next values.
 *
 * Invariants: I1 constants that a noted read of an open transaction may still look at are not
 *                touched: while others than cursors hold the query, the pools go to query->kept.
 */
#include <stdlib.h>
#include <string.h>

#include "query/plan.h"

bool aei_clause_is_open(const aei_clause *clause)
{
    for (uint32_t i = 0; i < clause->count; i++) {
        if (clause->values[i].type == AERO_TYPE_PARAMETER)
            return true;
    }
    return false;
}

static bool has_bytes(const aero_value *value)
{
    return value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES;
}

/* Have `count` parameters. */
static aero_status more_parameters(aero_query *query, uint32_t count, aero_error *error)
{
    AE_ASSERT(count <= AEI_PARAMETERS_MAX);
    if (count <= query->parameter_count)
        return AERO_OK;
    aei_parameter *fresh = aei_array_resize(query->parameters, count, sizeof *fresh, error);
    if (fresh == NULL)
        return AERO_NO_MEMORY;
    memset(fresh + query->parameter_count, 0, (count - query->parameter_count) * sizeof *fresh);
    query->parameters = fresh;
    query->parameter_count = count;
    return AERO_OK;
}

aero_status aei_clause_leave_open(aero_query *query, aei_clause *clause, aero_error *error)
{
    AE_ASSERT(clause->given == NULL && clause->values != NULL);
    aero_value *given = aei_pool_array(&query->pool, clause->count, sizeof *given, error);
    if (given == NULL)
        return error->code;
    memcpy(given, clause->values, clause->count * sizeof *given);
    for (uint32_t i = 0; i < clause->count; i++) {
        aero_status status = AERO_OK;
        if (given[i].type == AERO_TYPE_PARAMETER && given[i].u.natural >= AEI_PARAMETERS_MAX)
            return ae_fail(error, AERO_LIMIT, "a search may have %u parameters",
                           AEI_PARAMETERS_MAX);
        if (given[i].type == AERO_TYPE_PARAMETER)
            status = more_parameters(query, (uint32_t)given[i].u.natural + 1, error);
        else if (has_bytes(&given[i]))
            given[i].u.data = aei_pool_copy(&query->pool, given[i].u.data, given[i].length, error);
        if (status != AERO_OK || (has_bytes(&given[i]) && given[i].u.data == NULL))
            return error->code;
    }
    clause->given = given;
    clause->given_op = clause->op;
    clause->given_count = clause->count;
    clause->values = NULL;
    clause->count = 0;
    clause->unbound = true;
    return AERO_OK;
}

/* ---- binding -------------------------------------------------------------------------------- */

/* Copy the values into the parameter. */
static aero_status keep_values(aei_parameter *parameter, uint32_t count, const aero_value *values,
                               aero_error *error)
{
    size_t bytes = 0;
    parameter->bound = false;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].type == AERO_TYPE_PARAMETER)
            return ae_fail(error, AERO_USAGE, "a parameter cannot be bound to a parameter");
        bytes += has_bytes(&values[i]) ? values[i].length : 0;
    }
    if (bytes > AEI_POOL_BYTES_MAX)
        return ae_fail(error, AERO_LIMIT, "the constants of a query may take %zu MiB at most",
                       AEI_POOL_BYTES_MAX >> 20);
    if (count > parameter->room) {
        aero_value *fresh = aei_array_resize(parameter->values, count, sizeof *fresh, error);
        if (fresh == NULL)
            return AERO_NO_MEMORY;
        parameter->values = fresh;
        parameter->room = count;
    }
    if (bytes > parameter->bytes_room) {
        char *fresh = aei_array_resize(parameter->bytes, bytes, 1, error);
        if (fresh == NULL)
            return AERO_NO_MEMORY;
        parameter->bytes = fresh;
        parameter->bytes_room = bytes;
    }
    bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        parameter->values[i] = values[i];
        if (!has_bytes(&values[i]))
            continue;
        parameter->values[i].u.data = values[i].length > 0 ? parameter->bytes + bytes : "";
        if (values[i].length > 0)
            memcpy(parameter->bytes + bytes, values[i].u.data, values[i].length);
        bytes += values[i].length;
    }
    AE_ASSERT(bytes <= parameter->bytes_room && count <= parameter->room);
    parameter->count = count;
    parameter->bound = true;
    return AERO_OK;
}

static bool takes(const aei_clause *clause, uint32_t parameter)
{
    for (uint32_t i = 0; clause->given != NULL && i < clause->given_count; i++) {
        if (clause->given[i].type == AERO_TYPE_PARAMETER && clause->given[i].u.natural == parameter)
            return true;
    }
    return false;
}

/* Put the parameters' values in their places.  *values: the clause's own array, or a parameter's;
 * NULL while one is missing.  An `in` of one parameter takes all values of that. */
static aero_status fill_in(aero_query *query, aei_clause *clause, const aero_value **values,
                           uint32_t *count, aero_error *error)
{
    const aei_parameter *parameters = query->parameters;
    aero_value *filled = NULL;
    *values = NULL;
    *count = clause->given_count;
    if (clause->given_op == AERO_OP_IN && clause->given_count == 1) {
        const aei_parameter *list = &parameters[clause->given[0].u.natural];
        *count = list->count;
        *values = list->bound ? (list->count > 0 ? list->values : clause->given) : NULL;
        return AERO_OK;
    }
    for (uint32_t i = 0; i < clause->given_count; i++) {
        const aero_value *given = &clause->given[i];
        const bool open = given->type == AERO_TYPE_PARAMETER;
        if (open && !parameters[given->u.natural].bound)
            return AERO_OK;
        if (open && parameters[given->u.natural].count != 1)
            return ae_fail(error, AERO_USAGE, "parameter %u takes one value, got %u",
                           (unsigned)given->u.natural, parameters[given->u.natural].count);
    }
    filled = aei_pool_array(&clause->bound, clause->given_count, sizeof *filled, error);
    if (filled == NULL)
        return error->code;
    for (uint32_t i = 0; i < clause->given_count; i++) {
        const aero_value *given = &clause->given[i];
        filled[i] = given->type == AERO_TYPE_PARAMETER ? parameters[given->u.natural].values[0]
                                                       : *given;
    }
    *values = filled;
    return AERO_OK;
}

/* Convert a clause's values as they are now. */
static aero_status bind_clause(aero_query *query, aei_clause *clause, aero_error *error)
{
    AE_ASSERT(clause->given != NULL);
    const aero_value *values;
    uint32_t count;
    clause->unbound = true;
    aei_pool_reset(&clause->bound);
    aero_status status = fill_in(query, clause, &values, &count, error);
    if (status != AERO_OK || values == NULL)
        return status;
    if (count > AEI_VALUES_MAX)
        return ae_fail(error, AERO_LIMIT, "the comparisons of a search may have at most %u values",
                       AEI_VALUES_MAX);
    clause->op = clause->given_op;
    clause->glob = NULL;
    clause->count = count;
    clause->values = values;
    status = aei_clause_convert(query, &clause->bound, clause, error);
    clause->unbound = status != AERO_OK;
    return status;
}

/* Noted reads look at the constants: leave them to those, and make new ones (I1). */
static aero_status set_aside(aero_query *query, aero_error *error)
{
    for (uint32_t i = 0; i < query->clause_count; i++) {
        if (query->clauses[i].given != NULL)
            aei_pool_move(&query->kept, &query->clauses[i].bound);
    }
    for (uint32_t i = 0; i < query->clause_count; i++) {
        aei_clause *clause = &query->clauses[i];
        if (clause->given == NULL || clause->unbound)
            continue;
        const aero_status status = bind_clause(query, clause, error);
        if (status != AERO_OK)
            return status;
    }
    return AERO_OK;
}

aero_status ae_query_bind(aero_query *query, uint32_t parameter, uint32_t count,
                          const aero_value *values)
{
    aero_error *error = ae_session_error_buffer(query->session);
    aero_status status = AERO_OK;
    if (query->cursors > 0)
        return ae_fail(error, AERO_USAGE,
                       "a parameter cannot be bound while a cursor of the search is open");
    if (parameter >= query->parameter_count)
        return ae_fail(error, AERO_USAGE, "the search has no parameter number %u", parameter);
    query->rebound = true;
    if (query->holders > 0) {
        aei_plan_drop(query);
        status = set_aside(query, error);
    }
    if (status == AERO_OK)
        status = keep_values(&query->parameters[parameter], count, values, error);
    for (uint32_t i = 0; i < query->clause_count && status == AERO_OK; i++) {
        if (takes(&query->clauses[i], parameter))
            status = bind_clause(query, &query->clauses[i], error);
    }
    return status;
}

aero_status aei_bound_check(const aero_query *query, aero_error *error)
{
    for (uint32_t i = 0; i < query->clause_count && query->open_count > 0; i++) {
        if (query->clauses[i].unbound)
            return ae_fail(error, AERO_USAGE, "a parameter of the search has no value");
    }
    return AERO_OK;
}

void aei_bound_settle(aero_query *query)
{
    AE_ASSERT(query->holders == 0);
    aei_pool_free(&query->kept);
}

void aei_bound_free(aero_query *query)
{
    for (uint32_t i = 0; i < query->clause_count; i++)
        aei_pool_free(&query->clauses[i].bound);
    for (uint32_t i = 0; i < query->parameter_count; i++) {
        free(query->parameters[i].values);
        free(query->parameters[i].bytes);
    }
    free(query->parameters);
    aei_pool_free(&query->kept);
}
