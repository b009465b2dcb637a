/* atomics.h — atomic accesses with their memory order in the name, and crash points.
 *
 * Each caller says above a release, acquire or compare-and-swap what must not cross it and whom it
 * pairs with.  Crash points name the gaps between the steps of a protocol; in a test build
 * (AE_CRASH_POINTS) a process can be made to die at the n-th passage of one.
 */
#ifndef AE_BASE_ATOMICS_H
#define AE_BASE_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t ae_a32;
typedef _Atomic uint64_t ae_a64;

static inline uint32_t ae_load32(const ae_a32 *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}
static inline uint32_t ae_load32_acquire(const ae_a32 *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}
static inline void ae_store32(ae_a32 *cell, uint32_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}
static inline void ae_store32_release(ae_a32 *cell, uint32_t value)
{
    atomic_store_explicit(cell, value, memory_order_release);
}
static inline bool ae_cas32(ae_a32 *cell, uint32_t expected, uint32_t desired)
{
    return atomic_compare_exchange_strong_explicit(cell, &expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);
}
static inline uint32_t ae_add32(ae_a32 *cell, uint32_t amount)
{
    return atomic_fetch_add_explicit(cell, amount, memory_order_relaxed);
}

static inline uint64_t ae_load64(const ae_a64 *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}
static inline uint64_t ae_load64_acquire(const ae_a64 *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}
static inline void ae_store64(ae_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}
static inline void ae_store64_release(ae_a64 *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_release);
}
static inline bool ae_cas64(ae_a64 *cell, uint64_t expected, uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(cell, &expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);
}
static inline uint64_t ae_add64(ae_a64 *cell, uint64_t amount)
{
    return atomic_fetch_add_explicit(cell, amount, memory_order_relaxed);
}
static inline uint64_t ae_and64(ae_a64 *cell, uint64_t mask)
{
    return atomic_fetch_and_explicit(cell, mask, memory_order_acq_rel);
}
static inline uint64_t ae_or64(ae_a64 *cell, uint64_t mask)
{
    return atomic_fetch_or_explicit(cell, mask, memory_order_acq_rel);
}
/* Raise a monotonic cell to at least `value`. */
static inline void ae_raise64(ae_a64 *cell, uint64_t value)
{
    uint64_t seen = ae_load64_acquire(cell);
    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               cell, &seen, value, memory_order_acq_rel, memory_order_acquire))
        ;
}
static inline void ae_raise32(ae_a32 *cell, uint32_t value)
{
    uint32_t seen = ae_load32_acquire(cell);
    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               cell, &seen, value, memory_order_acq_rel, memory_order_acquire))
        ;
}

#ifdef AE_EXPLORE
void explored_pause(void);
#endif

static inline void ae_pause(void)
{
#if defined(AE_EXPLORE) /* a test's scheduler lets others go on: tests/explore */
    explored_pause();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#if defined(__SANITIZE_THREAD__)
#define AE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AE_TSAN 1
#endif
#endif

#ifdef AE_CRASH_POINTS
void ae_crash_point(const char *name);
#define AE_CRASH_POINT(name) ae_crash_point(name)
#else
#define AE_CRASH_POINT(name) ((void)0)
#endif

/* Ask for a line that will be written: no other processor has it then. */
static inline void ae_fetch_to_write(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

#endif
