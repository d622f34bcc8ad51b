/* Identifiers. Whatever a spec calls its parts, the program gets short, readable, unique and
 * harmless names: nothing that is a keyword, that a header defines as a macro, or that a header
 * declares. */
#include "backend/c/c.h"
#include "base/str.h"
#include <string.h>

enum { NAME_MAX_LENGTH = 40, FIRST_BUCKETS = 64 };

typedef struct {
  const char *name;             /* NULL: free */
  TakeHow how;
} Bucket;

struct Names {
  Arena *arena;
  Bucket *bucket;               /* names of file scope: open addressing, a power of two */
  uint32_t nbucket, used;
  VEC(const char *) local;
  uint32_t floor;               /* locals below it are out of sight */
};

/* Keywords, and lower-case macros of compilers and of the headers that come before the kernels. */
static const char reserved[] = "alignas alignof asm auto bool boolean break case char complex "
                               "const continue default do double else enum "
                               "errno extern false float for fortran fpclassify generic goto i386 "
                               "if imaginary inline int iscanonical "
                               "iseqsig isfinite isgreater isgreaterequal isinf isless islessequal "
                               "islessgreater isnan isnormal "
                               "issignaling issubnormal isunordered iszero linux long main "
                               "noreturn nullptr offsetof pixel register "
                               "restrict return short signbit signed sizeof static stderr stdin "
                               "stdout struct sun switch thread_local "
                               "true typedef typeof union unix unsigned vector void volatile while";

/* First words of names with an underscore that libc, POSIX, GNU and zlib headers declare. A net
 * with such a name gets "net_" before it. */
static const char families[] = "accept4 adler32 aio aligned alloc arc4random arm asctime assert at "
                               "atomic avail be16 be32 be64 blkcnt64 "
                               "blkcnt blksize caddr canonicalize cc clearerr clock clockid close "
                               "comm comparison copy cookie cpu crc32 "
                               "ctime currency d daddr data date deallocate decimal deflate dev "
                               "div dl double drand48 ecvt end erand48 "
                               "error explicit extended extra f fcvt fd fds feof ferror fflush "
                               "fgetc fgets fgetwc fgetws file fileno "
                               "float fmaximum fminimum fopen fpos64 fpos fpregset fputc fputs "
                               "fputwc fputws frac fread free freopen "
                               "fsblkcnt64 fsblkcnt fsfilcnt64 fsfilcnt fsid futex futimesat "
                               "fwrite get getc getchar getdate getgrnam "
                               "gethostbyname getlogin getopt getpwnam getwc getwchar gid gmtime "
                               "good greg gregset group gz gzclose "
                               "gzgetc h handle id idtype if imaxdiv in inflate initstate ino64 "
                               "ino inotify int int16 int32 int64 int8 "
                               "internal intmax intptr io iov isalnum isalpha isascii isblank "
                               "iscntrl isdigit isgraph islower isprint j jpeg jvirt "
                               "ispunct isspace isupper isxdigit it jmp jrand48 key kill l lcong48 "
                               "ldiv lgamma lgammaf lgammaf128 "
                               "lgammaf32 lgammaf32x lgammaf64 lgammaf64x lgammal list lldiv "
                               "locale localtime loff lrand48 lseek math "
                               "max mbstate mcontext memfd memory mkdir mode mon mq mrand48 msg "
                               "mxcr n name nan name_to negative net "
                               "next nice nlink nrand48 obstack off off64 on open out p pid pkey "
                               "png pop poll posix positive pread preadv "
                               "process process_vm program psiginfo pthread ptrdiff ptsname push "
                               "putc putchar putwc putwchar pwrite "
                               "qfcvt qsort quad quick quot rand random readdir readdir64 regmatch "
                               "register regoff remap rem rlim "
                               "rlim64 robust ru ru_max runetype s6 s sa scalbn sched secure "
                               "seed48 select sem serial set setstate "
                               "shm sig sigabbrev sigaction sigdescr sigev sigevent sighandler "
                               "siginfo signal sigset sigval sin sival "
                               "size sizeof snprintf socklen sp speed srand48 srandom ss ssize st "
                               "stack statx strcasecmp strcoll stream "
                               "strerror strerrordesc strerrorname strftime strncasecmp strptime "
                               "strtod strtof strtof128 strtof32 "
                               "strtof32x strtof64 strtof64x strtok strtol strtold strtoll strtoul "
                               "strtoull strxfrm stx suseconds sv "
                               "sync sysv tcflag thousands thrd time timer timespec tm tmpnam "
                               "toascii tolower total toupper tss ttyname "
                               "tv tz u uc ucontext uid uint uint16 uint32 uint64 uint8 uintmax "
                               "uintptr useconds va vector wchar "
                               "wcscasecmp wcscoll wcsftime wcsncasecmp wcstod wcstof wcstof128 "
                               "wcstof32 wcstof32x wcstof64 wcstof64x "
                               "wcstok wcstol wcstold wcstoll wcstoul wcstoull wcsxfrm wctrans "
                               "wctype wint ws xstate ymmh z zlib";

static bool is_word(char ch)
{
  return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') ||
         ch == '_';
}

static uint64_t hash(const char *s, size_t n)
{
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < n; i++)
    h = (h ^ (unsigned char)s[i]) * 1099511628211u;
  return h;
}

Names *names_new(Arena *a)
{
  Names *n = ARENA_NEW(a, Names);
  n->arena = a;
  n->nbucket = FIRST_BUCKETS;
  n->bucket = ARENA_ARRAY(a, Bucket, n->nbucket);
  return n;
}

/* The bucket that holds the word, or the free one where it belongs. */
static Bucket *find(const Names *n, const char *s, size_t length)
{
  uint32_t i = (uint32_t)hash(s, length) & (n->nbucket - 1);
  for (const char *at; (at = n->bucket[i].name) != NULL; i = (i + 1) & (n->nbucket - 1))
    if (!strncmp(at, s, length) && !at[length])
      break;
  return &n->bucket[i];
}

static void grow(Names *n)
{
  Names wider = *n;
  wider.nbucket = n->nbucket * 2;
  wider.bucket = ARENA_ARRAY(n->arena, Bucket, wider.nbucket);
  for (uint32_t i = 0; i < n->nbucket; i++)
    if (n->bucket[i].name)
      *find(&wider, n->bucket[i].name, strlen(n->bucket[i].name)) = n->bucket[i];
  *n = wider;
}

static void take(Names *n, const char *s, size_t length, TakeHow how)
{
  if (2 * n->used >= n->nbucket)
    grow(n);
  Bucket *at = find(n, s, length);
  if (!at->name) {
    *at = (Bucket){ arena_strndup(n->arena, s, length), how };
    n->used++;
  }
  if (how == TAKE_FOR_ALL)
    at->how = how;
}

void names_take_text(Names *n, const char *text, size_t length, TakeHow how)
{
  for (size_t i = 0; i < length;) {
    size_t start = i;
    while (i < length && is_word(text[i]))
      i++;
    if (i > start && (text[start] > '9' || text[start] < '0'))
      take(n, text + start, i - start, how);
    if (i == start)
      i++;
  }
}

/* Lower-case letters, digits and single underscores; starts with a letter. */
static char *clean(Arena *a, const char *want)
{
  char *s = arena_alloc(a, NAME_MAX_LENGTH + 8);
  size_t n = 0;
  if (want && want[0] >= '0' && want[0] <= '9')
    s[n++] = 'n';
  for (const char *p = want ? want : ""; *p && n < NAME_MAX_LENGTH; p++) {
    char ch = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    if (is_word(ch) && ch != '_')
      s[n++] = ch;
    else if (n > 0 && s[n - 1] != '_')
      s[n++] = '_';
  }
  while (n > 0 && s[n - 1] == '_')
    n--;
  s[n] = '\0';
  if (n == 0)
    return arena_strdup(a, "x");
  if (s[0] >= '0' && s[0] <= '9')
    return arena_printf(a, "n%s", s);
  return s;
}

/* Must a new name differ from this one? */
static bool visible(const Names *n, const char *name, TakeHow how)
{
  const Bucket *at = find(n, name, strlen(name));
  if (at->name && (how == TAKE_FOR_FILE || at->how == TAKE_FOR_ALL))
    return true;
  if (str_in_words(name, reserved))
    return true;
  for (uint32_t i = n->local.n; i > n->floor; i--)
    if (str_eq(n->local.at[i - 1], name))
      return true;
  return false;
}

/* Names that end in _t belong to POSIX's types. */
static bool looks_like_type(const char *name)
{
  size_t n = strlen(name);
  return n > 2 && name[n - 2] == '_' && name[n - 1] == 't';
}

static const char *unique(Names *n, const char *want, TakeHow how)
{
  const char *base = clean(n->arena, want);
  if (!strncmp(base, "gradrt", 6))
    base = arena_printf(n->arena, "x_%s", base);
  if (looks_like_type(base))
    base = arena_printf(n->arena, "%sx", base);
  const char *name = base;
  for (int i = 2; visible(n, name, how); i++)
    name = arena_printf(n->arena, "%s_%d", base, i);
  return name;
}

const char *names_global(Names *n, const char *want)
{
  const char *name = unique(n, want, TAKE_FOR_FILE);
  take(n, name, strlen(name), TAKE_FOR_ALL);
  return name;
}

const char *names_local(Names *n, const char *want)
{
  const char *name = unique(n, want, TAKE_FOR_ALL);
  vec_push(n->arena, &n->local, name);
  return name;
}

uint32_t names_enter(Names *n)
{
  return n->local.n;
}

void names_leave(Names *n, uint32_t mark)
{
  n->local.n = mark;
}

uint32_t names_hide(Names *n)
{
  uint32_t hidden = n->floor;
  n->floor = n->local.n;
  return hidden;
}

void names_show(Names *n, uint32_t hidden)
{
  n->local.n = n->floor;
  n->floor = hidden;
}

const char *names_prefix(Arena *a, const char *net)
{
  const char *name = clean(a, net);
  bool owned = str_in_words(name, families) || str_in_words(name, reserved) ||
               !strncmp(name, "gradrt", 6);
  const char *bar = strchr(name, '_');
  if (bar)
    owned |= str_in_words(arena_strndup(a, name, (size_t)(bar - name)), families);
  return owned ? arena_printf(a, "net_%s", name) : name;
}
