/* value.c — values between Tcl and the engine, both ways.
 *
 * To the engine a value goes as its text, so that "007" means to a text column what the script
 * wrote, whatever was computed with it before.  A number that has no text yet (the result of an
 * expression) goes as it is, when the column is of its kind: converting it through text would give
 * the same.
 *
 * From the engine numbers come as Tcl integers and doubles, booleans as 0 and 1, bytes as byte
 * arrays.
 *
 * Tcl's own UTF-8 differs from the world's: NUL is C0 80, and Tcl 8.6 spells characters beyond
 * U+FFFF as two surrogates of three bytes each.  Both are translated; half a pair is an error.
 */
#include <string.h>

#include "aerotcl_private.h"

struct aetcl_block {
    struct aetcl_block *next;
    max_align_t data[];
};

void *aetcl_pool_take(aetcl_pool *pool, size_t size)
{
    struct aetcl_block *block = (struct aetcl_block *)(void *)Tcl_Alloc(
        (unsigned)(sizeof *block + size));
    block->next = pool->first;
    pool->first = block;
    return block->data;
}

void aetcl_pool_free(aetcl_pool *pool)
{
    while (pool->first != NULL) {
        struct aetcl_block *block = pool->first;
        pool->first = block->next;
        Tcl_Free((char *)block);
    }
}

/* ---- text from Tcl -------------------------------------------------------------------------- */

/* Is there anything in the text that plain UTF-8 spells in another way? */
static bool is_plain(const char *text, size_t length)
{
    return memchr(text, 0xC0, length) == NULL && memchr(text, 0xED, length) == NULL;
}

/* The surrogate spelled by three bytes at `text`, or 0. */
static uint32_t surrogate_at(const unsigned char *text, size_t left)
{
    if (left < 3 || text[0] != 0xED || text[1] < 0xA0 || text[1] > 0xBF)
        return 0;
    return 0xD000u | (uint32_t)(text[1] & 0x3F) << 6 | (uint32_t)(text[2] & 0x3F);
}

/* Translate to plain UTF-8; the result is never longer.  Returns its length, or -1 with *at set to
 * where half a pair stands. */
static int64_t to_plain(const unsigned char *text, size_t length, char *out, size_t *at)
{
    char *const start = out;
    for (size_t i = 0; i < length;) {
        if (text[i] == 0xC0 && i + 1 < length && text[i + 1] == 0x80) {
            *out++ = '\0';
            i += 2;
            continue;
        }
        const uint32_t high = surrogate_at(text + i, length - i);
        if (high == 0) {
            *out++ = (char)text[i++];
            continue;
        }
        const uint32_t low = surrogate_at(text + i + 3, length > i + 3 ? length - i - 3 : 0);
        if (high >= 0xDC00 || low < 0xDC00) {
            *at = i;
            return -1;
        }
        const uint32_t point = 0x10000u + ((high & 0x3FFu) << 10 | (low & 0x3FFu));
        *out++ = (char)(0xF0u | point >> 18);
        *out++ = (char)(0x80u | (point >> 12 & 0x3Fu));
        *out++ = (char)(0x80u | (point >> 6 & 0x3Fu));
        *out++ = (char)(0x80u | (point & 0x3Fu));
        i += 6;
    }
    return out - start;
}

int aetcl_text_of(Tcl_Interp *interp, Tcl_Obj *object, aetcl_pool *pool, aetcl_text *text)
{
    Tcl_Size size;
    const char *data = Tcl_GetStringFromObj(object, &size);
    text->data = data;
    text->length = (size_t)size;
    if (is_plain(data, text->length))
        return TCL_OK;
    char *plain = aetcl_pool_take(pool, text->length);
    size_t at = 0;
    const int64_t length = to_plain((const unsigned char *)data, text->length, plain, &at);
    if (length < 0)
        return aetcl_fail(interp, AERO_TYPE,
                          Tcl_ObjPrintf("half of a surrogate pair at byte %ld of a text: it is no "
                                        "Unicode character",
                                        (long)at));
    text->data = plain;
    text->length = (size_t)length;
    return TCL_OK;
}

int aetcl_name_of(Tcl_Interp *interp, Tcl_Obj *object, const char *what, aetcl_pool *pool,
                  aetcl_text *text)
{
    if (aetcl_text_of(interp, object, pool, text) != TCL_OK)
        return TCL_ERROR;
    if (memchr(text->data, '\0', text->length) != NULL)
        return aetcl_fail(interp, AERO_USAGE, Tcl_ObjPrintf("%s may not hold a NUL", what));
    return TCL_OK;
}

/* ---- values from Tcl ------------------------------------------------------------------------ */

/* Each character of a Tcl text as one byte.  TYPE when one is above U+00FF. */
static int bytes_of(const aetcl_table *table, const aero_column *column, Tcl_Obj *object,
                    aetcl_pool *pool, aero_value *value)
{
    Tcl_Size size;
    const unsigned char *text = (const unsigned char *)Tcl_GetStringFromObj(object, &size);
    unsigned char *bytes = aetcl_pool_take(pool, (size_t)size + 1);
    size_t length = 0;
    for (Tcl_Size i = 0; i < size; i++) {
        if (text[i] < 0x80) {
            bytes[length++] = text[i];
        } else if (text[i] == 0xC0 || text[i] == 0xC2 || text[i] == 0xC3) {
            bytes[length++] = (unsigned char)((text[i] & 0x03) << 6 | (text[i + 1] & 0x3F));
            i++;
        } else {
            return aetcl_fail_at(
                table, column->name, AERO_TYPE,
                Tcl_ObjPrintf("%s.%s holds bytes, and character %ld of the value is "
                              "above U+00FF; encode it first",
                              table->info->name, column->name, (long)length + 1));
        }
    }
    value->type = AERO_TYPE_BYTES;
    value->length = (uint32_t)length;
    value->u.data = (const char *)bytes;
    return TCL_OK;
}

/* Does a column of this kind read an integer as well as its decimal text? */
static bool takes_integer(uint8_t kind)
{
    return kind <= AERO_KIND_TIMESTAMP;
}

/* Take a value without a text as it is.  False when it has to go through its text. */
static bool native_of(const aetcl_state *state, uint8_t kind, Tcl_Obj *object, aero_value *value)
{
    Tcl_WideInt integer;
    if (object->typePtr == state->int_type && takes_integer(kind)) {
        if (Tcl_GetWideIntFromObj(NULL, object, &integer) != TCL_OK)
            return false;
        value->type = AERO_TYPE_INT;
        value->u.integer = integer;
        return true;
    }
    if (object->typePtr == state->double_type &&
        (kind == AERO_KIND_FLOAT32 || kind == AERO_KIND_FLOAT64)) {
        value->type = AERO_TYPE_DOUBLE;
        return Tcl_GetDoubleFromObj(NULL, object, &value->u.real) == TCL_OK;
    }
    if (object->typePtr == state->bytes_type && kind == AERO_KIND_BYTES) {
        Tcl_Size length;
        value->type = AERO_TYPE_BYTES;
        value->u.data = (const char *)Tcl_GetByteArrayFromObj(object, &length);
        value->length = (uint32_t)length;
        return length > 0; /* nothing may mean NULL */
    }
    return false;
}

int aetcl_value_of(const aetcl_table *table, uint32_t column, Tcl_Obj *object, aetcl_pool *pool,
                   aero_value *value)
{
    const aero_column *info = &table->info->columns[column];
    value->length = 0;
    if (object->bytes == NULL && native_of(table->state, info->kind, object, value))
        return TCL_OK;
    aetcl_text text;
    if (info->kind == AERO_KIND_BYTES) {
        if (bytes_of(table, info, object, pool, value) != TCL_OK)
            return TCL_ERROR;
        text.length = value->length;
    } else {
        if (aetcl_text_of(table->state->interp, object, pool, &text) != TCL_OK)
            return TCL_ERROR;
        if (text.length > UINT32_MAX)
            return aetcl_fail_at(table, info->name, AERO_LENGTH,
                                 Tcl_ObjPrintf("the value of %s.%s is longer than any column",
                                               table->info->name, info->name));
        value->type = AERO_TYPE_TEXT;
        value->length = (uint32_t)text.length;
        value->u.data = text.data;
    }
    if (text.length == 0 && info->null_index >= 0)
        value->type = AERO_TYPE_NULL;
    return TCL_OK;
}

int aetcl_key_of(const aetcl_table *table, Tcl_Obj *object, aetcl_pool *pool, aero_value *key)
{
    return aetcl_value_of(table, table->info->key_column, object, pool, key);
}

/* ---- values to Tcl -------------------------------------------------------------------------- */

/* Does Tcl spell this UTF-8 the same way?  Not so with NUL and from F0 on. */
bool aetcl_is_internal(const char *text, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        const uint64_t high = word & word << 1 & word << 2 & word << 3; /* bit 7: four ones */
        const uint64_t zero = (word - 0x0101010101010101u) & ~word;     /* bit 7: maybe NUL */
        if (((high | zero) & 0x8080808080808080u) != 0)
            break;
    }
    for (; i < length; i++)
        if (text[i] == '\0' || (unsigned char)text[i] >= 0xF0)
            return false;
    return true;
}

Tcl_Obj *aetcl_string(const char *data, size_t length)
{
    if (length == 0)
        return Tcl_NewObj();
    if (aetcl_is_internal(data, length))
        return Tcl_NewStringObj(data, (Tcl_Size)length);
    Tcl_DString converted;
    Tcl_Encoding utf8 = Tcl_GetEncoding(NULL, "utf-8"); /* always there: Tcl's system encoding */
    Tcl_ExternalToUtfDString(utf8, data, (Tcl_Size)length, &converted);
    Tcl_FreeEncoding(utf8);
    Tcl_Obj *object = Tcl_NewStringObj(Tcl_DStringValue(&converted), Tcl_DStringLength(&converted));
    Tcl_DStringFree(&converted);
    return object;
}

/* The value's text as in TSV. */
static Tcl_Obj *formatted(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    const char *text;
    size_t length;
    if (aero_format(table->state->session, table->index, column, value, &text, &length) != AERO_OK)
        return Tcl_NewObj();
    return aetcl_string(text, length);
}

/* Seconds: an integer when whole; a double where that prints the same as TSV does, which holds from
 * 1 to 2^32, where doubles are dense enough for microseconds; else text. */
static Tcl_Obj *time_object(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    const int64_t microseconds = value->u.integer;
    if (microseconds % 1000000 == 0)
        return Tcl_NewWideIntObj(microseconds / 1000000);
    if (microseconds > 1000000 && microseconds < (int64_t)1000000 << 32)
        return Tcl_NewDoubleObj((double)microseconds / 1e6);
    return formatted(table, column, value);
}

/* A float column's value as the double with the same short text: 0.1 and not 0.10000000149. */
static Tcl_Obj *float_object(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    Tcl_Obj *text = formatted(table, column, value);
    double real;
    Tcl_IncrRefCount(text);
    if (Tcl_GetDoubleFromObj(NULL, text, &real) != TCL_OK)
        real = value->u.real;
    Tcl_DecrRefCount(text);
    return Tcl_NewDoubleObj(real);
}

/* Is the value spelled by aero_format?  That call ends the life of texts read before. */
static bool is_formatted(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    return value->type == AERO_TYPE_TIME || value->type == AERO_TYPE_UINT ||
           (value->type == AERO_TYPE_DOUBLE &&
            table->info->columns[column].kind == AERO_KIND_FLOAT32);
}

static Tcl_Obj *object_of(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    switch (value->type) {
    case AERO_TYPE_BOOL:
        return Tcl_NewBooleanObj(value->u.integer != 0);
    case AERO_TYPE_INT:
        return Tcl_NewWideIntObj(value->u.integer);
    case AERO_TYPE_UINT:
        if (value->u.natural <= (uint64_t)INT64_MAX)
            return Tcl_NewWideIntObj((Tcl_WideInt)value->u.natural);
        return formatted(table, column, value);
    case AERO_TYPE_DOUBLE:
        if (table->info->columns[column].kind == AERO_KIND_FLOAT32)
            return float_object(table, column, value);
        return Tcl_NewDoubleObj(value->u.real);
    case AERO_TYPE_TEXT:
        return aetcl_string(value->u.data, value->length);
    case AERO_TYPE_BYTES:
        return Tcl_NewByteArrayObj((const unsigned char *)value->u.data, (Tcl_Size)value->length);
    case AERO_TYPE_TIME:
        return time_object(table, column, value);
    default:
        return table->state->empty;
    }
}

void aetcl_objects_of(const aetcl_table *table, uint32_t count, const uint32_t *columns,
                      const aero_value *values, Tcl_Obj **objects)
{
    uint32_t later = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (is_formatted(table, columns[i], &values[i]))
            later++;
        else
            objects[i] = object_of(table, columns[i], &values[i]);
    }
    for (uint32_t i = 0; later > 0 && i < count; i++) {
        if (!is_formatted(table, columns[i], &values[i]))
            continue;
        objects[i] = object_of(table, columns[i], &values[i]);
        later--;
    }
}

Tcl_Obj *aetcl_object_of(const aetcl_table *table, uint32_t column, const aero_value *value)
{
    return object_of(table, column, value);
}
