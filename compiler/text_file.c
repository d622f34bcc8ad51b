/* The vocabulary of a text. What the file lacks is reported as the generated program would report
 * it, with its exit code. */
#include "text_file.h"

#include "base/str.h"
#include "data_text.h"

#include <string.h>

typedef struct { const TextFiles *files; Arena *arena; } Heard;

static void hear(void *ctx, bool note, const char *text)
{
  const Heard *h = ctx;
  h->files->tell(h->files->tell_ctx,
                 arena_printf(h->arena, note ? "  note: %s\n" : "gradc: error: %s\n", text));
}

/* The net that the reader wants in an ask: no fields yet, only the spec's name. */
static bool vocabulary(const Texts *t, const SourceSpec *source, Arena *a,
                       const char *const **entry, int64_t *n)
{
  const TextFiles *f = (const TextFiles *)t;
  gradrt_prop *prop = ARENA_ARRAY(a, gradrt_prop, source->nprop + 1);
  for (int i = 0; i < source->nprop; i++)
    prop[i] =
        (gradrt_prop){ source->prop[i].name, source->prop[i].number, source->prop[i].text };
  const char *place = source_at(f->sources, a, source->at), *slash = strrchr(place, '/');
  gradrt_source from = { source->kind, source->nprop, prop, slash ? slash + 1 : place };
  gradrt_net net = { .file = f->file };
  gradrt_ask ask = { .net = &net, .source = &from, .dir = f->dir, .root = f->root };
  char **read;
  gradrt_hear_errors(hear, &(Heard){ f, a });
  int code = gradrt_vocabulary(&ask, &read, n);
  gradrt_hear_errors(NULL, NULL);
  if (code && !*f->code)
    *f->code = code;
  const char **kept = !code && read ? ARENA_ARRAY(a, const char *, *n) : NULL;
  for (int64_t i = 0; kept && i < *n; i++)
    kept[i] = arena_strdup(a, read[i]);
  gradrt_free(read);
  *entry = kept;
  return code == 0;
}

TextFiles text_files(Arena *a, const char *spec, const char *dir, const char *root,
                     const SourceMap *sources, DiagSink tell, void *ctx, int *code)
{
  const char *slash = strrchr(spec, '/');
  const char *beside =
      slash ? arena_strndup(a, spec, slash == spec ? 1 : (size_t)(slash - spec)) : ".";
  *code = 0;
  return (TextFiles){ .texts = { vocabulary }, .dir = dir ? dir : beside, .root = root,
                      .file = slash ? slash + 1 : spec, .sources = sources,
                      .tell = tell, .tell_ctx = ctx, .code = code };
}
