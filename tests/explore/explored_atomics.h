/* explored_atomics.h — the atomic operations of an explored build: each calls the scheduler.
 *
 * Included before every file of the variant `explore`, so that the engine's own wrappers, and the
 * few operations and fences that stand outside them, come here without a line of their own.  Cells
 * are the engine's 32- and 64-bit words.
 */
#ifndef AE_EXPLORED_ATOMICS_H
#define AE_EXPLORED_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum explored_change { EXPLORED_ADD, EXPLORED_AND, EXPLORED_OR };

uint64_t explored_load(const volatile void *cell, uint32_t size);
void explored_store(volatile void *cell, uint32_t size, uint64_t value);
bool explored_cas(volatile void *cell, uint32_t size, void *expected, uint64_t desired);
uint64_t explored_change(volatile void *cell, uint32_t size, enum explored_change how,
                         uint64_t operand);
void explored_fence(int order);
void explored_pause(void);

/* The comma takes the qualifiers off. */
#define EXPLORED_TYPE(cell) __typeof__(((void)0, *(cell)))

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_and_explicit
#undef atomic_fetch_or_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(cell, order) ((EXPLORED_TYPE(cell))explored_load(cell, sizeof *(cell)))
#define atomic_store_explicit(cell, value, order) \
    explored_store(cell, sizeof *(cell), (uint64_t)(value))
#define atomic_compare_exchange_strong_explicit(cell, expected, desired, won, lost) \
    explored_cas(cell, sizeof *(cell), expected, (uint64_t)(desired))
#define atomic_compare_exchange_weak_explicit(cell, expected, desired, won, lost) \
    explored_cas(cell, sizeof *(cell), expected, (uint64_t)(desired))
#define atomic_fetch_add_explicit(cell, operand, order) \
    ((EXPLORED_TYPE(cell))explored_change(cell, sizeof *(cell), EXPLORED_ADD, operand))
#define atomic_fetch_and_explicit(cell, operand, order) \
    ((EXPLORED_TYPE(cell))explored_change(cell, sizeof *(cell), EXPLORED_AND, operand))
#define atomic_fetch_or_explicit(cell, operand, order) \
    ((EXPLORED_TYPE(cell))explored_change(cell, sizeof *(cell), EXPLORED_OR, operand))
#define atomic_thread_fence(order) explored_fence(order)

#endif
