/* tabsep.c — writing rows to a channel: write_tabsep and search -write_tabsep.
 *
 * By default the engine writes, as ingest_tsv reads it back; other separators, and -quote none and
 * uri for readers that want speedtables' other spellings, are written here.  A line goes to the
 * channel as characters, so the channel's -encoding decides about bytes.
 */
#include <string.h>

#include "aerotcl_private.h"

/* Lines on their way to a channel. */
struct output {
    aetcl_state *state;
    Tcl_Channel channel;
    Tcl_DString pending; /* whole lines are sent, so that no character is cut */
    bool failed;         /* the channel refused */
};

int aetcl_quote_of(Tcl_Interp *interp, Tcl_Obj *object, enum aetcl_quote *quote)
{
    static const char *const names[] = {"escape", "none", "uri", NULL};
    int index;
    if (Tcl_GetIndexFromObj(NULL, object, names, "quote", TCL_EXACT, &index) != TCL_OK)
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("-quote must be escape, none or uri, not \"%.40s\"",
                                        Tcl_GetString(object)));
    *quote = (enum aetcl_quote)index;
    return TCL_OK;
}

int aetcl_separator_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, const char **text)
{
    aetcl_text name;
    if (aetcl_name_of(interp, object, "a separator or null text", pool, &name) != TCL_OK)
        return TCL_ERROR;
    if (memchr(name.data, '\n', name.length) != NULL)
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_NewStringObj("a separator or null text may not hold a newline", -1));
    char *copy = aetcl_pool_take(pool, name.length + 1);
    memcpy(copy, name.data, name.length);
    copy[name.length] = '\0';
    *text = copy;
    return TCL_OK;
}

int aetcl_tab_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, const char **text)
{
    if (aetcl_separator_of(interp, object, pool, text) != TCL_OK)
        return TCL_ERROR;
    if ((*text)[0] == '\0')
        return aetcl_fail(interp, AERO_USAGE, Tcl_NewStringObj("-tab may not be empty", -1));
    if (strcmp(*text, "\t") == 0)
        *text = NULL;
    return TCL_OK;
}

int aetcl_channel_of(Tcl_Interp *interp, Tcl_Obj *object, int mode, Tcl_Channel *channel)
{
    int modes;
    *channel = Tcl_GetChannel(interp, Tcl_GetString(object), &modes);
    if (*channel == NULL)
        return aetcl_fail_tcl(interp, AERO_USAGE);
    if ((modes & mode) == 0)
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_ObjPrintf("channel \"%.100s\" is not %s", Tcl_GetString(object),
                                        mode == TCL_READABLE ? "readable" : "writable"));
    return TCL_OK;
}

/* ---- sending -------------------------------------------------------------------------------- */

static int send(struct output *output, const char *data, size_t length)
{
    Tcl_Obj *text = aetcl_string(data, length);
    Tcl_IncrRefCount(text);
    if (Tcl_WriteObj(output->channel, text) < 0)
        output->failed = true;
    Tcl_DecrRefCount(text);
    return output->failed || output->state->close_pending;
}

/* The engine's writer: pieces may be cut anywhere, lines are sent. */
static int32_t write_piece(void *context, const char *data, size_t length)
{
    struct output *output = context;
    const char *last = memrchr(data, '\n', length);
    const size_t whole = last != NULL ? (size_t)(last - data) + 1 : 0;
    int stop = 0;
    if (whole > 0 && Tcl_DStringLength(&output->pending) > 0) {
        Tcl_DStringAppend(&output->pending, data, (Tcl_Size)whole);
        stop = send(output, Tcl_DStringValue(&output->pending),
                    (size_t)Tcl_DStringLength(&output->pending));
        Tcl_DStringSetLength(&output->pending, 0);
    } else if (whole > 0) {
        stop = send(output, data, whole);
    }
    if (whole < length)
        Tcl_DStringAppend(&output->pending, data + whole, (Tcl_Size)(length - whole));
    return stop;
}

static int write_engine(aetcl_table *table, aero_cursor *cursor, struct output *output,
                        const aetcl_tabsep *how, uint64_t *rows)
{
    const aero_tsv_options options = {
        .column_count = how->column_count,
        .columns = how->columns,
        .null_text = how->null_text,
        .header = how->with_field_names,
    };
    if (aero_write_tsv(cursor, &options, write_piece, output, rows) == AERO_OK || output->failed)
        return TCL_OK;
    return aetcl_fail_session(table->state);
}

/* ---- other spellings ------------------------------------------------------------------------ */

void aetcl_append_escaped(Tcl_DString *line, char c)
{
    static const char special[] = "\t\n\r\\";
    static const char letters[] = "tnr\\0";
    const char *at = memchr(special, c, sizeof special); /* with its NUL */
    if (at != NULL) {
        Tcl_DStringAppend(line, "\\", 1);
        c = letters[at - special];
    }
    Tcl_DStringAppend(line, &c, 1);
}

/* Append a byte as `mark` and two hexadecimal digits. */
static void append_hex(Tcl_DString *line, const char *mark, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char byte = (unsigned char)c;
    const char code[2] = {digits[byte >> 4], digits[byte & 15]};
    Tcl_DStringAppend(line, mark, -1);
    Tcl_DStringAppend(line, code, 2);
}

/* Append the text of a cell.  Where the quoting can, no part of it looks like a separator, and the
 * whole does not look like a NULL. */
static void append_text(Tcl_DString *line, const aetcl_tabsep *how, bool nullable, const char *text,
                        size_t length)
{
    const char separator = how->separator != NULL ? how->separator[0] : '\t';
    const bool escapes = how->quote == AETCL_QUOTE_ESCAPE;
    const bool like_null = how->null_text != NULL && strlen(how->null_text) == length &&
                           memcmp(how->null_text, text, length) == 0;
    if (how->quote == AETCL_QUOTE_NONE) {
        Tcl_DStringAppend(line, text, (Tcl_Size)length);
        return;
    }
    const bool empty = length == 0 && nullable &&
                       (how->null_text == NULL || *how->null_text == '\0');
    if ((like_null || empty) && escapes)
        Tcl_DStringAppend(line, "\\e", 2);
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (escapes && (text[i] != separator || separator == '\t'))
            aetcl_append_escaped(line, text[i]);
        else if (escapes)
            append_hex(line, "\\x", text[i]);
        else if (byte < 0x20 || byte == '%' || byte == 0x7F || text[i] == separator ||
                 (like_null && i == 0))
            append_hex(line, "%", text[i]);
        else
            Tcl_DStringAppend(line, text + i, 1);
    }
}

/* One row in the quoting asked for. */
static int write_row(aetcl_table *table, const aero_row *row, const aetcl_tabsep *how,
                     aero_value *values, Tcl_DString *line)
{
    aetcl_state *state = table->state;
    Tcl_DStringSetLength(line, 0);
    for (uint32_t i = 0; i < how->column_count; i++) {
        const char *text = how->null_text != NULL ? how->null_text : "";
        size_t length = strlen(text);
        bool null;
        if (i > 0)
            Tcl_DStringAppend(line, how->separator != NULL ? how->separator : "\t", -1);
        aero_row_values(row, 1, &how->columns[i], &values[i]);
        null = values[i].type == AERO_TYPE_NULL;
        if (!null && aero_format(state->session, table->index, how->columns[i], &values[i], &text,
                                 &length) != AERO_OK)
            return aetcl_fail_session(state);
        if (null)
            Tcl_DStringAppend(line, text, (Tcl_Size)length);
        else
            append_text(line, how, table->info->columns[how->columns[i]].null_index >= 0, text,
                        length);
    }
    Tcl_DStringAppend(line, "\n", 1);
    return TCL_OK;
}

static void write_names(aetcl_table *table, const aetcl_tabsep *how, Tcl_DString *line)
{
    for (uint32_t i = 0; i < how->column_count; i++) {
        if (i > 0)
            Tcl_DStringAppend(line, how->separator != NULL ? how->separator : "\t", -1);
        Tcl_DStringAppend(line, table->info->columns[how->columns[i]].name, -1);
    }
    Tcl_DStringAppend(line, "\n", 1);
}

static int write_quoted(aetcl_table *table, aero_cursor *cursor, struct output *output,
                        const aetcl_tabsep *how, uint64_t *rows)
{
    aetcl_pool pool = {NULL};
    Tcl_DString line;
    const aero_row *row;
    aero_value *values = aetcl_pool_take(&pool, (how->column_count + 1) * sizeof *values);
    int code = TCL_OK, stop = 0;
    Tcl_DStringInit(&line);
    if (how->with_field_names) {
        write_names(table, how, &line);
        stop = send(output, Tcl_DStringValue(&line), (size_t)Tcl_DStringLength(&line));
    }
    for (*rows = 0; code == TCL_OK && !stop; ++*rows) {
        if (aero_cursor_next(cursor, &row) != AERO_OK) {
            code = aetcl_fail_session(table->state);
            break;
        }
        if (row == NULL)
            break;
        code = write_row(table, row, how, values, &line);
        if (code == TCL_OK)
            stop = send(output, Tcl_DStringValue(&line), (size_t)Tcl_DStringLength(&line));
        if (code == TCL_OK)
            code = aetcl_check_limits(table->state->interp);
    }
    Tcl_DStringFree(&line);
    aetcl_pool_free(&pool);
    return code;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Complete the columns: all of them when none is named, and the key in front when it is not among
 * those named. */
static void complete(aetcl_table *table, const aetcl_tabsep *how, aetcl_pool *pool,
                     aetcl_tabsep *whole)
{
    const uint32_t key = table->info->key_column;
    *whole = *how;
    if (how->column_count == 0) {
        whole->column_count = table->info->column_count;
        whole->columns = table->all;
        return;
    }
    for (uint32_t i = 0; i < how->column_count; i++)
        if (how->columns[i] == key)
            return;
    if (how->no_keys)
        return;
    uint32_t *columns = aetcl_pool_take(pool, (how->column_count + 1) * sizeof *columns);
    columns[0] = key;
    memcpy(columns + 1, how->columns, how->column_count * sizeof *columns);
    whole->columns = columns;
    whole->column_count = how->column_count + 1;
}

int aetcl_write_rows(aetcl_table *table, aero_query *query, Tcl_Channel channel,
                     const aetcl_tabsep *how, aetcl_pool *pool, uint64_t *rows)
{
    aetcl_state *state = table->state;
    struct output output = {.state = state, .channel = channel};
    aetcl_tabsep whole;
    aero_cursor *cursor;
    int code;
    complete(table, how, pool, &whole);
    Tcl_DStringInit(&output.pending);
    aetcl_enter(state);
    Tcl_RegisterChannel(NULL, channel); /* a channel made of a script might close itself */
    if (aero_cursor_open(query, &cursor) != AERO_OK) {
        code = aetcl_fail_session(state);
    } else {
        code = whole.quote == AETCL_QUOTE_ESCAPE && whole.separator == NULL
                   ? write_engine(table, cursor, &output, &whole, rows)
                   : write_quoted(table, cursor, &output, &whole, rows);
        aero_cursor_close(cursor);
    }
    if (code == TCL_OK && output.failed)
        code = aetcl_fail_at(table, NULL, AERO_IO,
                             Tcl_ObjPrintf("error writing \"%s\": %s", Tcl_GetChannelName(channel),
                                           Tcl_PosixError(state->interp)));
    Tcl_UnregisterChannel(NULL, channel);
    aetcl_leave(state);
    Tcl_DStringFree(&output.pending);
    return code;
}

/* Read one option of write_tabsep; *at moves over it.  TCL_CONTINUE when it is a field's name. */
static int write_option(aetcl_table *table, int count, Tcl_Obj *const arguments[], int *at,
                        aetcl_pool *pool, aetcl_tabsep *how, Tcl_Obj **glob)
{
    static const char *const names[] = {
        "-nokeys", "-with_field_names", "-glob", "-tab", "-null", "-quote", NULL};
    enum { NO_KEYS, WITH_FIELD_NAMES, GLOB, TAB, NULL_TEXT, QUOTE };
    Tcl_Interp *interp = table->state->interp;
    const char *option = Tcl_GetString(arguments[*at]);
    int index;
    if (option[0] != '-')
        return TCL_CONTINUE;
    if (Tcl_GetIndexFromObj(NULL, arguments[*at], names, "option", TCL_EXACT, &index) != TCL_OK)
        return aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_ObjPrintf("unknown write_tabsep option: %.100s", option));
    ++*at;
    if (index == NO_KEYS)
        how->no_keys = true;
    if (index == WITH_FIELD_NAMES)
        how->with_field_names = true;
    if (index < GLOB)
        return TCL_OK;
    if (*at >= count)
        return aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_ObjPrintf("missing value for %s", option));
    Tcl_Obj *value = arguments[(*at)++];
    switch (index) {
    case GLOB:
        *glob = value;
        return TCL_OK;
    case TAB:
        return aetcl_tab_of(interp, value, pool, &how->separator);
    case NULL_TEXT:
        return aetcl_separator_of(interp, value, pool, &how->null_text);
    default:
        return aetcl_quote_of(interp, value, &how->quote);
    }
}

/* Build the query of write_tabsep. */
static int glob_query(aetcl_table *table, Tcl_Obj *glob, aero_query **query)
{
    if (aetcl_session(table->state) != TCL_OK)
        return TCL_ERROR;
    if (aero_query_new(table->state->session, table->index, query) != AERO_OK)
        return aetcl_fail_session(table->state);
    return glob != NULL ? aetcl_add_glob(table, *query, glob) : TCL_OK;
}

/* write_tabsep channel ?option …? ?field …?: returns the number of rows written */
int aetcl_write_tabsep(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    aetcl_pool pool = {NULL};
    aetcl_tabsep how = {0};
    aero_query *query = NULL;
    Tcl_Channel channel;
    Tcl_Obj *glob = NULL;
    uint64_t rows = 0;
    int at = 3, code = TCL_OK;
    if (count < 3)
        return aetcl_table_usage(table, "write_tabsep channel ?option ...? ?field ...?");
    while (code == TCL_OK && at < count)
        code = write_option(table, count, arguments, &at, &pool, &how, &glob);
    if (code == TCL_CONTINUE)
        code = TCL_OK;
    uint32_t *columns = aetcl_pool_take(&pool, (size_t)(count - at + 1) * sizeof *columns);
    for (; code == TCL_OK && at < count; at++)
        code = aetcl_column_of(table, arguments[at], &columns[how.column_count++]);
    how.columns = columns;
    if (code == TCL_OK)
        code = aetcl_channel_of(table->state->interp, arguments[2], TCL_WRITABLE, &channel);
    aetcl_enter(table->state);
    if (code == TCL_OK)
        code = glob_query(table, glob, &query);
    if (code == TCL_OK)
        code = aetcl_write_rows(table, query, channel, &how, &pool, &rows);
    if (query != NULL)
        aero_query_free(query);
    aetcl_leave(table->state);
    aetcl_pool_free(&pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)rows));
    return code;
}
