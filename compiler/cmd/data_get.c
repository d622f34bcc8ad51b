/* data get NAME: brings the files of a known data set into a folder. curl or wget downloads beside
 * the file, so that a stopped download goes on; what arrives takes its place when its checksum is
 * the published one. Files that are there and right are left alone. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/md5.h"
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

typedef struct { const char *set, *unpack, *place[2], *file, *md5, *inside; } Row;

/* A set, then its files. */
static const Row rows[] = {
#define SET(name, unpack, first, second) { name, unpack, { first, second }, NULL, NULL, NULL },
#define ITEM(file, md5, inside) { NULL, NULL, { NULL, NULL }, file, md5, inside },
#include "cmd/datasets.def"
#undef SET
#undef ITEM
};

enum { CURL_NO_RANGE = 33 };

typedef struct {
  const CmdOptions *options;
  Arena *arena;
  const Row *set;
  const char *folder;
} Getter;

/* ---- checksums ---- */

static bool file_md5(const char *path, char hex[33])
{
  unsigned char part[1 << 14];
  Md5 m;
  FILE *f = fopen(path, "rb");
  md5_start(&m);
  for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
    md5_add(&m, part, n);
  bool ok = f && !ferror(f);
  if (f)
    fclose(f);
  md5_finish(&m, hex);
  return ok;
}

/* Of the bytes that gzip packed. */
static bool inside_md5(const char *path, char hex[33])
{
  unsigned char part[1 << 14];
  Md5 m;
  int n = 0;
  gzFile f = gzopen(path, "rb");
  md5_start(&m);
  while (f && (n = gzread(f, part, sizeof part)) > 0)
    md5_add(&m, part, (size_t)n);
  bool ok = f && n == 0;
  if (f)
    ok = gzclose(f) == Z_OK && ok;
  md5_finish(&m, hex);
  return ok;
}

static bool is_right(const Row *item, const char *path)
{
  char hex[33];
  return *item->md5 ? file_md5(path, hex) && str_eq(hex, item->md5)
                    : inside_md5(path, hex) && str_eq(hex, item->inside);
}

/* ---- downloading ---- */

/* One address with one program. The exit status; negative: the program is not there. */
static int download(const Getter *g, const char *program, const char *url, const char *part)
{
  const char *const curl[] = { "curl", "--fail", "--silent", "--show-error", "--location",
                               "--connect-timeout", "20", "--continue-at", "-", "--output", part,
                               "--url", url, NULL };
  const char *const wget[] = { "wget", "--no-verbose", "--timeout=20", "--tries=2", "--continue",
                               "-O", part, "--", url, NULL };
  const char *const *words = str_eq(program, "curl") ? curl : wget;
  char *argv[16];
  int n = 0;
  for (; words[n]; n++)
    argv[n] = arena_strdup(g->arena, words[n]);
  argv[n] = NULL;
  return cmd_spawn(argv);
}

/* Downloads to part from one address; true: something came. */
static bool fetch(const Getter *g, const char *url, const char *part)
{
  if (!g->options->quiet)
    fprintf(stderr, "get  %s\n", url);
  int status = download(g, "curl", url, part);
  if (status == CURL_NO_RANGE) {
    unlink(part);
    status = download(g, "curl", url, part);
  }
  if (status < 0)
    status = download(g, "wget", url, part);
  if (status < 0)
    gradrt_error(EXIT_IO, "neither curl nor wget can be run: %s", strerror(-status));
  return status == 0;
}

static int take(const Row *item, const char *part, const char *path)
{
  if (rename(part, path) != 0)
    return gradrt_error(EXIT_IO, "cannot write '%s': %s", path, strerror(errno));
  return is_right(item, path) ? EXIT_OK
                              : gradrt_error(EXIT_IO, "'%s' changed while it was written", path);
}

/* Brings one file, from --from or from the set's places in turn. */
static int get_item(const Getter *g, const Row *item)
{
  const char *path = arena_printf(g->arena, "%s/%s", g->folder, item->file);
  const char *part = arena_printf(g->arena, "%s.part", path);
  const char *place[2] = { g->options->from ? g->options->from : g->set->place[0],
                           g->options->from ? "" : g->set->place[1] };
  struct stat st;
  if (stat(path, &st) == 0) {
    if (!is_right(item, path)) {
      gradrt_error(EXIT_DATA, "'%s' is there, but it is not the published file", path);
      gradrt_note("move it away to have it brought again");
      return EXIT_DATA;
    }
    if (!g->options->quiet)
      fprintf(stderr, "have %s\n", path);
    return EXIT_OK;
  }
  if (is_right(item, part))
    return take(item, part, path);
  for (int i = 0; i < 2 && *place[i]; i++) {
    if (!fetch(g, arena_printf(g->arena, "%s/%s", place[i], item->file), part))
      continue;
    if (is_right(item, part))
      return take(item, part, path);
    gradrt_error(EXIT_DATA, "what %s sent is not the published file: its checksum differs",
                 place[i]);
    unlink(part);
  }
  gradrt_error(EXIT_IO, "cannot bring '%s'", item->file);
  gradrt_note("offline? bring it by other means, to '%s'; the command goes on from there", path);
  return EXIT_IO;
}

/* ---- sets ---- */

static int unpack(const Getter *g, const Row *item)
{
  const char *path = arena_printf(g->arena, "%s/%s", g->folder, item->file);
  const char *const words[] = { "tar", "-x", "-z", "-f", path, "-C", g->folder, g->set->unpack,
                                NULL };
  return cmd_run_tool(g->options, g->arena, words);
}

static bool make_folders(Arena *a, const char *path)
{
  for (const char *p = path + 1;; p++) {
    if (*p && *p != '/')
      continue;
    const char *part = arena_strndup(a, path, (size_t)(p - path));
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
      return gradrt_error(EXIT_IO, "cannot make the folder '%s': %s", part, strerror(errno)) == 0;
    if (!*p)
      return true;
  }
}

static int unknown_set(const char *name)
{
  const char *names[ARRAY_LEN(rows)];
  int n = 0;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (rows[i].set)
      names[n++] = rows[i].set;
  const char *near = str_closest(name, names, n);
  gradrt_error(EXIT_USAGE, "there is no data set '%s'%s%s%s", name, near ? "; did you mean '" : "",
               near ? near : "", near ? "'?" : "");
  char list[256] = "";
  for (int i = 0; i < n; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
  gradrt_note("there is: %s", list);
  return EXIT_USAGE;
}

int cmd_data_get(const CmdOptions *o)
{
  if (o->nrest != 1)
    return gradrt_error(EXIT_USAGE, "data get takes the name of one data set, such as mnist");
  if (o->from && !strstr(o->from, "://"))
    return gradrt_error(EXIT_USAGE, "--from takes an address such as file:///data, not '%s'",
                        o->from);
  Getter g = { .options = o, .arena = arena_new("data sets") };
  size_t i = 0;
  while (i < ARRAY_LEN(rows) && !(rows[i].set && str_eq(rows[i].set, o->rest[0])))
    i++;
  int code = i < ARRAY_LEN(rows) ? EXIT_OK : unknown_set(o->rest[0]);
  if (!code) {
    g.set = &rows[i];
    g.folder = arena_printf(g.arena, "%s/%s", o->driver.data_dir ? o->driver.data_dir : ".",
                            g.set->set);
    code = make_folders(g.arena, g.folder) ? EXIT_OK : EXIT_IO;
  }
  for (i++; !code && i < ARRAY_LEN(rows) && !rows[i].set; i++) {
    code = get_item(&g, &rows[i]);
    if (!code && *g.set->unpack)
      code = unpack(&g, &rows[i]);
  }
  if (!code && !o->quiet)
    fprintf(stderr, "%s lies in %s\n", g.set->set, g.folder);
  arena_free(&g.arena);
  return code;
}
