/* The parse: checks of the raw text, the token source of the parser, and limits on the tree. */
#include "syntax/parse.h"
#include "base/str.h"
#include "base/vec.h"
#include "syntax/context.h"
#include "syntax/tokens.h"

#include "lexer.h"

#include <string.h>

const char *source_bytes(const ParseCtx *pc, Span at, size_t *length)
{
  uint32_t begin = at.begin > pc->base ? at.begin - pc->base : 0;
  uint32_t end = at.end > pc->base ? at.end - pc->base : 0;
  if (end > pc->length)
    end = pc->length;
  if (begin > end)
    begin = end;
  *length = end - begin;
  return pc->text + begin;
}

Span parse_start(const ParseCtx *pc)
{
  return (Span){pc->base, pc->base};
}

Ast *ast_make(ParseCtx *pc, Ast node)
{
  return arena_copy(pc->arena, &node, sizeof node);
}

void keep_items(ParseCtx *pc, AstList items)
{
  pc->items = items.head;
}

static char top(const ParseCtx *pc)
{
  return pc->open.n ? pc->open.at[pc->open.n - 1].kind : '\0';
}

static bool in_block(const ParseCtx *pc)
{
  for (uint32_t i = 0; i < pc->open.n; i++)
    if (pc->open.at[i].kind == '{')
      return true;
  return false;
}

/* Keeps the stack of open brackets. A `;` ends all ( and [, a `}` all brackets of its block; what
 * they leave open is kept in `unclosed` for the report. */
static void track(ParseCtx *pc, const Token *t)
{
  pc->unclosed.kind = '\0';
  if (t->kind == '(' || t->kind == '[' || t->kind == '{') {
    Bracket b = {(char)t->kind, t->at};
    vec_push(pc->arena, &pc->open, b);
  } else if (t->kind == ';' || t->kind == '}') {
    if (top(pc) == '(' || top(pc) == '[')
      pc->unclosed = pc->open.at[pc->open.n - 1];
    while (top(pc) == '(' || top(pc) == '[')
      pc->open.n--;
    if (t->kind == '}' && top(pc) == '{')
      pc->open.n--;
  } else if (t->kind == ')' || t->kind == ']') {
    if (top(pc) == (t->kind == ')' ? '(' : '['))
      pc->open.n--;
    else if (pc->open.n && top(pc) != '{')
      pc->unclosed = pc->open.at[pc->open.n - 1];
  }
}

/* The next token of the text; the text ends early when no further error would be shown. */
static Token scan(ParseCtx *pc, yyscan_t scanner)
{
  Token t = {0};
  if (diag_errors(pc->diag) > DIAG_ERRORS_MAX) {
    pc->quiet = true;
    t.at = (Span){pc->base + pc->length, pc->base + pc->length};
    return t;                   /* TOK_YYEOF is 0 */
  }
  t.kind = gradc_scan(&t.value, &t.at, scanner, pc);
  track(pc, &t);
  if (t.kind != TOK_YYEOF)
    pc->code_end = t.at.end;
  return t;
}

/* Skips the rest of a broken header or statement, with its block if it has one, and stands for its
 * end. */
static Token skip(ParseCtx *pc, yyscan_t scanner)
{
  int depth = pc->now.kind == '{';
  for (;;) {
    Token t = scan(pc, scanner);
    if (t.kind == TOK_YYEOF || (depth == 0 && (t.kind == ';' || t.kind == '}')))
      return t;
    depth += (t.kind == '{') - (t.kind == '}');
    if (t.kind == '}' && depth == 0) {
      t.kind = ';';
      pc->skipped_block = true;
      return t;
    }
  }
}

/* Keeps what report_syntax asks about the tokens before the one that surprised the parser. */
static void pass(ParseCtx *pc, int kind)
{
  if (kind == TOK_REPEAT || kind == TOK_IF || kind == TOK_ELSE)
    pc->header = true;
  else if (kind == '{' || kind == '}' || kind == ';')
    pc->header = false;
  if (kind != ';')
    pc->skipped_block = false;
}

int gradc_yylex(GRADC_YYSTYPE *val, Span *at, yyscan_t scanner, ParseCtx *pc)
{
  Token t;
  pass(pc, pc->now.kind);
  if (pc->replayed < pc->nreplay) {
    t = pc->replay[pc->replayed];
    bool again = pc->replayed == 0 && pc->more > 0;
    pc->more -= again;
    pc->replayed += !again;
  } else {
    t = pc->skipping ? skip(pc, scanner) : scan(pc, scanner);
    pc->skipping = t.kind == TOK_GRADC_YYerror && !in_block(pc);
  }
  pc->before = pc->now;
  pc->now = t;
  *val = t.value;
  *at = t.at;
  return t.kind;
}

typedef struct {
  Ast *node;
  int depth;
} Visit;

/* Cuts the tree at DEPTH_MAX with a stack of its own: nothing may recurse on the tree before
 * this. */
static void limit_depth(ParseCtx *pc, Ast *root)
{
  VEC(Visit) stack = {0};
  bool reported = false;
  vec_push(pc->arena, &stack, ((Visit){root, 1}));
  while (stack.n) {
    Visit v = stack.at[--stack.n];
    if (v.node->next)
      vec_push(pc->arena, &stack, ((Visit){v.node->next, v.depth}));
    if (v.depth > DEPTH_MAX) {
      if (!reported)
        report_depth(pc, v.node->at);
      reported = true;
      v.node->kind = AST_ERROR;
      continue;
    }
    Ast *child[CHILDREN_MAX];
    int n = ast_children(v.node, child);
    for (int i = 0; i < n; i++)
      if (child[i])
        vec_push(pc->arena, &stack, ((Visit){child[i], v.depth + 1}));
  }
}

/* The first statement is `net 1;`, once. */
static void check_version(ParseCtx *pc)
{
  const Ast *first = pc->items;
  if (first && first->kind == AST_ERROR)
    return;
  if (!first || first->kind != AST_VERSION) {
    Span at = first ? (Span){first->at.begin, first->at.begin} : (Span){pc->base, pc->base};
    diag_error(pc->diag, at, "E0108", "a spec starts with `net 1;`");
    diag_help(pc->diag, "write `net 1;` on the first line");
    return;
  }
  if (first->version.value != 1)
    diag_error(pc->diag, first->at, "E0108",
               "this gradc reads version 1 of the language, not %.15g", first->version.value);
  for (const Ast *n = first->next; n; n = n->next)
    if (n->kind == AST_VERSION) {
      diag_error(pc->diag, n->at, "E0108", "`net` is written once");
      diag_note(pc->diag, first->at, "it is here already");
    }
}

static void run(ParseCtx *pc)
{
  uint32_t mark = pc->length >= 3 && memcmp(pc->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  yyscan_t scanner = NULL;
  if (gradc_yylex_init_extra(pc->base + mark, &scanner) != 0)
    ice("parse: the scanner did not start");
  gradc_yy_scan_bytes(pc->text + mark, (int)(pc->length - mark), scanner);
  gradc_yyparse(scanner, pc);   /* its result says nothing: success is a Diag without errors */
  gradc_yylex_destroy(scanner);
}

Ast *parse(const char *text, uint32_t length, uint32_t base, Arena *a, Diag *d)
{
  ParseCtx pc = {.arena = a, .diag = d, .text = text, .length = length, .base = base};
  Ast *file = ast_new(a, AST_FILE, (Span){base, base + length});
  if (length > SOURCE_BYTES_MAX) {
    diag_error(d, (Span){base, base}, "E0602", "this file has %u bytes; the limit for a spec is %d",
               (unsigned)length, SOURCE_BYTES_MAX);
    return file;
  }
  if (!report_bad_text(&pc))
    return file;
  int errors = diag_errors(d);
  run(&pc);
  if (pc.items || diag_errors(d) == errors)
    check_version(&pc);
  file->file.items = pc.items;
  file->file.comments = pc.comments;
  limit_depth(&pc, file);
  return file;
}
