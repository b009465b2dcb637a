/* segment_private.h — what segment.c and pages.c share. */
#ifndef AE_SHM_SEGMENT_PRIVATE_H
#define AE_SHM_SEGMENT_PRIVATE_H

#include "shm/segment.h"

/* Make sure storage lies behind [0, end).  Any process may do it; the work is idempotent, so a
 * death between the call and the raise costs nothing (keeps I2).  Errors: FULL, IO. */
aero_status aei_segment_reserve(ae_segment *segment, uint64_t end, aero_error *error);

/* Count up, and past the highest number to 1: 0 says that there has never been one. */
static inline void aei_count_up(ae_a32 *count)
{
    uint32_t seen = ae_load32(count);
    while (!ae_cas32(count, seen, seen == UINT32_MAX ? 1 : seen + 1))
        seen = ae_load32(count);
}

#endif
