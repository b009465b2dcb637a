/* The options of an ingest: checked once, copied, so that the caller's may go. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ingest/ingest_private.h"

/* A separator must not be part of a number, an escape, a line end or a UTF-8 sequence. */
static bool is_separator(char c)
{
    return c == '\t' || c == ' ' ||
           (c != '\0' && strchr("!\"#$%&'()*,/;<=>?@[]^`{|}~", c) != NULL) || c == '\x1f' ||
           c == '\x1e';
}

static aero_status copy_columns(ae_ingest_format *format, const aero_table *table,
                                const aero_tsv_options *options, aero_error *error)
{
    const uint32_t count = options->column_count == 0 ? table->column_count : options->column_count;
    if (count > table->column_count)
        return ae_fail(error, AERO_USAGE, "%s: %u columns asked for, the table has %u", table->name,
                       count, table->column_count);
    format->columns = malloc(count * sizeof *format->columns);
    if (format->columns == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for %u columns", count);
    format->column_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t column = options->column_count == 0 ? i : options->columns[i];
        if (column >= table->column_count)
            return ae_fail(error, AERO_USAGE, "%s: no column has the index %u", table->name,
                           column);
        format->columns[i] = column;
        format->generic = format->generic || column != i;
    }
    format->generic = format->generic || count != table->column_count;
    AE_ALWAYS(format->column_count > 0 && format->column_count <= table->column_count);
    return AERO_OK;
}

/* Every column at most once; those left out must be able to do without a value. */
static aero_status check_columns(const ae_ingest_format *format, const aero_table *table,
                                 aero_error *error)
{
    for (uint32_t column = 0; column < table->column_count; column++) {
        uint32_t times = 0;
        for (uint32_t i = 0; i < format->column_count; i++)
            times += format->columns[i] == column;
        const aero_column *const at = &table->columns[column];
        if (times == 1 || (times == 0 && column != table->key_column &&
                           (at->flags & (AERO_COLUMN_NULLABLE | AERO_COLUMN_DEFAULT)) != 0))
            continue;
        if (times > 1)
            ae_fail(error, AERO_USAGE, "%s.%s is among the columns %u times", table->name, at->name,
                    times);
        else
            ae_fail(error, AERO_NULL_VALUE, "%s.%s needs a value and is not among the columns",
                    table->name, at->name);
        ae_error_place(error, table->name, at->name);
        return times > 1 ? AERO_USAGE : AERO_NULL_VALUE;
    }
    return AERO_OK;
}

static aero_status copy_texts(ae_ingest_format *format, const aero_tsv_options *options,
                              aero_error *error)
{
    format->separator = '\t';
    if (options->separator != NULL) {
        if (strlen(options->separator) != 1 || !is_separator(options->separator[0]))
            return ae_fail(error, AERO_USAGE,
                           "a separator is one punctuation character, blank or tab");
        format->separator = options->separator[0];
    }
    if (options->null_text == NULL || options->null_text[0] == '\0')
        return AERO_OK;
    if (strchr(options->null_text, format->separator) != NULL ||
        strpbrk(options->null_text, "\r\n") != NULL)
        return ae_fail(error, AERO_USAGE, "the null text contains a separator or a line end");
    format->null_length = strlen(options->null_text);
    format->null_text = malloc(format->null_length);
    if (format->null_text == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for the null text");
    AE_ALWAYS(format->null_length > 0);
    memcpy(format->null_text, options->null_text, format->null_length);
    format->generic = true;
    return AERO_OK;
}

aero_status aei_format_init(ae_ingest_format *format, const aero_table *table,
                            const aero_tsv_options *options, aero_error *error)
{
    const aero_tsv_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    *format = (ae_ingest_format){.batch_size = options->batch_size,
                                 .progress = options->progress,
                                 .progress_context = options->progress_context};
    if (format->batch_size == 0)
        format->batch_size = AE_INGEST_BATCH_DEFAULT;
    if (format->batch_size > AE_INGEST_BATCH_MAX)
        return ae_fail(error, AERO_LIMIT, "a batch has at most %u rows", AE_INGEST_BATCH_MAX);
    if (options->column_count > 0 && options->columns == NULL)
        return ae_fail(error, AERO_USAGE, "columns are counted but not given");
    aero_status status = copy_columns(format, table, options, error);
    if (status == AERO_OK)
        status = check_columns(format, table, error);
    if (status == AERO_OK)
        status = copy_texts(format, options, error);
    return status;
}
