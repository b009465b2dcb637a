/* Values on their way out of a column, and columns by name.  Contract in convert.h. */
#include "row/convert.h"
#include "row/hex.h"

/* Text of a raw value of a kind whose raw form is not what users see; 0 for other kinds. */
static size_t special_text(uint8_t kind, const aero_value *raw, char *scratch)
{
    switch (kind) {
    case AERO_KIND_CHAR:
        return ae_text_of_char((uint32_t)raw->u.integer, scratch);
    case AERO_KIND_INET:
        return ae_text_of_inet((uint32_t)raw->u.integer, scratch);
    case AERO_KIND_IPV6:
        return ae_text_of_ipv6((const uint8_t *)raw->u.data, scratch);
    case AERO_KIND_MAC:
        return ae_text_of_mac((const uint8_t *)raw->u.data, scratch);
    default:
        return 0;
    }
}

void ae_present(const aero_column *column, const aero_value *raw, char *scratch, aero_value *out)
{
    const size_t length = raw->type == AERO_TYPE_NULL ? 0
                                                      : special_text(column->kind, raw, scratch);
    if (length == 0)
        *out = *raw;
    else
        *out = (aero_value){.type = AERO_TYPE_TEXT, .length = (uint32_t)length, .u.data = scratch};
}

void ae_format(const aero_column *column, const aero_value *value, char *scratch, const char **text,
               size_t *length)
{
    *text = scratch;
    *length = 0;
    if (value->type == AERO_TYPE_NULL)
        return;
    *length = special_text(column->kind, value, scratch);
    if (*length > 0)
        return;
    AE_ASSERT(value->type != AERO_TYPE_BYTES || value->u.data != NULL || value->length == 0);
    switch (value->type) {
    case AERO_TYPE_BOOL:
    case AERO_TYPE_INT:
        *length = ae_text_of_int(value->u.integer, scratch);
        return;
    case AERO_TYPE_UINT:
        *length = ae_text_of_uint(value->u.natural, scratch);
        return;
    case AERO_TYPE_DOUBLE: /* a float column prints the digits that tell floats apart */
        *length = column->kind == AERO_KIND_FLOAT32
                      ? ae_text_of_float((float)value->u.real, scratch)
                      : ae_text_of_double(value->u.real, scratch);
        return;
    case AERO_TYPE_TIME:
        *length = ae_text_of_timestamp(value->u.integer, scratch);
        return;
    case AERO_TYPE_BYTES:
        ae_hex_encode(value->u.data, value->length, scratch);
        *length = 2 * (size_t)value->length;
        return;
    default: /* TEXT is its own text */
        *text = value->u.data;
        *length = value->length;
        return;
    }
}

static bool same_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

int32_t ae_column_lookup(const aero_table *table, const char *name, size_t length)
{
    /* Names first: a name is never another column's alias, the compiler sees to that. */
    for (uint32_t column = 0; column < table->column_count; column++) {
        if (same_name(table->columns[column].name, name, length))
            return (int32_t)column;
    }
    for (uint32_t column = 0; column < table->column_count; column++) {
        const aero_column *const at = &table->columns[column];
        for (uint16_t alias = 0; alias < at->alias_count; alias++) {
            if (same_name(at->aliases[alias], name, length))
                return (int32_t)column;
        }
    }
    return -1;
}
