/* segment_private.h — what segment.c and pages.c share. */
#ifndef AE_SHM_SEGMENT_PRIVATE_H
#define AE_SHM_SEGMENT_PRIVATE_H

#include "shm/segment.h"

/* Make sure storage lies behind [0, end).  Any process may do it; the work is idempotent, so a
 * death between the call and the raise costs nothing (keeps I2).  Errors: FULL, IO. */
aero_status aei_segment_reserve(ae_segment *segment, uint64_t end, aero_error *error);

#endif
