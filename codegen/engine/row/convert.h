/* convert.h — values of columns: from loose values to what a column stores, and to text.
 *
 * Concurrency: pure functions.
 */
#ifndef AE_ROW_CONVERT_H
#define AE_ROW_CONVERT_H

#include "aerostore/gen.h" /* AE_TEXT_MAX, for scratch memory */
#include "base/error.h"

/* Convert `in` (any type) to the raw value of the column's kind (aero_column.get in descriptor.h):
 *   BOOL → BOOL; INT* → INT; UINT* → INT or UINT; FLOAT* → DOUBLE; TIMESTAMP → TIME;
 *   CHAR, INET → INT; FIXED, TEXT → TEXT; IPV6, MAC, BYTES → BYTES.
 * TEXT in is parsed as a TSV cell (of a BYTES column: taken as it is when it is BYTES, decoded from
 * hexadecimal into `scratch` when it is TEXT); an int given to a real column, a real with an
 * integral value given to an int column, BOOL given to an int column and a number given to a TEXT
 * column convert exactly or not at all.  A number given to a TIMESTAMP column is Unix seconds.  A
 * NULL stays NULL (NULL_VALUE when the column is not nullable).  `scratch` has room for
 * AE_TEXT_MAX + in->length bytes and must outlive *out.
 * Errors: TYPE, LENGTH, NULL_VALUE, with table and column named in the text. */
aero_status ae_convert(const aero_table *table, uint32_t column, const aero_value *in,
                       char *scratch, aero_value *out, aero_error *error);

/* The same without a sentence: *reason is a constant text such as "integer out of range".  For
 * callers that say themselves where the value stood. */
aero_status ae_convert_value(const aero_column *column, const aero_value *in, char *scratch,
                             aero_value *out, const char **reason);

/* Text of a raw value as TSV shows it, before escaping: points into the value for texts, into
 * `scratch` (AE_TEXT_MAX + 2 * length bytes) otherwise.  NULL gives length 0. */
void ae_format(const aero_column *column, const aero_value *value, char *scratch, const char **text,
               size_t *length);

/* Does a column of this kind need its text made (ae_present)? */
static inline bool ae_is_presented(uint8_t kind)
{
    return kind == AERO_KIND_CHAR || kind == AERO_KIND_INET || kind == AERO_KIND_IPV6 ||
           kind == AERO_KIND_MAC;
}

/* Raw value → the value users see: CHAR, INET, IPV6 and MAC become TEXT in `scratch` (AE_TEXT_MAX
 * bytes); every other value is passed through.  Doors never see raw values of those kinds. */
void ae_present(const aero_column *column, const aero_value *raw, char *scratch, aero_value *out);

/* Index of the column with this name or alias, or -1. */
int32_t ae_column_lookup(const aero_table *table, const char *name, size_t length);

#endif
