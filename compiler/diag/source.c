/* The source map: every text gets a range of a common offset space, one longer than the text, so
 * that its end of file is a place too. Line starts are found once, when a text is added. */
#include "diag/source.h"
#include "base/vec.h"

#include <string.h>

typedef struct {
  const char *file;
  const char *text;
  uint32_t base, length;        /* offsets base .. base + length */
  const uint32_t *line;         /* start of each line, relative to base */
  uint32_t nline;
} Source;

struct SourceMap {
  Arena *arena;
  VEC(Source) sources;          /* in ascending order of base */
  uint32_t next;                /* base of the next text */
};

SourceMap *source_map_new(Arena *a)
{
  SourceMap *m = ARENA_NEW(a, SourceMap);
  m->arena = a;
  m->next = 1;
  return m;
}

static void find_lines(Arena *a, Source *s)
{
  uint32_t n = 1;
  for (uint32_t i = 0; i < s->length; i++)
    n += s->text[i] == '\n';
  uint32_t *line = ARENA_ARRAY(a, uint32_t, n);
  /* A byte order mark is no column. */
  line[0] = s->length >= 3 && memcmp(s->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  uint32_t at = 1;
  for (uint32_t i = 0; i < s->length; i++)
    if (s->text[i] == '\n')
      line[at++] = i + 1;
  s->line = line;
  s->nline = n;
}

uint32_t source_add(SourceMap *m, const char *file, const char *text, uint32_t length)
{
  if (length >= UINT32_MAX - m->next)
    ice("source_add: more than 4 GiB of source text");
  Source s = {.file = arena_strdup(m->arena, file),
              .text = arena_strndup(m->arena, text, length),
              .base = m->next,
              .length = length};
  find_lines(m->arena, &s);
  vec_push(m->arena, &m->sources, s);
  m->next += length + 1;
  return s.base;
}

static const Source *source_of(const SourceMap *m, uint32_t offset)
{
  uint32_t low = 0, high = m->sources.n;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    const Source *s = &m->sources.at[mid];
    if (offset < s->base)
      high = mid;
    else if (offset > s->base + s->length)
      low = mid + 1;
    else
      return s;
  }
  return NULL;
}

/* Index of the last line that starts at or before the relative offset; 0 if none does. */
static uint32_t line_of(const Source *s, uint32_t at)
{
  uint32_t low = 0, high = s->nline;
  while (high - low > 1) {
    uint32_t mid = low + (high - low) / 2;
    if (s->line[mid] <= at)
      low = mid;
    else
      high = mid;
  }
  return low;
}

bool source_place(const SourceMap *m, uint32_t offset, Place *out)
{
  const Source *s = offset ? source_of(m, offset) : NULL;
  if (!s)
    return false;
  uint32_t at = offset - s->base, index = line_of(s, at), start = s->line[index];
  uint32_t end = index + 1 < s->nline ? s->line[index + 1] - 1 : s->length;
  if (end > start && s->text[end - 1] == '\r')
    end--;
  int col = 1;
  for (uint32_t i = start; i < at; i++)
    col += ((unsigned char)s->text[i] & 0xC0) != 0x80;
  *out = (Place){.file = s->file,
                 .line = (int)index + 1,
                 .col = col,
                 .text = s->text + start,
                 .length = (int)(end - start)};
  return true;
}

const char *source_at(const SourceMap *m, Arena *a, Span at)
{
  const Source *s = at.begin ? source_of(m, at.begin) : NULL;
  return s ? arena_printf(a, "%s:%u", s->file, line_of(s, at.begin - s->base) + 1) : "";
}
