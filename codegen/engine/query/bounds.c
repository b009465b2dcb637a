/* bounds.c — clauses on one column to points or an interval of key words.
 *
 * Of the clauses on a column, the strictest form counts: `=` before `in` before bounds.  All bounds
 * together make one interval.  What is not used, or not decided exactly by the words, stays in the
 * program.
 *
 * Invariants: I1 the words of every row that passes the clauses lie within the bounds.
 *             I2 a clause is marked answered only if every row within the bounds passes it.
 */
#include "query/bounds.h"

#include <stdlib.h>
#include <string.h>

#include "aerostore/gen.h"

static const aei_pair all_ones = {{UINT64_MAX, UINT64_MAX}};

int aei_pair_order(const aei_pair *left, const aei_pair *right)
{
    for (int i = 0; i < 2; i++) {
        if (left->words[i] != right->words[i])
            return left->words[i] < right->words[i] ? -1 : 1;
    }
    return 0;
}

/* Texts and bytes of any length, which end their words with a length. */
static bool is_cell(uint8_t kind)
{
    return kind == AERO_KIND_TEXT || kind == AERO_KIND_BYTES;
}

bool aei_null_is_ambiguous(const aero_column *column)
{
    return column->null_index >= 0 &&
           (column->kind == AERO_KIND_INT64 || column->kind == AERO_KIND_UINT64 ||
            column->kind == AERO_KIND_TIMESTAMP || column->kind == AERO_KIND_IPV6);
}

bool aei_words_exact(const aero_column *column, uint32_t word_count, const uint64_t *words)
{
    AE_ASSERT(word_count == 1 || word_count == 2);
    if (is_cell(column->kind))
        return (words[word_count - 1] & 0xff) != 8 * word_count;
    if (column->kind == AERO_KIND_FIXED)
        return column->size <= 8 * word_count;
    if (column->kind == AERO_KIND_IPV6 && word_count == 1)
        return false;
    return words[0] != UINT64_MAX || !aei_null_is_ambiguous(column);
}

/* A FIXED text has its padding's words, too, in which NULs of a constant are lost. */
static bool is_padded(const aero_column *column, const char *data, size_t length)
{
    return column->kind == AERO_KIND_FIXED && length > 0 && memchr(data, '\0', length) != NULL;
}

/* The start of some bytes as words. */
static aei_pair bytes_pair(const char *data, size_t length, uint32_t word_count)
{
    AE_ASSERT(data != NULL || length == 0);
    aei_pair pair = {{ae_normal_bytes(data, length), 0}};
    if (word_count > 1 && length > 8)
        pair.words[1] = ae_normal_bytes(data + 8, length - 8);
    return pair;
}

/* The words of a cell with these bytes. */
static aei_pair cell_pair(const char *data, size_t length, uint32_t word_count)
{
    const size_t room = 8 * (size_t)word_count - 1;
    aei_pair pair = bytes_pair(data, length < room ? length : room, word_count);
    pair.words[word_count - 1] |= length <= room ? length : room + 1;
    return pair;
}

/* The words of a constant; *exact: rows with these words have this value. */
static aei_pair value_pair(const aero_column *column, uint32_t word_count, const aero_value *value,
                           void *image, bool *exact)
{
    *exact = true;
    switch (column->kind) {
    case AERO_KIND_TEXT:
    case AERO_KIND_BYTES:
        *exact = value->length < 8 * word_count;
        return cell_pair(value->u.data, value->length, word_count);
    case AERO_KIND_FIXED:
        *exact = value->length <= column->size && column->size <= 8 * word_count &&
                 !is_padded(column, value->u.data, value->length);
        return bytes_pair(value->u.data, value->length, word_count);
    case AERO_KIND_IPV6:
        *exact = word_count == 2;
        return bytes_pair(value->u.data, value->length, word_count);
    default:
        column->set(image, value);
        return (aei_pair){{column->normalize(image, NULL), 0}};
    }
}

/* What bounds are being made of. */
typedef struct building {
    const aero_query *query;
    const aero_column *about;
    uint32_t column;
    uint32_t word_count;
    void *image;
    aei_pool *pool;
    uint8_t *used;
    uint8_t *answered;
    aei_bounds *bounds;
} building;

static aei_pair null_pair(const building *build)
{
    aei_pair pair = all_ones;
    if (build->word_count == 1)
        pair.words[1] = 0;
    return pair;
}

/* The neighbours of words, carrying within their number; false where there is none. */
static bool pair_after(aei_pair *pair, uint32_t word_count)
{
    AE_ASSERT(word_count >= 1 && word_count <= 2);
    for (uint32_t i = word_count; i-- > 0;) {
        if (++pair->words[i] != 0)
            return true;
    }
    return false;
}

static bool pair_before(aei_pair *pair, uint32_t word_count)
{
    AE_ASSERT(word_count >= 1 && word_count <= 2);
    for (uint32_t i = word_count; i-- > 0;) {
        if (pair->words[i]-- != 0)
            return true;
    }
    return false;
}

static void set_empty(aei_bounds *bounds)
{
    bounds->shape = AEI_BOUNDS_POINTS;
    bounds->points = NULL;
    bounds->point_count = 0;
}

/* ---- points --------------------------------------------------------------------------------- */

static int order_pairs(const void *left, const void *right)
{
    return aei_pair_order(left, right);
}

/* One point for each value of the clause. */
static aero_status take_points(building *build, uint32_t at, aero_error *error)
{
    static const aero_value zero = {.type = AERO_TYPE_INT};
    static const aero_value zero_real = {.type = AERO_TYPE_DOUBLE};
    const aei_clause *clause = &build->query->clauses[at];
    const bool is_false = clause->op == AERO_OP_FALSE;
    const size_t count = is_false || clause->op == AERO_OP_NULL ? 1 : clause->count;
    const aei_pair nothing = null_pair(build);
    build->used[at] = 1;
    if (clause->op == AERO_OP_NULL && build->about->null_index < 0) {
        set_empty(build->bounds);
        return AERO_OK;
    }
    aei_pair *points = aei_pool_array(build->pool, count, sizeof *points, error);
    bool all_exact = true;
    if (points == NULL)
        return error->code;
    for (size_t i = 0; i < count; i++) {
        bool exact = !aei_null_is_ambiguous(build->about);
        if (clause->op == AERO_OP_NULL) {
            points[i] = nothing;
        } else {
            const aero_value *value = !is_false                              ? &clause->values[i]
                                      : aei_kind_is_real(build->about->kind) ? &zero_real
                                                                             : &zero;
            bool sole;
            points[i] = value_pair(build->about, build->word_count, value, build->image, &sole);
            exact = sole && (exact || aei_pair_order(&points[i], &nothing) != 0);
        }
        all_exact = all_exact && exact;
    }
    size_t kept = count > 0 ? 1 : 0;
    if (count > 1) {
        qsort(points, count, sizeof *points, order_pairs);
        for (size_t i = 1; i < count; i++) {
            if (aei_pair_order(&points[kept - 1], &points[i]) != 0)
                points[kept++] = points[i];
        }
    }
    AE_ASSERT(kept <= count && (count == 0 || kept > 0));
    build->bounds->shape = AEI_BOUNDS_POINTS;
    build->bounds->points = points;
    build->bounds->point_count = kept;
    build->answered[at] = all_exact;
    return AERO_OK;
}

/* ---- intervals ------------------------------------------------------------------------------ */

static void raise_low(aei_bounds *bounds, const aei_pair *pair)
{
    if (aei_pair_order(pair, &bounds->low) > 0)
        bounds->low = *pair;
}

static void lower_high(aei_bounds *bounds, const aei_pair *pair)
{
    if (aei_pair_order(pair, &bounds->high) < 0)
        bounds->high = *pair;
}

/* One bound: words of an inexact constant belong to values on both sides, and stay inside.
 * Returns whether the bound says all that the comparison says. */
static bool clip(building *build, int32_t op, const aero_value *value)
{
    AE_ASSERT(op == AERO_OP_GT || op == AERO_OP_GE || op == AERO_OP_LT || op == AERO_OP_LE);
    aei_bounds *bounds = build->bounds;
    bool exact;
    aei_pair pair = value_pair(build->about, build->word_count, value, build->image, &exact);
    bool there = true;
    if (op == AERO_OP_GT || op == AERO_OP_GE) {
        if (op == AERO_OP_GT && exact)
            there = pair_after(&pair, build->word_count);
        raise_low(bounds, &pair);
    } else {
        if (op == AERO_OP_LT && exact)
            there = pair_before(&pair, build->word_count);
        lower_high(bounds, &pair);
    }
    if (!there)
        set_empty(bounds);
    return exact;
}

/* The words of all texts that begin with a pattern's prefix.  The least is the prefix itself. */
static bool clip_prefix(building *build, const aei_clause *clause)
{
    const char *data;
    size_t length;
    const uint32_t words = build->word_count;
    aei_glob_prefix(clause->glob, &data, &length);
    const bool cell = is_cell(build->about->kind);
    const size_t room = 8 * (size_t)words - cell;
    const size_t told = length < room ? length : room;
    aei_pair low = cell ? cell_pair(data, length, words) : bytes_pair(data, told, words);
    aei_pair high = bytes_pair(data, told, words);
    AE_ASSERT(told <= 8 * (size_t)words);
    for (size_t i = told; i < 8 * (size_t)words; i++)
        high.words[i / 8] |= (uint64_t)0xff << (56 - i % 8 * 8);
    raise_low(build->bounds, &low);
    lower_high(build->bounds, length > room ? &low : &high);
    return length <= room && aei_glob_is_prefix(clause->glob) &&
           !is_padded(build->about, data, length);
}

/* Is this clause a bound of an interval? */
static bool is_bound(const building *build, const aei_clause *clause)
{
    const char *data;
    size_t length = 0;
    switch (clause->op) {
    case AERO_OP_LT:
    case AERO_OP_LE:
    case AERO_OP_GT:
    case AERO_OP_GE:
    case AERO_OP_RANGE:
        return true;
    case AERO_OP_NOTNULL:
        return build->about->null_index >= 0;
    case AERO_OP_MATCH_CASE:
        if (aei_kind_is_text(build->about->kind))
            aei_glob_prefix(clause->glob, &data, &length);
        return length > 0;
    default:
        return false;
    }
}

static bool clip_clause(building *build, const aei_clause *clause)
{
    bool exact = true;
    switch (clause->op) {
    case AERO_OP_RANGE:
        exact = clip(build, AERO_OP_GE, &clause->values[0]);
        return clip(build, AERO_OP_LT, &clause->values[1]) && exact;
    case AERO_OP_NOTNULL:
        return true;
    case AERO_OP_MATCH_CASE:
        return clip_prefix(build, clause);
    default:
        return clip(build, clause->op, &clause->values[0]);
    }
}

static void take_interval(building *build)
{
    AE_ASSERT(build->bounds->shape == AEI_BOUNDS_FREE);
    const aero_query *query = build->query;
    aei_bounds *bounds = build->bounds;
    const bool nullable = build->about->null_index >= 0;
    const bool ambiguous = aei_null_is_ambiguous(build->about);
    bounds->low = (aei_pair){{0, 0}};
    bounds->high = null_pair(build);
    for (uint32_t i = 0; i < query->clause_count; i++) {
        const aei_clause *clause = &query->clauses[i];
        if (clause->column != build->column || !is_bound(build, clause))
            continue;
        if (bounds->shape == AEI_BOUNDS_FREE) {
            bounds->shape = AEI_BOUNDS_INTERVAL;
            if (nullable && !ambiguous)
                (void)pair_before(&bounds->high, build->word_count);
        }
        build->used[i] = 1;
        build->answered[i] = clip_clause(build, clause);
        if (bounds->shape == AEI_BOUNDS_POINTS)
            return; /* no value is beyond the bound: empty */
    }
    if (bounds->shape == AEI_BOUNDS_FREE)
        return;
    if (aei_pair_order(&bounds->low, &bounds->high) > 0) {
        set_empty(bounds);
        return;
    }
    const aei_pair nothing = null_pair(build);
    if (!ambiguous || aei_pair_order(&bounds->high, &nothing) != 0)
        return;
    for (uint32_t i = 0; i < query->clause_count; i++) { /* NULLs are inside: keeps I2 */
        if (query->clauses[i].column == build->column && is_bound(build, &query->clauses[i]))
            build->answered[i] = 0;
    }
}

/* ---- the choice ----------------------------------------------------------------------------- */

/* The clause that gives the fewest points, UINT32_MAX when none does. */
static uint32_t best_points(const aero_query *query, uint32_t column)
{
    uint32_t best = UINT32_MAX;
    uint32_t best_count = UINT32_MAX;
    for (uint32_t i = 0; i < query->clause_count; i++) {
        const aei_clause *clause = &query->clauses[i];
        if (clause->column != column)
            continue;
        uint32_t count = UINT32_MAX;
        if (clause->op == AERO_OP_EQ || clause->op == AERO_OP_NULL || clause->op == AERO_OP_FALSE)
            count = 1;
        else if (clause->op == AERO_OP_IN)
            count = clause->count;
        if (count < best_count) {
            best = i;
            best_count = count;
        }
    }
    return best;
}

aero_status aei_bounds_make(const aero_query *query, uint32_t column, uint32_t word_count,
                            void *image, aei_pool *pool, aei_bounds *bounds, uint8_t *used,
                            uint8_t *answered, aero_error *error)
{
    AE_ASSERT(column < query->table->column_count);
    AE_ASSERT(word_count == 1 || word_count == 2);
    building build = {.query = query,
                      .about = &query->table->columns[column],
                      .column = column,
                      .word_count = word_count,
                      .image = image,
                      .pool = pool,
                      .used = used,
                      .answered = answered,
                      .bounds = bounds};
    *bounds = (aei_bounds){.shape = AEI_BOUNDS_FREE};
    const uint32_t driver = best_points(query, column);
    if (driver != UINT32_MAX)
        return take_points(&build, driver, error);
    take_interval(&build);
    return AERO_OK;
}
