/* Text in pages, as HTML, SVG and DOT need it. */
#ifndef GRADC_CMD_PAGE_H
#define GRADC_CMD_PAGE_H

#include "base/out.h"

/* Escaped for HTML, SVG and their attributes; what is no UTF-8, or controls, becomes '?'. */
void page_text(Out *o, const char *s);

#endif
