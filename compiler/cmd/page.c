/* Escaping of text that comes from a spec or a file. */
#include "cmd/page.h"
#include "run.h"

void page_text(Out *o, const char *s)
{
  for (const unsigned char *p = (const unsigned char *)s; *p;) {
    int n = gradrt_text_utf8(p);
    const char *entity = *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : *p == '&' ? "&amp;"
                       : *p == '"' ? "&quot;" : NULL;
    if (entity)
      out_printf(o, "%s", entity);
    else if (n == 0 || *p < 0x20)
      out_printf(o, "?");
    else
      out_bytes(o, (const char *)p, (size_t)n);
    p += n ? n : 1;
  }
}
