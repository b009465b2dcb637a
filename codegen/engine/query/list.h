/* list.h — Tcl's list syntax over counted bytes: braces, quotes, backslash escapes.
 *
 * Follows Tcl 8.6 (Tcl_SplitList), but for what cannot be valid UTF-8: an escape that names half a
 * surrogate pair is an error.  Nothing is evaluated.  Iterative; an item costs its length.
 */
#ifndef AE_QUERY_LIST_H
#define AE_QUERY_LIST_H

#include <stddef.h>

#include "query/pool.h"

/* A text and where it stood: an item's bytes are those of the text unless it holds escapes, which
 * are resolved into the pool. */
typedef struct aei_item {
    const char *data;
    size_t length;
    size_t position; /* byte in the outermost text where the item starts, for messages */
    bool copied;     /* resolved: bytes inside have no position of their own */
} aei_item;

typedef struct aei_list {
    aei_item text;
    size_t next;    /* offset in the text */
    aei_pool *pool; /* for resolved items */
} aei_list;

void aei_list_start(aei_list *list, const aei_item *text, aei_pool *pool);
/* The next item: 1 and *item; 0 at the end; -1 with *error set (PARSE with its position in `line`,
 * LIMIT, NO_MEMORY). */
int aei_list_next(aei_list *list, aei_item *item, aero_error *error);
/* Set *error to PARSE, "parse error: … (at byte N)", with the position in `line`; returns PARSE. */
aero_status aei_parse_fail(aero_error *error, size_t position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
