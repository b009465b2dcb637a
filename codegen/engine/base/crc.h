/* crc.h — CRC-32C (Castagnoli), the checksum of everything on disk.
 *
 * By the processor's instruction where it has one, else by a table; both give the same value.
 * Concurrency: pure functions.
 */
#ifndef AE_BASE_CRC_H
#define AE_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continue a checksum over more bytes; start from 0.  ae_crc32c(0, "123456789", 9) is
 * 0xe3069283. */
uint32_t ae_crc32c(uint32_t crc, const void *data, size_t size);
/* The same by the table alone: what the instruction is compared with. */
uint32_t ae_crc32c_table(uint32_t crc, const void *data, size_t size);

#endif
