/* os_wait.h — waiting for a word of shared memory to change (futex), across processes.
 *
 * Concurrency: any thread of any process that maps the word.
 */
#ifndef AE_BASE_OS_WAIT_H
#define AE_BASE_OS_WAIT_H

#include "base/atomics.h"

/* Sleep while the word holds `expected`, at most so long.  May return early for no reason: look
 * again. */
void ae_os_wait(ae_a32 *word, uint32_t expected, uint64_t timeout_ns);
/* Wake up to `count` of those who sleep on the word; returns how many were woken. */
uint32_t ae_os_wake(ae_a32 *word, uint32_t count);
/* Let others run who are waiting for this processor. */
void ae_os_yield(void);
/* Wake everybody who sleeps on the word. */
void ae_os_wake_all(ae_a32 *word);

#endif
