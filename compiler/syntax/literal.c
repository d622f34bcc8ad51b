/* Meaning of numbers, strings and names, and the comments that the formatter puts back.
 * K and M are thousands and millions; KB, MB and GB are powers of 1024. */
#include "base/str.h"
#include "syntax/context.h"
#include "syntax/tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool too_long(ParseCtx *pc, size_t length, size_t max, const char *what, Span at)
{
  if (length <= max)
    return false;
  diag_error(pc->diag, at, "E0104", "this %s has %zu bytes; the limit is %zu", what, length, max);
  return true;
}

const char *literal_name(ParseCtx *pc, const char *text, size_t length, Span at)
{
  if (too_long(pc, length, NAME_BYTES_MAX, "name", at))
    return NULL;
  return arena_strndup(pc->arena, text, length);
}

typedef struct {
  const char *text;
  double factor;
} Unit;

static const Unit *unit_of(const char *text, size_t length)
{
  static const Unit units[] = {{"%", 0.01},           {"KB", 1024.0}, {"MB", 1048576.0},
                               {"GB", 1073741824.0}, {"K", 1e3},     {"M", 1e6},
                               {"", 1.0}};
  for (size_t i = 0; i < ARRAY_LEN(units); i++) {
    size_t n = strlen(units[i].text);
    if (length > n && memcmp(text + length - n, units[i].text, n) == 0)
      return &units[i];
  }
  ice("number without digits: %.*s", (int)length, text);
}

/* A percentage without an exponent is read as a power of ten, so that 99.3% is exactly 0.993. */
static double value_of(const char *digits, const Unit *unit, Arena *a)
{
  bool percent = str_eq(unit->text, "%");
  if (percent && !strpbrk(digits, "eE"))
    return strtod(arena_printf(a, "%se-2", digits), NULL);
  double x = strtod(digits, NULL);
  return percent ? x / 100 : x * unit->factor;
}

Ast *literal_number(ParseCtx *pc, const char *text, size_t length, Span at)
{
  static const double exact_max = 9007199254740992.0;           /* 2^53 */
  if (too_long(pc, length, TOKEN_BYTES_MAX, "number", at))
    return NULL;
  const Unit *unit = unit_of(text, length);
  size_t digits = length - strlen(unit->text), n = 0;
  char *plain = arena_alloc(pc->arena, digits + 1);
  for (size_t i = 0; i < digits; i++)
    if (text[i] != '_')
      plain[n++] = text[i];
  double value = value_of(plain, unit, pc->arena);
  if (!isfinite(value)) {
    diag_error(pc->diag, at, "E0104", "the number %.40s is too large", plain);
    return NULL;
  }
  bool whole = !strpbrk(plain, ".eE") && !str_eq(unit->text, "%");
  bool scaled = unit->factor > 1 && floor(value) == value;
  if (whole && (strtoull(plain, NULL, 10) > (unsigned long long)exact_max || value > exact_max)) {
    diag_error(pc->diag, at, "E0104", "the number %.40s is too large: whole numbers go up to 2**53",
               plain);
    return NULL;
  }
  Ast *node = ast_new(pc->arena, AST_NUMBER, at);
  node->number.value = value;
  node->number.text = arena_strndup(pc->arena, text, length);
  node->number.is_int = whole || scaled;
  return node;
}

static int hex(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
       : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Resolves the escape after a backslash. Returns the number of its bytes, or 0 when it is none. */
static size_t escape(const char *s, size_t n, char *out)
{
  static const char letter[] = "nt\"\\", meaning[] = "\n\t\"\\";
  const char *at = n && *s ? strchr(letter, *s) : NULL;
  if (at) {
    *out = meaning[at - letter];
    return 1;
  }
  if (n < 3 || *s != 'x' || hex(s[1]) < 0 || hex(s[2]) < 0)
    return 0;
  *out = (char)(hex(s[1]) * 16 + hex(s[2]));
  return *out ? 3 : 0;
}

Ast *literal_string(ParseCtx *pc, const char *text, size_t length, Span at)
{
  if (too_long(pc, length, TOKEN_BYTES_MAX, "string", (Span){at.begin, at.begin + 1}))
    return NULL;
  char *out = arena_alloc(pc->arena, length);
  uint32_t n = 0;
  for (size_t i = 1; i + 1 < length; i++) {
    if (text[i] != '\\') {
      out[n++] = text[i];
      continue;
    }
    size_t used = escape(text + i + 1, length - 2 - i, &out[n]);
    if (!used) {
      Span bad = {at.begin + (uint32_t)i, at.begin + (uint32_t)i + 2};
      diag_error(pc->diag, bad, "E0105", "unknown escape in a string");
      diag_help(pc->diag, "the escapes are \\n \\t \\\" \\\\ and \\xHH, without \\x00");
      return NULL;
    }
    n++;
    i += used;
  }
  Ast *node = ast_new(pc->arena, AST_STRING, at);
  out[n] = '\0';
  node->string.text = out;
  node->string.length = n;
  return node;
}

/* Whether only comments stand between the last token and `begin`, on the same line. Looks no
 * further back than the comment before. */
static bool follows_code(const ParseCtx *pc, uint32_t begin)
{
  const Comment *last = pc->last_comment;
  bool since_code = last && last->at.begin >= pc->code_end;
  if (!pc->code_end || (since_code && !last->after))
    return false;
  size_t gap = 0;
  Span unseen = {since_code ? last->at.begin : pc->code_end, begin};
  const char *between = source_bytes(pc, unseen, &gap);
  return !memchr(between, '\n', gap);
}

void comment_add(ParseCtx *pc, Span at)
{
  size_t length = 0;
  const char *text = source_bytes(pc, at, &length);
  while (length && strchr(" \t\r", text[length - 1]))
    length--;
  Comment *c = ARENA_NEW(pc->arena, Comment);
  c->at = at;
  c->after = follows_code(pc, at.begin) ? pc->code_end : 0;
  c->text = arena_strndup(pc->arena, text, length);
  if (pc->last_comment)
    pc->last_comment->next = c;
  else
    pc->comments = c;
  pc->last_comment = c;
}
