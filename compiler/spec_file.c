/* Reading specs. A used file is named from the folder of the file that uses it; neither `..` nor a
 * link leads out of the folder of the first one. Files are told apart by their real paths, so that
 * one that is used twice counts once, and one that uses itself is found. */
#define _XOPEN_SOURCE 700       /* realpath */
#include "spec_file.h"

#include "base/str.h"
#include "base/vec.h"
#include "syntax/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPEC_BYTES_MAX = 16 << 20, FILES_MAX = 256 };
static const char spec_too_large[] = "a spec has at most 16 MiB";

/* ---- one file ---- */

/* Does not wait for a pipe that nobody writes: that one reads as empty. */
static FILE *open_spec(const char *path)
{
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
    return NULL;
  return fdopen(fd, "rb");
}

/* The bytes of f, one more than the limit if there are more. */
static char *read_all(Arena *a, FILE *f, size_t *length)
{
  size_t cap = 1 << 16, n = 0;
  char *text = arena_alloc(a, cap + 1);
  for (;;) {
    size_t got = fread(text + n, 1, cap - n, f);
    n += got;
    if (got == 0 || n > SPEC_BYTES_MAX)
      break;
    if (n == cap) {
      char *more = arena_alloc(a, 2 * cap + 1);
      memcpy(more, text, n);
      text = more;
      cap *= 2;
    }
  }
  *length = n;
  return text;
}

int spec_read(Arena *a, const char *path, const char **text, uint32_t *length, const char **what,
              const char **why)
{
  FILE *f = open_spec(path);
  struct stat st;
  size_t n;
  if (!f) {
    *what = "open";
    *why = strerror(errno);
    return EXIT_IO;
  }
  char *bytes = read_all(a, f, &n);
  bool failed = ferror(f) != 0;
  int error = errno;
  if (n == 0 && !failed && fstat(fileno(f), &st) == 0 && S_ISFIFO(st.st_mode)) {
    failed = true;
    error = EPIPE;
  }
  fclose(f);
  *what = "read";
  *why = failed ? strerror(error) : spec_too_large;
  if (failed || n > SPEC_BYTES_MAX)
    return failed ? EXIT_IO : EXIT_LIMIT;
  bytes[n] = '\0';
  *text = bytes;
  *length = (uint32_t)n;
  return EXIT_OK;
}

int spec_take(Arena *a, const char *spec, const char **text, uint32_t *length, const char **what,
              const char **why)
{
  size_t n = strlen(spec);
  *what = "read";
  *why = spec_too_large;
  if (n > SPEC_BYTES_MAX)
    return EXIT_LIMIT;
  *text = arena_strndup(a, spec, n);
  *length = (uint32_t)n;
  return EXIT_OK;
}

/* ---- use ---- */

typedef struct {
  const char *real;             /* its path without links */
  bool open;                    /* its items are being read */
} UsedFile;

typedef struct {
  Arena *arena;
  SourceMap *sources;
  Diag *diag;
  const char *root;             /* real path of the folder that files lie in */
  VEC(UsedFile) files;
} Uses;

/* The folder of a path with its slash, or "". */
static const char *folder(Arena *a, const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? arena_strndup(a, path, (size_t)(slash - path) + 1) : "";
}

static const char *real_path(Arena *a, const char *path)
{
  char real[PATH_MAX];
  return realpath(path, real) ? arena_strdup(a, real) : NULL;
}

static bool leads_out(const char *path)
{
  for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/')
    if (strcspn(p, "/") == 2 && p[0] == '.' && p[1] == '.')
      return true;
  return path[0] == '/';
}

static bool lies_in(const char *real, const char *root)
{
  size_t n = strlen(root);
  return strncmp(real, root, n) == 0 && (real[n] == '/' || str_eq(root, "/"));
}

static bool may_use(Uses *u, const Ast *use, const char *path, const char **real)
{
  const char *named = str_escape(u->arena, use->use.path, 200);
  *real = leads_out(use->use.path) ? NULL : real_path(u->arena, path);
  if (leads_out(use->use.path)) {
    diag_error(u->diag, use->use.path_at, "E0318", "`use` cannot leave the folder of the spec: %s",
               named);
    diag_help(u->diag, "name a file beside it or below: use \"layers.nn\";");
  } else if (!*real) {
    diag_error(u->diag, use->use.path_at, "E0702", "cannot open '%s': %s",
               str_escape(u->arena, path, 200), strerror(errno));
    diag_help(u->diag, "the path starts in the folder of the file that says `use`");
  } else if (!lies_in(*real, u->root)) {
    diag_error(u->diag, use->use.path_at, "E0318",
               "'%s' is a link that leaves the folder of the spec", named);
    *real = NULL;
  } else if (u->files.n == FILES_MAX) {
    diag_error(u->diag, use->use.path_at, "E0602", "a spec uses at most %d files", FILES_MAX);
    *real = NULL;
  }
  return *real != NULL;
}

static void splice(Uses *u, Ast *file, const char *path);

/* The items of the used file, without its `net 1;`; NULL: none, or reported. */
static Ast *used_items(Uses *u, const Ast *use, const char *from)
{
  const char *path = arena_printf(u->arena, "%s%s", folder(u->arena, from), use->use.path);
  const char *real, *text, *what, *why;
  uint32_t length;
  if (!may_use(u, use, path, &real))
    return NULL;
  for (uint32_t i = 0; i < u->files.n; i++)
    if (str_eq(u->files.at[i].real, real)) {
      if (u->files.at[i].open) {
        diag_error(u->diag, use->use.path_at, "E0318", "'%s' uses itself",
                   str_escape(u->arena, path, 200));
        diag_help(u->diag, "put what both files need into a third one");
      }
      return NULL;
    }
  if (spec_read(u->arena, path, &text, &length, &what, &why)) {
    diag_error(u->diag, use->use.path_at, "E0702", "cannot %s '%s': %s", what,
               str_escape(u->arena, path, 200), why);
    return NULL;
  }
  uint32_t index = u->files.n;
  vec_push(u->arena, &u->files, ((UsedFile){ real, true }));
  uint32_t base = source_add(u->sources, path, text, length);
  int errors = diag_errors(u->diag);
  Ast *file = parse(text, length, base, u->arena, u->diag);
  if (diag_errors(u->diag) == errors)
    splice(u, file, path);
  u->files.at[index].open = false;
  Ast *items = file->file.items;
  return items && items->kind == AST_VERSION ? items->next : items;
}

static void splice(Uses *u, Ast *file, const char *path)
{
  Ast **at = &file->file.items;
  while (*at) {
    if ((*at)->kind != AST_USE) {
      at = &(*at)->next;
      continue;
    }
    Ast *rest = (*at)->next;
    for (*at = used_items(u, *at, path); *at;)
      at = &(*at)->next;
    *at = rest;
  }
}

void spec_use(Ast *file, const char *path, Arena *a, SourceMap *sources, Diag *d)
{
  Uses u = { .arena = a, .sources = sources, .diag = d };
  bool any = false;
  for (const Ast *n = file->file.items; n; n = n->next)
    any = any || n->kind == AST_USE;
  const char *real = any ? real_path(a, path) : NULL, *dir = folder(a, path);
  if (!any)
    return;
  u.root = real_path(a, *dir ? dir : ".");
  if (!real || !u.root) {
    diag_error(d, file->at, "E0702", "cannot find the folder of '%s'", str_escape(a, path, 200));
    return;
  }
  vec_push(a, &u.files, ((UsedFile){ real, true }));
  splice(&u, file, path);
}
