/* program.c — clauses to steps: conditions on one number are merged into one interval, cheap steps
 * come first.
 *
 * Whole numbers are handled as keys: order-preserving unsigned numbers (aei_value_key), in which an
 * interval is a pair.  A kernel gets it back as raw bits: the bias is the same for all values of a
 * kind, and differences do not see it.
 *
 * Invariants: I1 a step's meaning is the conjunction of its clauses.
 *             I2 an interval handed to a kernel is not empty; an empty one makes the program
 *                `never`.
 */
#include "query/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aerostore/gen.h"
#include "query/fold.h"
#include "query/row_inline.h"
#include "row/convert.h"

/* Costs order the steps; the unit is about a nanosecond a row. */
enum step_cost {
    COST_NULL = 1,
    COST_INTERVAL = 2,
    COST_OUTSIDE = 3,
    COST_CELL = 4,
    COST_KEYS = 6,
    COST_BYTES = 7,
    COST_VALUES = 12,
    COST_GLOB = 20,
    COST_FORMAT = 60
};

/* Closed intervals of keys and of reals. */
typedef struct interval {
    uint64_t low;
    uint64_t high;
    double real_low;
    double real_high;
    bool empty;
} interval;

static bool is_number(uint8_t kind)
{
    return aei_kind_is_integer(kind) || aei_kind_is_real(kind);
}

static bool is_negated(int32_t op)
{
    return op == AERO_OP_NE || op == AERO_OP_TRUE || op == AERO_OP_NOTMATCH ||
           op == AERO_OP_NOTMATCH_CASE || op == AERO_OP_NOTNULL;
}

static int cost_of(const aero_column *column, const aei_clause *clause)
{
    const bool text = aei_kind_is_text(column->kind);
    const bool cell = column->kind == AERO_KIND_TEXT || column->kind == AERO_KIND_BYTES;
    switch (clause->op) {
    case AERO_OP_NULL:
    case AERO_OP_NOTNULL:
        return COST_NULL;
    case AERO_OP_MATCH:
    case AERO_OP_MATCH_CASE:
    case AERO_OP_NOTMATCH:
    case AERO_OP_NOTMATCH_CASE:
        return text ? COST_GLOB : COST_FORMAT;
    case AERO_OP_IN:
        return is_number(column->kind) ? COST_KEYS : COST_VALUES;
    default:
        if (is_number(column->kind))
            return is_negated(clause->op) ? COST_OUTSIDE : COST_INTERVAL;
        if (cell && (clause->op == AERO_OP_EQ || clause->op == AERO_OP_NE))
            return COST_CELL;
        return COST_BYTES;
    }
}

/* Bounds of keys: `above` and `below` exclude their end by a step to the neighbour. */
static void clip_low(interval *range, uint64_t key, bool exclude)
{
    if (exclude && key == UINT64_MAX)
        range->empty = true;
    else if (key + exclude > range->low)
        range->low = key + exclude;
}

static void clip_high(interval *range, uint64_t key, bool exclude)
{
    if (exclude && key == 0)
        range->empty = true;
    else if (key - exclude < range->high)
        range->high = key - exclude;
}

static void clip_keys(interval *range, uint8_t kind, const aei_clause *clause)
{
    AE_ASSERT(clause->values != NULL || clause->count == 0);
    static const aero_value zero = {.type = AERO_TYPE_INT};
    const aero_value *values = clause->values;
    switch (clause->op) {
    case AERO_OP_GT:
    case AERO_OP_GE:
        clip_low(range, aei_value_key(kind, values), clause->op == AERO_OP_GT);
        break;
    case AERO_OP_LT:
    case AERO_OP_LE:
        clip_high(range, aei_value_key(kind, values), clause->op == AERO_OP_LT);
        break;
    case AERO_OP_RANGE:
        clip_low(range, aei_value_key(kind, &values[0]), false);
        clip_high(range, aei_value_key(kind, &values[1]), true);
        break;
    default: { /* EQ and NE; TRUE and FALSE are NE and EQ of 0 */
        const bool boolean = clause->op == AERO_OP_TRUE || clause->op == AERO_OP_FALSE;
        const uint64_t key = aei_value_key(kind, boolean ? &zero : values);
        clip_low(range, key, false);
        clip_high(range, key, false);
    }
    }
    range->empty = range->empty || range->low > range->high;
}

static void clip_reals(interval *range, const aei_clause *clause)
{
    const aero_value *values = clause->values;
    double low = -HUGE_VAL;
    double high = HUGE_VAL;
    switch (clause->op) {
    case AERO_OP_GT:
        low = nextafter(values[0].u.real, HUGE_VAL);
        break;
    case AERO_OP_GE:
        low = values[0].u.real;
        break;
    case AERO_OP_LT:
        high = nextafter(values[0].u.real, -HUGE_VAL);
        break;
    case AERO_OP_LE:
        high = values[0].u.real;
        break;
    case AERO_OP_RANGE:
        low = values[0].u.real;
        high = nextafter(values[1].u.real, -HUGE_VAL);
        break;
    case AERO_OP_TRUE:
    case AERO_OP_FALSE:
        low = high = 0.0;
        break;
    default:
        low = high = values[0].u.real;
    }
    range->real_low = low > range->real_low ? low : range->real_low;
    range->real_high = high < range->real_high ? high : range->real_high;
    range->empty = range->empty || range->real_low > range->real_high;
}

/* A step of one or more clauses that bound the same number. */
static void build_number(aei_program *program, aei_step *step)
{
    AE_ASSERT(step->clause_count > 0);
    const uint8_t kind = step->column->kind;
    interval range = {.low = 0, .high = UINT64_MAX, .real_low = -HUGE_VAL, .real_high = HUGE_VAL};
    for (uint32_t i = 0; i < step->clause_count; i++) {
        if (aei_kind_is_real(kind))
            clip_reals(&range, step->clauses[i]);
        else
            clip_keys(&range, kind, step->clauses[i]);
    }
    step->kernel = aei_kernel_number(kind);
    step->negate = is_negated(step->clauses[0]->op);
    if (range.empty) {
        program->never = true; /* a negated interval is one value and never empty */
        return;
    }
    if (aei_kind_is_real(kind)) {
        step->u.real.low = range.real_low;
        step->u.real.high = range.real_high;
        return;
    }
    const uint64_t bias = kind == AERO_KIND_UINT64 ? 0 : ae_normal_int(0);
    AE_ASSERT(range.low <= range.high && step->kernel != NULL);
    step->u.whole.low = range.low ^ bias;
    step->u.whole.span = range.high - range.low;
}

static uint8_t storage_of(uint8_t kind)
{
    switch (kind) {
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        return AEI_STORAGE_CELL;
    case AERO_KIND_IPV6:
    case AERO_KIND_MAC:
        return AEI_STORAGE_RAW;
    default:
        return AEI_STORAGE_GETTER;
    }
}

/* Three-way comparison with one constant, of kinds that are bytes. */
static void build_bytes(aei_step *step, int32_t op, const aero_value *value)
{
    AE_ASSERT(op >= AERO_OP_EQ && op <= AERO_OP_GE);
    static const uint8_t accepts[] = {[AERO_OP_EQ] = 2, [AERO_OP_NE] = 5, [AERO_OP_LT] = 1,
                                      [AERO_OP_LE] = 3, [AERO_OP_GT] = 4, [AERO_OP_GE] = 6};
    step->storage = storage_of(step->column->kind);
    step->u.bytes.data = value->u.data;
    step->u.bytes.length = value->length;
    step->accept = accepts[op];
    step->kernel = aei_kernel_bytes;
    if (step->storage == AEI_STORAGE_CELL && (op == AERO_OP_EQ || op == AERO_OP_NE)) {
        ae_cell_set(&step->u.bytes.cell, value->u.data, value->length);
        step->negate = op == AERO_OP_NE;
        step->kernel = aei_kernel_cell_equal;
    }
}

static aero_status build_in(aei_program *program, aei_step *step, const aei_clause *clause,
                            aei_pool *pool, aero_error *error)
{
    if (clause->count == 0) { /* in nothing; only typed clauses can say so */
        program->never = true;
        return AERO_OK;
    }
    const uint8_t kind = step->column->kind;
    size_t count;
    const aero_value *values = aei_values_sorted(kind, clause, pool, &count, error);
    AE_ASSERT(values == NULL || (count > 0 && count <= clause->count));
    if (values == NULL)
        return error->code;
    if (!is_number(kind)) {
        step->storage = storage_of(kind);
        step->kernel = aei_kernel_values;
        step->u.values.values = values;
        step->u.values.count = count;
        return AERO_OK;
    }
    uint64_t *keys = aei_pool_array(pool, count, sizeof *keys, error);
    if (keys == NULL)
        return error->code;
    for (size_t i = 0; i < count; i++)
        keys[i] = aei_value_key(kind, &values[i]);
    step->kernel = aei_kernel_keys;
    step->u.keys.keys = keys;
    step->u.keys.count = count;
    return AERO_OK;
}

static aero_status build_glob(aei_step *step, const aei_clause *clause, aei_pool *pool,
                              aero_error *error)
{
    AE_ASSERT(clause->glob != NULL);
    const aero_column *column = step->column;
    const bool text = aei_kind_is_text(column->kind);
    /* The text form of bytes takes two digits each, of anything else AE_TEXT_MAX at most. */
    const size_t form = text ? column->max_length : AE_TEXT_MAX + 2 * (size_t)column->max_length;
    step->storage = text ? storage_of(column->kind) : AEI_STORAGE_FORMAT;
    step->kernel = aei_kernel_glob;
    step->negate = is_negated(clause->op);
    step->u.glob.glob = clause->glob;
    step->u.glob.room = form;
    if (!text && (step->u.glob.format = aei_pool_take(pool, form, error)) == NULL)
        return error->code;
    if (aei_glob_folds(clause->glob) &&
        (step->u.glob.fold = aei_pool_take(pool, AEI_FOLD_ROOM(form), error)) == NULL)
        return error->code;
    return AERO_OK;
}

static aero_status build_step(aei_program *program, aei_step *step, aei_pool *pool,
                              aero_error *error)
{
    const aei_clause *clause = step->clauses[0];
    aei_row_null_place(step->column, &step->null_at, &step->null_mask);
    step->offset = step->column->offset;
    switch (clause->op) {
    case AERO_OP_NULL:
    case AERO_OP_NOTNULL:
        step->kernel = aei_kernel_null;
        step->negate = clause->op == AERO_OP_NOTNULL;
        return AERO_OK;
    case AERO_OP_IN:
        return build_in(program, step, clause, pool, error);
    case AERO_OP_MATCH:
    case AERO_OP_NOTMATCH:
    case AERO_OP_MATCH_CASE:
    case AERO_OP_NOTMATCH_CASE:
        return build_glob(step, clause, pool, error);
    default:
        if (is_number(step->column->kind))
            build_number(program, step);
        else
            build_bytes(step, clause->op, clause->values);
        return AERO_OK;
    }
}

/* The clauses in order of cost; those on one column stay together. */
static uint32_t order_clauses(const aero_query *query, const uint8_t *skip,
                              const aei_clause **ordered)
{
    const aero_column *columns = query->table->columns;
    uint32_t count = 0;
    for (uint32_t i = 0; i < query->clause_count; i++) {
        if (skip != NULL && skip[i] != 0)
            continue;
        const aei_clause *clause = &query->clauses[i];
        const int cost = cost_of(&columns[clause->column], clause);
        uint32_t at = count++;
        while (at > 0) { /* insertion keeps equal ones in the order they were given */
            const aei_clause *before = ordered[at - 1];
            const int other = cost_of(&columns[before->column], before);
            if (other < cost || (other == cost && before->column <= clause->column))
                break;
            ordered[at] = before;
            at--;
        }
        ordered[at] = clause;
    }
    AE_ASSERT(count <= query->clause_count);
    return count;
}

/* How many of clauses[0..count) make one step. */
static uint32_t merge_length(const aero_query *query, const aei_clause *const *clauses,
                             uint32_t count)
{
    AE_ASSERT(count > 0);
    const aero_column *column = &query->table->columns[clauses[0]->column];
    uint32_t length = 1;
    if (!is_number(column->kind) || cost_of(column, clauses[0]) != COST_INTERVAL)
        return length;
    while (length < count && clauses[length]->column == clauses[0]->column &&
           cost_of(column, clauses[length]) == COST_INTERVAL)
        length++;
    return length;
}

/* `range` on bytes is two steps; everything else makes one. */
static aero_status add_steps(aei_program *program, const aero_query *query,
                             const aei_clause *const *clauses, uint32_t count, aei_pool *pool,
                             aero_error *error)
{
    AE_ASSERT(count > 0 && program->step_count < 2 * query->clause_count);
    aei_step *step = &program->steps[program->step_count++];
    *step = (aei_step){.column = &query->table->columns[clauses[0]->column],
                       .clauses = clauses,
                       .clause_count = count};
    if (clauses[0]->op != AERO_OP_RANGE || is_number(step->column->kind))
        return build_step(program, step, pool, error);
    aei_row_null_place(step->column, &step->null_at, &step->null_mask);
    step->offset = step->column->offset;
    aei_step *second = &program->steps[program->step_count++];
    *second = *step;
    second->clause_count = 0; /* explained with the first */
    build_bytes(step, AERO_OP_GE, &clauses[0]->values[0]);
    build_bytes(second, AERO_OP_LT, &clauses[0]->values[1]);
    return AERO_OK;
}

aero_status aei_program_build(aei_program *program, const aero_query *query, const uint8_t *skip,
                              aei_pool *pool, aero_error *error)
{
    *program = (aei_program){0};
    const aei_clause **ordered = aei_pool_array(pool, query->clause_count, sizeof *ordered, error);
    program->steps = aei_pool_array(pool, 2 * (size_t)query->clause_count, sizeof *program->steps,
                                    error);
    if (ordered == NULL || program->steps == NULL)
        return error->code;
    const uint32_t count = order_clauses(query, skip, ordered);
    for (uint32_t at = 0; at < count;) {
        const uint32_t length = merge_length(query, ordered + at, count - at);
        const aero_status status = add_steps(program, query, ordered + at, length, pool, error);
        if (status != AERO_OK)
            return status;
        at += length;
    }
    return AERO_OK;
}

size_t aei_program_run(const aei_program *program, const ae_view *views, size_t count,
                       uint16_t *selection)
{
    AE_ASSERT(count <= AEI_BATCH);
    for (size_t i = 0; i < count; i++)
        selection[i] = (uint16_t)i;
    for (uint32_t i = 0; i < program->step_count && count > 0; i++) {
        const aei_step *step = &program->steps[i];
        count = step->kernel(step, views, selection, count);
    }
    return count;
}

static int integer_order(const void *left, const void *right)
{
    return aei_value_order(AERO_KIND_INT64, left, right);
}

static int natural_order(const void *left, const void *right)
{
    return aei_value_order(AERO_KIND_UINT64, left, right);
}

static int real_order(const void *left, const void *right)
{
    return aei_value_order(AERO_KIND_FLOAT64, left, right);
}

static int bytes_order(const void *left, const void *right)
{
    return aei_value_order(AERO_KIND_BYTES, left, right);
}

const aero_value *aei_values_sorted(uint8_t kind, const aei_clause *clause, aei_pool *pool,
                                    size_t *count, aero_error *error)
{
    aero_value *values = aei_pool_array(pool, clause->count, sizeof *values, error);
    *count = 0;
    if (values == NULL || clause->count == 0)
        return values;
    memcpy(values, clause->values, clause->count * sizeof *values);
    int (*order)(const void *, const void *) = kind == AERO_KIND_UINT64    ? natural_order
                                               : aei_kind_is_real(kind)    ? real_order
                                               : aei_kind_is_integer(kind) ? integer_order
                                                                           : bytes_order;
    qsort(values, clause->count, sizeof *values, order);
    size_t kept = 0;
    for (size_t i = 0; i < clause->count; i++) {
        if (kept == 0 || order(&values[kept - 1], &values[i]) != 0)
            values[kept++] = values[i];
    }
    *count = kept;
    return values;
}
