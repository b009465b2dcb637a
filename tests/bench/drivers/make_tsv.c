/* make_tsv.c — write the made-up flights as the TSV that every ingest peer reads.
 *
 * Usage: make_tsv ROWS PATH.  About 77 bytes a row, all eight columns filled.
 */
#include "driver.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: make_tsv ROWS PATH");
    const uint64_t rows = parse_count(argv[1]);
    FILE *out = fopen(argv[2], "wb");
    if (out == NULL)
        die("cannot write %s", argv[2]);
    for (uint64_t i = 0; i < rows; i++) {
        flight one;
        flight_make(i, &one);
        fprintf(out, "%.*s\t%.7f\t%.7f\t%" PRId32 "\t%.1f\t%" PRId64 ".%06" PRId64 "\t%.4s\t%.4s\n",
                KEY_LENGTH, one.key, one.lat, one.lon, one.altitude, one.gs,
                one.updated_us / 1000000, one.updated_us % 1000000, one.typ, one.dest);
    }
    if (fclose(out) != 0)
        die("cannot write %s", argv[2]);
    return 0;
}
