/* CRC-32 as in IEEE 802.3 and zlib: finds every flip of one or two bits and every
 * burst of up to 32 bits. Written by hand. */
#ifndef EDGEPRUNE_CRC32_H
#define EDGEPRUNE_CRC32_H

#include <stdint.h>

/* Continues a check sum over `count` bytes; the first starts from 0. */
uint32_t edgeprune_crc32(uint32_t crc, const void *bytes, uint32_t count);

#endif
