/* real_calls.h — for programs that bring calls of the C library themselves: the ones behind them.
 */
#ifndef AE_TEST_REAL_CALLS_H
#define AE_TEST_REAL_CALLS_H

#include <dlfcn.h>
#include <stdint.h>

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

#endif
