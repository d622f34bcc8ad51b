/* Rows in reserved address space: a row takes memory from its first byte written until it is
 * dropped, and keeps its address all the while. Memory comes and goes in pages, so that only rows
 * of at least a page are worth dropping.
 *
 * Anonymous maps and madvise need _GNU_SOURCE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "data.h"

#include <sys/mman.h>
#include <unistd.h>

bool gradrt_block_open(gradrt_block *b, int64_t n, size_t bytes)
{
  *b = (gradrt_block){ .n = n, .bytes = bytes, .page = (size_t)sysconf(_SC_PAGESIZE) };
  if (!gradrt_mul_size(bytes, (size_t)n, &b->reserved) || b->reserved > SIZE_MAX / 2)
    return false;
  b->reserved += b->reserved == 0;
  b->state = gradrt_alloc((size_t)n + 1);
  void *at = b->state ? mmap(NULL, b->reserved, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                      : MAP_FAILED;
  b->at = at == MAP_FAILED ? NULL : at;
#ifdef MADV_NOHUGEPAGE
  if (b->at)                    /* large pages would hold what is dropped; failing costs memory */
    (void)madvise(b->at, b->reserved, MADV_NOHUGEPAGE);
#endif
  return b->at != NULL;
}

void gradrt_block_close(gradrt_block *b)
{
  if (b->at)
    munmap(b->at, b->reserved);
  gradrt_free(b->state);
  *b = (gradrt_block){ .at = NULL };
}

bool gradrt_block_drops(const gradrt_block *b) { return b->bytes >= b->page; }

size_t gradrt_block_cost(const gradrt_block *b)
{
  return b->bytes % b->page == 0 ? b->bytes : (b->bytes / b->page + 2) * b->page;
}

void gradrt_block_drop(gradrt_block *b, int64_t row)
{
  size_t begin = (size_t)row * b->bytes, end = begin + b->bytes;
  bool before = row > 0 && b->state[row - 1], behind = row + 1 < b->n && b->state[row + 1];
  b->state[row] = 0;
  begin += before ? b->page - 1 : 0;
  begin -= begin % b->page;
  end += behind ? 0 : b->page - 1;
  end -= end % b->page;
  if (gradrt_block_drops(b) && end > begin)
    (void)madvise(b->at + begin, end - begin, MADV_DONTNEED);
}
