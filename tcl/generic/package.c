/* package.c — making and unmaking the package in an interpreter.
 *
 * ::P has the commands of database.c, stats.c and transaction.c, and one command for each table;
 * all are exported, ::P is an ensemble of them, and the tables are imported into the global
 * namespace where no command has their names.
 *
 * Concurrency: called by the interpreter's thread.
 */
#include <stdint.h>
#include <string.h>

#include "aerotcl.h"
#include "aerotcl_private.h"

/* What a package command needs when it is called. */
struct binding {
    const char *name;
    aetcl_command *call;
    bool safe; /* for safe interpreters; what is not is refused there */
};

static const struct binding bindings[] = {
    {"init", aetcl_init, true}, /* without arguments only, it sees to that itself */
    {"close", aetcl_close, true},
    {"get_config", aetcl_get_config, true},
    {"set_config", aetcl_set_config, false},
    {"stats", aetcl_stats, false},
    {"verify", aetcl_verify, false},
    {"checkpoint_now", aetcl_checkpoint_now, false},
    {"ttl_sweep", aetcl_ttl_sweep, false},
    {"transaction", aetcl_transaction, false},
    {"savepoint", aetcl_savepoint, false},
    {"rollback_to", aetcl_rollback_to, false},
    {"release", aetcl_release, false},
};
enum { BINDING_COUNT = sizeof bindings / sizeof bindings[0] };

/* The state and the place in `bindings`, for a command's ClientData. */
struct bound {
    aetcl_state *state;
    const struct binding *binding;
};

static int package_command(ClientData data, Tcl_Interp *interp, int count,
                           Tcl_Obj *const arguments[])
{
    const struct bound *bound = data;
    aetcl_state *state = bound->state;
    if (state->safe && !bound->binding->safe)
        return aetcl_fail(interp, AERO_PERMISSION,
                          Tcl_ObjPrintf("%s::%s is not for safe interpreters",
                                        state->schema->package, bound->binding->name));
    if (state->waiting)
        return aetcl_fail_waiting(state);
    return bound->binding->call(state, count, arguments);
}

static void free_bound(ClientData data)
{
    Tcl_Free(data);
}

/* ---- state ---------------------------------------------------------------------------------- */

static void make_table(aetcl_state *state, uint32_t index)
{
    aetcl_table *table = &state->tables[index];
    const aero_table *info = &state->schema->tables[index];
    table->state = state;
    table->info = info;
    table->index = index;
    aetcl_names_of(state->schema, table);
    table->column_names = (Tcl_Obj **)(void *)Tcl_Alloc(
        (unsigned)(info->column_count * sizeof(Tcl_Obj *)));
    table->all = (uint32_t *)(void *)Tcl_Alloc((unsigned)(info->column_count * sizeof(uint32_t)));
    for (uint32_t i = 0; i < info->column_count; i++) {
        table->column_names[i] = Tcl_NewStringObj(info->columns[i].name, -1);
        Tcl_IncrRefCount(table->column_names[i]);
        table->all[i] = i;
    }
    if (info->column_count > state->width)
        state->width = info->column_count;
}

static const Tcl_ObjType *type_of(Tcl_Obj *sample)
{
    const Tcl_ObjType *type = sample->typePtr;
    Tcl_IncrRefCount(sample);
    Tcl_DecrRefCount(sample);
    return type;
}

static void on_thread_exit(ClientData data)
{
    aetcl_detach(data);
}

static aetcl_state *make_state(Tcl_Interp *interp, const aero_schema_info *schema, bool safe)
{
    Tcl_Time now;
    aetcl_state *state = (aetcl_state *)(void *)Tcl_Alloc(sizeof *state);
    memset(state, 0, sizeof *state);
    state->interp = interp;
    state->schema = schema;
    state->safe = safe;
    Tcl_GetTime(&now);
    state->random = (uint64_t)now.sec << 20 ^ (uint64_t)now.usec ^ (uint64_t)(uintptr_t)state;
    state->random |= 1; /* xorshift never leaves 0 */
    state->int_type = type_of(Tcl_NewWideIntObj(1));
    state->double_type = type_of(Tcl_NewDoubleObj(1.0));
    state->bytes_type = type_of(Tcl_NewByteArrayObj((const unsigned char *)"x", 1));
    state->empty = Tcl_NewObj();
    Tcl_IncrRefCount(state->empty);
    state->tables = (aetcl_table *)(void *)Tcl_Alloc(
        (unsigned)(schema->table_count * sizeof *state->tables));
    for (uint32_t i = 0; i < schema->table_count; i++)
        make_table(state, i);
    state->values = (aero_value *)(void *)Tcl_Alloc((unsigned)(state->width * sizeof(aero_value)));
    state->columns = (uint32_t *)(void *)Tcl_Alloc((unsigned)(state->width * sizeof(uint32_t)));
    state->objects = (Tcl_Obj **)(void *)Tcl_Alloc((unsigned)(state->width * sizeof(Tcl_Obj *)));
    Tcl_CreateThreadExitHandler(on_thread_exit, state);
    return state;
}

/* The interpreter is going, and no command of it runs any more (aetcl_enter preserves it). */
static void free_state(ClientData data, Tcl_Interp *interp)
{
    aetcl_state *state = data;
    (void)interp;
    Tcl_DeleteThreadExitHandler(on_thread_exit, state);
    aetcl_detach(state);
    for (uint32_t i = 0; i < state->schema->table_count; i++) {
        aetcl_table *table = &state->tables[i];
        for (uint32_t k = 0; k < table->info->column_count; k++)
            Tcl_DecrRefCount(table->column_names[k]);
        Tcl_Free((char *)table->column_names);
        Tcl_Free((char *)table->all);
    }
    Tcl_DecrRefCount(state->empty);
    Tcl_Free((char *)state->tables);
    Tcl_Free((char *)state->values);
    Tcl_Free((char *)state->columns);
    Tcl_Free((char *)state->objects);
    Tcl_Free((char *)state);
}

static void key_of(const aero_schema_info *schema, Tcl_DString *key)
{
    Tcl_DStringInit(key);
    Tcl_DStringAppend(key, "aerostore:", -1);
    Tcl_DStringAppend(key, schema->package, -1);
}

/* ---- commands ------------------------------------------------------------------------------- */

static void make_commands(aetcl_state *state)
{
    for (size_t i = 0; i < BINDING_COUNT; i++) {
        struct bound *bound = (struct bound *)(void *)Tcl_Alloc(sizeof *bound);
        Tcl_Obj *name = Tcl_ObjPrintf("::%s::%s", state->schema->package, bindings[i].name);
        bound->state = state;
        bound->binding = &bindings[i];
        Tcl_IncrRefCount(name);
        Tcl_CreateObjCommand(state->interp, Tcl_GetString(name), package_command, bound,
                             free_bound);
        Tcl_DecrRefCount(name);
    }
    for (uint32_t i = 0; i < state->schema->table_count; i++) {
        Tcl_Obj *name = Tcl_ObjPrintf("::%s::%s", state->schema->package,
                                      state->tables[i].info->name);
        Tcl_IncrRefCount(name);
        Tcl_CreateObjCommand(state->interp, Tcl_GetString(name), aetcl_table_command,
                             &state->tables[i], NULL);
        Tcl_DecrRefCount(name);
    }
}

/* Export everything, and make the namespace's name a command too, unless there is one. */
static int publish(aetcl_state *state, Tcl_Namespace *space)
{
    Tcl_Interp *interp = state->interp;
    for (size_t i = 0; i < BINDING_COUNT; i++)
        if (Tcl_Export(interp, space, bindings[i].name, 0) != TCL_OK)
            return TCL_ERROR;
    for (uint32_t i = 0; i < state->schema->table_count; i++)
        if (Tcl_Export(interp, space, state->tables[i].info->name, 0) != TCL_OK)
            return TCL_ERROR;
    Tcl_DString name;
    Tcl_DStringInit(&name);
    Tcl_DStringAppend(&name, "::", 2);
    Tcl_DStringAppend(&name, state->schema->package, -1);
    if (Tcl_FindCommand(interp, Tcl_DStringValue(&name), NULL, TCL_GLOBAL_ONLY) == NULL)
        (void)Tcl_CreateEnsemble(interp, Tcl_DStringValue(&name), space, TCL_ENSEMBLE_PREFIX);
    Tcl_DStringFree(&name);
    return TCL_OK;
}

/* Make the tables commands of the global namespace, where their names are free. */
static int import_tables(aetcl_state *state)
{
    Tcl_Namespace *global = Tcl_GetGlobalNamespace(state->interp);
    for (uint32_t i = 0; i < state->schema->table_count; i++) {
        const char *name = state->tables[i].info->name;
        if (Tcl_FindCommand(state->interp, name, global, TCL_GLOBAL_ONLY) != NULL)
            continue;
        Tcl_Obj *full = Tcl_ObjPrintf("::%s::%s", state->schema->package, name);
        Tcl_IncrRefCount(full);
        const int code = Tcl_Import(state->interp, global, Tcl_GetString(full), 0);
        Tcl_DecrRefCount(full);
        if (code != TCL_OK)
            return TCL_ERROR;
    }
    return TCL_OK;
}

static int check_library(Tcl_Interp *interp, const aero_schema_info *schema)
{
    if (aero_abi() == AERO_ABI && schema->codegen_abi == AERO_CODEGEN_ABI)
        return TCL_OK;
    return aetcl_fail(
        interp, AERO_MISMATCH,
        Tcl_ObjPrintf("package %s was generated for interface %d/%d, and this library "
                      "has %d/%d: regenerate and rebuild it",
                      schema->package, AERO_ABI, (int)schema->codegen_abi, (int)aero_abi(),
                      AERO_CODEGEN_ABI));
}

static int initialise(Tcl_Interp *interp, const aero_schema_info *schema, bool safe)
{
    Tcl_DString key;
    if (Tcl_InitStubs(interp, "8.6-", 0) == NULL || check_library(interp, schema) != TCL_OK)
        return TCL_ERROR;
    key_of(schema, &key);
    int code = TCL_OK;
    if (Tcl_GetAssocData(interp, Tcl_DStringValue(&key), NULL) == NULL) {
        aetcl_state *state = make_state(interp, schema, safe || Tcl_IsSafe(interp));
        Tcl_SetAssocData(interp, Tcl_DStringValue(&key), free_state, state);
        Tcl_Namespace *space = Tcl_FindNamespace(interp, schema->package, NULL, TCL_GLOBAL_ONLY);
        if (space == NULL)
            space = Tcl_CreateNamespace(interp, schema->package, NULL, NULL);
        make_commands(state);
        code = space != NULL ? publish(state, space) : TCL_ERROR;
        if (code == TCL_OK)
            code = import_tables(state);
    }
    Tcl_DStringFree(&key);
    return code == TCL_OK ? Tcl_PkgProvide(interp, schema->package, schema->version) : code;
}

int AeroTcl_Init(Tcl_Interp *interp, const struct aero_schema *schema)
{
    return initialise(interp, schema, false);
}

int AeroTcl_SafeInit(Tcl_Interp *interp, const struct aero_schema *schema)
{
    return initialise(interp, schema, true);
}

int AeroTcl_Unload(Tcl_Interp *interp, int flags, const struct aero_schema *schema)
{
    Tcl_DString key;
    (void)flags;
    key_of(schema, &key);
    aetcl_state *state = Tcl_GetAssocData(interp, Tcl_DStringValue(&key), NULL);
    if (state != NULL && state->running > 0) {
        Tcl_DStringFree(&key);
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("a command of %s is running", schema->package));
    }
    Tcl_Namespace *space = Tcl_FindNamespace(interp, schema->package, NULL, TCL_GLOBAL_ONLY);
    if (space != NULL)
        Tcl_DeleteNamespace(space); /* and with it the commands, the ensemble and the imports */
    Tcl_DeleteAssocData(interp, Tcl_DStringValue(&key));
    Tcl_DStringFree(&key);
    return TCL_OK;
}
