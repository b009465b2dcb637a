/* access.c — clauses and sort columns laid along the columns of an index.
 *
 * Invariants: I1 every row that passes the clauses has its entry in one of the ranges, and in one
 *                only: the ranges are disjoint.
 */
#include "query/access.h"

#include <stdlib.h>
#include <string.h>

/* Work on one access. */
typedef struct laying {
    const aero_query *query;
    const ae_index_info *info;
    aei_pool *pool;
    aei_access *access;
    aei_bounds bounds[AE_INDEX_COLUMNS];
    uint32_t chained;   /* columns with bounds */
    size_t range_count; /* product of the points */
} laying;

static uint32_t words_of(const ae_index_info *info, uint32_t at)
{
    AE_ASSERT(at < info->column_count && info->word_at[at] < info->word_at[at + 1]);
    return info->word_at[at + 1] - info->word_at[at];
}

/* ---- the chain of bounds -------------------------------------------------------------------- */

/* More points than ranges are worth: their hull, which answers no clause. */
static void widen(laying *lay, aei_bounds *bounds, uint8_t *answered, uint32_t column)
{
    AE_ASSERT(bounds->shape == AEI_BOUNDS_POINTS && bounds->point_count > 1);
    bounds->shape = AEI_BOUNDS_INTERVAL;
    bounds->low = bounds->points[0];
    bounds->high = bounds->points[bounds->point_count - 1];
    for (uint32_t i = 0; i < lay->query->clause_count; i++) {
        if (lay->query->clauses[i].column == column)
            answered[i] = 0;
    }
}

static aero_status chain(laying *lay, void *image, uint8_t *used, uint8_t *answered,
                         aero_error *error)
{
    const ae_index_info *info = lay->info;
    lay->range_count = 1;
    for (uint32_t at = 0; at < info->column_count; at++) {
        aei_bounds *bounds = &lay->bounds[at];
        const aero_status status = aei_bounds_make(lay->query, info->columns[at],
                                                   words_of(info, at), image, lay->pool, bounds,
                                                   used, answered, error);
        if (status != AERO_OK)
            return status;
        if (bounds->shape == AEI_BOUNDS_FREE)
            break;
        lay->chained = at + 1;
        if (bounds->shape == AEI_BOUNDS_POINTS &&
            bounds->point_count > AEI_RANGES_MAX / lay->range_count)
            widen(lay, bounds, answered, info->columns[at]);
        if (bounds->shape == AEI_BOUNDS_INTERVAL)
            break;
        lay->range_count *= bounds->point_count;
        if (lay->range_count == 0)
            break;
    }
    AE_ASSERT(lay->chained <= info->column_count && lay->range_count <= AEI_RANGES_MAX);
    return AERO_OK;
}

/* ---- order ---------------------------------------------------------------------------------- */

static bool is_fixed(const laying *lay, uint32_t at)
{
    return at < lay->chained && lay->bounds[at].shape == AEI_BOUNDS_POINTS &&
           lay->bounds[at].point_count == 1;
}

bool aei_column_is_constant(const aero_query *query, uint32_t column)
{
    for (uint32_t i = 0; i < query->clause_count; i++) {
        const aei_clause *clause = &query->clauses[i];
        if (clause->column == column && (clause->op == AERO_OP_EQ || clause->op == AERO_OP_NULL))
            return true;
    }
    return false;
}

/* May rows with a NULL in column `at` of the index be among the ranges? */
static bool meets_null(const laying *lay, uint32_t at)
{
    const aero_column *column = &lay->query->table->columns[lay->info->columns[at]];
    return column->null_index >= 0 && at >= lay->chained;
}

/* Lay the sort columns along the index. */
static void find_order(laying *lay)
{
    const aero_query *query = lay->query;
    aei_access *access = lay->access;
    uint32_t at = 0;
    uint32_t sort = 0;
    bool moved = false; /* a sort column was laid, which fixed the direction */
    while (is_fixed(lay, at))
        at++;
    access->group_from = at;
    for (; sort < query->sort_count; sort++) {
        const aei_sort_key *key = &query->sorts[sort];
        if (aei_column_is_constant(query, key->column))
            continue;
        while (is_fixed(lay, at))
            at++;
        if (at >= lay->info->column_count || lay->info->columns[at] != key->column)
            break;
        if (moved &&
            (key->descending != access->backward || (key->descending && meets_null(lay, at))))
            break; /* NULLs of a later column would come first */
        access->backward = key->descending;
        moved = true;
        at++;
    }
    AE_ASSERT(at <= lay->info->column_count && sort <= query->sort_count);
    access->covers = sort == query->sort_count;
    access->ordered = query->sort_count > 0 && (moved || access->covers);
    access->group_to = at;
    access->group_words = lay->info->word_at[at];
    access->exact = access->ordered && access->covers;
    for (uint32_t i = access->group_from; i < at && access->exact; i++) {
        const aero_column *column = &query->table->columns[lay->info->columns[i]];
        access->exact = (aei_kind_is_integer(column->kind) || aei_kind_is_real(column->kind) ||
                         column->kind == AERO_KIND_MAC) &&
                        !aei_null_is_ambiguous(column);
    }
}

uint32_t aei_access_group(const aero_table *table, const aei_access *access, const uint64_t *words)
{
    if (access->exact)
        return 0;
    AE_ASSERT(access->group_to <= access->info.column_count);
    for (uint32_t i = access->group_from; i < access->group_to; i++) {
        const uint32_t at = access->info.word_at[i];
        const uint32_t end = access->info.word_at[i + 1];
        if (!aei_words_exact(&table->columns[access->info.columns[i]], end - at, words + at))
            return end;
    }
    return access->covers ? 0 : access->group_words;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* Range number `number` of the product, in ascending order. */
static void fill_range(const laying *lay, size_t number, aei_range *range)
{
    AE_ASSERT(number < lay->range_count);
    const ae_index_info *info = lay->info;
    memset(range, 0, sizeof *range);
    for (uint32_t i = 0; i < AE_INDEX_WORDS; i++) /* also of words that the index adds to its own */
        range->words.high[i] = UINT64_MAX;
    for (uint32_t at = lay->chained; at-- > 0;) {
        const aei_bounds *bounds = &lay->bounds[at];
        const bool points = bounds->shape == AEI_BOUNDS_POINTS;
        const aei_pair *low = &bounds->low;
        const aei_pair *high = &bounds->high;
        if (points) {
            /* One point is the usual case, and spares the division. */
            const size_t count = bounds->point_count;
            low = high = &bounds->points[count == 1 ? 0 : number % count];
            number = count == 1 ? number : number / count;
        }
        for (uint32_t i = 0; i < words_of(info, at); i++) {
            range->words.low[info->word_at[at] + i] = low->words[i];
            range->words.high[info->word_at[at] + i] = high->words[i];
        }
    }
}

/* The one range of a backward read whose sort column may be NULL, in two: values, then NULLs. */
static void split_nulls(const laying *lay, aei_range *ranges)
{
    AE_ASSERT(lay->access->group_from < lay->info->column_count);
    const ae_index_info *info = lay->info;
    const uint32_t column = info->columns[lay->access->group_from];
    const bool ambiguous = aei_null_is_ambiguous(&lay->query->table->columns[column]);
    const uint32_t first = info->word_at[lay->access->group_from];
    const uint32_t end = info->word_at[lay->access->group_from + 1];
    ranges[1] = ranges[0];
    for (uint32_t i = first; i < end; i++)
        ranges[1].words.low[i] = UINT64_MAX;
    ranges[0].nulls = ambiguous ? AEI_NULLS_NONE : AEI_NULLS_ANY;
    ranges[1].nulls = ambiguous ? AEI_NULLS_ONLY : AEI_NULLS_ANY;
    if (!ambiguous)
        ranges[0].words.high[end - 1]--; /* the words just below a NULL's */
    lay->access->null_column = column;
}

static aero_status make_ranges(laying *lay, aero_error *error)
{
    aei_access *access = lay->access;
    const size_t count = lay->range_count;
    const bool split = access->ordered && access->backward &&
                       access->group_from < lay->info->column_count &&
                       meets_null(lay, access->group_from);
    aei_range *ranges = aei_pool_array(lay->pool, count + split, sizeof *ranges, error);
    if (ranges == NULL)
        return error->code;
    for (size_t i = 0; i < count; i++)
        fill_range(lay, i, &ranges[access->backward ? count - 1 - i : i]);
    if (split) {
        AE_ASSERT(count == 1); /* the sort column is free, those before are fixed */
        split_nulls(lay, ranges);
    }
    AE_ASSERT(!split || access->backward);
    access->ranges = ranges;
    access->range_count = count + split;
    return AERO_OK;
}

/* At most one row in each range: all columns given, none NULL, in a unique index. */
static bool finds_one(const laying *lay)
{
    const ae_index_info *info = lay->info;
    if (!info->unique || lay->chained < info->column_count)
        return false;
    for (uint32_t at = 0; at < info->column_count; at++) {
        const aero_column *column = &lay->query->table->columns[info->columns[at]];
        if (lay->bounds[at].shape != AEI_BOUNDS_POINTS)
            return false;
        for (size_t i = 0; i < lay->bounds[at].point_count; i++) {
            const uint64_t *words = lay->bounds[at].points[i].words;
            if (!aei_words_exact(column, words_of(info, at), words) ||
                (column->null_index >= 0 && words[0] == UINT64_MAX))
                return false;
        }
    }
    return true;
}

aero_status aei_access_make(const aero_query *query, const ae_index_info *info, void *image,
                            aei_pool *pool, aei_access *access, aero_error *error)
{
    laying lay = {.query = query, .info = info, .pool = pool, .access = access};
    *access = (aei_access){.info = *info};
    const size_t clauses = query->clause_count;
    uint8_t *marks = aei_pool_take(pool, 2 * clauses, error);
    if (marks == NULL)
        return error->code;
    memset(marks, 0, 2 * clauses);
    access->used = marks;
    access->answered = marks + clauses;
    const aero_status status = chain(&lay, image, marks, marks + clauses, error);
    if (status != AERO_OK)
        return status;
    access->chained = lay.chained;
    find_order(&lay);
    access->one_row = finds_one(&lay);
    return make_ranges(&lay, error);
}

/* ---- estimates ------------------------------------------------------------------------------ */

/* Ranges looked at when there are many: the others are taken to be like them. */
#define SAMPLES ((size_t)16)

void aei_access_estimate(const aero_query *query, aei_access *access, uint64_t rows)
{
    access->entries = rows;
    if (access->one_row) {
        access->estimate = access->range_count;
        return;
    }
    if (access->chained == 0) {
        access->estimate = access->entries;
        return;
    }
    const size_t count = access->range_count;
    const size_t step = count <= SAMPLES ? 1 : count / SAMPLES;
    uint64_t sum = 0;
    size_t looked = 0;
    for (size_t i = 0; i < count; i += step, looked++)
        sum += ae_index_estimate(query->session, query->table_index, access->info.number,
                                 &access->ranges[i].words);
    AE_ASSERT(looked <= count);
    access->estimate = looked == count ? sum
                                       : (uint64_t)((double)sum / (double)looked * (double)count);
}
