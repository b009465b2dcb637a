/* pool.c — a chain of chunks; small requests share a chunk, large ones get their own.
 *
 * Invariants: I1 every piece is aligned to 16 bytes.  I2 bytes never exceeds AEI_POOL_BYTES_MAX.
 */
#include "query/pool.h"

#include <stdlib.h>
#include <string.h>

#include "query/limits.h"

#define CHUNK_BYTES ((size_t)4096)
#define ALIGNMENT ((size_t)16)

typedef struct aei_chunk {
    struct aei_chunk *next;
    size_t size;
} aei_chunk;

_Static_assert(sizeof(aei_chunk) == ALIGNMENT, "the first piece follows the header, aligned");

static char *chunk_new(aei_pool *pool, size_t size, aero_error *error)
{
    if (size > AEI_POOL_BYTES_MAX || pool->bytes > AEI_POOL_BYTES_MAX - size) {
        (void)ae_fail(error, AERO_LIMIT, "the constants of a query may take %zu MiB at most",
                      AEI_POOL_BYTES_MAX >> 20);
        return NULL;
    }
    aei_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL) {
        (void)ae_fail(error, AERO_NO_MEMORY, "no memory for a query (%zu bytes)", size);
        return NULL;
    }
    chunk->next = pool->chunks;
    chunk->size = size;
    pool->chunks = chunk;
    pool->bytes += size;
    AE_ASSERT(pool->bytes <= AEI_POOL_BYTES_MAX);
    return (char *)(chunk + 1);
}

void *aei_pool_take(aei_pool *pool, size_t size, aero_error *error)
{
    if (size > AEI_POOL_BYTES_MAX) {
        (void)ae_fail(error, AERO_LIMIT, "the constants of a query may take %zu MiB at most",
                      AEI_POOL_BYTES_MAX >> 20);
        return NULL;
    }
    const size_t rounded = (size + (size == 0) + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (rounded > pool->left) {
        if (rounded >= CHUNK_BYTES / 4)
            return chunk_new(pool, rounded, error);
        /* Chunks grow with the pool, so that a million short texts need few of them. */
        const size_t wanted = pool->bytes / 4 > CHUNK_BYTES ? pool->bytes / 4 : CHUNK_BYTES;
        const size_t grown = wanted < ((size_t)1 << 20) ? wanted : (size_t)1 << 20;
        char *fresh = chunk_new(pool, grown, error);
        if (fresh == NULL)
            return NULL;
        pool->next = fresh;
        pool->left = ((aei_chunk *)(void *)fresh - 1)->size;
    }
    AE_ASSERT(rounded <= pool->left && rounded >= size);
    char *piece = pool->next;
    pool->next += rounded;
    pool->left -= rounded;
    return piece;
}

void *aei_pool_array(aei_pool *pool, size_t count, size_t size, aero_error *error)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        total = AEI_POOL_BYTES_MAX + 1;
    return aei_pool_take(pool, total, error);
}

char *aei_pool_copy(aei_pool *pool, const char *data, size_t length, aero_error *error)
{
    char *copy = aei_pool_take(pool, length, error);
    if (copy != NULL && length > 0)
        memcpy(copy, data, length);
    return copy;
}

void aei_pool_free(aei_pool *pool)
{
    aei_chunk *chunk = pool->chunks;
    while (chunk != NULL) {
        aei_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    memset(pool, 0, sizeof *pool);
}

void aei_pool_reset(aei_pool *pool)
{
    aei_chunk *chunk = pool->chunks;
    if (chunk == NULL)
        return;
    while (chunk->next != NULL) {
        aei_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    AE_ASSERT(chunk->next == NULL);
    pool->chunks = chunk;
    pool->next = (char *)(chunk + 1);
    pool->left = pool->bytes = chunk->size;
}

void aei_pool_move(aei_pool *pool, aei_pool *from)
{
    AE_ASSERT(pool != from);
    aei_chunk **end = &from->chunks;
    while (*end != NULL)
        end = &(*end)->next;
    *end = pool->chunks;
    pool->chunks = from->chunks;
    pool->bytes += from->bytes;
    memset(from, 0, sizeof *from);
}

void *aei_array_resize(void *old, size_t count, size_t size, aero_error *error)
{
    size_t total;
    void *fresh = NULL;
    if (!__builtin_mul_overflow(count, size, &total))
        fresh = realloc(old, total > 0 ? total : 1);
    if (fresh == NULL)
        (void)ae_fail(error, AERO_NO_MEMORY, "no memory for a query (%zu items of %zu bytes)",
                      count, size);
    return fresh;
}
