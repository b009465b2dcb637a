/* os_event.h — a descriptor that can be made readable, for event loops.
 *
 * Concurrency: any thread.
 */
#ifndef AE_BASE_OS_EVENT_H
#define AE_BASE_OS_EVENT_H

/* A new descriptor (close-on-exec, not blocking), or errno. */
int ae_os_event_new(int *fd);
void ae_os_event_set(int fd);
void ae_os_event_clear(int fd);

#endif
