/* table.c — a table as a Tcl command, and the subcommands that describe it.
 *
 * The list of subcommands says for each whether a safe interpreter has it.  Safe ones read,
 * evaluate no script and touch no channel and no file; a subcommand that the list does not call
 * safe is refused.
 */
#include <string.h>

#include "aerotcl_private.h"

struct subcommand {
    const char *name;
    aetcl_subcommand *call;
    bool safe;
};

/* The two that everything began with come first, as in messages of old. */
static const struct subcommand subcommands[] = {
    {"search", aetcl_search, true},
    {"ingest_tsv", aetcl_ingest_tsv, false},
    {"ingest_file", aetcl_ingest_file, false},
    {"get", aetcl_get, true},
    {"set", aetcl_set, false},
    {"store", aetcl_store, false},
    {"upsert", aetcl_upsert, false},
    {"array_get", aetcl_array_get, true},
    {"array_get_with_nulls", aetcl_array_get_with_nulls, true},
    {"exists", aetcl_exists, true},
    {"delete", aetcl_delete, false},
    {"incr", aetcl_incr, false},
    {"lock_for_update", aetcl_lock_for_update, false},
    {"count", aetcl_count, true},
    {"names", aetcl_names, true},
    {"foreach", aetcl_foreach, false},
    {"fields", aetcl_fields, true},
    {"field", aetcl_field, true},
    {"fieldtype", aetcl_fieldtype, true},
    {"needs_quoting", aetcl_needs_quoting, true},
    {"key", aetcl_key, true},
    {"makekey", aetcl_makekey, true},
    {"type", aetcl_type, true},
    {"methods", aetcl_methods, true},
    {"isnull", aetcl_isnull, true},
    {"null", aetcl_null, false},
    {"read_tabsep", aetcl_read_tabsep, false},
    {"write_tabsep", aetcl_write_tabsep, false},
    {"reset", aetcl_reset, false},
    {"explain", aetcl_explain, true},
    {"watch", aetcl_watch, false},
    {"ttl", aetcl_ttl, false},
    {"index", aetcl_index, true},
    {NULL, NULL, false},
};

static int unknown_subcommand(const aetcl_table *table, const char *name)
{
    Tcl_Obj *text = Tcl_NewStringObj("unknown subcommand; expected one of: ", -1);
    for (const struct subcommand *each = subcommands; each->name != NULL; each++)
        Tcl_AppendPrintfToObj(text, "%s%s", each == subcommands ? "" : ", ", each->name);
    Tcl_AppendPrintfToObj(text, "; got \"%.100s\"", name);
    return aetcl_fail_at(table, NULL, AERO_USAGE, text);
}

int aetcl_table_command(ClientData data, Tcl_Interp *interp, int count, Tcl_Obj *const arguments[])
{
    aetcl_table *table = data;
    int index;
    if (count < 2)
        return aetcl_table_usage(table, "<search|ingest_tsv|get|set|...> ?options?");
    if (Tcl_GetIndexFromObjStruct(NULL, arguments[1], subcommands, (Tcl_Size)sizeof subcommands[0],
                                  "subcommand", TCL_EXACT, &index) != TCL_OK)
        return unknown_subcommand(table, Tcl_GetString(arguments[1]));
    if (table->state->safe && !subcommands[index].safe)
        return aetcl_fail_at(table, NULL, AERO_PERMISSION,
                             Tcl_ObjPrintf("%s %s is not for safe interpreters", table->info->name,
                                           subcommands[index].name));
    (void)interp;
    if (table->state->waiting)
        return aetcl_fail_waiting(table->state);
    return subcommands[index].call(table, count, arguments);
}

/* methods */
int aetcl_methods(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "methods");
    Tcl_Obj *list = Tcl_NewListObj(0, NULL);
    for (const struct subcommand *each = subcommands; each->name != NULL; each++)
        if (each->safe || !table->state->safe)
            Tcl_ListObjAppendElement(NULL, list, Tcl_NewStringObj(each->name, -1));
    Tcl_SetObjResult(table->state->interp, list);
    return TCL_OK;
}

/* ---- what the table is ---------------------------------------------------------------------- */

/* fields */
int aetcl_fields(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "fields");
    Tcl_SetObjResult(table->state->interp,
                     Tcl_NewListObj((Tcl_Size)table->info->column_count, table->column_names));
    return TCL_OK;
}

/* The type's name, speedtables' own where it has one. */
static const char *type_name(const aero_column *column)
{
    static const char *const names[] = {
        [AERO_KIND_BOOL] = "boolean",   [AERO_KIND_INT8] = "int8",
        [AERO_KIND_INT16] = "short",    [AERO_KIND_INT32] = "int",
        [AERO_KIND_INT64] = "wide",     [AERO_KIND_UINT8] = "uint8",
        [AERO_KIND_UINT16] = "uint16",  [AERO_KIND_UINT32] = "uint32",
        [AERO_KIND_UINT64] = "uint64",  [AERO_KIND_FLOAT32] = "float",
        [AERO_KIND_FLOAT64] = "double", [AERO_KIND_TIMESTAMP] = "timestamp",
        [AERO_KIND_CHAR] = "char",      [AERO_KIND_FIXED] = "fixedstring",
        [AERO_KIND_TEXT] = "varstring", [AERO_KIND_BYTES] = "bytes",
        [AERO_KIND_INET] = "inet",      [AERO_KIND_IPV6] = "ipv6",
        [AERO_KIND_MAC] = "mac",
    };
    if (column->kind == AERO_KIND_TEXT && (column->flags & AERO_COLUMN_KEY) != 0)
        return "key";
    return names[column->kind];
}

/* fieldtype field */
int aetcl_fieldtype(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    uint32_t column;
    if (count != 3)
        return aetcl_table_usage(table, "fieldtype field");
    if (aetcl_column_of(table, arguments[2], &column) != TCL_OK)
        return TCL_ERROR;
    Tcl_SetObjResult(table->state->interp,
                     Tcl_NewStringObj(type_name(&table->info->columns[column]), -1));
    return TCL_OK;
}

/* needs_quoting field: may its text hold a tab or a newline? */
int aetcl_needs_quoting(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    uint32_t column;
    if (count != 3)
        return aetcl_table_usage(table, "needs_quoting field");
    if (aetcl_column_of(table, arguments[2], &column) != TCL_OK)
        return TCL_ERROR;
    const uint8_t kind = table->info->columns[column].kind;
    Tcl_SetObjResult(table->state->interp,
                     Tcl_NewBooleanObj(kind == AERO_KIND_TEXT || kind == AERO_KIND_FIXED ||
                                       kind == AERO_KIND_CHAR));
    return TCL_OK;
}

static void put(Tcl_Obj *properties, const char *name, Tcl_Obj *value)
{
    (void)Tcl_DictObjPut(NULL, properties, Tcl_NewStringObj(name, -1), value);
}

/* What was declared about a column, as a dict. */
static Tcl_Obj *properties_of(const aetcl_table *table, uint32_t index)
{
    const aero_column *column = &table->info->columns[index];
    Tcl_Obj *properties = Tcl_NewDictObj();
    put(properties, "name", table->column_names[index]);
    put(properties, "type", Tcl_NewStringObj(type_name(column), -1));
    put(properties, "notnull", Tcl_NewBooleanObj((column->flags & AERO_COLUMN_NULLABLE) == 0));
    put(properties, "key", Tcl_NewBooleanObj((column->flags & AERO_COLUMN_KEY) != 0));
    put(properties, "indexed", Tcl_NewBooleanObj((column->flags & AERO_COLUMN_INDEXED) != 0));
    put(properties, "unique", Tcl_NewBooleanObj((column->flags & AERO_COLUMN_UNIQUE) != 0));
    if (column->max_length > 0)
        put(properties, "length", Tcl_NewWideIntObj(column->max_length));
    if (column->alias_count > 0) {
        Tcl_Obj *aliases = Tcl_NewListObj(0, NULL);
        for (uint32_t i = 0; i < column->alias_count; i++)
            Tcl_ListObjAppendElement(NULL, aliases, Tcl_NewStringObj(column->aliases[i], -1));
        put(properties, "aliases", aliases);
    }
    if ((column->flags & AERO_COLUMN_DEFAULT) != 0 && aetcl_session(table->state) == TCL_OK) {
        aero_value shown; /* what a write of the default would store */
        if (aero_convert(table->state->session, table->index, index, &column->fallback, &shown) ==
            AERO_OK)
            put(properties, "default", aetcl_object_of(table, index, &shown));
    }
    if (column->doc[0] != '\0')
        put(properties, "doc", aetcl_string(column->doc, strlen(column->doc)));
    return properties;
}

/* field name proplist | field name properties | field name getprop property */
int aetcl_field(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    static const char usage[] = "field name proplist|properties or field name getprop property";
    static const char *const verbs[] = {"proplist", "properties", "getprop", NULL};
    Tcl_Interp *interp = table->state->interp;
    uint32_t column;
    int verb;
    if (count < 4 ||
        Tcl_GetIndexFromObj(NULL, arguments[3], verbs, "verb", TCL_EXACT, &verb) != TCL_OK ||
        count != (verb == 2 ? 5 : 4))
        return aetcl_table_usage(table, usage);
    if (aetcl_column_of(table, arguments[2], &column) != TCL_OK)
        return TCL_ERROR;
    Tcl_Obj *properties = properties_of(table, column);
    Tcl_Obj *result = properties;
    Tcl_IncrRefCount(properties);
    if (verb == 1) {
        Tcl_DictSearch search;
        Tcl_Obj *name;
        int done;
        result = Tcl_NewListObj(0, NULL);
        (void)Tcl_DictObjFirst(NULL, properties, &search, &name, NULL, &done);
        for (; !done; Tcl_DictObjNext(&search, &name, NULL, &done))
            Tcl_ListObjAppendElement(NULL, result, name);
    } else if (verb == 2) {
        (void)Tcl_DictObjGet(NULL, properties, arguments[4], &result);
    }
    if (result != NULL)
        Tcl_SetObjResult(interp, result);
    Tcl_DecrRefCount(properties);
    if (result == NULL)
        return aetcl_fail_at(table, table->info->columns[column].name, AERO_NAME,
                             Tcl_ObjPrintf("field %s has no property '%.100s'",
                                           table->info->columns[column].name,
                                           Tcl_GetString(arguments[4])));
    return TCL_OK;
}

/* key: the name of the key field */
int aetcl_key(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "key");
    Tcl_SetObjResult(table->state->interp, table->column_names[table->info->key_column]);
    return TCL_OK;
}

/* type */
int aetcl_type(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    (void)arguments;
    if (count != 2)
        return aetcl_table_usage(table, "type");
    Tcl_SetObjResult(table->state->interp, Tcl_NewStringObj(table->info->name, -1));
    return TCL_OK;
}
