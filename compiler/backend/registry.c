/* The list of back ends. */
#include "backend/backend.h"
#include "base/str.h"

#define BACKEND(name) extern const Backend backend_##name;
#include "backend/backends.def"
#undef BACKEND

static const Backend *const all[] = {
#define BACKEND(name) &backend_##name,
#include "backend/backends.def"
#undef BACKEND
};

const Backend *const *backend_all(int *n)
{
  *n = (int)ARRAY_LEN(all);
  return all;
}

const Backend *backend_find(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(all); i++)
    if (str_eq(all[i]->name, name))
      return all[i];
  return NULL;
}
