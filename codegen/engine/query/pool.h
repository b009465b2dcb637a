/* pool.h — memory of one query: handed out in pieces, given back all at once.
 *
 * Concurrency: belongs to its query's thread.
 */
#ifndef AE_QUERY_POOL_H
#define AE_QUERY_POOL_H

#include <stddef.h>

#include "base/error.h"

typedef struct aei_pool {
    struct aei_chunk *chunks;
    char *next;
    size_t left;
    size_t bytes; /* taken from malloc */
} aei_pool;

/* `size` bytes aligned for any type; NULL with *error set (LIMIT or NO_MEMORY). */
void *aei_pool_take(aei_pool *pool, size_t size, aero_error *error);
/* As aei_pool_take for `count` items; a product that overflows is LIMIT. */
void *aei_pool_array(aei_pool *pool, size_t count, size_t size, aero_error *error);
/* A copy of `length` bytes; a NULL `data` is allowed when length is 0. */
char *aei_pool_copy(aei_pool *pool, const char *data, size_t length, aero_error *error);
void aei_pool_free(aei_pool *pool);
/* Forget the pieces, but keep a chunk for the next ones. */
void aei_pool_reset(aei_pool *pool);
/* Give all pieces of `from` to `pool`; they stay where they are. */
void aei_pool_move(aei_pool *pool, aei_pool *from);

/* malloc and realloc for an array, with NO_MEMORY in *error; NULL on failure, `old` stays then. */
void *aei_array_resize(void *old, size_t count, size_t size, aero_error *error);

#endif
