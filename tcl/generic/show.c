/* show.c — a row's values as variables of a script, one row after another.
 *
 * Making a Tcl value costs more than finding the row, so values are used again: there are three
 * sets of values and two lists, taken in turn.  While a variable holds one, the next row is written
 * into another; the variable lets go of it when it is set.  A value that a script has kept has
 * another reference and is left to it.
 *
 * Invariants
 *   I1  A value or list is changed only while its single reference is the set's own.
 */
#include <string.h>

#include "aerotcl_private.h"

enum { SETS = 3, LISTS = 2 };

struct aetcl_show {
    const aetcl_table *table;
    enum aetcl_shape shape;
    Tcl_Obj *row_variable, *key_variable;
    uint32_t count; /* columns shown; the key's value follows when `keyed` */
    bool keyed;
    const uint32_t *columns;
    uint32_t turn;
    Tcl_Obj *lists[LISTS];
    const Tcl_ObjType *list_type;
    Tcl_Obj **sets[SETS];
};

aetcl_show *aetcl_show_new(const aetcl_walk *walk, uint32_t count, const uint32_t *columns,
                           aetcl_pool *pool)
{
    aetcl_show *show = aetcl_pool_take(pool, sizeof *show);
    *show = (aetcl_show){
        .table = walk->table,
        .shape = walk->shape,
        .row_variable = walk->row_variable,
        .key_variable = walk->key_variable,
        .count = walk->column_count,
        .keyed = count > walk->column_count,
        .columns = columns,
    };
    for (int i = 0; i < SETS; i++) {
        show->sets[i] = aetcl_pool_take(pool, ((size_t)count + 1) * sizeof(Tcl_Obj *));
        for (uint32_t k = 0; k < count; k++) {
            show->sets[i][k] = walk->table->state->empty;
            Tcl_IncrRefCount(show->sets[i][k]);
        }
    }
    return show;
}

void aetcl_show_free(aetcl_show *show)
{
    const uint32_t count = show->count + show->keyed;
    for (int i = 0; i < SETS; i++)
        for (uint32_t k = 0; k < count; k++)
            Tcl_DecrRefCount(show->sets[i][k]);
    for (int i = 0; i < LISTS; i++)
        if (show->lists[i] != NULL)
            Tcl_DecrRefCount(show->lists[i]);
}

/* ---- values --------------------------------------------------------------------------------- */

/* Text as long as the one that is there goes into its place, if it is spelled the same in Tcl. */
static bool rewrite_text(const aero_value *value, Tcl_Obj *object)
{
    if (object->typePtr != NULL || object->bytes == NULL || value->length == 0 ||
        (size_t)object->length != value->length || !aetcl_is_internal(value->u.data, value->length))
        return false;
    memcpy(object->bytes, value->u.data, value->length);
    return true;
}

/* Write a value into an object that nobody else refers to.  False when it takes a new object. */
static bool rewrite(const aetcl_show *show, uint32_t column, const aero_value *value,
                    Tcl_Obj *object)
{
    switch (value->type) {
    case AERO_TYPE_INT:
        Tcl_SetWideIntObj(object, value->u.integer);
        return true;
    case AERO_TYPE_DOUBLE:
        if (show->table->info->columns[column].kind == AERO_KIND_FLOAT32)
            return false;
        Tcl_SetDoubleObj(object, value->u.real);
        return true;
    case AERO_TYPE_TEXT:
        return rewrite_text(value, object);
    default:
        return false;
    }
}

static void put_value(const aetcl_show *show, uint32_t column, const aero_value *value,
                      Tcl_Obj **place)
{
    if (!Tcl_IsShared(*place) && rewrite(show, column, value, *place)) /* keeps I1 */
        return;
    Tcl_Obj *fresh = aetcl_object_of(show->table, column, value);
    Tcl_IncrRefCount(fresh);
    Tcl_DecrRefCount(*place);
    *place = fresh;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static int set_variable(const aetcl_show *show, Tcl_Obj *name, Tcl_Obj *element, Tcl_Obj *value)
{
    Tcl_Interp *interp = show->table->state->interp;
    if (Tcl_ObjSetVar2(interp, name, element, value, TCL_LEAVE_ERR_MSG) == NULL)
        return aetcl_fail_tcl(interp, AERO_USAGE);
    return TCL_OK;
}

/* The values as a list: the one of the last but one row, unless it is kept or was turned into
 * something else. */
static Tcl_Obj *list_object(aetcl_show *show, Tcl_Obj *const *objects)
{
    Tcl_Obj **list = &show->lists[show->turn % LISTS];
    Tcl_Size length;
    const Tcl_Size count = (Tcl_Size)show->count;
    if (*list != NULL && !Tcl_IsShared(*list) && (*list)->typePtr == show->list_type &&
        Tcl_ListObjLength(NULL, *list, &length) == TCL_OK && length == count) { /* keeps I1 */
        (void)Tcl_ListObjReplace(NULL, *list, 0, count, count, objects);
        return *list;
    }
    if (*list != NULL)
        Tcl_DecrRefCount(*list);
    *list = Tcl_NewListObj(count, objects);
    Tcl_IncrRefCount(*list);
    show->list_type = (*list)->typePtr;
    return *list;
}

/* The values as a list of names and values. */
static Tcl_Obj *pairs_object(const aetcl_show *show, const aero_value *values,
                             Tcl_Obj *const *objects, bool with_nulls)
{
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (uint32_t i = 0; i < show->count; i++) {
        if (!with_nulls && values[i].type == AERO_TYPE_NULL)
            continue;
        Tcl_ListObjAppendElement(NULL, list, show->table->column_names[show->columns[i]]);
        Tcl_ListObjAppendElement(NULL, list, objects[i]);
    }
    return list;
}

static int set_array(const aetcl_show *show, const aero_value *values, Tcl_Obj *const *objects,
                     bool with_nulls)
{
    for (uint32_t i = 0; i < show->count; i++) {
        Tcl_Obj *name = show->table->column_names[show->columns[i]];
        if (!with_nulls && values[i].type == AERO_TYPE_NULL)
            (void)Tcl_UnsetVar2(show->table->state->interp, Tcl_GetString(show->row_variable),
                                Tcl_GetString(name), 0);
        else if (set_variable(show, show->row_variable, name, objects[i]) != TCL_OK)
            return TCL_ERROR;
    }
    return TCL_OK;
}

int aetcl_show_row(aetcl_show *show, const aero_value *values)
{
    Tcl_Obj **objects = show->sets[show->turn % SETS];
    const uint32_t count = show->count + show->keyed;
    for (uint32_t i = 0; i < count; i++)
        put_value(show, show->columns[i], &values[i], &objects[i]);
    if (show->key_variable != NULL &&
        set_variable(show, show->key_variable, NULL, objects[show->count]) != TCL_OK)
        return TCL_ERROR;
    show->turn++;
    switch (show->shape) {
    case AETCL_SHAPE_GET:
        return set_variable(show, show->row_variable, NULL, list_object(show, objects));
    case AETCL_SHAPE_ARRAY:
    case AETCL_SHAPE_ARRAY_WITH_NULLS:
        return set_array(show, values, objects, show->shape == AETCL_SHAPE_ARRAY_WITH_NULLS);
    case AETCL_SHAPE_ARRAY_GET:
    case AETCL_SHAPE_ARRAY_GET_WITH_NULLS:
        return set_variable(
            show, show->row_variable, NULL,
            pairs_object(show, values, objects, show->shape == AETCL_SHAPE_ARRAY_GET_WITH_NULLS));
    case AETCL_SHAPE_NONE:
        break;
    }
    return TCL_OK;
}

Tcl_Obj *aetcl_show_key(const aetcl_show *show)
{
    return show->sets[(show->turn + SETS - 1) % SETS][show->count];
}
