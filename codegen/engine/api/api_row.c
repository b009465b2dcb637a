/* api_row.c — the exported functions on single rows: convert values to columns, then call the
 * table. */
#include <stdlib.h>
#include <string.h>

#include "index/key.h"
#include "row/convert.h"
#include "table/table.h"
#include "txn/handles.h"

#define COLUMNS_MAX 1024u

static aero_status enter_table(aero_session *session, uint32_t table, const aero_table **of)
{
    const aero_status status = ae_session_enter(session);
    if (status != AERO_OK)
        return status;
    if (table >= session->db->schema->table_count)
        return ae_fail(&session->error, AERO_NAME, "no table has the index %u", table);
    *of = &session->db->schema->tables[table];
    return AERO_OK;
}

/* An answer that the caller may not want. */
static void told(int32_t *place, bool answer)
{
    if (place != NULL)
        *place = answer;
}

static bool has_bytes(const aero_value *value)
{
    return value->type == AERO_TYPE_TEXT || value->type == AERO_TYPE_BYTES;
}

/* Make the session's key image from a value. */
static aero_status key_image(aero_session *session, const aero_table *of, const aero_value *key)
{
    const aero_column *column = &of->columns[of->key_column];
    aero_value raw;
    if (key == NULL)
        return ae_fail(&session->error, AERO_USAGE, "the key is missing");
    if (column->kind == AERO_KIND_TEXT && key->type == AERO_TYPE_TEXT &&
        key->length <=
            column->max_length) { /* looked up, not stored: its encoding does not matter */
        column->set(session->key_row, key);
        return AERO_OK;
    }
    /* Memory of its own: the values of the same call have the session's text. */
    const size_t size = AE_TEXT_MAX + (has_bytes(key) ? key->length : 0);
    if (size > AE_TEXT_MAX + AE_TEXT_BYTES_MAX)
        return ae_fail(&session->error, AERO_LENGTH, "a key of %u bytes is too long for %s",
                       key->length, of->name);
    char *scratch = size <= session->key_text_capacity ? session->key_text
                                                       : realloc(session->key_text, size);
    if (scratch == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a key");
    session->key_text = scratch;
    session->key_text_capacity = size > session->key_text_capacity ? size
                                                                   : session->key_text_capacity;
    AE_ASSERT(size <= session->key_text_capacity && scratch == session->key_text);
    const aero_status status = ae_convert(of, of->key_column, key, scratch, &raw, &session->error);
    if (status == AERO_OK && raw.type == AERO_TYPE_NULL)
        return ae_fail(&session->error, AERO_NULL_VALUE, "the key of %s cannot be null", of->name);
    if (status == AERO_OK)
        column->set(session->key_row, &raw);
    return status;
}

static aero_status columns_check(aero_session *session, const aero_table *of, uint32_t count,
                                 const uint32_t *columns, const aero_value *values)
{
    if (count > 0 && (columns == NULL || values == NULL))
        return ae_fail(&session->error, AERO_USAGE, "the columns or their values are missing");
    if (count > COLUMNS_MAX)
        return ae_fail(&session->error, AERO_LIMIT, "%u columns in one call", count);
    for (uint32_t index = 0; index < count; index++)
        if (columns[index] >= of->column_count)
            return ae_fail(&session->error, AERO_NAME, "%s: no column has the index %u", of->name,
                           columns[index]);
    return AERO_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Copy what the values point at into the session's text, as they must outlive the snapshot. */
static aero_status values_keep(aero_session *session, const aero_table *of, const uint32_t *columns,
                               uint32_t count, aero_value *values)
{
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++)
        size += AE_TEXT_MAX + (has_bytes(&values[index]) ? values[index].length : 0);
    char *text = ae_session_text(session, size);
    if (text == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for the values");
    for (uint32_t index = 0; index < count; index++) {
        const aero_value raw = values[index];
        ae_present(&of->columns[columns[index]], &raw, text, &values[index]);
        if (values[index].type != raw.type) {
            text += AE_TEXT_MAX;
        } else if (has_bytes(&raw)) {
            if (raw.length > 0)
                memcpy(text, raw.u.data, raw.length);
            values[index].u.data = text;
            text += raw.length;
        }
    }
    return AERO_OK;
}

aero_status aero_get(aero_session *session, uint32_t table, const aero_value *key, uint32_t count,
                     const uint32_t *columns, aero_value *values, int32_t *found)
{
    const aero_table *of = NULL;
    ae_reader reader;
    ae_view view;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = columns_check(session, of, count, columns, values);
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status == AERO_OK)
        status = ae_reader_open(session, false, &reader);
    if (status != AERO_OK)
        return status;
    const bool there = ae_table_find(&reader, table, session->key_row, &view);
    told(found, there);
    if (there) {
        AE_ASSERT(view.row != NULL);
        bool keep = false;
        for (uint32_t index = 0; index < count; index++) {
            const aero_column *column = &of->columns[columns[index]];
            column->get(view.row, view.base, &values[index]);
            keep |= column->kind >= AERO_KIND_CHAR && values[index].type != AERO_TYPE_NULL;
        }
        if (keep)
            status = values_keep(session, of, columns, count, values);
    }
    ae_reader_close(&reader);
    return status;
}

aero_status aero_get_row(aero_session *session, uint32_t table, const aero_value *key,
                         const void **row)
{
    const aero_table *of = NULL;
    ae_reader reader;
    ae_view view;
    aero_status status = enter_table(session, table, &of);
    if (row == NULL)
        return status != AERO_OK ? status
                                 : ae_fail(&session->error, AERO_USAGE, "no place for the row");
    *row = NULL;
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status == AERO_OK)
        status = ae_reader_open(session, false, &reader);
    if (status != AERO_OK)
        return status;
    if (ae_table_find(&reader, table, session->key_row, &view)) {
        memcpy(session->row, view.row, of->row_size);
        *row = session->row;
        size_t size = 0;
        for (uint32_t index = 0; index < of->cell_count; index++) {
            const aero_cell *cell =
                (const aero_cell *)(const void *)((const char *)session->row +
                                                  of->columns[of->cells[index]].offset);
            size += cell->length > AERO_CELL_INLINE ? cell->length : 0;
        }
        char *text = size == 0 ? NULL : ae_session_text(session, size);
        if (size > 0 && text == NULL) {
            status = ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a row");
            *row = NULL;
        }
        for (uint32_t index = 0; text != NULL && index < of->cell_count; index++) {
            aero_cell *cell = (aero_cell *)(void *)((char *)session->row +
                                                    of->columns[of->cells[index]].offset);
            if (cell->length <= AERO_CELL_INLINE)
                continue;
            memcpy(text, ae_cell_data(cell, view.base), cell->length);
            cell->u.where = (uint64_t)(uintptr_t)text;
            text += cell->length;
        }
    }
    ae_reader_close(&reader);
    return status;
}

aero_status aero_exists(aero_session *session, uint32_t table, const aero_value *key,
                        int32_t *found)
{
    return aero_get(session, table, key, 0, NULL, NULL, found);
}

aero_status aero_count(aero_session *session, uint32_t table, uint64_t *count)
{
    const aero_table *of = NULL;
    const aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK && count == NULL)
        return ae_fail(&session->error, AERO_USAGE, "no place for the number of rows");
    return status != AERO_OK ? status : ae_table_count(session, table, count);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Converted values of one call, ready to be set into an image any number of times. */
typedef struct row_values {
    aero_session *session;
    const aero_table *of;
    uint32_t count;
    const uint32_t *columns;
    const aero_value *raw;
    bool replace; /* begin from a cleared row */
    bool must_be_new;
} row_values;

static aero_status values_convert(aero_session *session, const aero_table *of, uint32_t count,
                                  const uint32_t *columns, const aero_value *values,
                                  row_values *out)
{
    size_t size = count * sizeof(aero_value);
    for (uint32_t index = 0; index < count; index++)
        size += AE_TEXT_MAX + (has_bytes(&values[index]) ? values[index].length : 0);
    char *text = ae_session_text(session, size);
    if (text == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for the values");
    aero_value *raw = (aero_value *)(void *)text;
    text += count * sizeof(aero_value);
    for (uint32_t index = 0; index < count; index++) {
        const aero_status status = ae_convert(of, columns[index], &values[index], text, &raw[index],
                                              &session->error);
        if (status != AERO_OK)
            return status;
        text += AE_TEXT_MAX + (has_bytes(&values[index]) ? values[index].length : 0);
    }
    AE_ASSERT((size_t)(text - (char *)raw) == size);
    *out = (row_values){
        .session = session, .of = of, .count = count, .columns = columns, .raw = raw};
    return AERO_OK;
}

static bool column_given(const row_values *values, uint32_t column)
{
    for (uint32_t index = 0; index < values->count; index++)
        if (values->columns[index] == column)
            return true;
    return false;
}

/* A row that begins now must have a value in every column that needs one. */
static aero_status values_complete(const row_values *values)
{
    for (uint32_t column = 0; column < values->of->column_count; column++) {
        const aero_column *of = &values->of->columns[column];
        if ((of->flags & (AERO_COLUMN_NULLABLE | AERO_COLUMN_KEY | AERO_COLUMN_DEFAULT)) != 0 ||
            column_given(values, column))
            continue;
        ae_fail(&values->session->error, AERO_NULL_VALUE, "%s: column \"%s\" needs a value",
                values->of->name, of->name);
        ae_error_place(&values->session->error, values->of->name, of->name);
        return AERO_NULL_VALUE;
    }
    return AERO_OK;
}

static aero_status values_apply(void *context, void *row, bool is_new)
{
    AE_ASSERT(row != NULL);
    const row_values *values = context;
    aero_session *session = values->session;
    const aero_table *of = values->of;
    if (!is_new && values->must_be_new) {
        ae_fail(&session->error, AERO_EXISTS, "%s has a row with this key already", of->name);
        ae_key_error_place(&session->error, of, 1, &of->key_column);
        return AERO_EXISTS;
    }
    if (is_new || values->replace) {
        const aero_status status = values_complete(values);
        if (status != AERO_OK)
            return status;
        of->clear(row);
    }
    for (uint32_t index = 0; index < values->count; index++)
        of->columns[values->columns[index]].set(row, &values->raw[index]);
    return AERO_OK;
}

/* The row's place can be asked for before the values are converted, if the key is as it is kept. */
static void row_approach(aero_session *session, uint32_t table, const aero_table *of,
                         uint32_t count, const uint32_t *columns, const aero_value *values)
{
    const aero_column *key = &of->columns[of->key_column];
    for (uint32_t index = 0; index < count; index++)
        if (columns[index] == of->key_column && key->kind == AERO_KIND_TEXT &&
            values[index].type == AERO_TYPE_TEXT && values[index].length <= key->max_length) {
            key->set(session->key_row, &values[index]);
            ae_table_approach(session, table, session->key_row);
        }
}

/* The common way of insert, upsert and replace. */
static aero_status row_write(aero_session *session, uint32_t table, uint32_t count,
                             const uint32_t *columns, const aero_value *values, bool must_be_new,
                             bool replace, int32_t *inserted)
{
    const aero_table *of = NULL;
    row_values converted;
    int32_t outcome = 0;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = columns_check(session, of, count, columns, values);
    if (status == AERO_OK) {
        row_approach(session, table, of, count, columns, values);
        status = values_convert(session, of, count, columns, values, &converted);
    }
    if (status != AERO_OK)
        return status;
    const aero_value *key = NULL;
    for (uint32_t index = 0; index < count; index++)
        if (columns[index] == of->key_column)
            key = &converted.raw[index];
    if (key == NULL || key->type == AERO_TYPE_NULL) {
        ae_fail(&session->error, AERO_NULL_VALUE, "%s: the key column \"%s\" needs a value",
                of->name, of->columns[of->key_column].name);
        ae_error_place(&session->error, of->name, of->columns[of->key_column].name);
        return AERO_NULL_VALUE;
    }
    AE_ASSERT(converted.count == count);
    converted.must_be_new = must_be_new;
    converted.replace = replace;
    of->columns[of->key_column].set(session->key_row, key);
    AE_ASSERT(converted.count == count && converted.raw != NULL);
    const ae_row_given given = {count, columns, converted.raw};
    status = ae_table_change(session, table, session->key_row, true, values_apply, &converted,
                             &given, &outcome);
    if (inserted != NULL)
        *inserted = outcome == 2;
    return status;
}

aero_status aero_insert(aero_session *session, uint32_t table, uint32_t count,
                        const uint32_t *columns, const aero_value *values)
{
    return row_write(session, table, count, columns, values, true, true, NULL);
}

aero_status aero_upsert(aero_session *session, uint32_t table, uint32_t count,
                        const uint32_t *columns, const aero_value *values, int32_t *inserted)
{
    return row_write(session, table, count, columns, values, false, false, inserted);
}

aero_status aero_replace(aero_session *session, uint32_t table, uint32_t count,
                         const uint32_t *columns, const aero_value *values, int32_t *inserted)
{
    return row_write(session, table, count, columns, values, false, true, inserted);
}

aero_status aero_update(aero_session *session, uint32_t table, const aero_value *key,
                        uint32_t count, const uint32_t *columns, const aero_value *values,
                        int32_t *found)
{
    const aero_table *of = NULL;
    row_values converted;
    int32_t outcome = 0;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = columns_check(session, of, count, columns, values);
    for (uint32_t index = 0; status == AERO_OK && index < count; index++)
        if (columns[index] == of->key_column) {
            status = ae_fail(&session->error, AERO_USAGE,
                             "%s: the key \"%s\" of a row cannot change", of->name,
                             of->columns[of->key_column].name);
            ae_error_place(&session->error, of->name, of->columns[of->key_column].name);
        }
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status == AERO_OK) {
        ae_table_approach(session, table, session->key_row);
        status = values_convert(session, of, count, columns, values, &converted);
    }
    if (status == AERO_OK) {
        AE_ASSERT(converted.count == count && (converted.raw != NULL || count == 0));
        const ae_row_given given = {count, columns, converted.raw};
        status = ae_table_change(session, table, session->key_row, false, values_apply, &converted,
                                 &given, &outcome);
    }
    told(found, outcome == 1);
    return status;
}

/* ---- adding --------------------------------------------------------------------------------- */

typedef struct incr_body {
    aero_session *session;
    const aero_table *of;
    uint32_t column;
    const aero_value *delta;
    aero_value result;
} incr_body;

static aero_status incr_overflow(const incr_body *body)
{
    const aero_column *column = &body->of->columns[body->column];
    ae_fail(&body->session->error, AERO_TYPE, "%s: adding to \"%s\" leaves its range",
            body->of->name, column->name);
    ae_error_place(&body->session->error, body->of->name, column->name);
    return AERO_TYPE;
}

/* Add two raw values of the column; integers exactly. */
static aero_status incr_sum(const incr_body *body, const aero_value *old, aero_value *sum)
{
    AE_ASSERT(old->type != AERO_TYPE_NULL && body->delta->type != AERO_TYPE_NULL);
    const aero_value *delta = body->delta;
    if (old->type == AERO_TYPE_DOUBLE || delta->type == AERO_TYPE_DOUBLE) {
        sum->type = AERO_TYPE_DOUBLE;
        sum->u.real = (old->type == AERO_TYPE_DOUBLE ? old->u.real : (double)old->u.integer) +
                      (delta->type == AERO_TYPE_DOUBLE ? delta->u.real : (double)delta->u.integer);
        return AERO_OK;
    }
    /* 128 bits hold any sum of two 64-bit numbers of either sign. */
    const __int128 left = old->type == AERO_TYPE_UINT ? (__int128)old->u.natural
                                                      : (__int128)old->u.integer;
    const __int128 right = delta->type == AERO_TYPE_UINT ? (__int128)delta->u.natural
                                                         : (__int128)delta->u.integer;
    const __int128 total = left + right;
    if (total < INT64_MIN || total > (__int128)UINT64_MAX)
        return incr_overflow(body);
    sum->type = total > INT64_MAX ? AERO_TYPE_UINT : AERO_TYPE_INT;
    if (sum->type == AERO_TYPE_UINT)
        sum->u.natural = (uint64_t)total;
    else
        sum->u.integer = (int64_t)total;
    return AERO_OK;
}

static aero_status incr_apply(void *context, void *row, bool is_new)
{
    AE_ASSERT(!is_new);
    incr_body *body = context;
    const aero_column *column = &body->of->columns[body->column];
    char scratch[AE_TEXT_MAX];
    aero_value old;
    aero_value sum = {0};
    (void)is_new;
    column->get(row, NULL, &old);
    const bool time = column->kind == AERO_KIND_TIMESTAMP;
    if (old.type == AERO_TYPE_NULL) {
        old.type = AERO_TYPE_INT;
        old.u.integer = 0;
    }
    if (time)
        old.type = AERO_TYPE_INT; /* both are microseconds */
    aero_status status = incr_sum(body, &old, &sum);
    if (status != AERO_OK)
        return status;
    if (time) {
        if (sum.type != AERO_TYPE_INT)
            return incr_overflow(body);
        sum.type = AERO_TYPE_TIME;
    }
    status = ae_convert(body->of, body->column, &sum, scratch, &body->result,
                        &body->session->error);
    if (status != AERO_OK)
        return incr_overflow(body);
    column->set(row, &body->result);
    return AERO_OK;
}

/* What may be added to the column: a number, of text or not; to a timestamp, seconds. */
static aero_status incr_delta(aero_session *session, const aero_table *of, uint32_t column,
                              const aero_value *given, aero_value *delta)
{
    const aero_column *at = &of->columns[column];
    aero_table shape = *of;
    aero_column plain = *at;
    char *scratch = ae_session_text(session, AE_TEXT_MAX + (has_bytes(given) ? given->length : 0));
    if (scratch == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for a value");
    const bool real = at->kind == AERO_KIND_FLOAT32 || at->kind == AERO_KIND_FLOAT64;
    /* The delta has the column's family but not its range: -1 may be added to an unsigned. */
    plain.kind = real                              ? AERO_KIND_FLOAT64
                 : at->kind == AERO_KIND_TIMESTAMP ? AERO_KIND_TIMESTAMP
                                                   : AERO_KIND_INT64;
    plain.flags = 0;
    shape.columns = &plain;
    shape.column_count = 1;
    const aero_status status = ae_convert(&shape, 0, given, scratch, delta, &session->error);
    if (status == AERO_OK && delta->type == AERO_TYPE_TIME)
        delta->type = AERO_TYPE_INT;
    return status;
}

aero_status aero_incr(aero_session *session, uint32_t table, const aero_value *key, uint32_t column,
                      const aero_value *delta, aero_value *result, int32_t *found)
{
    const aero_table *of = NULL;
    aero_value amount = {0};
    int32_t outcome = 0;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = columns_check(session, of, 1, &column, &amount);
    if (status != AERO_OK)
        return status;
    const uint8_t kind = of->columns[column].kind;
    if (kind < AERO_KIND_INT8 || kind > AERO_KIND_TIMESTAMP) {
        ae_fail(&session->error, AERO_TYPE, "%s: column \"%s\" is not a number", of->name,
                of->columns[column].name);
        ae_error_place(&session->error, of->name, of->columns[column].name);
        return AERO_TYPE;
    }
    if (column == of->key_column)
        return ae_fail(&session->error, AERO_USAGE, "%s: the key \"%s\" of a row cannot change",
                       of->name, of->columns[column].name);
    if (delta == NULL)
        return ae_fail(&session->error, AERO_USAGE, "what to add is missing");
    status = incr_delta(session, of, column, delta, &amount);
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status != AERO_OK)
        return status;
    incr_body body = {.session = session, .of = of, .column = column, .delta = &amount};
    status = ae_table_change(session, table, session->key_row, false, incr_apply, &body, NULL,
                             &outcome);
    told(found, outcome == 1);
    if (status == AERO_OK && outcome == 1 && result != NULL)
        *result = body.result;
    return status;
}

/* ---- deleting ------------------------------------------------------------------------------- */

aero_status aero_delete(aero_session *session, uint32_t table, const aero_value *key,
                        int32_t *found)
{
    const aero_table *of = NULL;
    bool gone = false;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status == AERO_OK)
        status = ae_table_delete(session, table, session->key_row, &gone);
    told(found, gone);
    return status;
}

aero_status aero_lock_row(aero_session *session, uint32_t table, const aero_value *key,
                          int32_t *found)
{
    const aero_table *of = NULL;
    bool there = false;
    aero_status status = enter_table(session, table, &of);
    if (status == AERO_OK)
        status = key_image(session, of, key);
    if (status == AERO_OK)
        status = ae_table_lock(session, table, session->key_row, &there);
    told(found, there);
    return status;
}

aero_status aero_reset(aero_session *session, uint32_t table, uint64_t *deleted)
{
    const aero_table *of = NULL;
    const aero_status status = enter_table(session, table, &of);
    uint64_t unwanted = 0;
    return status != AERO_OK
               ? status
               : ae_table_reset(session, table, deleted != NULL ? deleted : &unwanted);
}
