/* scratch.h — memory for a batch's texts: handed out piece by piece, given back all at once.
 *
 * Pieces do not move until the scratch is reset.
 *
 * Concurrency: a scratch belongs to one thread.
 */
#ifndef AE_INGEST_SCRATCH_H
#define AE_INGEST_SCRATCH_H

#include <stddef.h>

typedef struct ae_scratch_block ae_scratch_block;

/* All zero is an empty scratch. */
typedef struct ae_scratch {
    ae_scratch_block *blocks; /* newest first */
    size_t taken;             /* bytes handed out since the last reset */
} ae_scratch;

/* `size` bytes, unaligned; NULL when there is no memory. */
char *ae_scratch_take(ae_scratch *scratch, size_t size);
/* Forget everything, keeping one block of ordinary size for the next batch. */
void ae_scratch_reset(ae_scratch *scratch);
void ae_scratch_free(ae_scratch *scratch);

#endif
