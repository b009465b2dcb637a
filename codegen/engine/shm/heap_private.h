/* heap_private.h — what pools.c, heap.c and drain.c share. */
#ifndef AE_SHM_HEAP_PRIVATE_H
#define AE_SHM_HEAP_PRIVATE_H

#include "shm/heap.h"

/* Word of an object when it is taken by a slot, and when it is free. */
uint64_t aei_word_cached(uint32_t kind, uint64_t word, uint32_t slot);
uint64_t aei_word_free(uint32_t kind, uint64_t word);
/* A new slab for the pool, named in the slot's register until it is settled.  Errors: FULL, IO. */
aero_status aei_pool_grow(ae_heap *heap, ae_cache *cache, uint32_t slot, uint32_t pool,
                          aero_error *error);
/* Offer every free object of a slab; harmless when some bits were set already. */
void aei_slab_offer(ae_heap *heap, ae_slab *slab);
/* Is the object in the slot's stock, or in its hand? */
bool aei_cache_holds(const ae_heap *heap, const ae_cache *cache, uint32_t pool, ae_ref ref);
/* After a death: what it was taking out of service is in service again. */
void aei_drain_recover(ae_heap *heap, ae_cache *cache, uint32_t slot);

#endif
