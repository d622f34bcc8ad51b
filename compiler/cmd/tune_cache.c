/* The file of measured tiles, tune/ISA-HASH.txt in the cache folder; the hash is of the second
 * line. Lines of text:
 *
 *   gradc tiles 1
 *   machine CPU; ISA; gradc VERSION
 *   tile NV NS GAIN KEY            any number: vectors, scalars, percent won, what it is for
 *   end HASH                       of all bytes before this line
 *
 * A file that is not exactly this is damaged: it counts as empty, and the next tune writes it
 * anew. */
#include "base/out.h"
#include "base/str.h"
#include "cmd/tune.h"
#include "internal.h"
#include <stdio.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 22 };
static const char first_line[] = "gradc tiles 1\n";

/* The name that the kernel gives the CPU, or "unknown". */
static const char *cpu_model(Arena *a)
{
  char line[512];
  const char *name = "unknown";
  FILE *f = fopen("/proc/cpuinfo", "r");
  while (f && fgets(line, sizeof line, f)) {
    const char *colon = strchr(line, ':');
    if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "CPU part", 8) != 0))
      continue;
    colon += 1 + strspn(colon + 1, " \t");
    name = arena_strndup(a, colon, strcspn(colon, "\n"));
    break;
  }
  if (f)
    fclose(f);
  return name;
}

static const char *machine_line(Arena *a)
{
  const Target *host = target_host();
  return arena_printf(a, "machine %s; %s; gradc %s\n", cpu_model(a), host ? host->name : "none",
                      GRADC_VERSION);
}

static const char *file_name(Arena *a)
{
  const char *line = machine_line(a);
  const Target *host = target_host();
  return arena_printf(a, "%s-%.16s.txt", host ? host->name : "none",
                      cmd_hash(a, line, strlen(line)));
}

/* The whole file, NUL-terminated; NULL: there is none. Longer ones are cut, and so damaged. */
static const char *read_text(Arena *a, const char *path)
{
  FILE *f = fopen(path, "rb");
  if (!f)
    return NULL;
  Out *text = out_new(a);
  char part[4096];
  size_t n;
  while (out_length(text) < FILE_BYTES_MAX && (n = fread(part, 1, sizeof part, f)) > 0)
    out_bytes(text, part, n);
  fclose(f);
  return out_text(text);
}

/* "tile NV NS GAIN KEY\n"; the end of the line, or NULL: it is no such line. */
static const char *read_tile(Tiles *t, const char *line)
{
  int nv, ns, at = 0;
  double gain;
  const char *end = strchr(line, '\n');
  if (!end || sscanf(line, "tile %d %d %lf %n", &nv, &ns, &gain, &at) != 3 || !at ||
      line + at >= end)
    return NULL;
  tiles_want(t, arena_strndup(t->arena, line + at, (size_t)(end - line - at)), (Tile){ nv, ns },
             gain);
  return end + 1;
}

static bool read_tiles(const char *text, Tiles *t)
{
  const char *machine = machine_line(t->arena), *p = text, *end = NULL;
  for (const char *q = text; (q = strstr(q, "\nend ")) != NULL; q++)
    end = q + 1;
  if (!end || strncmp(p, first_line, strlen(first_line)) != 0)
    return false;
  p += strlen(first_line);
  const char *sum = cmd_hash(t->arena, text, (size_t)(end - text));
  if (!str_eq(end, arena_printf(t->arena, "end %s\n", sum)) ||
      strncmp(p, machine, strlen(machine)) != 0)
    return false;
  for (p += strlen(machine); p && p < end;)
    p = read_tile(t, p);
  return p == end;
}

Tiles *cmd_tiles(const CmdOptions *o, Arena *a)
{
  Tiles *t = tiles_new(a);
  if (o->no_tune)
    return NULL;
  const char *path = arena_printf(a, "%s/%s", cmd_cache_path(a, "tune"), file_name(a));
  const char *text = read_text(a, path);
  if (text && !read_tiles(text, t)) {
    fprintf(stderr, "gradc: warning: the measured tiles in '%s' are damaged and not used\n"
                    "  note: 'gradc tune' writes them anew\n", path);
    t->wanted.n = 0;
  }
  return t;
}

int tune_write(const Tiles *t, const char **path)
{
  Arena *a = t->arena;
  const char *dir = cmd_cache_dir(a, "tune");
  if (!dir)
    return EXIT_IO;
  Out *text = out_new(a);
  out_printf(text, "%s%s", first_line, machine_line(a));
  for (uint32_t i = 0; i < t->wanted.n; i++) {
    const TileEntry *e = &t->wanted.at[i];
    if (tiles_find(t, e->key) == e && e->tile.nv)
      out_printf(text, "tile %d %d %.1f %s\n", e->tile.nv, e->tile.ns, e->gain, e->key);
  }
  const char *sum = cmd_hash(a, out_text(text), out_length(text));
  out_printf(text, "end %s\n", sum);
  *path = arena_printf(a, "%s/%s", dir, file_name(a));
  return cmd_write(*path, out_text(text), out_length(text));
}
