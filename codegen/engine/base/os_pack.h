/* os_pack.h — compression by the system's libzstd, if it has one.
 *
 * The engine links nothing but libc: the library is looked for when it is needed, under the name
 * that its stable interface has.  Where it is missing, nothing is packed, and what another machine
 * has packed is not read.
 *
 * Concurrency: a value belongs to one thread at a time.
 */
#ifndef AE_BASE_OS_PACK_H
#define AE_BASE_OS_PACK_H

#include <stdbool.h>
#include <stddef.h>

#define AE_OS_PACK_LIBRARY "libzstd.so.1"

typedef struct ae_os_pack {
    void *library; /* NULL: not there */
    size_t (*compress)(void *to, size_t room, const void *from, size_t size, int level);
    size_t (*decompress)(void *to, size_t room, const void *from, size_t size);
    unsigned (*is_error)(size_t result);
} ae_os_pack;

/* Look for the library; false when there is none, or none that fits. */
bool ae_os_pack_open(ae_os_pack *pack);
void ae_os_pack_close(ae_os_pack *pack);
/* Returns how long the packed bytes are; 0 when they would not fit `room`, or not at all. */
size_t ae_os_pack_do(const ae_os_pack *pack, void *to, size_t room, const void *from, size_t size);
/* The opposite: true when exactly `size` bytes came out.  What is packed may be anything. */
bool ae_os_pack_undo(const ae_os_pack *pack, void *to, size_t size, const void *from,
                     size_t packed);

#endif
