/* list.c — one item at a time, by three shapes: {braced}, "quoted", bare.
 *
 * A first pass finds the item's end and whether it holds escapes; only then a second one resolves
 * them into the pool, so that plain items cost nothing but the scan.
 *
 * Invariants: I1 every pass moves forward, none calls itself: depth of nesting is a counter.
 *             I2 no byte at or behind data + length is read.
 */
#include "query/list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "query/fold.h"

aero_status aei_parse_fail(aero_error *error, size_t position, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const aero_status status = ae_fail(error, AERO_PARSE, "parse error: %s (at byte %zu)", text,
                                       position);
    if (error != NULL)
        error->line = (int64_t)position;
    return status;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void aei_list_start(aei_list *list, const aei_item *text, aei_pool *pool)
{
    *list = (aei_list){.text = *text, .next = 0, .pool = pool};
}

static size_t position_of(const aei_list *list, size_t offset)
{
    AE_ASSERT(offset <= list->text.length);
    return list->text.copied ? list->text.position : list->text.position + offset;
}

/* The digits of an escape: at most `most` of them in `base`, stopping before the value leaves
 * Unicode.  Returns how many were read. */
static size_t read_digits(const char *data, size_t length, size_t most, uint32_t *value)
{
    size_t count = 0;
    *value = 0;
    while (count < most && count < length && *value <= 0x10fff) {
        const char c = data[count];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        else
            break;
        *value = *value << 4 | digit;
        count++;
    }
    return count;
}

static size_t read_octal(const char *data, size_t length, uint32_t *value)
{
    size_t count = 0;
    *value = 0;
    while (count < 3 && count < length && data[count] >= '0' && data[count] <= '7' &&
           *value < 0x20) {
        *value = *value << 3 | (uint32_t)(data[count] - '0');
        count++;
    }
    return count;
}

/* Resolve the escape at data[0] == '\\'.  Returns the bytes it takes; *character is what it means,
 * or UINT32_MAX when the byte after the backslash stands for itself and is to be copied. */
static size_t read_escape(const char *data, size_t length, uint32_t *character)
{
    AE_ASSERT(length > 0 && data[0] == '\\');
    static const char names[] = "abfnrtv";
    static const char meanings[] = "\a\b\f\n\r\t\v";
    *character = '\\';
    if (length < 2)
        return 1; /* a backslash at the very end is itself */
    const char c = data[1];
    const char *name = c == 0 ? NULL : strchr(names, c);
    if (name != NULL) {
        *character = (uint32_t)meanings[name - names];
        return 2;
    }
    const size_t most = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (most > 0) {
        const size_t digits = read_digits(data + 2, length - 2, most, character);
        if (digits == 0)
            *character = (uint32_t)c;
        return 2 + digits;
    }
    if (c >= '0' && c <= '7')
        return 1 + read_octal(data + 1, length - 1, character);
    if (c == '\n') { /* a continued line: with the blanks after it, one space */
        size_t end = 2;
        while (end < length && (data[end] == ' ' || data[end] == '\t'))
            end++;
        *character = ' ';
        return end;
    }
    *character = UINT32_MAX;
    return 2;
}

/* Resolve the escapes of data[0..length) into the pool. */
static int resolve(aei_list *list, size_t start, size_t length, aei_item *item, aero_error *error)
{
    AE_ASSERT(start <= list->text.length && length <= list->text.length - start);
    const char *data = list->text.data + start;
    char *out = aei_pool_take(list->pool, length, error); /* no escape grows */
    if (out == NULL)
        return -1;
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        if (data[at] != '\\') {
            out[used++] = data[at++];
            continue;
        }
        uint32_t character;
        const size_t taken = read_escape(data + at, length - at, &character);
        if (character >= 0xd800 && character < 0xe000) {
            (void)aei_parse_fail(error, position_of(list, start + at),
                                 "the escape \\u%04X is half of a character", character);
            return -1;
        }
        if (character == UINT32_MAX)
            out[used++] = data[at + 1];
        else
            used += aei_utf8_put(out + used, character);
        at += taken;
    }
    AE_ASSERT(used <= length);
    *item = (aei_item){
        .data = out, .length = used, .position = position_of(list, start), .copied = true};
    return 1;
}

/* After a closing brace or quote there must be a space or the end. */
static int check_end(const aei_list *list, size_t end, const char *what, aero_error *error)
{
    if (end >= list->text.length || is_space(list->text.data[end]))
        return 1;
    size_t last = end;
    while (last < list->text.length && last < end + 20 && !is_space(list->text.data[last]))
        last++;
    (void)aei_parse_fail(error, position_of(list, end),
                         "list element in %s followed by \"%.*s\" instead of space", what,
                         (int)(last - end), list->text.data + end);
    return -1;
}

static int next_braced(aei_list *list, aei_item *item, aero_error *error)
{
    AE_ASSERT(list->text.data[list->next] == '{');
    const char *data = list->text.data;
    const size_t length = list->text.length;
    const size_t open = list->next;
    size_t depth = 1;
    size_t at = open + 1;
    for (; at < length; at++) {
        if (data[at] == '{') {
            depth++;
        } else if (data[at] == '}') {
            if (--depth == 0)
                break;
        } else if (data[at] == '\\') {
            at++; /* the byte after it is no brace */
        }
    }
    if (at >= length) {
        (void)aei_parse_fail(error, position_of(list, open), "unmatched open brace in list");
        return -1;
    }
    *item = (aei_item){.data = data + open + 1,
                       .length = at - open - 1,
                       .position = position_of(list, open + 1),
                       .copied = list->text.copied};
    list->next = at + 1;
    return check_end(list, at + 1, "braces", error);
}

static int next_quoted(aei_list *list, aei_item *item, aero_error *error)
{
    AE_ASSERT(list->text.data[list->next] == '"');
    const char *data = list->text.data;
    const size_t length = list->text.length;
    const size_t open = list->next;
    bool escapes = false;
    size_t at = open + 1;
    for (; at < length && data[at] != '"'; at++) {
        if (data[at] == '\\') {
            escapes = true;
            at++;
        }
    }
    if (at >= length) {
        (void)aei_parse_fail(error, position_of(list, open), "unmatched open quote in list");
        return -1;
    }
    list->next = at + 1;
    const int ended = check_end(list, at + 1, "quotes", error);
    if (ended < 0)
        return -1;
    if (escapes)
        return resolve(list, open + 1, at - open - 1, item, error);
    *item = (aei_item){.data = data + open + 1,
                       .length = at - open - 1,
                       .position = position_of(list, open + 1),
                       .copied = list->text.copied};
    return 1;
}

static int next_bare(aei_list *list, aei_item *item, aero_error *error)
{
    const char *data = list->text.data;
    const size_t length = list->text.length;
    const size_t start = list->next;
    bool escapes = false;
    size_t at = start;
    while (at < length && !is_space(data[at])) {
        if (data[at] == '\\') {
            uint32_t character;
            escapes = true;
            at += read_escape(data + at, length - at, &character);
        } else {
            at++;
        }
    }
    AE_ASSERT(at > start && at <= length);
    list->next = at;
    if (escapes)
        return resolve(list, start, at - start, item, error);
    *item = (aei_item){.data = data + start,
                       .length = at - start,
                       .position = position_of(list, start),
                       .copied = list->text.copied};
    return 1;
}

int aei_list_next(aei_list *list, aei_item *item, aero_error *error)
{
    AE_ASSERT(list->next <= list->text.length);
    while (list->next < list->text.length && is_space(list->text.data[list->next]))
        list->next++;
    if (list->next >= list->text.length)
        return 0;
    switch (list->text.data[list->next]) {
    case '{':
        return next_braced(list, item, error);
    case '"':
        return next_quoted(list, item, error);
    default:
        return next_bare(list, item, error);
    }
}
