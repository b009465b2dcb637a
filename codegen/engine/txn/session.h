/* session.h — the two private handles everything above hangs from: a process's attachment to a
 * database and a thread's session on it.  (Fields: handles.h.)
 */
#ifndef AE_TXN_SESSION_H
#define AE_TXN_SESSION_H

#include <stdbool.h>

#include "aerostore/descriptor.h"
#include "base/error.h"

/* Check the handle (open, own thread, own process), clear its error; AERO_STALE otherwise.
 * Every exported function that takes a session begins with it. */
aero_status ae_session_enter(aero_session *session);
/* While a call waits, between two looks: false when it is to be given up, which the session's hook
 * says (aero_session_waiting), and says again until the statement that waits has ended. */
bool ae_session_patient(aero_session *session);
/* That end: what the call answers. */
aero_status ae_session_stopped(aero_session *session);
aero_error *ae_session_error_buffer(aero_session *session);
const aero_table *ae_session_table(const aero_session *session, uint32_t table);
uint32_t ae_session_table_count(const aero_session *session);

/* `size` bytes of the session's for the result of one call, or NULL.  The next call reuses them. */
char *ae_session_text(aero_session *session, size_t size);

/* A lasting reader inside a transaction.  When writes that it sees are undone it goes stale. */
typedef struct ae_own_reader {
    struct ae_own_reader *next;
    struct ae_own_reader **back; /* NULL: not registered */
    uint32_t sequence;           /* it sees the transaction's writes below */
    bool stale;
} ae_own_reader;

/* Cursors register so that closing the session closes them: `close` is called with the context. */
typedef struct ae_session_child {
    struct ae_session_child *next;
    struct ae_session_child **back;
    void (*close)(struct ae_session_child *child);
} ae_session_child;
void ae_session_adopt(aero_session *session, ae_session_child *child);
void ae_session_disown(ae_session_child *child);

#endif
