/* aerotcl_private.h — what the files of the Tcl door share.
 *
 * Two structures: a *state* for each interpreter and package, with the interpreter's session, and
 * in it one *table* for each table of the schema.  Both live until the interpreter is gone, so
 * commands may be deleted or renamed while they run.
 *
 * Invariants
 *   I1  A script is evaluated only between aetcl_enter and aetcl_leave.  While one runs, the
 *       session is never closed: aerostore::close only takes note, and the last aetcl_leave closes.
 *   I2  Data of rows reach scripts as values of variables, never as text of a script.
 *   I3  Every error result begins with "TCL_ERROR: " and sets errorCode, except errors of scripts
 *       of the caller, which pass unchanged.
 *
 * Concurrency: all of it belongs to the interpreter's thread, except what database.c guards.
 */
#ifndef AEROTCL_PRIVATE_H
#define AEROTCL_PRIVATE_H

#include <stdbool.h>

#include "aerotcl.h"

#include "aerostore/aerostore.h"
#include "aerostore/descriptor.h"

#ifndef TCL_SIZE_MAX /* Tcl 9 counts in Tcl_Size, Tcl 8.6 in int */
#include <limits.h>
typedef int Tcl_Size;
#define TCL_SIZE_MAX INT_MAX
#endif

struct aetcl_table;
struct aetcl_watch;

/* The savepoint of an inner transaction that runs; on the stack of its command. */
struct aetcl_mark {
    struct aetcl_mark *outer;
    int32_t depth; /* aero_depth just after it was set */
    char name[1 + sizeof(uint64_t)];
};

typedef struct aetcl_state {
    Tcl_Interp *interp;
    const aero_schema_info *schema;
    struct aetcl_table *tables;
    aero_session *session;       /* NULL until the first command that needs it */
    int32_t running;             /* depth of commands on the stack that may evaluate scripts */
    bool safe;                   /* a safe interpreter */
    bool closed;                 /* aerostore::close was called: no silent reopening */
    bool close_pending;          /* closed while running */
    bool opening;                /* its -progress command may be running */
    bool waiting;                /* a call of the session waits for other transactions */
    int stopped;                 /* what ended the last such call: a code, its result left */
    int32_t isolation;           /* of the open outermost transaction */
    struct aetcl_mark *marks;    /* of the inner transactions that run, the innermost first */
    uint64_t savepoints;         /* nested transactions so far: their savepoints' names */
    uint64_t random;             /* state of the jitter of retries */
    struct aetcl_watch *watches; /* open ones */
    uint64_t watch_count;        /* made so far: their commands' names */
    const Tcl_ObjType *int_type, *double_type, *bytes_type;
    Tcl_Obj *empty;     /* what a NULL looks like */
    uint32_t width;     /* most columns of a table */
    aero_value *values; /* scratch of `width` entries each; never kept across a script */
    uint32_t *columns;
    Tcl_Obj **objects;
} aetcl_state;

typedef struct aetcl_table {
    aetcl_state *state;
    const aero_table *info;
    uint32_t index;
    const char *const *names; /* column names and aliases, NULL at the end; lives for ever */
    const uint32_t *name_columns;
    Tcl_Obj **column_names; /* shared values, one a column */
    uint32_t *all;          /* 0, 1, 2, … column_count - 1 */
} aetcl_table;

/* Memory that lives for one command: converted texts.  Start with {NULL}. */
typedef struct aetcl_pool {
    struct aetcl_block *first;
} aetcl_pool;

/* A text of Tcl as plain UTF-8. */
typedef struct aetcl_text {
    const char *data;
    size_t length;
} aetcl_text;

/* One column name and value after another, taken from arguments. */
typedef struct aetcl_pairs {
    uint32_t count;
    uint32_t *columns;
    aero_value *values;
} aetcl_pairs;

/* ---- result.c ------------------------------------------------------------------------------- */

/* Leave "TCL_ERROR: <text>" and errorCode {AEROSTORE <code's name>}; returns TCL_ERROR.  `text` is
 * consumed, usually made by Tcl_ObjPrintf. */
int aetcl_fail(Tcl_Interp *interp, int32_t code, Tcl_Obj *text);
/* The same, with table and, unless NULL, field in errorCode. */
int aetcl_fail_at(const aetcl_table *table, const char *field, int32_t code, Tcl_Obj *text);
/* An error of the engine; `more` (may be NULL, consumed) is added to its text. */
int aetcl_fail_engine(Tcl_Interp *interp, const aero_error *error, Tcl_Obj *more);
/* The last error of the session. */
int aetcl_fail_session(aetcl_state *state);
/* While a call of the session waits (state->waiting). */
int aetcl_fail_waiting(aetcl_state *state);
int aetcl_usage(Tcl_Interp *interp, const char *text);
int aetcl_table_usage(const aetcl_table *table, const char *arguments);
/* Does Tcl spell this UTF-8 text the same way? */
bool aetcl_is_internal(const char *text, size_t length);
/* Text of the engine (UTF-8) as a Tcl value. */
Tcl_Obj *aetcl_string(const char *data, size_t length);
/* Put back the prefix on a message that Tcl itself left (an unknown channel, a bad variable). */
int aetcl_fail_tcl(Tcl_Interp *interp, int32_t code);
/* True when the interpreter's result, left with this code (TCL_ERROR, or TCL_RETURN for a
 * `return -code error`), is an error that may vanish when its transaction is run again. */
bool aetcl_retryable(Tcl_Interp *interp, int code);

/* ---- value.c -------------------------------------------------------------------------------- */

void *aetcl_pool_take(aetcl_pool *pool, size_t size);
void aetcl_pool_free(aetcl_pool *pool);
/* The value's text in plain UTF-8; TYPE when it holds half of a surrogate pair. */
int aetcl_text_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, aetcl_text *text);
/* The same, refusing NUL: for names, paths and settings. */
int aetcl_name_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, aetcl_pool *pool,
                  aetcl_text *text);
/* What a Tcl value means for a column.  The empty string is NULL to a nullable column. */
int aetcl_value_of(const aetcl_table *table, uint32_t column, Tcl_Obj *object, aetcl_pool *pool,
                   aero_value *value);
/* A key: as aetcl_value_of the key column. */
int aetcl_key_of(const aetcl_table *table, Tcl_Obj *object, aetcl_pool *pool, aero_value *key);
/* Values of the engine as Tcl values of their native types, with reference count 0 (or the state's
 * `empty`).  A row's texts must be alive; they may be gone afterwards. */
void aetcl_objects_of(const aetcl_table *table, uint32_t count, const uint32_t *columns,
                      const aero_value *values, Tcl_Obj **objects);
Tcl_Obj *aetcl_object_of(const aetcl_table *table, uint32_t column, const aero_value *value);

/* ---- arguments.c ---------------------------------------------------------------------------- */

/* A decimal integer of at least `low`; `what` names it in the error. */
int aetcl_natural_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, int64_t low,
                     int64_t *number);
int aetcl_boolean_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, bool *value);
/* "4GiB", "512M", "1048576". */
int aetcl_size_of(Tcl_Interp *interp, Tcl_Obj *object, uint64_t *size);
/* A column by name or alias. */
int aetcl_column_of(const aetcl_table *table, Tcl_Obj *object, uint32_t *column);
/* The same, -1 instead of an error. */
int64_t aetcl_column_find(const aetcl_table *table, Tcl_Obj *object);
/* A list of columns; *columns comes from the pool. */
int aetcl_columns_of(const aetcl_table *table, Tcl_Obj *list, aetcl_pool *pool, uint32_t *count,
                     uint32_t **columns);
/* Names and values, in `count` arguments or as one list; a name given twice counts once, with its
 * last value.  With `lenient`, unknown names are skipped. */
int aetcl_pairs_of(const aetcl_table *table, int count, Tcl_Obj *const arguments[], bool lenient,
                   aetcl_pool *pool, aetcl_pairs *pairs);
/* A path of the native file system, as the system spells it. */
int aetcl_path_of(Tcl_Interp *interp, Tcl_Obj *object, const char **path);

/* ---- database.c ----------------------------------------------------------------------------- */

/* Make sure there is a session, opening the default database if the process has none. */
int aetcl_session(aetcl_state *state);
/* Commands that may evaluate scripts stand between these two. */
void aetcl_enter(aetcl_state *state);
void aetcl_leave(aetcl_state *state);
/* Close the session and, after the last one, the database. */
void aetcl_detach(aetcl_state *state);
/* Names and aliases of a table's columns, kept for the life of the process. */
void aetcl_names_of(const aero_schema_info *schema, aetcl_table *table);

/* A command of the package's namespace. */
typedef int aetcl_command(aetcl_state *state, int count, Tcl_Obj *const arguments[]);
aetcl_command aetcl_init, aetcl_close, aetcl_set_config, aetcl_get_config, aetcl_stats,
    aetcl_verify, aetcl_checkpoint_now, aetcl_ttl_sweep, aetcl_transaction, aetcl_savepoint,
    aetcl_rollback_to, aetcl_release;

/* ---- transaction.c -------------------------------------------------------------------------- */

/* Work inside a transaction: TCL_OK, TCL_RETURN, TCL_BREAK and TCL_CONTINUE keep it, anything else
 * undoes it.  Called again when it fails with a retryable error, up to `retries` times; inside an
 * open transaction a savepoint is used and nothing is retried. */
typedef int aetcl_work(void *context);
int aetcl_atomically(aetcl_state *state, int32_t isolation, int64_t retries, aetcl_work *work,
                     void *context);
#define AETCL_RETRIES 16 /* with back-off to 16 ms: a quarter of a second against a hot row */

/* ---- table.c and the subcommands ------------------------------------------------------------ */

int aetcl_table_command(ClientData data, Tcl_Interp *interp, int count, Tcl_Obj *const arguments[]);

/* A subcommand: arguments[0] is the command's name, arguments[1] the subcommand's. */
typedef int aetcl_subcommand(aetcl_table *table, int count, Tcl_Obj *const arguments[]);
aetcl_subcommand aetcl_search, aetcl_explain, aetcl_index, aetcl_ingest_tsv, aetcl_ingest_file,
    aetcl_read_tabsep, aetcl_write_tabsep;
aetcl_subcommand aetcl_watch, aetcl_ttl;
aetcl_subcommand aetcl_get, aetcl_array_get, aetcl_array_get_with_nulls, aetcl_exists, aetcl_count,
    aetcl_names, aetcl_foreach, aetcl_isnull;
aetcl_subcommand aetcl_set, aetcl_store, aetcl_upsert, aetcl_delete, aetcl_lock_for_update,
    aetcl_incr, aetcl_null, aetcl_reset, aetcl_makekey;
aetcl_subcommand aetcl_fields, aetcl_field, aetcl_fieldtype, aetcl_key, aetcl_type, aetcl_methods,
    aetcl_needs_quoting;

/* ---- show.c and rows.c: walking a query with a script --------------------------------------- */

enum aetcl_shape {
    AETCL_SHAPE_NONE,
    AETCL_SHAPE_GET,
    AETCL_SHAPE_ARRAY,
    AETCL_SHAPE_ARRAY_WITH_NULLS,
    AETCL_SHAPE_ARRAY_GET,
    AETCL_SHAPE_ARRAY_GET_WITH_NULLS
};

typedef struct aetcl_walk {
    aetcl_table *table;
    aero_query *query;
    enum aetcl_shape shape;
    Tcl_Obj *row_variable; /* for the shape */
    Tcl_Obj *key_variable; /* may be NULL */
    Tcl_Obj *code;         /* may be NULL */
    uint32_t column_count; /* what the shape shows */
    const uint32_t *columns;
    bool remove;           /* delete each row after its code */
    aetcl_pairs update;    /* or change these columns of it */
    int64_t poll_interval; /* 0: none */
    Tcl_Obj *poll_code;    /* NULL: the event loop is served */
    uint64_t rows;         /* out: rows walked */
} aetcl_walk;

typedef struct aetcl_show aetcl_show;
/* Prepare to show rows of a walk: `count` columns are read, those of the walk and maybe the key. */
aetcl_show *aetcl_show_new(const aetcl_walk *walk, uint32_t count, const uint32_t *columns,
                           aetcl_pool *pool);
/* Set the walk's variables from a row's values. */
int aetcl_show_row(aetcl_show *show, const aero_value *values);
/* The key of the row shown last; REQUIRES: it is among the columns. */
Tcl_Obj *aetcl_show_key(const aetcl_show *show);
/* Let go of all values; the memory is the pool's. */
void aetcl_show_free(aetcl_show *show);

/* Walk the rows.  TCL_OK at the end and after `break`; else what the code returned. */
int aetcl_walk_rows(aetcl_walk *walk);
/* Give a query a glob on the key; it ignores case, as speedtables' does. */
int aetcl_add_glob(aetcl_table *table, aero_query *query, Tcl_Obj *pattern);
/* Count the rows of a query, heeding limits on the interpreter. */
int aetcl_count_rows(aetcl_table *table, aero_query *query, uint64_t *rows);
/* Has the interpreter been cancelled, limited or deleted?  TCL_ERROR then. */
int aetcl_check_limits(Tcl_Interp *interp);

/* The session's error, with how much an ingest had committed before it. */
int aetcl_fail_ingest(aetcl_table *table, const aero_ingest_report *report);

/* ---- watch.c -------------------------------------------------------------------------------- */

/* Close all watches: before the session is closed. */
void aetcl_watches_close(aetcl_state *state);

/* ---- tabsep.c ------------------------------------------------------------------------------- */

enum aetcl_quote {
    AETCL_QUOTE_ESCAPE, /* \t \n \r \\ as in ingest_tsv */
    AETCL_QUOTE_NONE,
    AETCL_QUOTE_URI /* %09 */
};

/* How lines are written or read. */
typedef struct aetcl_tabsep {
    const char *separator; /* NULL: a tab */
    const char *null_text; /* NULL: the empty cell */
    enum aetcl_quote quote;
    bool with_field_names;
    bool no_keys;
    uint32_t column_count;
    const uint32_t *columns;
} aetcl_tabsep;

/* Append a byte of a cell as TSV spells it. */
void aetcl_append_escaped(Tcl_DString *line, char c);
int aetcl_quote_of(Tcl_Interp *interp, Tcl_Obj *object, enum aetcl_quote *quote);
/* A text without NUL and newline. */
int aetcl_separator_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, const char **text);
/* The same for -tab: not empty, and NULL for a tab. */
int aetcl_tab_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, const char **text);
/* A channel of the interpreter that has `mode` (TCL_READABLE or TCL_WRITABLE). */
int aetcl_channel_of(Tcl_Interp *interp, Tcl_Obj *object, int mode, Tcl_Channel *channel);
/* Write a query's rows to a channel. */
int aetcl_write_rows(aetcl_table *table, aero_query *query, Tcl_Channel channel,
                     const aetcl_tabsep *how, aetcl_pool *pool, uint64_t *rows);

#endif
