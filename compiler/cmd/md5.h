/* MD5 (RFC 1321), for checksums that the makers of data sets publish. Against accidents only. */
#ifndef GRADC_CMD_MD5_H
#define GRADC_CMD_MD5_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[4];
  uint64_t bytes;
  unsigned char block[64];
} Md5;

void md5_start(Md5 *m);
void md5_add(Md5 *m, const void *bytes, size_t n);
/* 32 lower-case hexadecimal digits and a 0. */
void md5_finish(Md5 *m, char hex[33]);

#endif
