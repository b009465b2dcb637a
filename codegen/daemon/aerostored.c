/* aerostored.c — the daemon that keeps a database: it flushes, and takes checkpoints.
 *
 *   aerostored ?--foreground? data_dir segment profile
 *
 * Programs that use a database start it when they need it, and it ends by itself some seconds after
 * the last of them.  It is linked with its package's library, beside which it lies.  Exit codes:
 * 0 nobody uses the database any more, 1 it could not begin, 2 usage, 3 another one is at work,
 * 4 the data directory or the segment is gone, 5 another one took over.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "aerostore/aerostore.h"

int main(int count, char **arguments)
{
    aero_error error = {0};
    int32_t outcome = 0;
    const bool foreground = count > 1 && strcmp(arguments[1], "--foreground") == 0;
    char **given = arguments + (foreground ? 2 : 1);
    if (count != (foreground ? 5 : 4)) {
        (void)fputs("usage: aerostored ?--foreground? data_dir segment profile\n", stderr);
        return 2;
    }
    const aero_open_options options = {
        .data_dir = given[0], .shm_path = given[1], .profile = given[2]};
    if (aero_keep(&options, !foreground, &outcome, &error) != AERO_OK)
        (void)fprintf(stderr, "aerostored: %s\n", error.text);
    return outcome;
}
