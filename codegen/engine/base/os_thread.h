/* os_thread.h — a thread of the library's own inside a program.
 *
 * Concurrency: started and joined by one thread.  It takes no signal: handlers are the business of
 * the program's own threads.
 */
#ifndef AE_BASE_OS_THREAD_H
#define AE_BASE_OS_THREAD_H

#include <pthread.h>

/* 0, or errno. */
int ae_os_thread_start(pthread_t *thread, void *(*run)(void *context), void *context);
void ae_os_thread_join(pthread_t thread);

#endif
