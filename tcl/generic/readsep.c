/* readsep.c — read_tabsep: rows from a channel, line by line.
 *
 * Lines in the engine's own spelling go to it unchanged.  Other separators, quotings and null
 * texts, and columns to be left out, are rewritten into that spelling first.  A line that is
 * skipped is fed as a blank one, so that the line numbers in errors are those of the channel.
 *
 * Unlike in speedtables, a blank line does not end the input (-term does), and superfluous cells
 * are an error.
 */
#include <string.h>

#include "aerotcl_private.h"

struct reader {
    aetcl_table *table;
    aetcl_pool pool;
    Tcl_Channel channel;
    aetcl_tabsep how;
    Tcl_Obj *glob, *skip, *term;
    bool lenient;     /* -nocomplain: unknown names in the header are left out */
    uint32_t count;   /* cells a line should have */
    int64_t *columns; /* of each cell; -1: left out */
    bool rewrites;
    bool begun;       /* the first line was read */
    Tcl_DString line; /* the rewritten line */
    aero_ingest *ingest;
};

/* ---- rewriting ------------------------------------------------------------------------------ */

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit | 0x20) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static void append_cell(struct reader *reader, int64_t column, const char *text, size_t length)
{
    const aetcl_tabsep *how = &reader->how;
    const bool nullable = column >= 0 && reader->table->info->columns[column].null_index >= 0;
    if (how->null_text != NULL && strlen(how->null_text) == length &&
        memcmp(how->null_text, text, length) == 0) {
        Tcl_DStringAppend(&reader->line, "\\N", 2);
        return;
    }
    if (how->null_text != NULL && length == 0 && nullable) {
        Tcl_DStringAppend(&reader->line, "\\e", 2);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (how->quote == AETCL_QUOTE_ESCAPE && text[i] != '\t') {
            Tcl_DStringAppend(&reader->line, text + i, 1);
            continue;
        }
        if (how->quote == AETCL_QUOTE_URI && text[i] == '%' && i + 2 < length) {
            const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
            if (high >= 0 && low >= 0) {
                aetcl_append_escaped(&reader->line, (char)(high << 4 | low));
                i += 2;
                continue;
            }
        }
        aetcl_append_escaped(&reader->line, text[i]);
    }
}

/* Does the key's cell pass -glob? */
static bool passes(const struct reader *reader, const char *text, size_t length)
{
    Tcl_Obj *key = aetcl_string(text, length);
    Tcl_IncrRefCount(key);
    const bool matches = Tcl_StringCaseMatch(Tcl_GetString(key), Tcl_GetString(reader->glob),
                                             TCL_MATCH_NOCASE) != 0;
    Tcl_DecrRefCount(key);
    return matches;
}

/* Rewrite a line; false when -glob leaves it out. */
static bool rewrite(struct reader *reader, const char *text, size_t length)
{
    const char *separator = reader->how.separator != NULL ? reader->how.separator : "\t";
    const size_t width = strlen(separator);
    bool first = true;
    Tcl_DStringSetLength(&reader->line, 0);
    for (uint32_t cell = 0;; cell++) {
        const char *end = memmem(text, length, separator, width);
        const size_t size = end != NULL ? (size_t)(end - text) : length;
        const int64_t column = cell < reader->count ? reader->columns[cell] : INT64_MIN;
        if (column == reader->table->info->key_column && reader->glob != NULL &&
            !passes(reader, text, size))
            return false;
        if (column != -1) {
            if (!first)
                Tcl_DStringAppend(&reader->line, "\t", 1);
            first = false;
            append_cell(reader, column, text, size);
        }
        if (end == NULL)
            return true;
        text = end + width;
        length -= size + width;
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A byte order mark before the first line is no part of a cell or of a name in the header. */
static void skip_mark(Tcl_Obj *line)
{
    const char *text = Tcl_GetString(line);
    if (strncmp(text, "\xef\xbb\xbf", 3) != 0)
        return;
    Tcl_Obj *rest = Tcl_NewStringObj(text + 3, -1);
    Tcl_IncrRefCount(rest);
    Tcl_SetObjLength(line, 0);
    Tcl_AppendObjToObj(line, rest);
    Tcl_DecrRefCount(rest);
}

/* The next line; TCL_BREAK at the end of the channel. */
static int next_line(struct reader *reader, Tcl_Obj *line)
{
    Tcl_Interp *interp = reader->table->state->interp;
    Tcl_SetObjLength(line, 0);
    if (Tcl_GetsObj(reader->channel, line) >= 0) {
        if (!reader->begun)
            skip_mark(line);
        reader->begun = true;
        return TCL_OK;
    }
    if (Tcl_Eof(reader->channel))
        return TCL_BREAK;
    if (Tcl_InputBlocked(reader->channel))
        return aetcl_fail(interp, AERO_USAGE,
                          Tcl_NewStringObj("the channel has no line yet; read_tabsep needs a "
                                           "blocking channel",
                                           -1));
    return aetcl_fail(interp, AERO_IO,
                      Tcl_ObjPrintf("error reading \"%s\": %s", Tcl_GetChannelName(reader->channel),
                                    Tcl_PosixError(interp)));
}

static int feed(struct reader *reader, const char *text, size_t length)
{
    if (aero_ingest_feed(reader->ingest, text, length) != AERO_OK ||
        aero_ingest_feed(reader->ingest, "\n", 1) != AERO_OK)
        return aetcl_fail_session(reader->table->state);
    return TCL_OK;
}

static int read_line(struct reader *reader, Tcl_Obj *line)
{
    aetcl_text text;
    aetcl_pool pool = {NULL};
    const char *spelled = Tcl_GetString(line);
    if (reader->term != NULL && Tcl_StringMatch(spelled, Tcl_GetString(reader->term)))
        return TCL_BREAK;
    if (reader->skip != NULL && Tcl_StringMatch(spelled, Tcl_GetString(reader->skip)))
        return feed(reader, "", 0);
    int code = aetcl_text_of(reader->table->state->interp, line, &pool, &text);
    if (code == TCL_OK && reader->rewrites && text.length > 0) {
        const bool kept = rewrite(reader, text.data, text.length);
        code = feed(reader, kept ? Tcl_DStringValue(&reader->line) : "",
                    kept ? (size_t)Tcl_DStringLength(&reader->line) : 0);
    } else if (code == TCL_OK) {
        code = feed(reader, text.data, text.length);
    }
    aetcl_pool_free(&pool);
    return code;
}

/* Take the columns from the first line. */
static int read_header(struct reader *reader, Tcl_Obj *line)
{
    aetcl_text text;
    const char *separator = reader->how.separator != NULL ? reader->how.separator : "\t";
    const size_t width = strlen(separator);
    int code = next_line(reader, line);
    if (code != TCL_OK)
        return code;
    if (aetcl_text_of(reader->table->state->interp, line, &reader->pool, &text) != TCL_OK)
        return TCL_ERROR;
    reader->columns = aetcl_pool_take(&reader->pool, (text.length + 1) * sizeof *reader->columns);
    for (const char *end = text.data; end != NULL;) {
        end = memmem(text.data, text.length, separator, width);
        const size_t size = end != NULL ? (size_t)(end - text.data) : text.length;
        Tcl_Obj *name = aetcl_string(text.data, size);
        uint32_t column = 0;
        Tcl_IncrRefCount(name);
        const bool left_out = reader->lenient && aetcl_column_find(reader->table, name) < 0;
        if (!left_out)
            code = aetcl_column_of(reader->table, name, &column);
        Tcl_DecrRefCount(name);
        if (code != TCL_OK)
            return code;
        reader->columns[reader->count++] = left_out ? -1 : (int64_t)column;
        reader->rewrites |= left_out;
        if (end != NULL) {
            text.data = end + width;
            text.length -= size + width;
        }
    }
    return TCL_OK;
}

/* Begin the ingest with the columns that are kept. */
static int open_ingest(struct reader *reader)
{
    aetcl_table *table = reader->table;
    uint32_t *kept = aetcl_pool_take(&reader->pool, (reader->count + 1) * sizeof *kept);
    uint32_t count = 0;
    bool keyed = false;
    for (uint32_t i = 0; i < reader->count; i++) {
        if (reader->columns[i] < 0)
            continue;
        kept[count++] = (uint32_t)reader->columns[i];
        keyed |= kept[count - 1] == table->info->key_column;
    }
    if (!keyed)
        return aetcl_fail_at(table, table->info->columns[table->info->key_column].name, AERO_USAGE,
                             Tcl_ObjPrintf("the key %s is not among the fields",
                                           table->info->columns[table->info->key_column].name));
    const aero_tsv_options options = {.column_count = count, .columns = kept};
    if (aero_ingest_open(table->state->session, table->index, &options, &reader->ingest) != AERO_OK)
        return aetcl_fail_session(table->state);
    if (reader->how.with_field_names && aero_ingest_feed(reader->ingest, "\n", 1) != AERO_OK)
        return aetcl_fail_session(table->state);
    return TCL_OK;
}

static int read_all(struct reader *reader, aero_ingest_report *report)
{
    aetcl_state *state = reader->table->state;
    Tcl_Obj *line = Tcl_NewObj();
    int code = TCL_OK;
    Tcl_IncrRefCount(line);
    if (reader->how.with_field_names)
        code = read_header(reader, line);
    const bool empty = code == TCL_BREAK;
    if (code == TCL_OK)
        code = open_ingest(reader);
    while (code == TCL_OK) {
        code = next_line(reader, line);
        if (code == TCL_OK)
            code = read_line(reader, line);
        if (code == TCL_OK)
            code = aetcl_check_limits(state->interp);
        if (code == TCL_OK && state->close_pending)
            code = aetcl_fail_at(reader->table, NULL, AERO_STALE,
                                 Tcl_NewStringObj("the database was closed while it read", -1));
    }
    Tcl_DecrRefCount(line);
    if (code != TCL_BREAK)
        return code;
    if (!empty && aero_ingest_finish(reader->ingest, report) != AERO_OK)
        return aetcl_fail_ingest(reader->table, report);
    return TCL_OK;
}

/* ---- the command ---------------------------------------------------------------------------- */

enum read_option {
    NO_KEYS,
    WITH_FIELD_NAMES,
    WITH_NULLS,
    NO_COMPLAIN,
    GLOB,
    TAB,
    NULL_TEXT,
    QUOTE,
    SKIP,
    TERM
};

static int set_option(struct reader *reader, int option, Tcl_Obj *value)
{
    Tcl_Interp *interp = reader->table->state->interp;
    switch (option) {
    case GLOB:
        reader->glob = value;
        reader->rewrites = true;
        return TCL_OK;
    case SKIP:
        reader->skip = value;
        return TCL_OK;
    case TERM:
        reader->term = value;
        return TCL_OK;
    case TAB:
        reader->rewrites = true;
        return aetcl_tab_of(interp, value, &reader->pool, &reader->how.separator);
    case NULL_TEXT:
        reader->rewrites = true;
        return aetcl_separator_of(interp, value, &reader->pool, &reader->how.null_text);
    default:
        if (aetcl_quote_of(interp, value, &reader->how.quote) != TCL_OK)
            return TCL_ERROR;
        reader->rewrites |= reader->how.quote != AETCL_QUOTE_ESCAPE;
        return TCL_OK;
    }
}

static int read_options(struct reader *reader, int count, Tcl_Obj *const arguments[], int *at)
{
    static const char *const names[] = {"-nokeys",     "-with_field_names",
                                        "-with_nulls", "-nocomplain",
                                        "-glob",       "-tab",
                                        "-null",       "-quote",
                                        "-skip",       "-term",
                                        NULL};
    for (; *at < count && Tcl_GetString(arguments[*at])[0] == '-'; ++*at) {
        int option;
        if (Tcl_GetIndexFromObj(NULL, arguments[*at], names, "option", TCL_EXACT, &option) !=
            TCL_OK)
            return aetcl_fail_at(
                reader->table, NULL, AERO_USAGE,
                Tcl_ObjPrintf("unknown read_tabsep option: %.100s", Tcl_GetString(arguments[*at])));
        reader->how.no_keys |= option == NO_KEYS;
        reader->how.with_field_names |= option == WITH_FIELD_NAMES;
        reader->lenient |= option == NO_COMPLAIN;
        if (option < GLOB)
            continue;
        if (++*at >= count)
            return aetcl_fail_at(reader->table, NULL, AERO_USAGE,
                                 Tcl_ObjPrintf("missing value for %s", names[option]));
        if (set_option(reader, option, arguments[*at]) != TCL_OK)
            return TCL_ERROR;
    }
    return TCL_OK;
}

/* The cells of a line: the fields named, after the key if it is not one of them; or all columns. */
static int read_fields(struct reader *reader, int count, Tcl_Obj *const names[])
{
    const aetcl_table *table = reader->table;
    const uint32_t key = table->info->key_column;
    bool keyed = reader->how.no_keys;
    if (reader->how.with_field_names && count > 0)
        return aetcl_fail_at(table, NULL, AERO_USAGE,
                             Tcl_NewStringObj("Can not specify explicit field names when reading "
                                              "with \"-with_field_names\"",
                                              -1));
    if (reader->how.with_field_names)
        return TCL_OK;
    const uint32_t room = (count > 0 ? (uint32_t)count : table->info->column_count) + 1;
    reader->columns = aetcl_pool_take(&reader->pool, room * sizeof *reader->columns);
    for (uint32_t i = 0; count == 0 && i < table->info->column_count; i++)
        reader->columns[reader->count++] = i;
    for (int i = 0; i < count; i++) {
        uint32_t column;
        if (aetcl_column_of(table, names[i], &column) != TCL_OK)
            return TCL_ERROR;
        reader->columns[reader->count++] = column;
        keyed |= column == key;
    }
    if (count > 0 && !keyed) {
        memmove(reader->columns + 1, reader->columns, reader->count * sizeof *reader->columns);
        reader->columns[0] = key;
        reader->count++;
    }
    return TCL_OK;
}

/* read_tabsep channel ?option …? ?field …?: returns the number of rows read */
int aetcl_read_tabsep(aetcl_table *table, int count, Tcl_Obj *const arguments[])
{
    struct reader reader = {.table = table};
    aero_ingest_report report = {0};
    int at = 3;
    if (count < 3)
        return aetcl_table_usage(table, "read_tabsep channel ?option ...? ?field ...?");
    int code = read_options(&reader, count, arguments, &at);
    if (code == TCL_OK)
        code = read_fields(&reader, count - at, arguments + at);
    if (code == TCL_OK)
        code = aetcl_channel_of(table->state->interp, arguments[2], TCL_READABLE, &reader.channel);
    if (code == TCL_OK)
        code = aetcl_session(table->state);
    if (code == TCL_OK) {
        Tcl_DStringInit(&reader.line);
        aetcl_enter(table->state);
        Tcl_RegisterChannel(NULL,
                            reader.channel); /* a channel made of a script might close itself */
        code = read_all(&reader, &report);
        if (reader.ingest != NULL)
            aero_ingest_free(reader.ingest);
        Tcl_UnregisterChannel(NULL, reader.channel);
        aetcl_leave(table->state);
        Tcl_DStringFree(&reader.line);
    }
    aetcl_pool_free(&reader.pool);
    if (code == TCL_OK)
        Tcl_SetObjResult(table->state->interp, Tcl_NewWideIntObj((Tcl_WideInt)report.rows_seen));
    return code;
}
