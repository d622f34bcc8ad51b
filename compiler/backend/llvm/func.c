/* Functions: math, constants, kernels. Kernels stay functions of their own, so that what stands
 * around a call changes nothing in their registers. */
#include "backend/llvm/llvm.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AT_FUNCTION = -1, BLOCK_BYTES = 64 };

/* ---- attributes ---- */

/* Nothing happens where this version of LLVM has no such attribute. */
static void give(const Llvm *l, LLVMValueRef f, int at, const char *name, uint64_t value)
{
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  if (kind)
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)at,
                            LLVMCreateEnumAttribute(l->context, kind, value));
}

static void give_text(const Llvm *l, LLVMValueRef f, const char *name, const char *value)
{
  LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)AT_FUNCTION,
                          LLVMCreateStringAttribute(l->context, name, (unsigned)strlen(name), value,
                                                    (unsigned)strlen(value)));
}

/* Vectors as wide as the target's registers stay whole; workers flush denormals. */
static void give_all(const Llvm *l, LLVMValueRef f)
{
  const Target *t = l->args->target;
  const char *bits = arena_printf(l->arena, "%d", t->vector_bytes * 8);
  give(l, f, AT_FUNCTION, "nounwind", 0);
  give_text(l, f, "target-cpu", t->llvm_cpu);
  give_text(l, f, "prefer-vector-width", bits);
  give_text(l, f, "min-legal-vector-width", bits);
  give_text(l, f, "denormal-fp-math", "preserve-sign,preserve-sign");
  give_text(l, f, "no-trapping-math", "true");
}

LLVMValueRef llvm_begin(Llvm *l, const char *name, LLVMTypeRef type, LLVMLinkage linkage, Span at)
{
  LLVMValueRef f = LLVMAddFunction(l->module, name, type);
  LLVMSetLinkage(f, linkage);
  give_all(l, f);
  l->function = f;
  LLVMPositionBuilderAtEnd(l->builder, llvm_block(l, "entry"));
  llvm_debug_function(l, name, at);
  return f;
}

/* The parts of a step are linked with each other. */
LLVMLinkage llvm_linkage(const Llvm *l)
{
  return l->part == WHOLE ? LLVMInternalLinkage : LLVMExternalLinkage;
}

/* ---- math ---- */

LLVMValueRef llvm_func(const Llvm *l, const LFunc *f)
{
  for (uint32_t i = 0; i < l->m->funcs.n; i++)
    if (l->m->funcs.at[i] == f)
      return l->func[i];
  ice("backend llvm: function '%s' is not of the module", f->name);
}

static LLVMValueRef make_func(Llvm *l, const LFunc *f)
{
  LLVMTypeRef param[PARAMS_MAX];
  for (int i = 0; i < f->nparam; i++)
    param[i] = llvm_type(l, (int)f->param[i]->dtype, f->param[i]->lanes);
  LLVMTypeRef result = llvm_type(l, f->result->dtype, f->result->lanes);
  LLVMTypeRef type = LLVMFunctionType(result, param, (unsigned)f->nparam, false);
  LLVMValueRef made =
      llvm_begin(l, llvm_symbol(l->args, f->name), type, LLVMInternalLinkage, (Span){ 0, 0 });
  give(l, made, AT_FUNCTION, "alwaysinline", 0);
  for (int i = 0; i < f->nparam; i++) {
    LLVMValueRef v = LLVMGetParam(made, (unsigned)i);
    LLVMSetValueName2(v, f->param[i]->name, strlen(f->param[i]->name));
    l->var[f->param[i]->id] = v;
  }
  llvm_body(l, f->body);
  LLVMBuildRet(l->builder, llvm_expr(l, f->result));
  return made;
}

void llvm_funcs(Llvm *l)
{
  l->func = ARENA_ARRAY(l->arena, LLVMValueRef, l->m->funcs.n + 1);
  for (uint32_t i = 0; i < l->m->funcs.n; i++)
    l->func[i] = make_func(l, l->m->funcs.at[i]);
}

/* ---- constants ---- */

void llvm_constants(Llvm *l)
{
  for (uint32_t i = 0; i < l->m->buffers.n; i++) {
    const Buffer *buf = l->m->buffers.at[i];
    if (buf->role != BUF_CONST)
      continue;
    LLVMValueRef *value = ARENA_ARRAY(l->arena, LLVMValueRef, buf->extent);
    for (int64_t k = 0; k < buf->extent; k++)
      value[k] = llvm_constant(l, buf->values[k], (int)buf->dtype);
    LLVMValueRef all = llvm_array(l, value, buf->extent);
    LLVMValueRef made = LLVMAddGlobal(l->module, LLVMTypeOf(all), llvm_symbol(l->args, buf->name));
    LLVMSetInitializer(made, all);
    LLVMSetGlobalConstant(made, true);
    LLVMSetLinkage(made, LLVMPrivateLinkage);
    LLVMSetAlignment(made, BLOCK_BYTES);
    l->buf[buf->id] = made;
  }
}

/* ---- kernels ---- */

LLVMValueRef llvm_kernel(const Llvm *l, const Kernel *k)
{
  for (uint32_t i = 0; i < l->m->kernels.n; i++)
    if (l->m->kernels.at[i] == k)
      return l->kernel[i];
  ice("backend llvm: kernel '%s' is not of the module", k->name);
}

/* Do all calls in a body bind formal `index` of a kernel to the start of a 64-byte block? */
static bool bound_to_blocks(const LStmt *body, const Kernel *k, uint32_t index)
{
  bool all = true;
  for (const LStmt *s = body; s && all; s = s->next) {
    if (s->kind == LS_FOR)
      all = bound_to_blocks(s->loop.body, k, index);
    if (s->kind == LS_IF)
      all = bound_to_blocks(s->branch.then, k, index) &&
            bound_to_blocks(s->branch.otherwise, k, index);
    if (s->kind != LS_CALL || s->call.kernel != k)
      continue;
    BufRole role = s->call.arg[index]->role;
    all = role == BUF_STATE || role == BUF_ARENA || role == BUF_WORKER || role == BUF_CONST;
  }
  return all;
}

static bool is_aligned(const Llvm *l, const Kernel *k, uint32_t index)
{
  bool all = true;
  for (int h = 0; h < HOST_COUNT; h++)
    all = all && (!l->m->host[h] || bound_to_blocks(l->m->host[h]->body, k, index));
  return all;
}

static void take_params(Llvm *l, const Kernel *k, LLVMValueRef f)
{
  const LVar *const var[] = { k->lo, k->hi, k->n };
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *buf = k->formal.at[i];
    LLVMValueRef p = LLVMGetParam(f, i);
    LLVMSetValueName2(p, buf->name, strlen(buf->name));
    l->buf[buf->id] = p;
    give(l, f, (int)i + 1, "noalias", 0);
    if (!buf->written)
      give(l, f, (int)i + 1, "readonly", 0);
    if (is_aligned(l, k, i))
      give(l, f, (int)i + 1, "align", BLOCK_BYTES);
  }
  for (unsigned i = 0; i < ARRAY_LEN(var); i++) {
    LLVMValueRef p = LLVMGetParam(f, k->formal.n + i);
    LLVMSetValueName2(p, var[i]->name, strlen(var[i]->name));
    l->var[var[i]->id] = p;
  }
}

static void declare_registers(Llvm *l, const Kernel *k)
{
  for (uint32_t i = 0; i < k->regs.n; i++) {
    const Buffer *buf = k->regs.at[i];
    LLVMTypeRef type = llvm_type(l, (int)buf->dtype, buf->lanes);
    if (buf->role == BUF_LOCAL) {
      l->buf[buf->id] =
          LLVMBuildArrayAlloca(l->builder, type, llvm_integer(l, buf->extent), buf->name);
      LLVMSetAlignment(l->buf[buf->id], BLOCK_BYTES);
      continue;
    }
    l->reg[buf->id] = ARENA_ARRAY(l->arena, LLVMValueRef, buf->extent);
    for (int64_t j = 0; j < buf->extent; j++)
      l->reg[buf->id][j] =
          LLVMBuildAlloca(l->builder, type, arena_printf(l->arena, "%s_%" PRId64, buf->name, j));
  }
}

static LLVMTypeRef kernel_type(const Llvm *l, const Kernel *k)
{
  uint32_t n = k->formal.n;
  LLVMTypeRef *param = ARENA_ARRAY(l->arena, LLVMTypeRef, n + 3);
  for (uint32_t i = 0; i < n + 3; i++)
    param[i] = i < n ? l->pointer : l->word;
  return LLVMFunctionType(l->nothing, param, n + 3, false);
}

static LLVMValueRef make_kernel(Llvm *l, const Kernel *k)
{
  LLVMValueRef f =
      llvm_begin(l, llvm_symbol(l->args, k->name), kernel_type(l, k), llvm_linkage(l), k->at);
  give(l, f, AT_FUNCTION, "noinline", 0);
  take_params(l, k, f);
  declare_registers(l, k);
  llvm_body(l, k->body);
  LLVMBuildRetVoid(l->builder);
  return f;
}

static int64_t statements_of(const LStmt *body)
{
  int64_t n = 0;
  for (const LStmt *s = body; s; s = s->next) {
    n++;
    if (s->kind == LS_FOR)
      n += statements_of(s->loop.body);
    if (s->kind == LS_IF)
      n += statements_of(s->branch.then) + statements_of(s->branch.otherwise);
  }
  return n;
}

/* Statements that are worth a thread, with a machine and an object of its own. */
enum { PART_STATEMENTS = 100 };

int llvm_parts(const Module *m)
{
  int64_t n = 0;
  for (uint32_t i = 0; i < m->kernels.n; i++)
    n += statements_of(m->kernels.at[i]->body);
  return (int)min_i64(1 + n / PART_STATEMENTS, LLVM_PARTS);
}

/* Each kernel goes to the part that has least to do so far. */
void llvm_kernels(Llvm *l)
{
  int64_t load[LLVM_PARTS] = { 0 };
  int parts = llvm_parts(l->m);
  l->kernel = ARENA_ARRAY(l->arena, LLVMValueRef, l->m->kernels.n + 1);
  for (uint32_t i = 0; i < l->m->kernels.n; i++) {
    const Kernel *k = l->m->kernels.at[i];
    int part = 0;
    for (int p = 1; p < parts; p++)
      part = load[p] < load[part] ? p : part;
    load[part] += statements_of(k->body);
    if (l->part == WHOLE || l->part == part)
      l->kernel[i] = make_kernel(l, k);
    else
      l->kernel[i] = LLVMAddFunction(l->module, llvm_symbol(l->args, k->name), kernel_type(l, k));
  }
}
