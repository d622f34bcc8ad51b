/* Debug information: each function and instruction carries a line of the spec, so that debuggers
 * and profilers lead from machine code to the layer. Folders do not show: code does not depend on
 * where the spec lies. */
#include "backend/llvm/llvm.h"
#include <string.h>

static void add_flag(Llvm *l, const char *name, unsigned value)
{
  LLVMMetadataRef v = LLVMValueAsMetadata(LLVMConstInt(l->number, value, false));
  LLVMAddModuleFlag(l->module, LLVMModuleFlagBehaviorWarning, name, strlen(name), v);
}

void llvm_debug_begin(Llvm *l)
{
  const char *file = l->args->spec_file ? l->args->spec_file : "net";
  const char *made = arena_printf(l->arena, "gradc %s", l->args->version);
  add_flag(l, "Debug Info Version", LLVMDebugMetadataVersion());
  add_flag(l, "Dwarf Version", 4);
  l->debug = LLVMCreateDIBuilder(l->module);
  l->file = LLVMDIBuilderCreateFile(l->debug, file, strlen(file), ".", 1);
  l->unit = LLVMDIBuilderCreateCompileUnit(
      l->debug, LLVMDWARFSourceLanguageC99, l->file, made, strlen(made), true, "", 0, 0, "", 0,
      LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
  l->routine = LLVMDIBuilderCreateSubroutineType(l->debug, l->file, NULL, 0, LLVMDIFlagZero);
}

static Place place_of(const Llvm *l, Span at)
{
  Place place;
  if (!at.begin || !source_place(l->args->sources, at.begin, &place))
    place = (Place){ .line = 0, .col = 0 };
  return place;
}

void llvm_debug_function(Llvm *l, const char *name, Span at)
{
  if (!l->debug)
    return;
  Place place = place_of(l, at);
  l->scope = LLVMDIBuilderCreateFunction(
      l->debug, l->file, name, strlen(name), name, strlen(name), l->file, (unsigned)place.line,
      l->routine, true, true, (unsigned)place.line, LLVMDIFlagZero, true);
  LLVMSetSubprogram(l->function, l->scope);
  LLVMSetCurrentDebugLocation2(
      l->builder, LLVMDIBuilderCreateDebugLocation(l->context, (unsigned)place.line,
                                                   (unsigned)place.col, l->scope, NULL));
}

void llvm_debug_at(Llvm *l, Span at)
{
  if (!l->debug || !at.begin)
    return;
  Place place = place_of(l, at);
  LLVMSetCurrentDebugLocation2(
      l->builder, LLVMDIBuilderCreateDebugLocation(l->context, (unsigned)place.line,
                                                   (unsigned)place.col, l->scope, NULL));
}

void llvm_debug_end(Llvm *l)
{
  if (l->debug) {
    LLVMDIBuilderFinalize(l->debug);
    LLVMDisposeDIBuilder(l->debug);
  }
}
