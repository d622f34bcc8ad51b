/* Pages about the codes of messages. */
#ifndef GRADC_CMD_EXPLAIN_H
#define GRADC_CMD_EXPLAIN_H

typedef struct {
  const char *code;             /* "E0201", "W0203" */
  const char *title, *text;
  const char *right, *wrong;    /* parts of a spec; NULL: the page has no example */
} Page;
const Page *explain_pages(int *count);

#endif
