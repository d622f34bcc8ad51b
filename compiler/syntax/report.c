/* Messages about the text and its syntax, and what the parser does next: some reports put tokens
 * back, so that one missing `;` or `}` costs one message and nothing of what follows is lost. */
#include "base/str.h"
#include "syntax/context.h"
#include "syntax/tokens.h"

#include <string.h>

enum { SHOWN_MAX = 4, TEXT_MAX = 40 };

/* ---- scanner ---- */

static const char *quoted(const ParseCtx *pc, Span at)
{
  size_t n = 0;
  const char *text = source_bytes(pc, at, &n);
  bool cut = n > TEXT_MAX;
  if (cut)
    for (n = TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;)
      n--;
  return arena_printf(pc->arena, "`%.*s%s`", (int)n, text, cut ? "..." : "");
}

void report_stray(ParseCtx *pc, Span at)
{
  size_t n = 0;
  uint32_t code = 0;
  const char *text = source_bytes(pc, at, &n);
  int characters = 0, length = 0;
  for (size_t i = 0; i < n; i += (size_t)length, characters++) {
    length = str_utf8(text + i, n - i, &code);
    if (length == 0 || code == 0)
      return;                   /* report_bad_text was here */
  }
  diag_error(pc->diag, at, "E0103", "unexpected character%s %s", characters > 1 ? "s" : "",
             quoted(pc, at));
  const char *word = text[0] == '&' ? "and" : text[0] == '|' ? "or" : text[0] == '!' ? "not"
                   : text[0] == '^' ? "**" : NULL;
  if (word)
    diag_help(pc->diag, "write `%s`", word);
}

void report_slashes(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, (Span){at.begin, at.begin + 2}, "E0103",
             "a comment starts with `#`, not with `//`");
}

void report_quotes(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, at, "E0103", "a string is written in double quotes");
}

void report_number(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, at, "E0104", "%s is not a number", quoted(pc, at));
  diag_help(pc->diag, "numbers look like 12, 55_000, 0.5, 1e-3, 25%%, 64K or 32MB");
}

void report_open_string(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, (Span){at.begin, at.begin + 1}, "E0105",
             "the string that starts here does not end on this line");
}

void report_open_comment(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, at, "E0105", "the comment that starts here does not end");
  pc->quiet = true;
}

bool report_bad_text(ParseCtx *pc)
{
  const char *nul = pc->length ? memchr(pc->text, '\0', pc->length) : NULL;
  if (nul) {
    uint32_t at = pc->base + (uint32_t)(nul - pc->text);
    diag_error(pc->diag, (Span){at, at + 1}, "E0103", "a NUL byte: this is not a text file");
    return false;
  }
  uint32_t code = 0, i = 0;
  while (i < pc->length) {
    uint32_t begin = i;
    while (i < pc->length && str_utf8(pc->text + i, pc->length - i, &code) == 0)
      i++;
    if (i > begin)
      diag_error(pc->diag, (Span){pc->base + begin, pc->base + i}, "E0103",
                 "%s not UTF-8 text", i - begin == 1 ? "this byte is" : "these bytes are");
    if (i < pc->length)
      i += (uint32_t)str_utf8(pc->text + i, pc->length - i, &code);
  }
  return true;
}

/* ---- what was expected ---- */

typedef struct {
  const char *const *at;
  int n;
} Names;

static const char operators[] = "'+' '-' '*' '/' '%' ** '<' '>' <= >= == != .. and or";
static const char after_name[] = "'(' '.' '['";
static const char soft_words[] = "data model block train eval infer build epochs steps from of "
                                 "field split schedule stop report output group every";
static const char value_starts[] = "number string name true false '(' '[' '-' not";

static bool has(Names names, const char *word)
{
  for (int i = 0; i < names.n; i++)
    if (str_eq(names.at[i], word))
      return true;
  return false;
}

/* Expected things in words; at most SHOWN_MAX are kept, n counts all. */
typedef struct {
  const char *at[SHOWN_MAX];
  int n;
} Shown;

static void show(Shown *s, const char *text)
{
  if (s->n < SHOWN_MAX)
    s->at[s->n] = text;
  s->n++;
}

static const char *token_text(Arena *a, const char *name)
{
  if (name[0] == '\'' && name[1])
    return arena_printf(a, "`%c`", name[1]);
  return str_in_words(name, "name number string") ? arena_printf(a, "a %s", name)
                                                  : arena_printf(a, "`%s`", name);
}

static const char *block_item(Names names)
{
  bool any_name = has(names, "field") && has(names, "report");  /* no word begins a statement */
  return has(names, "return")     ? "a statement such as `h = x -> relu;`"
         : any_name               ? "a statement such as `y[i] = exp(x[i]);`"
         : has(names, "field")    ? "a source, split or field"
         : has(names, "schedule") ? "a setting such as `batch: 64;`"
         : has(names, "report")   ? "`report`"
         : has(names, "output")   ? "`output`"
                                  : "a setting such as `threads: 2;`";
}

/* Shows every expected token that is in none of the given word lists. */
static void show_rest(Arena *a, Names names, const char *drop, const char *also, Shown *s)
{
  for (int i = 0; i < names.n; i++)
    if (!str_in_words(names.at[i], drop) && !str_in_words(names.at[i], also) &&
        !str_in_words(names.at[i], "end"))
      show(s, token_text(a, names.at[i]));
}

static Shown expected_of(Arena *a, Names names)
{
  Shown s = {.n = 0};
  if (has(names, "const")) {
    show(&s, "a declaration (use, param, const, data, model, block, op, train, eval, infer or "
             "build)");
  } else if (has(names, "'}'")) {
    show(&s, block_item(names));
    show(&s, "`}`");
  } else if (has(names, "number") && has(names, "'['")) {
    show(&s, "a value");
    show_rest(a, names, value_starts, soft_words, &s);
  } else if (has(names, "name") && has(names, "data")) {
    show(&s, "a name");
    show_rest(a, names, "name", soft_words, &s);
  } else {
    bool closes = has(names, "')'") || has(names, "']'") || has(names, "';'") || has(names, "->");
    show_rest(a, names, operators, closes ? "'(' '.' '[' epochs steps" : after_name, &s);
    if (s.n == 0)
      show_rest(a, names, "", "", &s);
  }
  return s;
}

static const char *in_words(Arena *a, const Shown *s)
{
  Out *o = out_new(a);
  for (int i = 0; i < s->n; i++)
    out_printf(o, "%s%s", i == 0 ? "" : i + 1 == s->n ? " or " : ", ", s->at[i]);
  return out_text(o);
}

/* ---- parser ---- */

static bool is_eof(const ParseCtx *pc)
{
  return pc->now.kind == TOK_YYEOF;
}

static bool new_line_between(const ParseCtx *pc, uint32_t begin, uint32_t end)
{
  size_t n = 0;
  const char *text = source_bytes(pc, (Span){begin, end}, &n);
  return n && memchr(text, '\n', n);
}

static const Bracket *open_block(const ParseCtx *pc)
{
  for (uint32_t i = pc->open.n; i-- > 0;)
    if (pc->open.at[i].kind == '{')
      return &pc->open.at[i];
  return NULL;
}

static void put_back(ParseCtx *pc, const Token *t, int n)
{
  pc->replayed = 0;
  pc->nreplay = n;
  for (int i = 0; i < n; i++)
    pc->replay[i] = t[i];
}

/* `b = a -> relu` and a new statement on the next line. */
static bool missing_semicolon(ParseCtx *pc, Names names)
{
  uint32_t end = pc->before.at.end;
  if (!has(names, "';'") || end == 0 || pc->now.kind == ';')
    return false;
  bool clear = is_eof(pc) || pc->now.kind == '}' || names.n == 1 ||
               new_line_between(pc, end, pc->now.at.begin);
  if (!clear)
    return false;
  diag_error(pc->diag, (Span){end, end}, "E0102", "`;` is missing after %s",
             quoted(pc, pc->before.at));
  pc->quiet = is_eof(pc);
  if (!is_eof(pc) && pc->now.kind != '}') {
    Token again[2] = {{.kind = ';', .at = {end, end}}, pc->now};
    put_back(pc, again, 2);
  }
  return true;
}

/* `train m on d {` on a line of its own inside a block: the block before it was not closed. */
static bool missing_brace(ParseCtx *pc)
{
  const Bracket *block = open_block(pc);
  Token word = pc->before;
  bool starts_item = word.kind == TOK_PARAM || word.kind == TOK_CONST || word.kind == TOK_DATA ||
                     word.kind == TOK_MODEL || word.kind == TOK_BLOCK || word.kind == TOK_OP ||
                     word.kind == TOK_TRAIN || word.kind == TOK_EVAL || word.kind == TOK_INFER ||
                     word.kind == TOK_BUILD;
  bool goes_on = pc->now.kind == TOK_NAME || (word.kind == TOK_BUILD && pc->now.kind == '{');
  if (pc->now.kind == '{' && block)     /* the block that the offending `{` is in */
    block = pc->open.n > 1 ? &pc->open.at[pc->open.n - 2] : NULL;
  if (!block || !starts_item || !goes_on)
    return false;
  uint32_t from = word.at.begin - pc->base, line = from;
  while (line > 0 && pc->text[line - 1] != '\n')
    line--;
  for (uint32_t i = line; i < from; i++)
    if (!strchr(" \t", pc->text[i]))
      return false;
  diag_error(pc->diag, word.at, "E0101", "`}` is missing before %s", quoted(pc, word.at));
  diag_note(pc->diag, block->at, "the block that starts here is still open");
  Token again[REPLAY_MAX] = {{.kind = '}', .at = {word.at.begin, word.at.begin}}, word, pc->now};
  put_back(pc, again, REPLAY_MAX);
  for (uint32_t i = 0; &pc->open.at[i] != block; i++)
    pc->more += pc->open.at[i].kind == '{';
  Bracket last = pc->open.at[pc->open.n - 1];
  pc->open.n = 0;
  if (pc->now.kind == '{')
    vec_push(pc->arena, &pc->open, last);
  return true;
}

/* A word at the place of a declaration that is none. */
static void unknown_declaration(ParseCtx *pc)
{
  static const char *const words[] = {"use",   "param", "const", "data",  "model",
                                      "block", "op",    "train", "eval",  "infer", "build"};
  static const char other[] = "group layer network def function";
  static const char uses[] = "import include";
  const char *word = pc->now.value.text, *near = str_closest(word, words, (int)ARRAY_LEN(words));
  diag_error(pc->diag, pc->now.at, "E0101", "there is no declaration `%s`", word);
  if (near)
    diag_help(pc->diag, "did you mean `%s`?", near);
  else if (str_in_words(word, other))
    diag_help(pc->diag, "declarations are use, param, const, data, model, block, op, train, "
                        "eval, infer and build");
  else if (str_in_words(word, uses))
    diag_help(pc->diag, "write `use \"layers.nn\";`");
}

static void unexpected(ParseCtx *pc, Names names)
{
  Shown s = expected_of(pc->arena, names);
  const char *wanted = s.n && s.n <= SHOWN_MAX ? in_words(pc->arena, &s) : NULL;
  const char *found = quoted(pc, pc->now.at);
  if (is_eof(pc) && wanted)
    diag_error(pc->diag, pc->now.at, "E0101", "expected %s, but the file ends here", wanted);
  else if (is_eof(pc))
    diag_error(pc->diag, pc->now.at, "E0101", "the file ends too early");
  else if (pc->now.kind == '}' && has(names, "const"))
    diag_error(pc->diag, pc->now.at, "E0101", "this `}` closes no block");
  else if (wanted)
    diag_error(pc->diag, pc->now.at, "E0101", "expected %s, found %s", wanted, found);
  else
    diag_error(pc->diag, pc->now.at, "E0101", "unexpected %s", found);
  const Bracket *block = is_eof(pc) ? open_block(pc) : NULL;
  if (pc->now.kind == '{' && names.n == 1 && has(names, "->"))
    diag_help(pc->diag, "the header says what comes out: `model net(x: f32[784]) -> y: f32[9] {` "
                        "or `block half(x: f32[n]) -> f32[n / 2] {`");
  if (pc->unclosed.kind)
    diag_note(pc->diag, pc->unclosed.at, "this `%c` is not closed", pc->unclosed.kind);
  else if (block)
    diag_note(pc->diag, block->at, "the block that starts here is still open");
}

void report_syntax(ParseCtx *pc, Span at, const char *const *expected, int n)
{
  static const char hard[] = "net use param const op where repeat in if else on as for then when "
                             "return and or not true false";
  Names names = {expected, n};
  if (is_eof(pc) && pc->quiet)
    return;
  if (pc->now.kind == TOK_ELSE && pc->skipped_block) {
    pc->skipping = true;        /* of an `if` that was reported */
    return;
  }
  if (missing_brace(pc) || missing_semicolon(pc, names))
    return;
  size_t length = 0;
  const char *text = source_bytes(pc, at, &length);
  if (pc->now.kind == TOK_NAME && has(names, "const"))
    unknown_declaration(pc);
  else
    unexpected(pc, names);
  if (has(names, "name") && !has(names, "const") &&
      str_in_words(arena_strndup(pc->arena, text, length), hard))
    diag_help(pc->diag, "%s is a word of the language and cannot be a name", quoted(pc, at));
  bool header = pc->header || pc->now.kind == TOK_REPEAT || pc->now.kind == TOK_IF ||
                pc->now.kind == TOK_ELSE;
  pc->skipping = header || !open_block(pc) || (pc->now.kind == '{' && pc->open.n == 1);
  if (pc->now.kind == ';' || pc->now.kind == '}' || is_eof(pc))
    pc->skipping = false;
}

void report_depth(ParseCtx *pc, Span at)
{
  diag_error(pc->diag, (Span){at.begin, at.begin}, "E0106",
             "this is nested too deeply: the limit is %d levels", DEPTH_MAX);
}
