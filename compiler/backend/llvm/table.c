/* The net's description as a constant: records are written as their bytes, with the addresses of
 * texts and tables between them. What a record holds stands in tables here, in the order of
 * gradrt.h, so that nothing but named members reaches the code (no padding). Members are placed as
 * C compilers of the target do, which differs from here where pointers have another size. */
#include "backend/llvm/llvm.h"
#include <string.h>

typedef struct Record Record;

typedef enum {
  PLAIN,        /* numbers of the same size everywhere: their bytes */
  SIZE,         /* a size_t */
  POINTERS,     /* addresses that the runtime fills in */
  TEXT,         /* a C string, or NULL */
  INLINE,       /* records inside the record */
  TABLE,        /* address of as many records as an int says */
  ONE,          /* address of a record, or NULL */
  TEXTS,        /* address of as many texts as an int64_t says */
  REALS,        /* address of as many doubles as the tensor has elements */
  CODE          /* address of a step function */
} FieldKind;

typedef struct {
  FieldKind kind;
  size_t offset, bytes;
  const Record *to;             /* INLINE, TABLE, ONE */
  size_t count;                 /* INLINE: how many; TABLE, TEXTS: where that stands; CODE: which */
} Field;

struct Record {
  size_t bytes;
  int n;
  const Field *field;
};

#define MEMBER(T, f) offsetof(T, f), sizeof(((T *)0)->f)
#define RECORD(T, fields) { sizeof(T), (int)ARRAY_LEN(fields), fields }

enum { CODE_PEAK = HOST_COUNT };

static const Field digit_fields[] = {
  { PLAIN, MEMBER(gradrt_digit, axis), NULL, 0 },
  { PLAIN, MEMBER(gradrt_digit, div), NULL, 0 },
  { PLAIN, MEMBER(gradrt_digit, extent), NULL, 0 },
};
static const Record digit_record = RECORD(gradrt_digit, digit_fields);

static const Field tensor_fields[] = {
  { TEXT, MEMBER(gradrt_tensor, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, role), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, trainable), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, rank), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, dim), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, ndigit), NULL, 0 },
  { INLINE, MEMBER(gradrt_tensor, digit), &digit_record, GRADRT_DIGITS_MAX },
  { SIZE, MEMBER(gradrt_tensor, offset), NULL, 0 },
  { SIZE, MEMBER(gradrt_tensor, stored), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, init), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, a), NULL, 0 },
  { PLAIN, MEMBER(gradrt_tensor, b), NULL, 0 },
  { REALS, MEMBER(gradrt_tensor, given), NULL, 0 },
};
static const Record tensor_record = RECORD(gradrt_tensor, tensor_fields);

static const Field prop_fields[] = {
  { TEXT, MEMBER(gradrt_prop, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_prop, number), NULL, 0 },
  { TEXT, MEMBER(gradrt_prop, text), NULL, 0 },
};
static const Record prop_record = RECORD(gradrt_prop, prop_fields);

static const Field source_fields[] = {
  { TEXT, MEMBER(gradrt_source, kind), NULL, 0 },
  { PLAIN, MEMBER(gradrt_source, nprop), NULL, 0 },
  { TABLE, MEMBER(gradrt_source, prop), &prop_record, offsetof(gradrt_source, nprop) },
  { TEXT, MEMBER(gradrt_source, place), NULL, 0 },
};
static const Record source_record = RECORD(gradrt_source, source_fields);

static const Field split_fields[] = {
  { TEXT, MEMBER(gradrt_split, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_split, source), NULL, 0 },
  { PLAIN, MEMBER(gradrt_split, how), NULL, 0 },
  { PLAIN, MEMBER(gradrt_split, amount), NULL, 0 },
};
static const Record split_record = RECORD(gradrt_split, split_fields);

static const Field augment_fields[] = {
  { TEXT, MEMBER(gradrt_augment, kind), NULL, 0 },
  { PLAIN, MEMBER(gradrt_augment, nprop), NULL, 0 },
  { TABLE, MEMBER(gradrt_augment, prop), &prop_record, offsetof(gradrt_augment, nprop) },
};
static const Record augment_record = RECORD(gradrt_augment, augment_fields);

static const Field field_fields[] = {
  { TEXT, MEMBER(gradrt_field, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, dtype), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, rank), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, dim), NULL, 0 },
  { TEXT, MEMBER(gradrt_field, columns), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, is_label), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, stratify), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, classes), NULL, 0 },
  { TEXTS, MEMBER(gradrt_field, class_name), NULL, offsetof(gradrt_field, classes) },
  { TEXT, MEMBER(gradrt_field, place), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, height), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, width), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, naugment), NULL, 0 },
  { TABLE, MEMBER(gradrt_field, augment), &augment_record, offsetof(gradrt_field, naugment) },
  { PLAIN, MEMBER(gradrt_field, token), NULL, 0 },
  { PLAIN, MEMBER(gradrt_field, next_of), NULL, 0 },
};
static const Record field_record = RECORD(gradrt_field, field_fields);

static const Field fit_fields[] = {
  { PLAIN, MEMBER(gradrt_fit, field), NULL, 0 },
  { PLAIN, MEMBER(gradrt_fit, mean), NULL, 0 },
  { PLAIN, MEMBER(gradrt_fit, std), NULL, 0 },
  { PLAIN, MEMBER(gradrt_fit, scale), NULL, 0 },
  { PLAIN, MEMBER(gradrt_fit, offset), NULL, 0 },
};
static const Record fit_record = RECORD(gradrt_fit, fit_fields);

static const Field output_fields[] = {
  { TEXT, MEMBER(gradrt_output, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_output, batched), NULL, 0 },
  { PLAIN, MEMBER(gradrt_output, rank), NULL, 0 },
  { PLAIN, MEMBER(gradrt_output, dim), NULL, 0 },
};
static const Record output_record = RECORD(gradrt_output, output_fields);

static const Field call_fields[] = {
  { TEXT, MEMBER(gradrt_call, kernel), NULL, 0 },
  { TEXT, MEMBER(gradrt_call, layer), NULL, 0 },
  { PLAIN, MEMBER(gradrt_call, direction), NULL, 0 },
  { PLAIN, MEMBER(gradrt_call, flops), NULL, 0 },
  { TEXT, MEMBER(gradrt_call, place), NULL, 0 },
};
static const Record call_record = RECORD(gradrt_call, call_fields);

static const Field made_fields[] = {
  { PLAIN, MEMBER(gradrt_made, call), NULL, 0 },
  { PLAIN, MEMBER(gradrt_made, where), NULL, 0 },
  { PLAIN, MEMBER(gradrt_made, index), NULL, 0 },
  { TEXT, MEMBER(gradrt_made, name), NULL, 0 },
  { SIZE, MEMBER(gradrt_made, offset), NULL, 0 },
  { SIZE, MEMBER(gradrt_made, stored), NULL, 0 },
  { PLAIN, MEMBER(gradrt_made, ndigit), NULL, 0 },
  { INLINE, MEMBER(gradrt_made, digit), &digit_record, GRADRT_DIGITS_MAX },
  { TEXT, MEMBER(gradrt_made, layer), NULL, 0 },
  { TEXT, MEMBER(gradrt_made, place), NULL, 0 },
};
static const Record made_record = RECORD(gradrt_made, made_fields);

#define FUNCTION_FIELDS(which)                                                                     \
  { CODE, MEMBER(gradrt_function, fn), NULL, which },                                              \
  { PLAIN, MEMBER(gradrt_function, noutput), NULL, 0 },                                            \
  { TABLE, MEMBER(gradrt_function, output), &output_record, offsetof(gradrt_function, noutput) },  \
  { SIZE, MEMBER(gradrt_function, arena_bytes), NULL, 0 },                                        \
  { SIZE, MEMBER(gradrt_function, worker_bytes), NULL, 0 },                                       \
  { PLAIN, MEMBER(gradrt_function, ncall), NULL, 0 },                                              \
  { TABLE, MEMBER(gradrt_function, call), &call_record, offsetof(gradrt_function, ncall) },        \
  { PLAIN, MEMBER(gradrt_function, nmade), NULL, 0 },                                              \
  { TABLE, MEMBER(gradrt_function, made), &made_record, offsetof(gradrt_function, nmade) },

static const Field train_step_fields[] = { FUNCTION_FIELDS(HOST_TRAIN) };
static const Field eval_step_fields[] = { FUNCTION_FIELDS(HOST_EVAL) };
static const Field infer_step_fields[] = { FUNCTION_FIELDS(HOST_INFER) };
static const Record train_step_record = RECORD(gradrt_function, train_step_fields);
static const Record eval_step_record = RECORD(gradrt_function, eval_step_fields);
static const Record infer_step_record = RECORD(gradrt_function, infer_step_fields);

static const Field piece_fields[] = {
  { TEXT, MEMBER(gradrt_piece, kind), NULL, 0 },
  { PLAIN, MEMBER(gradrt_piece, nprop), NULL, 0 },
  { TABLE, MEMBER(gradrt_piece, prop), &prop_record, offsetof(gradrt_piece, nprop) },
  { PLAIN, MEMBER(gradrt_piece, span), NULL, 0 },
  { PLAIN, MEMBER(gradrt_piece, in_epochs), NULL, 0 },
};
static const Record piece_record = RECORD(gradrt_piece, piece_fields);

static const Field metric_fields[] = {
  { TEXT, MEMBER(gradrt_metric, kind), NULL, 0 },
  { TEXT, MEMBER(gradrt_metric, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_metric, output), NULL, 0 },
  { PLAIN, MEMBER(gradrt_metric, target), NULL, 0 },
  { PLAIN, MEMBER(gradrt_metric, k), NULL, 0 },
};
static const Record metric_record = RECORD(gradrt_metric, metric_fields);

static const Field stop_fields[] = {
  { PLAIN, MEMBER(gradrt_stop, how), NULL, 0 },
  { PLAIN, MEMBER(gradrt_stop, split), NULL, 0 },
  { PLAIN, MEMBER(gradrt_stop, metric), NULL, 0 },
  { PLAIN, MEMBER(gradrt_stop, want_low), NULL, 0 },
  { PLAIN, MEMBER(gradrt_stop, patience), NULL, 0 },
  { PLAIN, MEMBER(gradrt_stop, threshold), NULL, 0 },
};
static const Record stop_record = RECORD(gradrt_stop, stop_fields);

static const Field param_fields[] = {
  { TEXT, MEMBER(gradrt_param, name), NULL, 0 },
  { TEXT, MEMBER(gradrt_param, setting), NULL, 0 },
  { PLAIN, MEMBER(gradrt_param, value), NULL, 0 },
  { PLAIN, MEMBER(gradrt_param, run_time), NULL, 0 },
};
static const Record param_record = RECORD(gradrt_param, param_fields);

static const Field printed_fields[] = {
  { PLAIN, MEMBER(gradrt_printed, how), NULL, 0 },
  { TEXT, MEMBER(gradrt_printed, name), NULL, 0 },
  { PLAIN, MEMBER(gradrt_printed, tensor), NULL, 0 },
};
static const Record printed_record = RECORD(gradrt_printed, printed_fields);

static const Field generation_fields[] = {
  { TEXT, MEMBER(gradrt_generation, prompt), NULL, 0 },
  { PLAIN, MEMBER(gradrt_generation, length), NULL, 0 },
  { PLAIN, MEMBER(gradrt_generation, temperature), NULL, 0 },
  { PLAIN, MEMBER(gradrt_generation, top), NULL, 0 },
  { PLAIN, MEMBER(gradrt_generation, seed), NULL, 0 },
};
static const Record generation_record = RECORD(gradrt_generation, generation_fields);

static const Field action_fields[] = {
  { PLAIN, MEMBER(gradrt_action, how), NULL, 0 },
  { PLAIN, MEMBER(gradrt_action, nprint), NULL, 0 },
  { TABLE, MEMBER(gradrt_action, print), &printed_record, offsetof(gradrt_action, nprint) },
  { PLAIN, MEMBER(gradrt_action, split), NULL, 0 },
  { PLAIN, MEMBER(gradrt_action, metric), NULL, 0 },
  { PLAIN, MEMBER(gradrt_action, want_low), NULL, 0 },
  { PLAIN, MEMBER(gradrt_action, best), NULL, 0 },
  { TEXT, MEMBER(gradrt_action, file), NULL, 0 },
  { PLAIN, MEMBER(gradrt_action, nsample), NULL, 0 },
  { TABLE, MEMBER(gradrt_action, sample), &generation_record, offsetof(gradrt_action, nsample) },
};
static const Record action_record = RECORD(gradrt_action, action_fields);

static const Field every_fields[] = {
  { PLAIN, MEMBER(gradrt_every, count), NULL, 0 },
  { PLAIN, MEMBER(gradrt_every, in_epochs), NULL, 0 },
  { PLAIN, MEMBER(gradrt_every, naction), NULL, 0 },
  { TABLE, MEMBER(gradrt_every, action), &action_record, offsetof(gradrt_every, naction) },
};
static const Record every_record = RECORD(gradrt_every, every_fields);

static const Field training_fields[] = {
  { PLAIN, MEMBER(gradrt_train, lr), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, epochs), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, seed), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, beta1), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, beta2), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, shuffle), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, torch_rng), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, loss_sum), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, train_split), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, npiece), NULL, 0 },
  { TABLE, MEMBER(gradrt_train, piece), &piece_record, offsetof(gradrt_train, npiece) },
  { PLAIN, MEMBER(gradrt_train, nmetric), NULL, 0 },
  { TABLE, MEMBER(gradrt_train, metric), &metric_record, offsetof(gradrt_train, nmetric) },
  { PLAIN, MEMBER(gradrt_train, nstop), NULL, 0 },
  { TABLE, MEMBER(gradrt_train, stop), &stop_record, offsetof(gradrt_train, nstop) },
  { PLAIN, MEMBER(gradrt_train, best_split), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, best_metric), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, best_low), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, accumulate), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, average), NULL, 0 },
  { TEXT, MEMBER(gradrt_train, average_slot), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, average_keep), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, average_from), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, nevery), NULL, 0 },
  { TABLE, MEMBER(gradrt_train, every), &every_record, offsetof(gradrt_train, nevery) },
  { TEXT, MEMBER(gradrt_train, spreads), NULL, 0 },
  { TEXT, MEMBER(gradrt_train, init), NULL, 0 },
  { PLAIN, MEMBER(gradrt_train, counted), NULL, 0 },
};
static const Record training_record = RECORD(gradrt_train, training_fields);

static const Field eval_fields[] = {
  { PLAIN, MEMBER(gradrt_eval, split), NULL, 0 },
  { PLAIN, MEMBER(gradrt_eval, nmetric), NULL, 0 },
  { TABLE, MEMBER(gradrt_eval, metric), &metric_record, offsetof(gradrt_eval, nmetric) },
};
static const Record eval_record = RECORD(gradrt_eval, eval_fields);

static const Field layer_fields[] = {
  { TEXT, MEMBER(gradrt_layer, name), NULL, 0 },
  { TEXT, MEMBER(gradrt_layer, type), NULL, 0 },
  { TEXT, MEMBER(gradrt_layer, shape), NULL, 0 },
  { PLAIN, MEMBER(gradrt_layer, params), NULL, 0 },
  { PLAIN, MEMBER(gradrt_layer, flops), NULL, 0 },
  { TEXT, MEMBER(gradrt_layer, place), NULL, 0 },
};
static const Record layer_record = RECORD(gradrt_layer, layer_fields);

static const Field net_fields[] = {
  { PLAIN, MEMBER(gradrt_net, abi), NULL, 0 },
  { TEXT, MEMBER(gradrt_net, name), NULL, 0 },
  { TEXT, MEMBER(gradrt_net, file), NULL, 0 },
  { TEXT, MEMBER(gradrt_net, version), NULL, 0 },
  { TEXT, MEMBER(gradrt_net, fingerprint), NULL, 0 },
  { TEXT, MEMBER(gradrt_net, cpu), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, real), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, batch), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, threads), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, ntensor), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, tensor), &tensor_record, offsetof(gradrt_net, ntensor) },
  { SIZE, MEMBER(gradrt_net, state_bytes), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, nsource), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, source), &source_record, offsetof(gradrt_net, nsource) },
  { PLAIN, MEMBER(gradrt_net, nsplit), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, split), &split_record, offsetof(gradrt_net, nsplit) },
  { PLAIN, MEMBER(gradrt_net, nfield), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, field), &field_record, offsetof(gradrt_net, nfield) },
  { PLAIN, MEMBER(gradrt_net, nfit), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, fit), &fit_record, offsetof(gradrt_net, nfit) },
  { PLAIN, MEMBER(gradrt_net, window), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, stride), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, streams), NULL, 0 },
  { INLINE, MEMBER(gradrt_net, train), &train_step_record, 1 },
  { INLINE, MEMBER(gradrt_net, eval), &eval_step_record, 1 },
  { INLINE, MEMBER(gradrt_net, infer), &infer_step_record, 1 },
  { ONE, MEMBER(gradrt_net, training), &training_record, 0 },
  { PLAIN, MEMBER(gradrt_net, neval), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, evals), &eval_record, offsetof(gradrt_net, neval) },
  { PLAIN, MEMBER(gradrt_net, nparam), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, param), &param_record, offsetof(gradrt_net, nparam) },
  { PLAIN, MEMBER(gradrt_net, nlayer), NULL, 0 },
  { TABLE, MEMBER(gradrt_net, layer), &layer_record, offsetof(gradrt_net, nlayer) },
  { TEXT, MEMBER(gradrt_net, spec), NULL, 0 },
  { CODE, MEMBER(gradrt_net, peak), NULL, CODE_PEAK },
  { PLAIN, MEMBER(gradrt_net, peak_flops), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, profiled), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, passes), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, eval_passes), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, next_output), NULL, 0 },
  { PLAIN, MEMBER(gradrt_net, next_field), NULL, 0 },
};
static const Record net_record = RECORD(gradrt_net, net_fields);

static const Field step_fields[] = {
  { POINTERS, MEMBER(gradrt_step, state), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, arena), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, worker), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, rows), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, ids), NULL, 0 },
  { PLAIN, MEMBER(gradrt_step, n), NULL, 0 },
  { PLAIN, MEMBER(gradrt_step, args), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, out), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, barrier), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, profile), NULL, 0 },
  { POINTERS, MEMBER(gradrt_step, watch), NULL, 0 },
};
static const Record step_record = RECORD(gradrt_step, step_fields);

/* ---- layout on the target ---- */

static size_t record_align(size_t pointer, const Record *r);
static size_t record_bytes(size_t pointer, const Record *r);

static size_t field_align(size_t pointer, const Field *f)
{
  switch (f->kind) {
  case PLAIN:
    return f->bytes % 8 == 0 ? 8 : f->bytes % 4 == 0 ? 4 : 1;
  case INLINE:
    return record_align(pointer, f->to);
  case SIZE: case POINTERS: case TEXT: case TABLE: case ONE: case TEXTS: case REALS: case CODE:
    break;
  }
  return pointer;
}

static size_t field_bytes(size_t pointer, const Field *f)
{
  switch (f->kind) {
  case PLAIN:
    return f->bytes;
  case INLINE:
    return f->count * record_bytes(pointer, f->to);
  case POINTERS:
    return f->bytes / sizeof(void *) * pointer;
  case SIZE: case TEXT: case TABLE: case ONE: case TEXTS: case REALS: case CODE:
    break;
  }
  return pointer;
}

static size_t record_align(size_t pointer, const Record *r)
{
  size_t most = 1;
  for (int k = 0; k < r->n; k++) {
    size_t align = field_align(pointer, &r->field[k]);
    most = align > most ? align : most;
  }
  return most;
}

/* Where member k starts; k = n: where the last one ends. */
static size_t member_offset(size_t pointer, const Record *r, int k)
{
  size_t at = 0;
  for (int i = 0; i <= k; i++) {
    if (i == r->n)
      return at;
    at = (size_t)align_up((int64_t)at, (int64_t)field_align(pointer, &r->field[i]));
    if (i < k)
      at += field_bytes(pointer, &r->field[i]);
  }
  return at;
}

static size_t record_bytes(size_t pointer, const Record *r)
{
  return (size_t)align_up((int64_t)member_offset(pointer, r, r->n),
                          (int64_t)record_align(pointer, r));
}

/* With pointers as here the layout is the one that this file was compiled with. */
static void check_record(const Record *r)
{
  bool same = record_bytes(sizeof(void *), r) == r->bytes;
  for (int k = 0; k < r->n && same; k++) {
    const Field *f = &r->field[k];
    same = member_offset(sizeof(void *), r, k) == f->offset;
    if (f->kind == INLINE)
      check_record(f->to);
  }
  if (!same)
    ice("backend llvm: a record of gradrt.h has other members than table.c lists");
}

size_t llvm_step_member(const Llvm *l, size_t offset)
{
  size_t pointer = (size_t)l->args->target->pointer_bytes;
  for (int k = 0; k < step_record.n; k++) {
    const Field *f = &step_record.field[k];
    if (offset < f->offset || offset >= f->offset + f->bytes)
      continue;
    size_t inside = offset - f->offset;
    return member_offset(pointer, &step_record, k) +
           (f->kind == POINTERS ? inside / sizeof(void *) * pointer : inside);
  }
  ice("backend llvm: a step has no member at byte %d", (int)offset);
}

/* ---- writing ---- */

/* Records being written: the bytes of their plain members, cut where an address stands. */
typedef struct {
  Llvm *l;
  size_t pointer;               /* bytes of one */
  unsigned char *bytes;
  size_t done;                  /* bytes that are among the parts */
  VEC(LLVMValueRef) part;
} Image;

static LLVMValueRef make_global(Llvm *l, LLVMValueRef value, const char *name)
{
  LLVMValueRef made = LLVMAddGlobal(l->module, LLVMTypeOf(value), name);
  LLVMSetInitializer(made, value);
  LLVMSetGlobalConstant(made, true);
  LLVMSetLinkage(made, LLVMPrivateLinkage);
  return made;
}

static void put_bytes(Image *i, size_t end)
{
  if (end == i->done)
    return;
  const char *at = (const char *)i->bytes + i->done;
  vec_push(i->l->arena, &i->part,
           LLVMConstStringInContext(i->l->context, at, (unsigned)(end - i->done), true));
  i->done = end;
}

static void put_address(Image *i, size_t offset, LLVMValueRef v)
{
  put_bytes(i, offset);
  vec_push(i->l->arena, &i->part, v ? v : LLVMConstNull(i->l->pointer));
  i->done += i->pointer;
}

static const void *address_at(const unsigned char *from)
{
  const void *p;
  memcpy(&p, from, sizeof p);
  return p;
}

static LLVMValueRef text_of(Llvm *l, const char *s)
{
  if (!s)
    return NULL;
  LLVMValueRef v = LLVMConstStringInContext(l->context, s, (unsigned)strlen(s), false);
  LLVMValueRef made = make_global(l, v, "text");
  LLVMSetUnnamedAddress(made, LLVMGlobalUnnamedAddr);
  return made;
}

static LLVMValueRef texts_of(Llvm *l, const char *const *text, int64_t n)
{
  if (!text || n <= 0)
    return NULL;
  LLVMValueRef *all = ARENA_ARRAY(l->arena, LLVMValueRef, n);
  for (int64_t i = 0; i < n; i++)
    all[i] = text[i] ? text_of(l, text[i]) : LLVMConstNull(l->pointer);
  return make_global(l, llvm_array(l, all, n), "texts");
}

static LLVMValueRef reals_of(Llvm *l, const gradrt_tensor *t)
{
  int64_t n = 1;
  if (!t->given)
    return NULL;
  for (int d = 0; d < t->rank; d++)
    if (!checked_mul(n, t->dim[d], &n))
      ice("backend llvm: tensor '%s' is too large", t->name);
  LLVMValueRef *all = ARENA_ARRAY(l->arena, LLVMValueRef, n + 1);
  for (int64_t i = 0; i < n; i++)
    all[i] = llvm_constant(l, t->given[i], DT_F64);
  return make_global(l, llvm_array(l, all, n), "given");
}

static LLVMValueRef records_of(Llvm *l, const Record *r, const unsigned char *from, int64_t n,
                               const char *name);

static LLVMValueRef code_of(const Llvm *l, size_t which)
{
  return which == CODE_PEAK ? l->peak : l->host[which];
}

static void put_record(Image *i, const Record *r, const unsigned char *from, size_t at);

/* Little-endian, as machine.c checks. */
static void put_size(Image *i, size_t v, size_t to)
{
  if (i->pointer < sizeof v && v >> (8 * i->pointer))
    llvm_complain(i->l->args, "the net is too large for the memory of", i->l->args->target->name);
  memcpy(i->bytes + to, &v, i->pointer < sizeof v ? i->pointer : sizeof v);
}

/* Member f of the record at `from`, which is written at `to`. */
static void put_field(Image *i, const Field *f, const unsigned char *from, size_t to)
{
  const unsigned char *member = from + f->offset;
  const void *p = f->bytes == sizeof(void *) ? address_at(member) : NULL;
  int count = 0;
  int64_t many;
  size_t bytes;
  switch (f->kind) {
  case PLAIN:
    memcpy(i->bytes + to, member, f->bytes);
    break;
  case SIZE:
    memcpy(&bytes, member, sizeof bytes);
    put_size(i, bytes, to);
    break;
  case POINTERS:
    ice("backend llvm: a constant with addresses of the runtime");
  case TEXT:
    put_address(i, to, text_of(i->l, p));
    break;
  case INLINE:
    for (size_t k = 0; k < f->count; k++)
      put_record(i, f->to, member + k * f->to->bytes, to + k * record_bytes(i->pointer, f->to));
    break;
  case TABLE:
    memcpy(&count, from + f->count, sizeof count);
    put_address(i, to, records_of(i->l, f->to, p, count, "table"));
    break;
  case ONE:
    put_address(i, to, records_of(i->l, f->to, p, 1, "record"));
    break;
  case TEXTS:
    memcpy(&many, from + f->count, sizeof many);
    put_address(i, to, texts_of(i->l, p, many));
    break;
  case REALS:
    put_address(i, to, reals_of(i->l, (const gradrt_tensor *)(const void *)from));
    break;
  case CODE:
    put_address(i, to, code_of(i->l, f->count));
    break;
  }
}

static void put_record(Image *i, const Record *r, const unsigned char *from, size_t at)
{
  for (int k = 0; k < r->n; k++)
    put_field(i, &r->field[k], from, at + member_offset(i->pointer, r, k));
}

/* A table of n records; NULL: there is none. */
static LLVMValueRef records_of(Llvm *l, const Record *r, const unsigned char *from, int64_t n,
                               const char *name)
{
  if (!from || n <= 0)
    return NULL;
  check_record(r);
  size_t pointer = (size_t)l->args->target->pointer_bytes, each = record_bytes(pointer, r);
  size_t bytes = each * (size_t)n;
  Image i = { .l = l, .pointer = pointer, .bytes = arena_alloc(l->arena, bytes) };
  for (int64_t k = 0; k < n; k++)
    put_record(&i, r, from + (size_t)k * r->bytes, (size_t)k * each);
  put_bytes(&i, bytes);
  LLVMValueRef all = LLVMConstStructInContext(l->context, i.part.at, i.part.n, true);
  LLVMValueRef made = make_global(l, all, name);
  LLVMSetAlignment(made, _Alignof(max_align_t));
  return made;
}

LLVMValueRef llvm_table(Llvm *l, const gradrt_net *net)
{
  const unsigned char *from = (const unsigned char *)net;
  LLVMValueRef made = records_of(l, &net_record, from, 1, llvm_symbol(l->args, "net"));
  LLVMSetLinkage(made, LLVMExternalLinkage);
  return made;
}
