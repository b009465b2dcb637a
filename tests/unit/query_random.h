/* query_random.h — random clauses on the fake tables, and a judge of them that knows only values.
 */
#ifndef AE_QUERY_RANDOM_H
#define AE_QUERY_RANDOM_H

#include "harness.h"

#include "query_fake.h"
#include "row/convert.h"

/* ---- the judge ------------------------------------------------------------------------------ */

/* Order of two raw values of one column, by their types alone. */
static inline int judge_order(const aero_value *left, const aero_value *right)
{
    if (left->type == AERO_TYPE_DOUBLE)
        return (left->u.real > right->u.real) - (left->u.real < right->u.real);
    if (left->type == AERO_TYPE_TEXT || left->type == AERO_TYPE_BYTES) {
        const size_t shared = left->length < right->length ? left->length : right->length;
        const int order = memcmp(left->u.data, right->u.data, shared);
        return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
    }
    const __int128 a = left->type == AERO_TYPE_UINT ? (__int128)left->u.natural
                                                    : (__int128)left->u.integer;
    const __int128 b = right->type == AERO_TYPE_UINT ? (__int128)right->u.natural
                                                     : (__int128)right->u.integer;
    return (a > b) - (a < b);
}

/* Globs of * and ? alone, of single bytes. */
static inline bool judge_glob(const char *pattern, size_t pattern_length, const char *text,
                              size_t length, bool fold)
{
    if (pattern_length == 0)
        return length == 0;
    if (*pattern == '*')
        return judge_glob(pattern + 1, pattern_length - 1, text, length, fold) ||
               (length > 0 && judge_glob(pattern, pattern_length, text + 1, length - 1, fold));
    if (length == 0)
        return false;
    size_t size = 1; /* ? takes a whole character */
    while (*pattern == '?' && size < length && ((unsigned char)text[size] & 0xc0) == 0x80)
        size++;
    const char a = fold && *pattern >= 'A' && *pattern <= 'Z' ? *pattern + 32 : *pattern;
    const char b = fold && *text >= 'A' && *text <= 'Z' ? *text + 32 : *text;
    return (*pattern == '?' || a == b) &&
           judge_glob(pattern + 1, pattern_length - 1, text + size, length - size, fold);
}

static inline bool judge(const aero_column *column, const aero_value *value, int32_t op,
                         uint32_t count, const aero_value *constants)
{
    char scratch[512];
    const char *text;
    size_t length;
    if (value->type == AERO_TYPE_NULL)
        return op == AERO_OP_NULL;
    switch (op) {
    case AERO_OP_EQ:
        return judge_order(value, constants) == 0;
    case AERO_OP_NE:
        return judge_order(value, constants) != 0;
    case AERO_OP_LT:
        return judge_order(value, constants) < 0;
    case AERO_OP_LE:
        return judge_order(value, constants) <= 0;
    case AERO_OP_GT:
        return judge_order(value, constants) > 0;
    case AERO_OP_GE:
        return judge_order(value, constants) >= 0;
    case AERO_OP_RANGE:
        return judge_order(value, constants) >= 0 && judge_order(value, constants + 1) < 0;
    case AERO_OP_IN:
        for (uint32_t i = 0; i < count; i++) {
            if (judge_order(value, constants + i) == 0)
                return true;
        }
        return false;
    case AERO_OP_NOTNULL:
        return true;
    case AERO_OP_TRUE:
        return value->type == AERO_TYPE_DOUBLE ? value->u.real != 0 : value->u.natural != 0;
    case AERO_OP_FALSE:
        return value->type == AERO_TYPE_DOUBLE ? value->u.real == 0 : value->u.natural == 0;
    case AERO_OP_MATCH:
    case AERO_OP_NOTMATCH:
    case AERO_OP_MATCH_CASE:
    case AERO_OP_NOTMATCH_CASE:
        ae_format(column, value, scratch, &text, &length);
        return judge_glob(constants->u.data, constants->length, text, length,
                          op <= AERO_OP_NOTMATCH) ==
               (op == AERO_OP_MATCH || op == AERO_OP_MATCH_CASE);
    default:
        return false;
    }
}

/* ---- random clauses ------------------------------------------------------------------------- */

typedef struct clause {
    int32_t op;
    uint32_t column;
    uint32_t count;
    aero_value raw[20]; /* constants as the column holds them */
} clause;

static inline bool is_pattern(int32_t op)
{
    return op >= AERO_OP_MATCH && op <= AERO_OP_NOTMATCH_CASE;
}

static inline bool takes_truth(uint8_t kind)
{
    return kind <= AERO_KIND_FLOAT64;
}

static inline uint32_t random_count(int32_t op, uint64_t *random)
{
    if (op == AERO_OP_NULL || op == AERO_OP_NOTNULL || op == AERO_OP_TRUE || op == AERO_OP_FALSE)
        return 0;
    if (op == AERO_OP_IN)
        return (uint32_t)(random_word(random) % 21);
    return op == AERO_OP_RANGE ? 2 : 1;
}

/* A pattern that resembles a value: some characters become ? or *. */
static inline aero_value random_pattern(aero_session *session, const aero_column *column,
                                        const aero_value *like, uint64_t *random)
{
    char scratch[512];
    char pattern[512];
    const char *text;
    size_t length;
    size_t used = 0;
    int stars = 0; /* few: the judge tries all ways */
    ae_format(column, like, scratch, &text, &length);
    for (size_t i = 0; i < length; i++) {
        const uint64_t word = random_word(random);
        if ((unsigned char)text[i] < 0x80)
            pattern[used++] = word % 4 == 0 ? '?' : word % 5 == 0 && ++stars < 4 ? '*' : text[i];
    }
    if (random_word(random) % 2)
        pattern[used++] = '*';
    return (aero_value){.type = AERO_TYPE_TEXT,
                        .length = (uint32_t)used,
                        .u.data = fake_text(session, pattern, used)};
}

static inline void random_clause(aero_session *session, const aero_table *table, uint32_t column,
                                 int32_t op, clause *out, uint64_t *random)
{
    const aero_column *about = &table->columns[column];
    *out = (clause){.op = op, .column = column, .count = random_count(op, random)};
    for (uint32_t i = 0; i < out->count; i++) {
        out->raw[i] = fake_value(session, about, random);
        if (is_pattern(op))
            out->raw[i] = random_pattern(session, about, &out->raw[i], random);
    }
}

/* What a user passes for a raw value: itself, or its text. */
static inline aero_value given(aero_session *session, const aero_column *column,
                               const aero_value *raw, bool as_text)
{
    char scratch[512];
    const char *text;
    size_t length;
    const bool special = column->kind == AERO_KIND_CHAR || column->kind == AERO_KIND_INET ||
                         column->kind == AERO_KIND_IPV6 || column->kind == AERO_KIND_MAC;
    if (!as_text && !special)
        return *raw;
    ae_format(column, raw, scratch, &text, &length);
    return (aero_value){.type = AERO_TYPE_TEXT,
                        .length = (uint32_t)length,
                        .u.data = fake_text(session, text, length)};
}

static inline void add(aero_session *session, aero_query *query, const aero_table *table,
                       const clause *from, bool as_text)
{
    aero_value values[20];
    for (uint32_t i = 0; i < from->count; i++)
        values[i] = is_pattern(from->op)
                        ? from->raw[i]
                        : given(session, &table->columns[from->column], &from->raw[i], as_text);
    if (aero_query_clause(query, from->op, from->column, from->count, values) != AERO_OK)
        fail_msg("%s %d: %s", table->columns[from->column].name, from->op, session->error.text);
}

#endif
