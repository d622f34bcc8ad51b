/* Files written whole or not at all, and checksums.
 *
 * A writer fills a temporary file beside its target; commit syncs it, renames it over the target
 * and syncs the folder, so that at every instant the target is either the old file or the new one.
 */
#include "internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct gradrt_writer {
  int fd;
  char *path, *temp;
  unsigned char *buffer;
  size_t used;
  bool synced;                  /* nothing was put since the last fsync */
  int failed;                   /* errno of the first failure; 0: none */
};

enum { FILE_BUFFER = 1 << 16 };

static char *file_join(const char *a, const char *b)
{
  size_t na = strlen(a), nb = strlen(b);
  char *s = malloc(na + nb + 1);
  if (s) {
    memcpy(s, a, na);
    memcpy(s + na, b, nb + 1);
  }
  return s;
}

static void file_free(gradrt_writer *w)
{
  free(w->path);
  free(w->temp);
  free(w->buffer);
  free(w);
}

/* A device or a pipe is never replaced by a rename: it is written in place. */
static bool file_is_special(const char *path)
{
  struct stat st;
  return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* The folder of path, malloc'ed; NULL: no memory. */
static char *file_folder(const char *path)
{
  const char *slash = strrchr(path, '/');
  char *dir = file_join(slash ? path : ".", "");
  if (dir && slash)
    dir[slash == path ? 1 : slash - path] = '\0';
  return dir;
}

/* Whether name is "<base>.tmp.<pid>" or "<base>.tmp.<pid>.prev" of a process that lives no more. */
static bool file_is_orphan(const char *name, const char *base)
{
  size_t n = strlen(base);
  if (strncmp(name, base, n) != 0 || strncmp(name + n, ".tmp.", 5) != 0)
    return false;
  const char *digits = name + n + 5;
  size_t len = strspn(digits, "0123456789");
  if (len == 0 || len > 10 || (digits[len] != '\0' && strcmp(digits + len, ".prev") != 0))
    return false;
  long long pid = strtoll(digits, NULL, 10);
  return pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Removes what killed processes left while they wrote path. */
static void file_sweep(const char *path)
{
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  char *dir = file_folder(path);
  DIR *d = dir ? opendir(dir) : NULL;
  if (d) {
    for (struct dirent *e = readdir(d); e; e = readdir(d))
      if (file_is_orphan(e->d_name, base))
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
  }
  free(dir);
}

/* A program started with its standard streams closed must not write a file through them. */
static int file_above_standard(int fd)
{
  if (fd < 0 || fd > STDERR_FILENO)
    return fd;
  int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), kept = errno;
  close(fd);
  errno = kept;
  return above;
}

void gradrt_limits_are_errors(void)
{
#ifdef SIGXFSZ
  signal(SIGXFSZ, SIG_IGN);
#endif
}

gradrt_writer *gradrt_writer_open(const char *path)
{
  gradrt_writer *w = calloc(1, sizeof *w);
  char suffix[64];
  snprintf(suffix, sizeof suffix, ".tmp.%ld", (long)getpid());
  if (w) {
    w->path = file_join(path, "");
    w->temp = file_join(path, suffix);
    w->buffer = malloc(FILE_BUFFER);
  }
  if (!w || !w->path || !w->temp || !w->buffer) {
    if (w)
      file_free(w);
    gradrt_error(GRADRT_LIMIT, "out of memory while writing '%s'", path);
    return NULL;
  }
  if (file_is_special(path)) {
    free(w->temp);
    w->temp = NULL;
    w->fd = open(path, O_WRONLY | O_CLOEXEC);
  } else {
    file_sweep(path);
    unlink(w->temp);
    w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  }
  w->fd = file_above_standard(w->fd);
  if (w->fd < 0) {
    gradrt_error(GRADRT_IO, "cannot write '%s': %s", path, strerror(errno));
    file_free(w);
    return NULL;
  }
  return w;
}

static void file_flush(gradrt_writer *w)
{
  size_t done = 0;
  while (done < w->used && !w->failed) {
    ssize_t n = write(w->fd, w->buffer + done, w->used - done);
    if (n > 0)
      done += (size_t)n;
    else if (n == 0 || errno != EINTR)
      w->failed = n == 0 ? EIO : errno;
  }
  w->used = 0;
}

int gradrt_writer_put(gradrt_writer *w, const void *bytes, size_t n)
{
  const unsigned char *at = bytes;
  w->synced = false;
  while (n > 0 && !w->failed) {
    size_t room = FILE_BUFFER - w->used, take = n < room ? n : room;
    memcpy(w->buffer + w->used, at, take);
    w->used += take;
    at += take;
    n -= take;
    if (w->used == FILE_BUFFER)
      file_flush(w);
  }
  return w->failed ? GRADRT_IO : GRADRT_OK;
}

int gradrt_writer_printf(gradrt_writer *w, const char *fmt, ...)
{
  char line[1024], *text = line;
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  if (n >= (int)sizeof line) {
    text = malloc((size_t)n + 1);
    if (!text) {
      w->failed = ENOMEM;
      return GRADRT_IO;
    }
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
  }
  int code = gradrt_writer_put(w, text, n < 0 ? 0 : (size_t)n);
  if (text != line)
    free(text);
  return code;
}

/* errno of a failure; a folder that cannot be opened or synced as such is left to the system. */
static int file_sync_folder(const char *path)
{
  char *dir = file_folder(path);
  if (!dir)
    return ENOMEM;
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = fd < 0 ? errno : 0;
  free(dir);
  if (fd < 0)
    return failed == EACCES ? 0 : failed;
  if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
    failed = errno;
  close(fd);
  return failed;
}

int gradrt_writer_sync(gradrt_writer *w)
{
  file_flush(w);
  if (!w->failed && !w->synced && w->temp && fsync(w->fd) != 0 && errno != EINVAL)
    w->failed = errno;
  w->synced = !w->failed;
  return w->failed ? GRADRT_IO : GRADRT_OK;
}

int gradrt_writer_commit(gradrt_writer *w)
{
  gradrt_writer_sync(w);
  if (close(w->fd) != 0 && !w->failed)
    w->failed = errno;
  if (!w->failed && w->temp && rename(w->temp, w->path) != 0)
    w->failed = errno;
  if (w->failed && w->temp)
    unlink(w->temp);
  int code = GRADRT_OK;
  if (w->failed) {
    code = gradrt_error(GRADRT_IO, "cannot write '%s': %s", w->path, strerror(w->failed));
  } else if (w->temp) {
    int unsure = file_sync_folder(w->path);
    if (unsure)
      code = gradrt_error(GRADRT_IO,
                          "'%s' is written, but a power cut may undo that: its folder cannot be "
                          "synced: %s",
                          w->path, strerror(unsure));
  }
  file_free(w);
  return code;
}

void gradrt_writer_abort(gradrt_writer *w)
{
  if (!w)
    return;
  close(w->fd);
  if (w->temp)
    unlink(w->temp);
  file_free(w);
}

/* ---- CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) ---- */

enum { FILE_CRC_LONG = 8192 };

/* table[k][b]: what byte b does to the sum when k more bytes follow. */
static void file_crc_table(uint32_t table[8][256])
{
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++)
      c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    table[0][i] = c;
  }
  for (int k = 1; k < 8; k++)
    for (int i = 0; i < 256; i++)
      table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

/* Eight bytes at a time; n is a multiple of 8. */
static uint32_t file_crc_long(uint32_t crc, const unsigned char *at, size_t n)
{
  uint32_t table[8][256];
  file_crc_table(table);
  for (; n > 0; n -= 8, at += 8) {
    crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^
          table[4][crc >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
          table[0][at[7]];
  }
  return crc;
}

uint32_t gradrt_crc32c(uint32_t crc, const void *bytes, size_t n)
{
  static const uint32_t table[16] = {    /* of half bytes */
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
  };
  const unsigned char *at = bytes;
  size_t whole = n >= FILE_CRC_LONG ? n / 8 * 8 : 0;
  crc = ~crc;
  if (whole)
    crc = file_crc_long(crc, at, whole);
  for (size_t i = whole; i < n; i++) {
    crc ^= at[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* ---- SHA-256 (FIPS 180-4) ---- */

static uint32_t file_rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void file_sha_block(uint32_t h[8], const unsigned char *p)
{
  static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  };
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
           p[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (file_rotate(a, 7) ^ file_rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (file_rotate(b, 17) ^ file_rotate(b, 19) ^ b >> 10);
  }
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = s[7] + (file_rotate(s[4], 6) ^ file_rotate(s[4], 11) ^ file_rotate(s[4], 25)) +
                  ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
    uint32_t t2 = (file_rotate(s[0], 2) ^ file_rotate(s[0], 13) ^ file_rotate(s[0], 22)) +
                  ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++)
    h[i] += s[i];
}

void gradrt_sha256(const void *bytes, size_t n, unsigned char out[32])
{
  uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
  const unsigned char *p = bytes;
  size_t whole = n / 64 * 64, rest = n - whole;
  for (size_t i = 0; i < whole; i += 64)
    file_sha_block(h, p + i);
  unsigned char last[128] = { 0 };
  memcpy(last, p + whole, rest);
  last[rest] = 0x80;
  size_t size = rest < 56 ? 64 : 128;
  for (int i = 0; i < 8; i++)
    last[size - 1 - (size_t)i] = (unsigned char)((uint64_t)n * 8 >> (8 * i));
  for (size_t i = 0; i < size; i += 64)
    file_sha_block(h, last + i);
  for (int i = 0; i < 8; i++)
    for (int k = 0; k < 4; k++)
      out[4 * i + k] = (unsigned char)(h[i] >> (24 - 8 * k));
}
