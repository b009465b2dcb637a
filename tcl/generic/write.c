/* write.c — subcommands that change rows.
 *
 * Each is all or nothing: arguments are converted before anything is written, and what takes
 * several writes runs in a transaction (a savepoint inside an open one).
 */
#include <string.h>

#include "aerotcl_private.h"

/* Skip a leading -nocomplain at arguments[*at]. */
static bool take_nocomplain(int count, Tcl_Obj *const arguments[], int *at)
{
    if (*at >= count || strcmp(Tcl_GetString(arguments[*at]), "-nocomplain") != 0)
        return false;
    ++*at;
    return true;
}

/* Are two values of the key column the same key, however they are written? */
static int same_key(const aetcl_table *table, const aero_value *left, const aero_value *right,
                    aetcl_pool *pool, bool *same)
{
    aero_session *session = table->state->session;
    const uint32_t column = table->info->key_column;
    aero_value first, second;
    if (aero_convert(session, table->index, column, left, &first) != AERO_OK)
        return aetcl_fail_session(table->state);
    const bool text = first.type == AERO_TYPE_TEXT || first.type == AERO_TYPE_BYTES;
    char *copy = aetcl_pool_take(pool, first.length);
    if (text && first.length > 0)
        memcpy(copy, first.u.data, first.length); /* the next call ends the life of the text */
    if (aero_convert(session, table->index, column, right, &second) != AERO_OK)
        return aetcl_fail_session(table->state);
    if (text)
        *same = first.length == second.length && memcmp(copy, second.u.data, first.length) == 0;
    else
        *same = first.u.natural == second.u.natural;
    return TCL_OK;
}

/* Add the key to the pairs; if they name it too, it must be the same. */
static int add_key(const aetcl_table *table, Tcl_Obj *object, aetcl_pool *pool, aetcl_pairs *pairs)
{
    const uint32_t column = table->info->key_column;
    aero_value key;
    uint32_t at = 0;
    bool same = true;
    if (aetcl_key_of(table, object, pool, &key) != TCL_OK)
        return TCL_ERROR;
    while (at < pairs->count && pairs->columns[at] != column)
        at++;
    if (at < pairs->count && same_key(table, &key, &pairs->values[at], pool, &same) != TCL_OK)
        return TCL_ERROR;
    if (!same)
        return aetcl_fail_at(
            table, table->info->columns[column].name, AERO_USAGE,
            Tcl_ObjPrintf("the key of row \"%.100s\" cannot change", Tcl_GetString(object)));
    pairs->columns[at] = column;
    pairs->values[at] = key;
    if (at == pairs->count)
        pairs->count++;
    return TCL_OK;
}

/* set ?-nocomplain? key ?-nocomplain? ?list | field value …? */
int aetcl_set(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    static const char usage[] = "set key ?-nocomplain? ?field value ...? or "
                                "set key ?-nocomplain? list";
    aetcl_pool pool = {NULL};
    aetcl_pairs pairs;
    int at = 2, code;
    bool lenient = count > 3 && take_nocomplain(count, arguments, &at);
    const int key = at++;
    int32_t inserted;
    if (key >= count)
        return aetcl_table_usage(table, usage);
    lenient |= take_nocomplain(count, arguments, &at);
    code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = aetcl_pairs_of(table, count - at, arguments + at, lenient, &pool, &pairs);
    if (code == TCL_OK)
        code = add_key(table, arguments[key], &pool, &pairs);
    if (code == TCL_OK && aero_upsert(table->state->session, table->index, pairs.count,
                                      pairs.columns, pairs.values, &inserted) != AERO_OK)
        code = aetcl_fail_session(table->state);
    aetcl_pool_free(&pool);
    return code;
}

/* Read the arguments of store, upsert and makekey: pairs that hold the key.  *key is its value's
 * place in the pairs. */
static int read_keyed(aetcl_table *table, int count, Tcl_Obj *const arguments[], const char *usage,
                      aetcl_pool *pool, aetcl_pairs *pairs, uint32_t *key)
{
    int at = 2;
    const bool lenient = take_nocomplain(count, arguments, &at);
    if (at >= count)
        return aetcl_table_usage(table, usage);
    if (aetcl_pairs_of(table, count - at, arguments + at, lenient, pool, pairs) != TCL_OK)
        return TCL_ERROR;
    for (*key = 0; *key < pairs->count; ++*key)
        if (pairs->columns[*key] == table->info->key_column)
            return TCL_OK;
    return aetcl_fail_at(table, table->info->columns[table->info->key_column].name, AERO_USAGE,
                         Tcl_ObjPrintf("Key not found in list: %s needs a value for %s",
                                       table->info->name,
                                       table->info->columns[table->info->key_column].name));
}

/* Store the pairs; *inserted is whether the row is new. */
static int store_pairs(aetcl_table *table, int count, Tcl_Obj *const arguments[], const char *usage,
                       aetcl_pool *pool, aero_value *key, int32_t *inserted)
{
    aetcl_pairs pairs;
    uint32_t at;
    if (aetcl_session(table->state) != TCL_OK ||
        read_keyed(table, count, arguments, usage, pool, &pairs, &at) != TCL_OK)
        return TCL_ERROR;
    if (aero_upsert(table->state->session, table->index, pairs.count, pairs.columns, pairs.values,
                    inserted) != AERO_OK)
        return aetcl_fail_session(table->state);
    *key = pairs.values[at];
    return TCL_OK;
}

/* The key's value as the table holds it. */
static int leave_key(const aetcl_table *table, const aero_value *key)
{
    const uint32_t column = table->info->key_column;
    aero_value stored;
    if (aero_convert(table->state->session, table->index, column, key, &stored) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_SetObjResult(table->state->interp, aetcl_object_of(table, column, &stored));
    return TCL_OK;
}

/* store ?-nocomplain? list | field value …: returns the key */
int aetcl_store(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aero_value key;
    int32_t inserted;
    int code = store_pairs(table, count, arguments,
                           "store ?-nocomplain? list or store ?-nocomplain? field value ...", &pool,
                           &key, &inserted);
    if (code == TCL_OK)
        code = leave_key(table, &key);
    aetcl_pool_free(&pool);
    return code;
}

/* upsert ?-nocomplain? list | field value …: 1 when the row is new, 0 when it was there */
int aetcl_upsert(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aero_value key;
    int32_t inserted;
    const int code = store_pairs(
        table, count, arguments,
        "upsert ?-nocomplain? list or upsert ?-nocomplain? field value ...", &pool, &key,
        &inserted);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewBooleanObj(inserted));
    aetcl_pool_free(&pool);
    return code;
}

/* makekey list | field value …: the key that `store` would use */
int aetcl_makekey(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aetcl_pairs pairs;
    uint32_t at;
    int code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = read_keyed(table, count, arguments, "makekey list or makekey field value ...", &pool,
                          &pairs, &at);
    if (code == TCL_OK)
        code = leave_key(table, &pairs.values[at]);
    aetcl_pool_free(&pool);
    return code;
}

/* The two that act on a row and say whether there was one. */
static int row_command(aetcl_table *table, int count, Tcl_Obj *const arguments[], const char *usage,
                       aero_status (*call)(aero_session *, uint32_t, const aero_value *, int32_t *))
{
    aetcl_pool pool = {NULL};
    aero_value key;
    int32_t found = 0;
    if (count != 3)
        return aetcl_table_usage(table, usage);
    int code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = aetcl_key_of(table, arguments[2], &pool, &key);
    if (code == TCL_OK && call(table->state->session, table->index, &key, &found) != AERO_OK)
        code = aetcl_fail_session(table->state);
    aetcl_pool_free(&pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewBooleanObj(found));
    return code;
}

/* delete key: 1 when there was such a row */
int aetcl_delete(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    return row_command(table, count, arguments, "delete key", aero_delete);
}

/* lock_for_update key: 1 when there is such a row, which then is this transaction's */
int aetcl_lock_for_update(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    return row_command(table, count, arguments, "lock_for_update key", aero_lock_row);
}

/* reset: deletes every row, returns how many */
int aetcl_reset(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    uint64_t deleted = 0;
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "reset");
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (aero_reset(table->state->session, table->index, &deleted) != AERO_OK)
        return aetcl_fail_session(table->state);
    Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)deleted));
    return TCL_OK;
}

/* ---- incr ----------------------------------------------------------------------------------- */

struct increments {
    aetcl_table *table;
    aero_value key;
    aetcl_pairs deltas;
    Tcl_Obj *results; /* list; made anew at each attempt */
};

/* The first column of a row that is not there: the row is made with the amount as its value. */
static int incr_missing(struct increments *order, uint32_t at, aero_value *result)
{
    aetcl_table *table = order->table;
    aero_session *session = table->state->session;
    const uint32_t columns[2] = {table->info->key_column, order->deltas.columns[at]};
    const aero_value values[2] = {order->key, order->deltas.values[at]};
    int32_t inserted;
    if (aero_upsert(session, table->index, 2, columns, values, &inserted) != AERO_OK ||
        aero_convert(session, table->index, columns[1], &values[1], result) != AERO_OK)
        return aetcl_fail_session(table->state);
    return TCL_OK;
}

static int incr_all(void *context)
{
    struct increments *order = context;
    aetcl_table *table = order->table;
    if (order->results != NULL)
        Tcl_DecrRefCount(order->results);
    order->results = Tcl_NewListObj(0, NULL);
    Tcl_IncrRefCount(order->results);
    for (uint32_t i = 0; i < order->deltas.count; i++) {
        const uint32_t column = order->deltas.columns[i];
        aero_value result;
        int32_t found = 0;
        if (aero_incr(table->state->session, table->index, &order->key, column,
                      &order->deltas.values[i], &result, &found) != AERO_OK)
            return aetcl_fail_session(table->state);
        if (!found && incr_missing(order, i, &result) != TCL_OK)
            return TCL_ERROR;
        Tcl_ListObjAppendElement(NULL, order->results, aetcl_object_of(table, column, &result));
    }
    return TCL_OK;
}

/* Read `field`, `field amount …` or a list of either form; a lone field goes up by one. */
static int read_deltas(aetcl_table *table, int count, Tcl_Obj *const arguments[], aetcl_pool *pool,
                       aetcl_pairs *deltas)
{
    Tcl_Size length = 0;
    if (count == 1 && Tcl_ListObjLength(NULL, arguments[0], &length) == TCL_OK && length == 1) {
        Tcl_Obj *pair[2] = {NULL, Tcl_NewWideIntObj(1)};
        (void)Tcl_ListObjIndex(NULL, arguments[0], 0, &pair[0]);
        Tcl_IncrRefCount(pair[0]);
        Tcl_IncrRefCount(pair[1]);
        const int code = aetcl_pairs_of(table, 2, pair, false, pool, deltas);
        Tcl_DecrRefCount(pair[0]);
        if (code == TCL_OK && deltas->values[0].type == AERO_TYPE_TEXT)
            deltas->values[0].u.data = "1"; /* the value that held the text goes away */
        Tcl_DecrRefCount(pair[1]);
        return code;
    }
    if (aetcl_pairs_of(table, count, arguments, false, pool, deltas) != TCL_OK)
        return TCL_ERROR;
    if ((count == 1 ? length : count) != 2 * (Tcl_Size)deltas->count)
        return aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_NewStringObj("a field is named twice", -1));
    for (uint32_t i = 0; i < deltas->count; i++) {
        const char *field = table->info->columns[deltas->columns[i]].name;
        if (deltas->values[i].type == AERO_TYPE_NULL)
            return aetcl_fail_at(
                table, field, AERO_TYPE,
                Tcl_ObjPrintf("the amount for %s.%s is empty", table->info->name, field));
    }
    return TCL_OK;
}

/* incr key field ?amount? ?field amount …? | incr key list: returns the new values */
int aetcl_incr(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    struct increments order = {.table = table};
    if (count < 4)
        return aetcl_table_usage(table, "incr key field ?amount? ?field amount ...? or "
                                        "incr key list");
    int code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = aetcl_key_of(table, arguments[2], &pool, &order.key);
    if (code == TCL_OK)
        code = read_deltas(table, count - 3, arguments + 3, &pool, &order.deltas);
    if (code == TCL_OK)
        code = aetcl_atomically(table->state, AERO_ISOLATION_SERIALIZABLE, AETCL_RETRIES, incr_all,
                                &order);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, order.results);
    if (order.results != NULL)
        Tcl_DecrRefCount(order.results);
    aetcl_pool_free(&pool);
    return code;
}

/* ---- null ----------------------------------------------------------------------------------- */

/* The names of the row's NULL columns. */
static int list_nulls(aetcl_table *table, const aero_value *key)
{
    aetcl_state *state = table->state;
    int32_t found = 0;
    if (aero_get(state->session, table->index, key, table->info->column_count, table->all,
                 state->values, &found) != AERO_OK)
        return aetcl_fail_session(state);
    if (!found)
        return aetcl_fail_at(table, NULL, AERO_NOT_FOUND,
                             Tcl_ObjPrintf("%s: no such key", table->info->name));
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (uint32_t i = 0; i < table->info->column_count; i++)
        if (state->values[i].type == AERO_TYPE_NULL)
            Tcl_ListObjAppendElement(NULL, list, table->column_names[i]);
    Tcl_SetObjResult(state->interp, list);
    return TCL_OK;
}

static int set_nulls(aetcl_table *table, const aero_value *key, int count, Tcl_Obj *const names[],
                     aetcl_pool *pool)
{
    aetcl_state *state = table->state;
    uint32_t *columns = aetcl_pool_take(pool, (size_t)count * sizeof *columns);
    aero_value *values = aetcl_pool_take(pool, (size_t)count * sizeof *values);
    uint32_t length = 0;
    int32_t found = 0;
    for (int i = 0; i < count; i++) {
        uint32_t k = 0;
        if (aetcl_column_of(table, names[i], &columns[length]) != TCL_OK)
            return TCL_ERROR;
        while (columns[k] != columns[length])
            k++;
        if (k < length)
            continue; /* named before */
        values[length] = (aero_value){.type = AERO_TYPE_NULL};
        length++;
    }
    if (aero_update(state->session, table->index, key, length, columns, values, &found) != AERO_OK)
        return aetcl_fail_session(state);
    if (!found)
        return aetcl_fail_at(table, NULL, AERO_NOT_FOUND,
                             Tcl_ObjPrintf("%s: no such key", table->info->name));
    return TCL_OK;
}

/* null key: which fields are null; null key field …: make them so */
int aetcl_null(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aero_value key;
    if (count < 3)
        return aetcl_table_usage(table, "null key ?field ...?");
    int code = aetcl_session(table->state);
    if (code == TCL_OK)
        code = aetcl_key_of(table, arguments[2], &pool, &key);
    if (code == TCL_OK)
        code = count == 3 ? list_nulls(table, &key)
                          : set_nulls(table, &key, count - 3, arguments + 3, &pool);
    aetcl_pool_free(&pool);
    return code;
}
