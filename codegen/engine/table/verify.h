/* verify.h — walk every structure of the segment and account for every object.
 */
#ifndef AE_TABLE_VERIFY_H
#define AE_TABLE_VERIFY_H

#include "table/table.h"

/* As aero_verify. */
aero_status ae_verify(aero_session *session, uint64_t *rows, uint64_t *blocks);

/* One walk.  `*accounts`: a fault is one of the accounts, which what is in flight puts out. */
aero_status aei_verify_walk(aero_session *session, uint64_t *rows, uint64_t *blocks,
                            bool *accounts);

#endif
