/* arguments.c — reading arguments of commands: numbers, sizes, columns, pairs, paths.
 *
 * Integers are read here and not by Tcl, whose reader takes 18446744073709551615 for -1 and 010 for
 * 8.
 */
#include <stdint.h>
#include <string.h>

#include "aerotcl_private.h"

/* Decimal digits only, with an optional sign.  False when it is anything else or does not fit. */
static bool parse_integer(const char *text, size_t length, int64_t *number)
{
    const bool negative = length > 0 && text[0] == '-';
    size_t i = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    int64_t value = 0;
    if (i == length)
        return false;
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        const int64_t digit = text[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *number = value;
    return true;
}

int aetcl_natural_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, int64_t low,
                     int64_t *number)
{
    Tcl_Size length;
    const char *text = Tcl_GetStringFromObj(object, &length);
    if (parse_integer(text, (size_t)length, number) && *number >= low)
        return TCL_OK;
    if (low == 0)
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("expected non-negative integer below 2^63 for %s, "
                                        "got \"%.40s\"",
                                        what, text));
    return aetcl_fail(
        interp, AERO_USAGE,
        Tcl_ObjPrintf("%s must be > 0 and an integer below 2^63, got \"%.40s\"", what, text));
}

int aetcl_boolean_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, bool *value)
{
    int flag;
    if (Tcl_GetBooleanFromObj(NULL, object, &flag) != TCL_OK)
        return aetcl_fail(
            interp, AERO_USAGE,
            Tcl_ObjPrintf("expected a boolean for %s, got \"%.40s\"", what, Tcl_GetString(object)));
    *value = flag != 0;
    return TCL_OK;
}

/* The power of two a unit stands for, or -1. */
static int unit_shift(const char *unit)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0},     {"B", 0},  {"K", 10},   {"KiB", 10}, {"M", 20},
                 {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40},   {"TiB", 40}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].shift;
    return -1;
}

int aetcl_size_of(Tcl_Interp *interp, Tcl_Obj *object, uint64_t *size)
{
    const char *text = Tcl_GetString(object);
    const size_t digits = strspn(text, "0123456789");
    int64_t number = 0;
    uint64_t scaled = 0;
    const int shift = unit_shift(text + digits);
    if (!parse_integer(text, digits, &number) || shift < 0 || number == 0 ||
        __builtin_mul_overflow((uint64_t)number, (uint64_t)1 << shift, &scaled))
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("expected a size such as 512MiB, 4GiB or 1048576, got "
                                        "\"%.40s\"",
                                        text));
    *size = scaled;
    return TCL_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

int64_t aetcl_column_find(const aetcl_table *table, Tcl_Obj *object)
{
    int index; /* Tcl keeps it in the value: a name is looked up once */
    if (Tcl_GetIndexFromObjStruct(NULL, object, table->names, (Tcl_Size)sizeof(char *), "field",
                                  TCL_EXACT, &index) != TCL_OK)
        return -1;
    return table->name_columns[index];
}

int aetcl_column_of(const aetcl_table *table, Tcl_Obj *object, uint32_t *column)
{
    const int64_t found = aetcl_column_find(table, object);
    if (found < 0)
        return aetcl_fail_at(table, Tcl_GetString(object), AERO_NAME,
                             Tcl_ObjPrintf("unknown field '%.100s'", Tcl_GetString(object)));
    *column = (uint32_t)found;
    return TCL_OK;
}

int aetcl_columns_of(const aetcl_table *table, Tcl_Obj *list, aetcl_pool *pool, uint32_t *count,
                     uint32_t **columns)
{
    Tcl_Size length;
    Tcl_Obj **names;
    if (Tcl_ListObjGetElements(table->state->interp, list, &length, &names) != TCL_OK)
        return aetcl_fail_tcl(table->state->interp, AERO_USAGE);
    *columns = aetcl_pool_take(pool, (size_t)length * sizeof **columns);
    *count = (uint32_t)length;
    for (Tcl_Size i = 0; i < length; i++)
        if (aetcl_column_of(table, names[i], &(*columns)[i]) != TCL_OK)
            return TCL_ERROR;
    return TCL_OK;
}

/* Put a column's value into the pairs, over an earlier one. */
static void pair_put(aetcl_pairs *pairs, uint32_t column, const aero_value *value)
{
    uint32_t i = 0;
    while (i < pairs->count && pairs->columns[i] != column)
        i++;
    pairs->columns[i] = column;
    pairs->values[i] = *value;
    if (i == pairs->count)
        pairs->count++;
}

int aetcl_pairs_of(const aetcl_table *table, int count, Tcl_Obj *const arguments[], bool lenient,
                   aetcl_pool *pool, aetcl_pairs *pairs)
{
    Tcl_Size length = count;
    Tcl_Obj *const *words = arguments;
    Tcl_Interp *interp = table->state->interp;
    if (count == 1) {
        Tcl_Obj **elements;
        if (Tcl_ListObjGetElements(interp, arguments[0], &length, &elements) != TCL_OK)
            return aetcl_fail_tcl(interp, AERO_USAGE);
        words = elements;
    }
    if (length % 2 != 0)
        return aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_NewStringObj("key-value list must contain an even number of "
                                              "elements",
                                              -1));
    const uint32_t room = table->info->column_count + 1; /* and the key in front, for `set` */
    pairs->count = 0;
    pairs->columns = aetcl_pool_take(pool, room * sizeof *pairs->columns);
    pairs->values = aetcl_pool_take(pool, room * sizeof *pairs->values);
    for (Tcl_Size i = 0; i < length; i += 2) {
        aero_value value;
        uint32_t column = 0;
        if (lenient && aetcl_column_find(table, words[i]) < 0)
            continue;
        if (aetcl_column_of(table, words[i], &column) != TCL_OK ||
            aetcl_value_of(table, column, words[i + 1], pool, &value) != TCL_OK)
            return TCL_ERROR;
        pair_put(pairs, column, &value);
    }
    return TCL_OK;
}

int aetcl_path_of(Tcl_Interp *interp, Tcl_Obj *object, const char **path)
{
    Tcl_Size length;
    const char *text = Tcl_GetStringFromObj(object, &length);
    if (length == 0)
        return aetcl_fail(interp, AERO_USAGE, Tcl_NewStringObj("a path may not be empty", -1));
    if (strstr(text, "\xC0\x80") != NULL)
        return aetcl_fail(interp, AERO_USAGE, Tcl_NewStringObj("a path may not hold a NUL", -1));
    *path = (const char *)Tcl_FSGetNativePath(object);
    if (*path == NULL)
        return aetcl_fail(interp, AERO_IO,
                          Tcl_ObjPrintf("\"%.200s\" is no path of the native file system", text));
    return TCL_OK;
}
