/* Construction and structure of the tree. */
#include "syntax/ast.h"
#include "syntax/context.h"

Ast *ast_new(Arena *a, AstKind kind, Span at)
{
  Ast *n = ARENA_NEW(a, Ast);
  n->kind = kind;
  n->at = at;
  return n;
}

Ast *ast_append(Ast *list, Ast *item)
{
  if (!list)
    return item;
  Ast *last = list;
  while (last->next)
    last = last->next;
  last->next = item;
  return list;
}

int ast_length(const Ast *list)
{
  int n = 0;
  for (; list; list = list->next)
    n++;
  return n;
}

const char *ast_kind_text(AstKind k)
{
  static const char *const text[] = {
#define X(k) #k,
    AST_KINDS(X)
#undef X
  };
  if ((unsigned)k >= AST_COUNT)
    ice("ast_kind_text: kind %d", (int)k);
  return text[k];
}

AstList list_of(Ast *item)
{
  return (AstList){item, item};
}

AstList list_add(AstList list, Ast *item)
{
  return list_join(list, list_of(item));
}

AstList list_join(AstList first, AstList second)
{
  if (!first.head)
    return second;
  if (!second.head)
    return first;
  first.tail->next = second.head;
  return (AstList){first.head, second.tail};
}

static int put(Ast *out[CHILDREN_MAX], Ast *a, Ast *b, Ast *c)
{
  out[0] = a;
  out[1] = b;
  out[2] = c;
  return CHILDREN_MAX;
}

int ast_children(const Ast *n, Ast *out[CHILDREN_MAX])
{
  switch (n->kind) {
  case AST_FILE: return put(out, n->file.items, NULL, NULL);
  case AST_PARAM:
  case AST_CONST: return put(out, n->param.value, NULL, NULL);
  case AST_DATA: return put(out, n->data.items, NULL, NULL);
  case AST_MODEL:
  case AST_BLOCK:
  case AST_OP: return put(out, n->model.signature, n->model.body, NULL);
  case AST_TRAIN: return put(out, n->train.items, NULL, NULL);
  case AST_EVAL: return put(out, n->eval.items, NULL, NULL);
  case AST_INFER: return put(out, n->infer.items, NULL, NULL);
  case AST_BUILD: return put(out, n->build.items, NULL, NULL);
  case AST_SIGNATURE: return put(out, n->signature.formals, n->signature.results, NULL);
  case AST_FORMAL: return put(out, n->formal.type, n->formal.dflt, NULL);
  case AST_TYPE: return put(out, n->type.dims, NULL, NULL);
  case AST_LET: return put(out, n->let.names, n->let.value, NULL);
  case AST_RETURN: return put(out, n->ret.values, NULL, NULL);
  case AST_REPEAT: return put(out, n->repeat.range, n->repeat.body, NULL);
  case AST_IF: return put(out, n->branch.cond, n->branch.then, n->branch.otherwise);
  case AST_ASSIGN: return put(out, n->assign.places, n->assign.value, n->assign.ranges);
  case AST_OVER: return put(out, n->over.range, NULL, NULL);
  case AST_INDEX: return put(out, n->index.places, NULL, NULL);
  case AST_CHAIN: return put(out, n->chain.head, n->chain.stages, NULL);
  case AST_STAGE: return put(out, n->stage.args, NULL, NULL);
  case AST_CALL: return put(out, n->call.callee, n->call.args, NULL);
  case AST_ARG: return put(out, n->arg.value, NULL, NULL);
  case AST_AMOUNT: return put(out, n->amount.value, NULL, NULL);
  case AST_FIELD_OF: return put(out, n->field_of.of, NULL, NULL);
  case AST_LIST: return put(out, n->list.items, NULL, NULL);
  case AST_UNARY: return put(out, n->unary.x, NULL, NULL);
  case AST_BINARY: return put(out, n->binary.x, n->binary.y, NULL);
  case AST_RANGE: return put(out, n->range.from, n->range.to, NULL);
  case AST_SPLIT_ITEM: return put(out, n->split_item.amount, NULL, NULL);
  case AST_FIELD:
    return put(out, n->field.type, n->field.as ? n->field.as : n->field.value, n->field.pipe);
  case AST_PROPERTY: return put(out, n->property.values, NULL, NULL);
  case AST_SCHEDULE: return put(out, n->schedule.pieces, NULL, NULL);
  case AST_PIECE: return put(out, n->piece.call, n->piece.amount, NULL);
  case AST_STOP: return put(out, n->stop.cond, NULL, NULL);
  case AST_OUTPUT_ITEM: return put(out, n->output_item.value, NULL, NULL);
  case AST_REPORT: return put(out, n->report.values, NULL, NULL);
  case AST_GROUP: return put(out, n->group.globs, n->group.items, NULL);
  case AST_EVERY: return put(out, n->every.amount, n->every.actions, NULL);
  case AST_ACTION: return put(out, n->action.by, n->action.values, NULL);
  case AST_VERSION:
  case AST_USE:
  case AST_NAME:
  case AST_PACK:
  case AST_NUMBER:
  case AST_STRING:
  case AST_BOOL:
  case AST_ERROR:
  case AST_COUNT: break;
  }
  return 0;
}
