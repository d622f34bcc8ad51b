/* Opening and reading data files: regular files only, read with pread, noticed when they change
 * meanwhile. A spec reads files below its own folder (or --data) and --data-root, wherever links
 * lead. A path that leads nowhere is reported with the nearest name in its folder.
 *
 * realpath needs _XOPEN_SOURCE. */
#if !defined _GNU_SOURCE && !defined _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "data.h"
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_ENTRIES_MAX = 100000, FILE_NAME = 256 };

/* ---- a name that may have been meant ---- */

static void file_lower(char out[FILE_NAME], const char *s)
{
  size_t n = 0;
  for (; s[n] && n + 1 < FILE_NAME; n++)
    out[n] = s[n] >= 'A' && s[n] <= 'Z' ? (char)(s[n] - 'A' + 'a') : s[n];
  out[n] = 0;
}

/* How far b is from a; a name with or without .gz is nearest; -1: too far. */
static int file_distance(const char *wanted, const char *there)
{
  char a[FILE_NAME], b[FILE_NAME];
  file_lower(a, wanted);
  file_lower(b, there);
  size_t na = strlen(a), nb = strlen(b);
  size_t least = na < nb ? na : nb;
  if ((na == nb + 3 && strcmp(a + nb, ".gz") == 0) || (nb == na + 3 && strcmp(b + na, ".gz") == 0))
    return strncmp(a, b, least) == 0 ? 0 : -1;
  int d = gradrt_text_distance(a, b);
  return d <= (int)(na > 3 ? na : 3) / 3 ? d : -1;
}

static bool file_nearest(const char *folder, const char *wanted, char best[FILE_NAME])
{
  DIR *dir = opendir(folder);
  if (!dir)
    return false;
  int least = -1, entries = 0;
  for (struct dirent *e = readdir(dir); e && entries < FILE_ENTRIES_MAX;
       e = readdir(dir), entries++) {
    int d = e->d_name[0] == '.' ? -1 : file_distance(wanted, e->d_name);
    bool nearer = d >= 0 && (least < 0 || d < least || (d == least && strcmp(e->d_name, best) < 0));
    if (nearer && strlen(e->d_name) < FILE_NAME) {
      least = d;
      memcpy(best, e->d_name, strlen(e->d_name) + 1);
    }
  }
  closedir(dir);
  return least >= 0;
}

/* Known sets of files: how a name begins, and where the set is. */
static const char *const file_sets[][2] = {
  { "train-", "MNIST is at https://ossci-datasets.s3.amazonaws.com/mnist/, Fashion-MNIST at "
              "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/" },
  { "t10k-", NULL },            /* as above */
  { "data_batch_", "CIFAR-10 is at https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" },
  { "test_batch", NULL },
};

static void file_note_set(const char *last)
{
  const char *where = NULL;
  for (size_t i = 0; i < sizeof file_sets / sizeof *file_sets; i++) {
    where = file_sets[i][1] ? file_sets[i][1] : where;
    if (strncmp(last, file_sets[i][0], strlen(file_sets[i][0])) == 0) {
      gradrt_note("%s", where);
      return;
    }
  }
}

/* Notes after "cannot read": what was looked for, what is there instead, where to get it. */
static void file_notes(const gradrt_ask *a, const char *path)
{
  char folder[GRADRT_DATA_PATH], here[GRADRT_DATA_PATH], best[FILE_NAME];
  const char *slash = strrchr(path, '/');
  const char *last = slash ? slash + 1 : path;
  size_t n = slash > path ? (size_t)(slash - path) : 1;
  memcpy(folder, slash ? path : ".", n);
  folder[n] = 0;
  if (a->source->place && path[0] != '/' && getcwd(here, sizeof here))
    gradrt_note("looked for %s/%s", here, path);
  else if (a->source->place)
    gradrt_note("looked for %s", path);
  if (!gradrt_path_is_dir(folder))
    gradrt_note("there is no folder %s", folder);
  else if (file_nearest(folder, last, best))
    gradrt_note("there is \"%s\" in that folder", best);
  file_note_set(last);
}

/* ---- files ---- */

static int file_error(const gradrt_ask *a, const char *name, const char *problem)
{
  const char *place = a->source->place;
  return gradrt_error(GRADRT_DATA, "%s%scannot read \"%s\": %s", place ? place : "",
                      place ? ": " : "", name, problem);
}

static int file_path(const gradrt_ask *a, const char *name, char out[GRADRT_DATA_PATH])
{
  bool bare = a->named || name[0] == '/' || !a->dir || !*a->dir || strcmp(a->dir, ".") == 0;
  size_t ndir = bare ? 0 : strlen(a->dir);
  const char *gap = ndir && a->dir[ndir - 1] != '/' ? "/" : "";
  int n = snprintf(out, GRADRT_DATA_PATH, "%s%s%s", bare ? "" : a->dir, gap, name);
  if (!*name)
    return file_error(a, name, "the path is empty");
  return n < GRADRT_DATA_PATH ? GRADRT_OK : file_error(a, name, "the path is too long");
}

/* Whether the resolved path is the folder or lies in it. */
static bool file_beneath(const char *path, const char *folder)
{
  char *full = realpath(folder, NULL);
  size_t n = full ? strlen(full) : 0;
  n -= n == 1;                  /* "/" holds everything */
  bool inside = full && strncmp(path, full, n) == 0 && (path[n] == '/' || !path[n]);
  free(full);
  return inside;
}

/* Opens the path; what a spec names must lie where its data may. -1: errno says why, and is 0 when
 * the error is already reported. */
static int file_open_inside(const gradrt_file *f, const gradrt_ask *a, const char *name)
{
  const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
  if (a->named)
    return open(f->path, flags);
  const char *dir = a->dir && *a->dir ? a->dir : ".";
  char *full = realpath(f->path, NULL);
  if (!full)
    return -1;
  bool inside = file_beneath(full, dir) || (a->root && file_beneath(full, a->root));
  int fd = inside ? open(full, flags | O_NOFOLLOW) : -1, why = errno;
  if (!inside) {
    file_error(a, name, "it lies outside of the folder of the data");
    gradrt_note("it leads to %s; data is read from %s and below", full, dir);
    gradrt_note("data may lie in a further folder if you say so: --data-root DIR");
    why = 0;
  }
  free(full);
  errno = why;
  return fd;
}

int gradrt_file_open(gradrt_file *f, const gradrt_ask *a, const char *name)
{
  *f = (gradrt_file){ .fd = -1 };
  int code = file_path(a, name, f->path);
  if (code != GRADRT_OK)
    return code;
  f->fd = file_open_inside(f, a, name);
  struct stat st;
  if (f->fd < 0 || fstat(f->fd, &st) != 0) {
    int why = errno;
    if (why == 0)
      return GRADRT_DATA;
    code = file_error(a, name, strerror(why));
    if (why == ENOENT || why == ENOTDIR)
      file_notes(a, f->path);
    gradrt_file_close(f);
    return code;
  }
  if (!S_ISREG(st.st_mode)) {
    code = file_error(a, name, S_ISDIR(st.st_mode) ? "it is a folder" : "it is not a regular file");
    gradrt_file_close(f);
    return code;
  }
  f->size = (int64_t)st.st_size;
  f->changed[0] = (int64_t)st.st_mtim.tv_sec;
  f->changed[1] = (int64_t)st.st_mtim.tv_nsec;
  return GRADRT_OK;
}

bool gradrt_folder_find(const gradrt_ask *a, const char *name, char path[GRADRT_DATA_PATH])
{
  return gradrt_file_find(a, name, path) && gradrt_path_is_dir(path);
}

bool gradrt_file_find(const gradrt_ask *a, const char *name, char path[GRADRT_DATA_PATH])
{
  const char *dir = a->dir && *a->dir ? a->dir : ".";
  int n = snprintf(path, GRADRT_DATA_PATH, "%s%s%s", a->named || name[0] == '/' ? "" : dir,
                   a->named || name[0] == '/' ? "" : "/", name);
  if (!*name || n >= GRADRT_DATA_PATH)
    return false;
  char *full = realpath(path, NULL);
  bool inside = full && (a->named || file_beneath(full, dir) ||
                         (a->root && file_beneath(full, a->root)));
  free(full);
  return inside;
}

int gradrt_file_read(gradrt_file *f, void *bytes, size_t n)
{
  char *to = bytes;
  for (size_t done = 0; done < n;) {
    size_t part = n - done < ((size_t)1 << 30) ? n - done : (size_t)1 << 30;
    ssize_t got = pread(f->fd, to + done, part, (off_t)f->at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return gradrt_error(GRADRT_IO, "%s: byte %" PRId64 " cannot be read: %s", f->path, f->at,
                          strerror(errno));
    if (got == 0)
      return gradrt_error(GRADRT_DATA,
                          "%s: the file ends after %" PRId64 " bytes; %zu more are needed", f->path,
                          f->at, n - done);
    done += (size_t)got;
    f->at += (int64_t)got;
  }
  return GRADRT_OK;
}

int gradrt_file_finish(gradrt_file *f)
{
  struct stat st;
  bool same = fstat(f->fd, &st) == 0 && (int64_t)st.st_size == f->size &&
              (int64_t)st.st_mtim.tv_sec == f->changed[0] &&
              (int64_t)st.st_mtim.tv_nsec == f->changed[1];
  gradrt_file_close(f);
  return same ? GRADRT_OK
              : gradrt_error(GRADRT_DATA, "%s: the file changed while it was read", f->path);
}

void gradrt_file_close(gradrt_file *f)
{
  if (f->fd >= 0)
    close(f->fd);
  f->fd = -1;
}

int gradrt_file_slurp(const gradrt_ask *a, const char *name, char **text, size_t *size, char *path)
{
  gradrt_file f;
  int code = gradrt_file_open(&f, a, name);
  if (code != GRADRT_OK)
    return code;
  memcpy(path, f.path, sizeof f.path);
  *size = (size_t)f.size;
  *text = gradrt_alloc(*size + 1);
  if (*text)
    code = gradrt_file_read(&f, *text, *size);
  else
    code =
        gradrt_error(GRADRT_LIMIT, "%s: out of memory for its %" PRId64 " bytes", f.path, f.size);
  if (code == GRADRT_OK)
    return gradrt_file_finish(&f);
  gradrt_file_close(&f);
  return code;
}
