/* verify.h — walk every structure of the segment and account for every object.
 */
#ifndef AE_TABLE_VERIFY_H
#define AE_TABLE_VERIFY_H

#include "table/table.h"

/* As aero_verify. */
aero_status ae_verify(aero_session *session, uint64_t *rows, uint64_t *blocks);

#endif
