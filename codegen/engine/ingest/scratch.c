/* A list of blocks, of which only the newest is filled. */
#include "ingest/scratch.h"

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>

/* Large enough that the texts of an ordinary batch need one block. */
#define BLOCK_SIZE ((size_t)256 << 10)

struct ae_scratch_block {
    ae_scratch_block *next;
    size_t size;
    size_t used;
    char data[];
};

char *ae_scratch_take(ae_scratch *scratch, size_t size)
{
    ae_scratch_block *block = scratch->blocks;
    if (block == NULL || block->size - block->used < size) {
        const size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        if (room > SIZE_MAX - sizeof *block)
            return NULL;
        block = malloc(sizeof *block + room);
        if (block == NULL)
            return NULL;
        *block = (ae_scratch_block){.next = scratch->blocks, .size = room};
        scratch->blocks = block;
    }
    AE_ASSERT(block->used <= block->size && size <= block->size - block->used);
    char *const piece = block->data + block->used;
    block->used += size;
    scratch->taken += size;
    return piece;
}

void ae_scratch_reset(ae_scratch *scratch)
{
    ae_scratch_block *kept = NULL;
    for (ae_scratch_block *block = scratch->blocks; block != NULL;) {
        ae_scratch_block *const next = block->next;
        if (kept == NULL && block->size == BLOCK_SIZE)
            kept = block;
        else
            free(block);
        block = next;
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    scratch->blocks = kept;
    scratch->taken = 0;
}

void ae_scratch_free(ae_scratch *scratch)
{
    ae_scratch_reset(scratch);
    free(scratch->blocks);
    *scratch = (ae_scratch){0};
}
