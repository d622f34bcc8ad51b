/* Canonical source text of a tree, with its comments. One statement a line, two blanks a level,
 * one blank line between blocks. A statement is first written flat with marks at the places where
 * a line may end, then filled into lines of WIDTH columns: OUTER marks (before `->`, between
 * values) are used first, INNER ones only where a piece is too long. */
#include "base/str.h"
#include "syntax/ast.h"

#include <string.h>

enum {
  WIDTH = 100,                  /* columns of a line */
  CONTINUE = 4,                 /* extra indentation of its continuations */
  OUTER = '\x01',               /* marks: a blank or the end of a line; strings hold them escaped */
  INNER = '\x02'
};

typedef struct {
  Arena *arena;
  Out *out;
  const Comment *comment;       /* the next one to write */
  int depth;
} Format;

/* Binding strength; a child that binds less than its place asks for gets parentheses. */
enum {
  P_CHAIN, P_OR, P_AND, P_NOT, P_COMPARE, P_RANGE, P_ADD, P_MULTIPLY, P_NEGATE, P_POWER, P_ATOM
};

typedef struct {
  const char *op;
  int self, left, right;        /* own strength, and what the operands must have at least */
} Operator;

static const Operator *operator_of(const char *op)
{
  static const Operator table[] = {
    {"or", P_OR, P_OR, P_AND},
    {"and", P_AND, P_AND, P_NOT},
    {"<", P_COMPARE, P_RANGE, P_RANGE},
    {">", P_COMPARE, P_RANGE, P_RANGE},
    {"<=", P_COMPARE, P_RANGE, P_RANGE},
    {">=", P_COMPARE, P_RANGE, P_RANGE},
    {"==", P_COMPARE, P_RANGE, P_RANGE},
    {"!=", P_COMPARE, P_RANGE, P_RANGE},
    {"+", P_ADD, P_ADD, P_MULTIPLY},
    {"-", P_ADD, P_ADD, P_MULTIPLY},
    {"*", P_MULTIPLY, P_MULTIPLY, P_NEGATE},
    {"/", P_MULTIPLY, P_MULTIPLY, P_NEGATE},
    {"%", P_MULTIPLY, P_MULTIPLY, P_NEGATE},
    {"**", P_POWER, P_ATOM, P_POWER},
  };
  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    if (str_eq(table[i].op, op))
      return &table[i];
  ice("ast_format: operator %s", op);
}

static int strength(const Ast *n)
{
  if (n->kind == AST_CHAIN)
    return P_CHAIN;
  if (n->kind == AST_RANGE)
    return P_RANGE;
  if (n->kind == AST_UNARY)
    return str_eq(n->unary.op, "not") ? P_NOT : P_NEGATE;
  return n->kind == AST_BINARY ? operator_of(n->binary.op)->self : P_ATOM;
}

/* ---- one statement, flat ---- */

static void expr(Out *o, const Ast *n, int least);

/* The items with commas between; `mark` says how readily a line ends there. */
static void commas(Out *o, const Ast *list, int least, int mark)
{
  for (const Ast *n = list; n; n = n->next) {
    expr(o, n, least);
    if (n->next)
      out_printf(o, ",%c", mark);
  }
}

static void string(Out *o, const char *s, size_t length)
{
  uint32_t code = 0;
  out_bytes(o, "\"", 1);
  for (size_t i = 0; i < length;) {
    int n = str_utf8(s + i, length - i, &code);
    if (s[i] == '\n' || s[i] == '\t')
      out_printf(o, "\\%c", s[i] == '\n' ? 'n' : 't');
    else if (s[i] == '"' || s[i] == '\\')
      out_printf(o, "\\%c", s[i]);
    else if (n == 0 || code < 0x20 || code == 0x7F)
      out_printf(o, "\\x%02X", (unsigned)(unsigned char)s[i]);
    else
      out_bytes(o, s + i, (size_t)n);
    i += n ? (size_t)n : 1;
  }
  out_bytes(o, "\"", 1);
}

static void stages(Out *o, const Ast *list)
{
  for (; list; list = list->next) {
    out_printf(o, "%c-> ", OUTER);
    expr(o, list, P_CHAIN);
  }
}

static void stage(Out *o, const Ast *n)
{
  out_printf(o, "%s", n->stage.callee);
  if (n->stage.has_args) {
    out_printf(o, "(");
    commas(o, n->stage.args, P_CHAIN, INNER);
    out_printf(o, ")");
  }
  if (n->stage.as)
    out_printf(o, " as %s", n->stage.as);
}

static void binary(Out *o, const Ast *n)
{
  const Operator *op = operator_of(n->binary.op);
  expr(o, n->binary.x, op->left);
  out_printf(o, "%c%s ", INNER, op->op);
  expr(o, n->binary.y, op->right);
}

static void number(Out *o, const Ast *n)
{
  if (!n->number.text)
    ice("ast_format: a number without its text");
  out_printf(o, "%s", n->number.text);
}

static void unary(Out *o, const Ast *n)
{
  bool word = str_eq(n->unary.op, "not");
  out_printf(o, "%s%s", n->unary.op, word ? " " : "");
  expr(o, n->unary.x, word ? P_NOT : P_NEGATE);
}

static void plain(Out *o, const Ast *n);

static void expr(Out *o, const Ast *n, int least)
{
  bool bracket = strength(n) < least;
  out_printf(o, "%s", bracket ? "(" : "");
  plain(o, n);
  out_printf(o, "%s", bracket ? ")" : "");
}

/* [c,2*i+j]: no blanks between, as in types. */
static void places(Out *o, const Ast *list)
{
  out_printf(o, "[");
  for (const Ast *d = list; d; d = d->next) {
    expr(o, d, P_OR);
    out_printf(o, "%s", d->next ? "," : "");
  }
  out_printf(o, "]");
}

static void type(Out *o, const Ast *n)
{
  out_printf(o, "%s%s", n->type.name, n->type.dims && !n->type.has_dims ? "(" : "");
  if (n->type.has_dims)
    places(o, n->type.dims);
  else if (n->type.dims)
    commas(o, n->type.dims, P_OR, INNER);
  out_printf(o, "%s", n->type.dims && !n->type.has_dims ? ")" : "");
}

static void assign(Out *o, const Ast *n)
{
  out_printf(o, "%s", n->assign.name);
  if (n->assign.places)
    places(o, n->assign.places);
  out_printf(o, " %s ", n->assign.op);
  expr(o, n->assign.value, P_OR);
  if (n->assign.ranges) {
    out_printf(o, "%cwhere ", OUTER);
    commas(o, n->assign.ranges, P_OR, INNER);
  }
}

static void index_of(Out *o, const Ast *n)
{
  out_printf(o, "%s", n->index.of);
  places(o, n->index.places);
}

static void over(Out *o, const Ast *n)
{
  out_printf(o, "%s in ", n->over.var);
  expr(o, n->over.range, P_OR);
}

static void formal(Out *o, const Ast *n)
{
  if (n->formal.name)
    out_printf(o, "%s%s", n->formal.name, n->formal.type ? ": " : "");
  if (n->formal.type) {
    out_printf(o, "%s", n->formal.is_param ? "param " : "");
    type(o, n->formal.type);
  }
  if (n->formal.dflt) {
    out_printf(o, " = ");
    expr(o, n->formal.dflt, P_OR);
  }
}

static void signature(Out *o, const Ast *n)
{
  bool many = n->signature.results && n->signature.results->next;
  out_printf(o, "%s(", n->signature.name);
  commas(o, n->signature.formals, P_CHAIN, INNER);
  out_printf(o, ")%c-> %s", OUTER, many ? "(" : "");
  commas(o, n->signature.results, P_CHAIN, INNER);
  out_printf(o, "%s", many ? ")" : "");
}

static void field(Out *o, const Ast *n)
{
  out_printf(o, "field %s: ", n->field.name);
  type(o, n->field.type);
  if (n->field.from) {
    out_printf(o, "%cfrom ", OUTER);
    string(o, n->field.from, strlen(n->field.from));
  }
  if (n->field.as) {
    out_printf(o, "%cas ", OUTER);
    type(o, n->field.as);
  }
  stages(o, n->field.pipe);
  if (n->field.value) {
    out_printf(o, " = ");
    expr(o, n->field.value, P_CHAIN);
  }
}

static void let(Out *o, const Ast *n)
{
  bool many = n->let.names->next;
  out_printf(o, "%s", many ? "(" : "");
  commas(o, n->let.names, P_CHAIN, INNER);
  out_printf(o, "%s = ", many ? ")" : "");
  expr(o, n->let.value, P_CHAIN);
}

static void schedule(Out *o, const Ast *n)
{
  out_printf(o, "schedule: %s = ", n->schedule.target);
  for (const Ast *p = n->schedule.pieces; p; p = p->next) {
    plain(o, p);
    if (p->next)
      out_printf(o, "%cthen ", OUTER);
  }
}

static void piece(Out *o, const Ast *n)
{
  stage(o, n->piece.call);
  if (n->piece.amount) {
    out_printf(o, " for ");
    plain(o, n->piece.amount);
  }
}

static void split_item(Out *o, const Ast *n)
{
  out_printf(o, "%s = ", n->split_item.name);
  expr(o, n->split_item.amount, P_OR);
  if (n->split_item.of)
    out_printf(o, " of %s", n->split_item.of);
}

/* A trailing `as` after a chain names its last stage, so the value is bracketed if it needs a
 * name. */
static void output_item(Out *o, const Ast *n)
{
  expr(o, n->output_item.value, n->output_item.as ? P_OR : P_CHAIN);
  if (n->output_item.as)
    out_printf(o, " as %s", n->output_item.as);
}

/* before name between values: `param`, `p`, ` = `, value */
static void valued(Out *o, const char *before, const char *name, const char *between,
                   const Ast *values)
{
  out_printf(o, "%s%s%s", before, name, between);
  commas(o, values, P_CHAIN, OUTER);
}

static void constant(Out *o, const char *word, const Ast *n)
{
  out_printf(o, "%s %s = ", word, n->param.name);
  expr(o, n->param.value, P_OR);
}

static void arg(Out *o, const Ast *n)
{
  if (n->arg.name)
    out_printf(o, "%s=", n->arg.name);
  expr(o, n->arg.value, P_CHAIN);
}

static void call(Out *o, const Ast *n)
{
  expr(o, n->call.callee, P_ATOM);
  out_printf(o, "(");
  commas(o, n->call.args, P_CHAIN, INNER);
  out_printf(o, ")");
}

static void range(Out *o, const Ast *n)
{
  expr(o, n->range.from, P_ADD);
  out_printf(o, "..");
  expr(o, n->range.to, P_ADD);
}

static void list(Out *o, const Ast *n)
{
  out_printf(o, "[");
  commas(o, n->list.items, P_OR, INNER);
  out_printf(o, "]");
}

static void amount(Out *o, const Ast *n)
{
  expr(o, n->amount.value, P_OR);
  out_printf(o, n->amount.epochs ? " epochs" : " steps");
}

static void member(Out *o, const Ast *n)
{
  expr(o, n->field_of.of, P_ATOM);
  out_printf(o, ".%s", n->field_of.name);
}

static void chain(Out *o, const Ast *n)
{
  expr(o, n->chain.head, P_OR);
  stages(o, n->chain.stages);
}

static void use(Out *o, const Ast *n)
{
  out_printf(o, "use ");
  string(o, n->use.path, strlen(n->use.path));
}

static void stop(Out *o, const Ast *n)
{
  out_printf(o, "stop when ");
  expr(o, n->stop.cond, P_OR);
}

static void action(Out *o, const Ast *n)
{
  out_printf(o, "%s ", n->action.verb);
  if (n->action.what) {
    out_printf(o, "%s %s ", n->action.what, n->action.joint);
    expr(o, n->action.by, P_ATOM);
    out_printf(o, " ");
  }
  valued(o, "", "", "", n->action.values);
}

/* Everything that is no block, without brackets around it. */
static void plain(Out *o, const Ast *n)
{
  switch (n->kind) {
  case AST_VERSION: out_printf(o, "net %.15g", n->version.value); return;
  case AST_USE: use(o, n); return;
  case AST_PARAM: constant(o, "param", n); return;
  case AST_CONST: constant(o, "const", n); return;
  case AST_SIGNATURE: signature(o, n); return;
  case AST_FORMAL: formal(o, n); return;
  case AST_TYPE: type(o, n); return;
  case AST_LET: let(o, n); return;
  case AST_RETURN: valued(o, "return ", "", "", n->ret.values); return;
  case AST_ASSIGN: assign(o, n); return;
  case AST_OVER: over(o, n); return;
  case AST_INDEX: index_of(o, n); return;
  case AST_PACK: out_printf(o, "*%s", n->name.text); return;
  case AST_CHAIN: chain(o, n); return;
  case AST_STAGE: stage(o, n); return;
  case AST_CALL: call(o, n); return;
  case AST_ARG: arg(o, n); return;
  case AST_AMOUNT: amount(o, n); return;
  case AST_NAME: out_printf(o, "%s", n->name.text); return;
  case AST_FIELD_OF: member(o, n); return;
  case AST_NUMBER: number(o, n); return;
  case AST_STRING: string(o, n->string.text, n->string.length); return;
  case AST_BOOL: out_printf(o, n->boolean.value ? "true" : "false"); return;
  case AST_LIST: list(o, n); return;
  case AST_UNARY: unary(o, n); return;
  case AST_BINARY: binary(o, n); return;
  case AST_RANGE: range(o, n); return;
  case AST_SPLIT_ITEM: split_item(o, n); return;
  case AST_FIELD: field(o, n); return;
  case AST_PROPERTY: valued(o, "", n->property.name, ": ", n->property.values); return;
  case AST_SCHEDULE: schedule(o, n); return;
  case AST_PIECE: piece(o, n); return;
  case AST_STOP: stop(o, n); return;
  case AST_OUTPUT_ITEM: output_item(o, n); return;
  case AST_REPORT: valued(o, "report ", "", "", n->report.values); return;
  case AST_ACTION: action(o, n); return;
  case AST_GROUP:
  case AST_EVERY:
  case AST_FILE:
  case AST_DATA:
  case AST_MODEL:
  case AST_BLOCK:
  case AST_OP:
  case AST_REPEAT:
  case AST_IF:
  case AST_TRAIN:
  case AST_EVAL:
  case AST_INFER:
  case AST_BUILD:
  case AST_ERROR:
  case AST_COUNT: break;
  }
  ice("ast_format: %s in an expression", ast_kind_text(n->kind));
}

/* ---- lines ---- */

static void indent(Out *o, int columns)
{
  out_printf(o, "%*s", columns, "");
}

/* Columns of n bytes of UTF-8. */
static int columns(const char *s, size_t n)
{
  int count = 0;
  for (size_t i = 0; i < n; i++)
    count += ((unsigned char)s[i] & 0xC0) != 0x80;
  return count;
}

/* Writes one piece word by word; `column` is where the line stands. */
static int fill_words(Out *o, const char *s, size_t n, int column, int margin)
{
  for (size_t i = 0; i < n;) {
    const char *end = memchr(s + i, INNER, n - i);
    size_t length = end ? (size_t)(end - s) - i : n - i;
    int width = columns(s + i, length);
    if (i > 0 && column + 1 + width > WIDTH) {
      out_end(o);
      indent(o, margin);
      column = margin;
    } else if (i > 0) {
      out_bytes(o, " ", 1);
      column++;
    }
    out_bytes(o, s + i, length);
    column += width;
    i += length + 1;
  }
  return column;
}

/* Fills a flat statement into lines; the last line is left open. */
static void fill(Out *o, const char *s, int left)
{
  int margin = left + CONTINUE, column = left;
  indent(o, left);
  for (bool first = true; *s; first = false) {
    char outer[] = {OUTER, '\0'};
    size_t n = strcspn(s, outer);
    int width = columns(s, n);
    if (!first && column + 1 + width > WIDTH) {
      out_end(o);
      indent(o, margin);
      column = margin;
    } else if (!first) {
      out_bytes(o, " ", 1);
      column++;
    }
    column = fill_words(o, s, n, column, margin);
    s += n;
    s += *s == OUTER;
  }
}

/* Comments before the offset, each on lines of its own. */
static void comments_before(Format *f, uint32_t offset)
{
  for (; f->comment && f->comment->at.begin < offset; f->comment = f->comment->next) {
    indent(f->out, 2 * f->depth);
    out_printf(f->out, "%s\n", f->comment->text);
  }
}

/* Ends the line, with the comments that stood behind the node and before `limit`. */
static void end_line(Format *f, const Ast *n, uint32_t limit)
{
  for (; f->comment && f->comment->after >= n->at.end && f->comment->at.begin < limit;
       f->comment = f->comment->next)
    out_printf(f->out, "  %s", f->comment->text);
  out_end(f->out);
}

/* Last node of a run that is written as one statement: `split` items, `output` items. */
static const Ast *run_end(const Ast *n)
{
  bool joins = n->kind == AST_SPLIT_ITEM || n->kind == AST_OUTPUT_ITEM;
  while (joins && n->next && n->next->kind == n->kind)
    n = n->next;
  return n;
}

static void statements(Format *f, const Ast *n, uint32_t limit);

/* The text of a line that opens a body. */
static void open_body(Format *f, Out *head)
{
  out_printf(head, " {");
  fill(f->out, out_text(head), 2 * f->depth);
  out_end(f->out);
}

static void close_body(Format *f)
{
  indent(f->out, 2 * f->depth);
  out_printf(f->out, "}");
}

static void repeat(Format *f, const Ast *n)
{
  Out *head = out_new(f->arena);
  comments_before(f, n->repeat.range->at.end);
  out_printf(head, "repeat %s in ", n->repeat.var);
  expr(head, n->repeat.range, P_OR);
  open_body(f, head);
  statements(f, n->repeat.body, n->at.end);
  close_body(f);
}

/* `group "*.bias" {` and `every 2 epochs {` with their lines. */
static void inner_block(Format *f, const Ast *n)
{
  bool group = n->kind == AST_GROUP;
  const Ast *last = group ? n->group.globs : n->every.amount;
  Out *head = out_new(f->arena);
  while (last->next)
    last = last->next;
  comments_before(f, last->at.end);
  valued(head, group ? "group " : "every ", "", "", group ? n->group.globs : n->every.amount);
  open_body(f, head);
  statements(f, group ? n->group.items : n->every.actions, n->at.end);
  close_body(f);
}

/* An IF alone behind `else` goes on in its line: `} else if c {`. */
static void branch(Format *f, const Ast *n)
{
  const char *before = "";
  comments_before(f, n->branch.cond->at.end);
  while (n->kind == AST_IF) {
    const Ast *other = n->branch.otherwise;
    bool has_else = n->branch.else_at.end > 0;
    Out *head = out_new(f->arena);
    out_printf(head, "%sif ", before);
    expr(head, n->branch.cond, P_OR);
    open_body(f, head);
    statements(f, n->branch.then, has_else ? n->branch.else_at.begin : n->at.end);
    before = "} else ";
    if (has_else && other && other->kind == AST_IF && !other->next) {
      n = other;
      continue;
    }
    if (has_else) {
      head = out_new(f->arena);
      out_printf(head, "} else");
      open_body(f, head);
      statements(f, other, n->at.end);
    }
    break;
  }
  close_body(f);
}

/* Statements of a block that ends at `limit`. */
static void statements(Format *f, const Ast *n, uint32_t limit)
{
  f->depth++;
  while (n) {
    bool inner = n->kind == AST_GROUP || n->kind == AST_EVERY;
    if (n->kind == AST_REPEAT || n->kind == AST_IF || inner) {
      if (n->kind == AST_REPEAT)
        repeat(f, n);
      else if (inner)
        inner_block(f, n);
      else
        branch(f, n);
      end_line(f, n, n->next ? n->next->at.begin : limit);
      n = n->next;
      continue;
    }
    const Ast *last = run_end(n);
    Out *flat = out_new(f->arena);
    comments_before(f, last->at.end);
    out_printf(flat, "%s", n->kind == AST_SPLIT_ITEM    ? "split: "
                           : n->kind == AST_OUTPUT_ITEM ? "output: " : "");
    for (const Ast *i = n; i != last; i = i->next) {
      plain(flat, i);
      out_printf(flat, ",%c", OUTER);
    }
    plain(flat, last);
    out_printf(flat, ";");
    fill(f->out, out_text(flat), 2 * f->depth);
    end_line(f, last, last->next ? last->next->at.begin : limit);
    n = last->next;
  }
  comments_before(f, limit);
  f->depth--;
}

/* `head {`, the statements, `}`; the line of the brace is left open. */
static void block(Format *f, const char *head, const Ast *items, const Ast *n)
{
  bool has_signature = n->kind == AST_MODEL || n->kind == AST_BLOCK || n->kind == AST_OP;
  const Ast *signed_by = has_signature ? n->model.signature : NULL;
  comments_before(f, signed_by ? signed_by->at.end : n->at.begin);
  fill(f->out, arena_printf(f->arena, "%s {", head), 0);
  out_end(f->out);
  statements(f, items, n->at.end);
  out_printf(f->out, "}");
}

static void item(Format *f, const Ast *n)
{
  Out *head = out_new(f->arena);
  const Ast *items = NULL;
  if (n->kind == AST_DATA) {
    out_printf(head, "data %s", n->data.name);
    items = n->data.items;
  } else if (n->kind == AST_MODEL || n->kind == AST_BLOCK || n->kind == AST_OP) {
    out_printf(head, n->kind == AST_MODEL ? "model " : n->kind == AST_OP ? "op " : "block ");
    signature(head, n->model.signature);
    items = n->model.body;
  } else if (n->kind == AST_TRAIN) {
    out_printf(head, "train %s on %s", n->train.model, n->train.on);
    if (n->train.as)
      out_printf(head, " as %s", n->train.as);
    items = n->train.items;
  } else if (n->kind == AST_EVAL) {
    out_printf(head, "eval %s on %s.%s", n->eval.model, n->eval.on, n->eval.split);
    items = n->eval.items;
  } else if (n->kind == AST_INFER) {
    out_printf(head, "infer %s", n->infer.model);
    items = n->infer.items;
  } else if (n->kind == AST_BUILD) {
    out_printf(head, "build");
    items = n->build.items;
  } else {
    comments_before(f, n->at.end);
    plain(head, n);
    out_printf(head, ";");
    fill(f->out, out_text(head), 0);
    return;
  }
  block(f, out_text(head), items, n);
}

/* Declarations of one line stand together. */
static bool stand_together(const Ast *n, const Ast *next)
{
  bool constants = (n->kind == AST_PARAM || n->kind == AST_CONST) &&
                   (next->kind == AST_PARAM || next->kind == AST_CONST);
  return constants || (n->kind == AST_USE && next->kind == AST_USE);
}

void ast_format(const Ast *file, Out *o)
{
  if (file->kind != AST_FILE)
    ice("ast_format: %s is no file", ast_kind_text(file->kind));
  Arena *tmp = arena_new("format");
  Format f = {.arena = tmp, .out = o, .comment = file->file.comments};
  for (const Ast *n = file->file.items; n; n = n->next) {
    item(&f, n);
    end_line(&f, n, n->next ? n->next->at.begin : UINT32_MAX);
    if (n->next && !stand_together(n, n->next))
      out_end(o);
  }
  comments_before(&f, UINT32_MAX);
  arena_free(&tmp);
}
