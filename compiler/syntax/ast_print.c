/* The tree as S-expressions: one line a declaration, statement or property. Two trees that print
 * alike mean the same; positions, comments and the spelling of numbers are left out. */
#include "syntax/ast.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const Ast *n, Out *o);

/* Items of a list, each after a blank. */
static void print_list(const Ast *list, Out *o)
{
  for (; list; list = list->next) {
    out_printf(o, " ");
    print(list, o);
  }
}

static void print_number(double value, Out *o)
{
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  out_printf(o, "%s", text);
}

static void print_string(const char *s, Out *o)
{
  out_bytes(o, "\"", 1);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      out_printf(o, "\\%c", c);
    else if (c < 0x20 || c == 0x7F)
      out_printf(o, "\\x%02x", c);
    else
      out_bytes(o, s, 1);
  }
  out_bytes(o, "\"", 1);
}

/* (tag name a.. b..); name may be NULL */
static void node(Out *o, const char *tag, const char *name, const Ast *a, const Ast *b)
{
  out_printf(o, "(%s%s%s", tag, name ? " " : "", name ? name : "");
  print_list(a, o);
  print_list(b, o);
  out_printf(o, ")");
}

/* (tag, then each item on a line of its own) */
static void block(Out *o, const Ast *items, const char *tag)
{
  out_printf(o, "(%s", tag);
  out_indent(o);
  for (; items; items = items->next) {
    out_end(o);
    out_begin(o);
    print(items, o);
  }
  out_dedent(o);
  out_printf(o, ")");
}

static void print_stage(const Ast *n, Out *o)
{
  if (!n->stage.has_args && !n->stage.as) {
    out_printf(o, "%s", n->stage.callee);
    return;
  }
  out_printf(o, "(%s%s", n->stage.callee, n->stage.has_args ? "" : " :bare");
  print_list(n->stage.args, o);
  if (n->stage.as)
    out_printf(o, " :as %s", n->stage.as);
  out_printf(o, ")");
}

/* f32   (u8 [28 28])   (label 10) */
static void print_type(const Ast *n, Out *o)
{
  if (!n->type.has_dims && !n->type.dims) {
    out_printf(o, "%s", n->type.name);
    return;
  }
  out_printf(o, "(%s%s", n->type.name, n->type.has_dims ? " :dims" : "");
  print_list(n->type.dims, o);
  out_printf(o, ")");
}

static void print_field(const Ast *n, Out *o)
{
  out_printf(o, "(field %s", n->field.name);
  print_list(n->field.type, o);
  if (n->field.from) {
    out_printf(o, " :from ");
    print_string(n->field.from, o);
  }
  out_printf(o, "%s", n->field.as ? " :as" : "");
  print_list(n->field.as, o);
  out_printf(o, "%s", n->field.pipe ? " :pipe" : "");
  print_list(n->field.pipe, o);
  out_printf(o, "%s", n->field.value ? " :value" : "");
  print_list(n->field.value, o);
  out_printf(o, ")");
}

static void print_split(const Ast *n, Out *o)
{
  out_printf(o, "(split %s", n->split_item.name);
  print_list(n->split_item.amount, o);
  if (n->split_item.of)
    out_printf(o, " :of %s", n->split_item.of);
  out_printf(o, ")");
}

static void print_output(const Ast *n, Out *o)
{
  out_printf(o, "(output");
  print_list(n->output_item.value, o);
  if (n->output_item.as)
    out_printf(o, " :as %s", n->output_item.as);
  out_printf(o, ")");
}

static void print_signature(const Ast *n, Out *o)
{
  out_printf(o, "(%s", n->signature.name);
  print_list(n->signature.formals, o);
  out_printf(o, " ->");
  print_list(n->signature.results, o);
  out_printf(o, ")");
}

static void print_let(const Ast *n, Out *o)
{
  out_printf(o, "(let");
  print_list(n->let.names, o);
  out_printf(o, " =");
  print_list(n->let.value, o);
  out_printf(o, ")");
}

/* (data mnist ..) with one item a line */
static void print_data(const Ast *n, Out *o)
{
  out_printf(o, "(data %s ", n->data.name);
  block(o, n->data.items, "items");
  out_printf(o, ")");
}

static void print_model(const Ast *n, Out *o)
{
  out_printf(o, n->kind == AST_MODEL ? "(model " : n->kind == AST_OP ? "(op " : "(block ");
  print(n->model.signature, o);
  out_printf(o, " ");
  block(o, n->model.body, "body");
  out_printf(o, ")");
}

static void print_repeat(const Ast *n, Out *o)
{
  out_printf(o, "(repeat %s", n->repeat.var);
  print_list(n->repeat.range, o);
  out_printf(o, " ");
  block(o, n->repeat.body, "body");
  out_printf(o, ")");
}

static void print_if(const Ast *n, Out *o)
{
  out_printf(o, "(if");
  print_list(n->branch.cond, o);
  out_printf(o, " ");
  block(o, n->branch.then, "then");
  if (n->branch.else_at.end) {
    out_printf(o, " ");
    block(o, n->branch.otherwise, "else");
  }
  out_printf(o, ")");
}

static void print_train(const Ast *n, Out *o)
{
  out_printf(o, "(train %s :on %s ", n->train.model, n->train.on);
  if (n->train.as)
    out_printf(o, ":as %s ", n->train.as);
  block(o, n->train.items, "items");
  out_printf(o, ")");
}

static void print_eval(const Ast *n, Out *o)
{
  out_printf(o, "(eval %s :on %s.%s ", n->eval.model, n->eval.on, n->eval.split);
  block(o, n->eval.items, "items");
  out_printf(o, ")");
}

static void print_infer(const Ast *n, Out *o)
{
  out_printf(o, "(infer %s ", n->infer.model);
  block(o, n->infer.items, "items");
  out_printf(o, ")");
}

/* (+= (y f i) value) */
static void print_assign(const Ast *n, Out *o)
{
  out_printf(o, "(%s (%s", n->assign.op, n->assign.name);
  print_list(n->assign.places, o);
  out_printf(o, ")");
  print_list(n->assign.value, o);
  out_printf(o, "%s", n->assign.ranges ? " :where" : "");
  print_list(n->assign.ranges, o);
  out_printf(o, ")");
}

static void print(const Ast *n, Out *o)
{
  switch (n->kind) {
  case AST_FILE: block(o, n->file.items, "file"); return;
  case AST_VERSION:
    out_printf(o, "(net ");
    print_number(n->version.value, o);
    out_printf(o, ")");
    return;
  case AST_PARAM: node(o, "param", n->param.name, n->param.value, NULL); return;
  case AST_CONST: node(o, "const", n->param.name, n->param.value, NULL); return;
  case AST_DATA: print_data(n, o); return;
  case AST_MODEL:
  case AST_BLOCK:
  case AST_OP: print_model(n, o); return;
  case AST_USE:
    out_printf(o, "(use ");
    print_string(n->use.path, o);
    out_printf(o, ")");
    return;
  case AST_TRAIN: print_train(n, o); return;
  case AST_EVAL: print_eval(n, o); return;
  case AST_INFER: print_infer(n, o); return;
  case AST_BUILD: block(o, n->build.items, "build"); return;
  case AST_SIGNATURE: print_signature(n, o); return;
  case AST_FORMAL:
    node(o, n->formal.name ? n->formal.name : "_",
         n->formal.is_param ? n->formal.dflt ? "param =" : "param" : n->formal.dflt ? "=" : NULL,
         n->formal.type, n->formal.dflt);
    return;
  case AST_TYPE: print_type(n, o); return;
  case AST_LET: print_let(n, o); return;
  case AST_RETURN: node(o, "return", NULL, n->ret.values, NULL); return;
  case AST_REPEAT: print_repeat(n, o); return;
  case AST_IF: print_if(n, o); return;
  case AST_ASSIGN: print_assign(n, o); return;
  case AST_OVER: node(o, "in", n->over.var, n->over.range, NULL); return;
  case AST_INDEX: node(o, "at", n->index.of, n->index.places, NULL); return;
  case AST_PACK: out_printf(o, "*%s", n->name.text); return;
  case AST_CHAIN: node(o, "->", NULL, n->chain.head, n->chain.stages); return;
  case AST_STAGE: print_stage(n, o); return;
  case AST_CALL: node(o, "call", NULL, n->call.callee, n->call.args); return;
  case AST_ARG:
    if (n->arg.name)
      node(o, "=", n->arg.name, n->arg.value, NULL);
    else
      print(n->arg.value, o);
    return;
  case AST_AMOUNT:
    node(o, n->amount.epochs ? "epochs" : "steps", NULL, n->amount.value, NULL);
    return;
  case AST_NAME: out_printf(o, "%s", n->name.text); return;
  case AST_FIELD_OF: node(o, ".", n->field_of.name, n->field_of.of, NULL); return;
  case AST_NUMBER: print_number(n->number.value, o); return;
  case AST_STRING: print_string(n->string.text, o); return;
  case AST_BOOL: out_printf(o, n->boolean.value ? "true" : "false"); return;
  case AST_LIST: node(o, "list", NULL, n->list.items, NULL); return;
  case AST_UNARY: node(o, n->unary.op, NULL, n->unary.x, NULL); return;
  case AST_BINARY: node(o, n->binary.op, NULL, n->binary.x, n->binary.y); return;
  case AST_RANGE: node(o, "..", NULL, n->range.from, n->range.to); return;
  case AST_SPLIT_ITEM: print_split(n, o); return;
  case AST_FIELD: print_field(n, o); return;
  case AST_PROPERTY: node(o, "set", n->property.name, n->property.values, NULL); return;
  case AST_SCHEDULE: node(o, "schedule", n->schedule.target, n->schedule.pieces, NULL); return;
  case AST_PIECE: node(o, "piece", NULL, n->piece.call, n->piece.amount); return;
  case AST_STOP: node(o, "stop", NULL, n->stop.cond, NULL); return;
  case AST_OUTPUT_ITEM: print_output(n, o); return;
  case AST_REPORT: node(o, "report", NULL, n->report.values, NULL); return;
  case AST_GROUP: node(o, "group", NULL, n->group.globs, n->group.items); return;
  case AST_EVERY: node(o, "every", NULL, n->every.amount, n->every.actions); return;
  case AST_ACTION: node(o, n->action.verb, n->action.what, n->action.by, n->action.values); return;
  case AST_ERROR: out_printf(o, "(error)"); return;
  case AST_COUNT: break;
  }
  ice("ast_print: kind %d", (int)n->kind);
}

void ast_print(const Ast *n, Out *o)
{
  out_begin(o);
  print(n, o);
  out_end(o);
}
