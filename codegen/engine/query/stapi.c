/* stapi.c — the text of -compare: a Tcl list of clauses, or one bare clause.
 *
 *   {{> altitude 10000} {match flight UAL*}}     a list of clauses
 *   {> altitude 10000}                           one clause: its first word is an operator
 *   clause = operator column value…              `in` takes its values as a list, too
 *
 * Values are plain texts, never evaluated.  Every message names the byte it is about.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/list.h"
#include "query/query_private.h"
#include "row/convert.h"

/* A clause has at most four words; one more shows that there are too many. */
#define WORDS_MAX 5
/* How much of a wrong word a message shows. */
#define SHOWN_MAX 64

static int shown(size_t length)
{
    return (int)(length < SHOWN_MAX ? length : SHOWN_MAX);
}

/* Add the position to an error about a value. */
static aero_status place(aero_error *error, size_t position)
{
    const size_t used = strlen(error->text);
    (void)snprintf(error->text + used, sizeof error->text - used, " (at byte %zu)", position);
    error->line = (int64_t)position;
    return error->code;
}

static aero_status text_value(const aei_item *item, aero_value *value, aero_error *error)
{
    if (item->length > UINT32_MAX)
        return ae_fail(error, AERO_LIMIT, "a value is too long");
    *value = (aero_value){
        .type = AERO_TYPE_TEXT, .length = (uint32_t)item->length, .u.data = item->data};
    return AERO_OK;
}

/* The values of `in`, which the caller frees. */
static aero_status read_values(const aei_item *text, aei_pool *pool, aero_value **values,
                               uint64_t *count, aero_error *error)
{
    aei_list list;
    aei_item item;
    uint64_t room = 0;
    int more;
    *values = NULL;
    *count = 0;
    aei_list_start(&list, text, pool);
    while ((more = aei_list_next(&list, &item, error)) > 0) {
        if (*count == room) {
            room = room == 0 ? 16 : room * 2;
            aero_value *fresh = aei_array_resize(*values, room, sizeof **values, error);
            if (fresh == NULL)
                return AERO_NO_MEMORY;
            *values = fresh;
        }
        if (*count >= AEI_VALUES_MAX)
            return ae_fail(error, AERO_LIMIT,
                           "the comparisons of a search may have at most %u values",
                           AEI_VALUES_MAX);
        const aero_status status = text_value(&item, &(*values)[*count], error);
        if (status != AERO_OK)
            return status;
        (*count)++;
    }
    return more < 0 ? error->code : AERO_OK;
}

static aero_status add_list(aero_query *query, int32_t op, uint32_t column, const aei_item *text,
                            aero_error *error)
{
    aero_value *values;
    uint64_t count;
    aei_pool escaped = {0};
    aero_status status = read_values(text, &escaped, &values, &count, error);
    if (status == AERO_OK && count == 0) {
        status = aei_parse_fail(error, text->position,
                                "operator 'in' expects at least one value in the third argument");
    } else if (status == AERO_OK) {
        status = aei_clause_add(query, op, column, count, values, error);
        if (status != AERO_OK)
            (void)place(error, text->position);
    }
    free(values);
    aei_pool_free(&escaped);
    return status;
}

/* Add a clause whose words are taken apart. */
static aero_status add_words(aero_query *query, const aei_item *words, size_t count,
                             const aei_item *clause, aero_error *error)
{
    const aei_operator *op = aei_operator_named(words[0].data, words[0].length);
    if (op == NULL)
        return aei_parse_fail(error, words[0].position, "unsupported compare operator '%.*s'",
                              shown(words[0].length), words[0].data);
    const bool listed = op->values == UINT32_MAX;
    const size_t expected = 2 + (listed ? 1 : op->values);
    if (count != expected)
        return aei_parse_fail(error, clause->position,
                              "operator '%.*s' expects exactly %zu items, got %s%zu",
                              shown(words[0].length), words[0].data, expected,
                              count == WORDS_MAX ? "at least " : "", count);
    const int32_t column = ae_column_lookup(query->table, words[1].data, words[1].length);
    if (column < 0) {
        (void)ae_fail(error, AERO_NAME, "unknown field '%.*s'", shown(words[1].length),
                      words[1].data);
        ae_error_place(error, query->table->name, NULL);
        ae_error_field(error, words[1].data, words[1].length);
        return place(error, words[1].position);
    }
    if (listed)
        return add_list(query, op->op, (uint32_t)column, &words[2], error);
    aero_value values[2];
    for (size_t i = 0; i + 2 < count; i++) {
        const aero_status status = text_value(&words[i + 2], &values[i], error);
        if (status != AERO_OK)
            return place(error, words[i + 2].position);
    }
    const aero_status status = aei_clause_add(query, op->op, (uint32_t)column, count - 2, values,
                                              error);
    return status == AERO_OK ? AERO_OK : place(error, words[count - 1].position);
}

static aero_status add_clause(aero_query *query, const aei_item *clause, aero_error *error)
{
    aei_list list;
    aei_item words[WORDS_MAX];
    aei_pool escaped = {0};
    size_t count = 0;
    int more = 1;
    aei_list_start(&list, clause, &escaped);
    while (count < WORDS_MAX && (more = aei_list_next(&list, &words[count], error)) > 0)
        count++;
    aero_status status;
    if (more < 0)
        status = error->code;
    else if (count == 0)
        status = aei_parse_fail(error, clause->position, "a comparison cannot be empty");
    else
        status = add_words(query, words, count, clause, error);
    aei_pool_free(&escaped);
    return status;
}

/* Take back the clauses added since `count`, so that a failing text adds none. */
static void take_back(aero_query *query, uint32_t count)
{
    while (query->clause_count > count) {
        query->clause_count--;
        query->value_count -=
            query->clauses[query->clause_count].count; /* a text has no parameters */
    }
}

aero_status aei_stapi_add(aero_query *query, const char *text, size_t length, aero_error *error)
{
    if (length > AEI_COMPARE_BYTES_MAX)
        return ae_fail(error, AERO_LIMIT, "a compare text of %zu bytes is longer than %zu MiB",
                       length, AEI_COMPARE_BYTES_MAX >> 20);
    const aei_item whole = {.data = text, .length = length};
    const uint32_t before = query->clause_count;
    aei_pool escaped = {0};
    aei_list list;
    aei_item item;
    aero_status status = AERO_OK;
    aei_list_start(&list, &whole, &escaped);
    int more = aei_list_next(&list, &item, error);
    if (more == 0) {
        status = aei_parse_fail(error, 0, "compare list cannot be empty");
    } else if (more > 0 && aei_operator_named(item.data, item.length) != NULL) {
        status = add_clause(query, &whole, error);
        more = 0;
    }
    while (status == AERO_OK && more > 0) {
        status = add_clause(query, &item, error);
        if (status == AERO_OK)
            more = aei_list_next(&list, &item, error);
    }
    if (more < 0)
        status = error->code;
    aei_pool_free(&escaped);
    if (status != AERO_OK)
        take_back(query, before);
    return status;
}
