/* os_pack.c — libzstd by dlopen (see os_pack.h). */
#include "base/os_pack.h"

#include <dlfcn.h>
#include <string.h>

/* Of the fastest: a checkpoint shrinks to a fraction, and higher levels gain little on rows. */
#define LEVEL 1

/* Put a function's address where it is called from: ISO C has no conversion from `void *`. */
static bool symbol(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    memcpy(place, &found, sizeof found);
    return found != NULL;
}

bool ae_os_pack_open(ae_os_pack *pack)
{
    memset(pack, 0, sizeof *pack);
    pack->library = dlopen(AE_OS_PACK_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (pack->library == NULL)
        return false;
    if (symbol(pack->library, "ZSTD_compress", &pack->compress) &&
        symbol(pack->library, "ZSTD_decompress", &pack->decompress) &&
        symbol(pack->library, "ZSTD_isError", &pack->is_error))
        return true;
    ae_os_pack_close(pack);
    return false;
}

void ae_os_pack_close(ae_os_pack *pack)
{
    if (pack->library != NULL)
        (void)dlclose(pack->library);
    memset(pack, 0, sizeof *pack);
}

size_t ae_os_pack_do(const ae_os_pack *pack, void *to, size_t room, const void *from, size_t size)
{
    if (pack->library == NULL)
        return 0;
    const size_t done = pack->compress(to, room, from, size, LEVEL);
    return pack->is_error(done) != 0 ? 0 : done;
}

bool ae_os_pack_undo(const ae_os_pack *pack, void *to, size_t size, const void *from, size_t packed)
{
    if (pack->library == NULL)
        return false;
    const size_t done = pack->decompress(to, size, from, packed);
    return pack->is_error(done) == 0 && done == size;
}
