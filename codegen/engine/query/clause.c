/* clause.c — operators, and clauses from loose values: checked and converted once, when added.
 *
 * Rules (README.md has them with examples): a constant that its column cannot hold is an error, but
 * a number between two whole ones is a fine bound for < <= > >= range, and a text may be longer
 * than the column: it equals nothing and orders as it should.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aerostore/gen.h"
#include "base/number.h"
#include "query/query_private.h"
#include "row/convert.h"

#define MANY UINT32_MAX
/* Beyond this doubles skip whole numbers, and a text's fraction may be lost. */
#define EXACT_REAL 9007199254740992.0

static const aei_operator operators[] = {
    {"=", AERO_OP_EQ, 1},
    {"==", AERO_OP_EQ, 1},
    {"!=", AERO_OP_NE, 1},
    {"<>", AERO_OP_NE, 1},
    {"<", AERO_OP_LT, 1},
    {"<=", AERO_OP_LE, 1},
    {">", AERO_OP_GT, 1},
    {">=", AERO_OP_GE, 1},
    {"in", AERO_OP_IN, MANY},
    {"range", AERO_OP_RANGE, 2},
    {"null", AERO_OP_NULL, 0},
    {"notnull", AERO_OP_NOTNULL, 0},
    {"true", AERO_OP_TRUE, 0},
    {"false", AERO_OP_FALSE, 0},
    {"match", AERO_OP_MATCH, 1},
    {"notmatch", AERO_OP_NOTMATCH, 1},
    {"match_case", AERO_OP_MATCH_CASE, 1},
    {"notmatch_case", AERO_OP_NOTMATCH_CASE, 1},
};
#define OPERATOR_COUNT (sizeof operators / sizeof operators[0])

const aei_operator *aei_operator_named(const char *name, size_t length)
{
    for (size_t i = 0; i < OPERATOR_COUNT; i++) {
        if (strlen(operators[i].name) == length &&
            strncasecmp(operators[i].name, name, length) == 0)
            return &operators[i];
    }
    return NULL;
}

const aei_operator *aei_operator_numbered(int32_t op)
{
    for (size_t i = 0; i < OPERATOR_COUNT; i++) {
        if (operators[i].op == op)
            return &operators[i];
    }
    return NULL;
}

static bool is_pattern(int32_t op)
{
    return op >= AERO_OP_MATCH && op <= AERO_OP_NOTMATCH_CASE;
}

static aero_status reserve_scratch(aero_query *query, size_t size, aero_error *error)
{
    if (size <= query->scratch_size)
        return AERO_OK;
    char *fresh = aei_array_resize(query->scratch, size, 1, error);
    if (fresh == NULL)
        return AERO_NO_MEMORY;
    query->scratch = fresh;
    query->scratch_size = size;
    return AERO_OK;
}

/* Bytes of a value into the pool. */
static aero_status keep_bytes(aei_pool *pool, aero_value *value, aero_error *error)
{
    value->u.data = aei_pool_copy(pool, value->u.data, value->length, error);
    return value->u.data == NULL ? error->code : AERO_OK;
}

/* A whole-number column met a constant that is none.  If it is a finite number, replace it by the
 * whole number that means the same to this operator; false when there is none. */
static bool whole_bound(int32_t op, const aero_value *in, aero_value *whole)
{
    double real;
    if (in->type == AERO_TYPE_DOUBLE)
        real = in->u.real;
    else if (in->type != AERO_TYPE_TEXT ||
             ae_number_read_double(in->u.data, in->length, &real) != AE_NUMBER_OK)
        return false;
    if (!(fabs(real) <= EXACT_REAL))
        return false;
    double bound = real;
    if (op == AERO_OP_GT || op == AERO_OP_LE)
        bound = floor(real); /* x > 1.5 is x > 1, x <= 1.5 is x <= 1 */
    else if (op == AERO_OP_GE || op == AERO_OP_LT || op == AERO_OP_RANGE)
        bound = ceil(real); /* x >= 1.5 is x >= 2, x < 1.5 is x < 2 */
    else if (bound != trunc(bound))
        return false;
    AE_ASSERT(bound == trunc(bound) && fabs(bound) <= EXACT_REAL + 1);
    *whole = (aero_value){.type = AERO_TYPE_INT, .u.integer = (int64_t)bound};
    return true;
}

static aero_status convert_text(aero_query *query, aei_pool *pool, uint32_t column,
                                const aero_value *in, aero_value *out, aero_error *error)
{
    AE_ASSERT(in->type == AERO_TYPE_TEXT);
    const char *reason = "";
    if (ae_text_check(in->u.data, in->length, UINT32_MAX, &reason) != AERO_OK) {
        const aero_status status = ae_fail(error, AERO_TYPE, "column \"%s\": %s",
                                           query->table->columns[column].name, reason);
        ae_error_place(error, query->table->name, query->table->columns[column].name);
        return status;
    }
    *out = (aero_value){.type = AERO_TYPE_TEXT, .length = in->length, .u.data = in->u.data};
    return keep_bytes(pool, out, error);
}

/* One constant to a raw value of its column. */
static aero_status convert(aero_query *query, aei_pool *pool, int32_t op, uint32_t column,
                           const aero_value *in, aero_value *out, aero_error *error)
{
    const aero_column *about = &query->table->columns[column];
    if (in->type == AERO_TYPE_NULL) {
        const aero_status status = ae_fail(
            error, AERO_USAGE,
            "column \"%s\": a comparison with NULL never holds; use null or notnull", about->name);
        ae_error_place(error, query->table->name, about->name);
        return status;
    }
    if (aei_kind_is_text(about->kind) && in->type == AERO_TYPE_TEXT)
        return convert_text(query, pool, column, in, out, error);
    const bool bytes = in->type == AERO_TYPE_TEXT || in->type == AERO_TYPE_BYTES;
    aero_status status = reserve_scratch(query, AE_TEXT_MAX + (bytes ? (size_t)in->length : 0),
                                         error);
    if (status != AERO_OK)
        return status;
    status = ae_convert(query->table, column, in, query->scratch, out, error);
    aero_value whole;
    if (status == AERO_TYPE && about->kind >= AERO_KIND_INT8 && about->kind <= AERO_KIND_UINT64 &&
        whole_bound(op, in, &whole))
        status = ae_convert(query->table, column, &whole, query->scratch, out, error);
    if (status == AERO_OK && (out->type == AERO_TYPE_TEXT || out->type == AERO_TYPE_BYTES))
        status = keep_bytes(pool, out, error);
    if (status == AERO_OK && aei_kind_is_real(about->kind))
        out->u.real += 0.0; /* -0.0 is 0.0 */
    return status;
}

/* A pattern: text is text, numbers stand for their text. */
static aero_status convert_pattern(aero_query *query, aei_pool *pool, aei_clause *clause,
                                   aero_error *error)
{
    AE_ASSERT(clause->count == 1 && clause->values != NULL);
    const aero_value *in = clause->values;
    const aero_column *about = &query->table->columns[clause->column];
    aero_value pattern = *in;
    const char *reason = "";
    if (in->type != AERO_TYPE_TEXT ||
        ae_text_check(in->u.data, in->length, UINT32_MAX, &reason) != AERO_OK) {
        const aero_status status = ae_fail(error, AERO_TYPE,
                                           "column \"%s\": a pattern must be a text%s%s",
                                           about->name, *reason != '\0' ? ": " : "", reason);
        ae_error_place(error, query->table->name, about->name);
        return status;
    }
    aero_value *kept = aei_pool_take(pool, sizeof *kept, error);
    if (kept == NULL || keep_bytes(pool, &pattern, error) != AERO_OK)
        return error->code;
    *kept = pattern;
    clause->values = kept;
    const bool fold = clause->op == AERO_OP_MATCH || clause->op == AERO_OP_NOTMATCH;
    clause->glob = aei_glob_compile(pattern.u.data, pattern.length, fold, pool, error);
    if (clause->glob == NULL)
        return error->code;
    const char *literal;
    size_t literal_length;
    if (aei_kind_is_text(about->kind) &&
        aei_glob_literal(clause->glob, &literal, &literal_length)) {
        /* Without wildcards it is a plain comparison, which may be a key look-up. */
        *kept = (aero_value){
            .type = AERO_TYPE_TEXT, .length = (uint32_t)literal_length, .u.data = literal};
        clause->op = clause->op == AERO_OP_MATCH_CASE ? AERO_OP_EQ : AERO_OP_NE;
        clause->glob = NULL;
    }
    return AERO_OK;
}

aero_status aei_clause_convert(aero_query *query, aei_pool *pool, aei_clause *clause,
                               aero_error *error)
{
    AE_ASSERT(clause->column < query->table->column_count);
    if (is_pattern(clause->op))
        return convert_pattern(query, pool, clause, error);
    if (clause->count == 0)
        return AERO_OK;
    aero_value *kept = aei_pool_array(pool, clause->count, sizeof *kept, error);
    if (kept == NULL)
        return error->code;
    for (uint32_t i = 0; i < clause->count; i++) {
        const aero_status status = convert(query, pool, clause->op, clause->column,
                                           &clause->values[i], &kept[i], error);
        if (status != AERO_OK)
            return status;
    }
    clause->values = kept;
    return AERO_OK;
}

static aero_status check_shape(const aero_query *query, int32_t op, uint32_t column, uint64_t count,
                               aero_error *error)
{
    const aei_operator *about = aei_operator_numbered(op);
    if (about == NULL)
        return ae_fail(error, AERO_USAGE, "unsupported compare operator %d", op);
    if (column >= query->table->column_count)
        return ae_fail(error, AERO_USAGE, "table %s has no column number %u", query->table->name,
                       column);
    if (query->clause_count >= AEI_CLAUSES_MAX)
        return ae_fail(error, AERO_LIMIT, "a search may have at most %u comparisons",
                       AEI_CLAUSES_MAX);
    if (about->values != MANY && count != about->values)
        return ae_fail(error, AERO_USAGE, "operator '%s' expects exactly %u values, got %llu",
                       about->name, about->values, (unsigned long long)count);
    if (count > AEI_VALUES_MAX || query->value_count + count > AEI_VALUES_MAX)
        return ae_fail(error, AERO_LIMIT, "the comparisons of a search may have at most %u values",
                       AEI_VALUES_MAX);
    const aero_column *target = &query->table->columns[column];
    if ((op == AERO_OP_TRUE || op == AERO_OP_FALSE) &&
        !(target->kind <= AERO_KIND_UINT64 || aei_kind_is_real(target->kind))) {
        const aero_status status = ae_fail(
            error, AERO_TYPE, "column \"%s\": operator '%s' needs a boolean or a number",
            target->name, about->name);
        ae_error_place(error, query->table->name, target->name);
        return status;
    }
    return AERO_OK;
}

aero_status aei_clause_add(aero_query *query, int32_t op, uint32_t column, uint64_t count,
                           const aero_value *values, aero_error *error)
{
    aero_status status = check_shape(query, op, column, count, error);
    if (status != AERO_OK)
        return status;
    if (query->clause_count == query->clause_room) {
        const uint32_t room = query->clause_room == 0 ? 8 : query->clause_room * 2;
        aei_clause *fresh = aei_array_resize(query->clauses, room, sizeof *query->clauses, error);
        if (fresh == NULL)
            return AERO_NO_MEMORY;
        query->clauses = fresh;
        query->clause_room = room;
    }
    aei_clause clause = {.op = op, .column = column, .count = (uint32_t)count, .values = values};
    if (aei_clause_is_open(&clause))
        status = aei_clause_leave_open(query, &clause, error);
    else
        status = aei_clause_convert(query, &query->pool, &clause, error);
    if (status != AERO_OK)
        return status;
    AE_ASSERT(query->clause_count < query->clause_room);
    AE_ASSERT(query->cursors == 0);
    query->open_count += clause.given != NULL;
    query->clauses[query->clause_count++] = clause;
    query->value_count += count;
    return AERO_OK;
}
