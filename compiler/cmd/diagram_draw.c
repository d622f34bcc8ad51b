/* A diagram as SVG: rows from the top, boxes of a row beside each other, values that pass rows in
 * lanes at the right. Also as text for Graphviz, which makes its own layout. */
#include "cmd/diagram.h"
#include "cmd/page.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
  LINE = 17, HEAD = 24, FOOT = 8, GAP = 46, SIDE = 34, LANE = 13, MARGIN = 24, TITLE = 46,
  WIDTH_MIN = 168, WIDTH_MAX = 400, HOW_MAX = 54, PAD = 10
};

/* ---- layout ---- */

/* At most HOW_MAX bytes of attributes, whole UTF-8 sequences. */
static const char *shortened(Arena *a, const char *s)
{
  size_t n = strlen(s);
  if (n <= HOW_MAX)
    return s;
  n = HOW_MAX - 2;
  while (n && ((unsigned char)s[n] & 0xC0) == 0x80)
    n--;
  return arena_printf(a, "%.*s\xe2\x80\xa6", (int)n, s);
}

static const char *count_text(Arena *a, int64_t n)
{
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%" PRId64, n), at = 0;
  char *text = arena_alloc(a, 40);
  for (int i = 0; i < len; i++) {
    if (i && (len - i) % 3 == 0)
      text[at++] = ',';
    text[at++] = digits[i];
  }
  return text;
}

static void size_box(const Diagram *d, DiagramBox *b)
{
  size_t longest = strlen(b->name) + (b->params ? strlen(count_text(d->arena, b->params)) + 5 : 0);
  for (uint32_t i = 0; i < b->line.n; i++) {
    size_t n = strlen(b->line.at[i].what) + strlen(shortened(d->arena, b->line.at[i].how)) + 2;
    longest = n > longest ? n : longest;
  }
  double width = 6.5 * (double)longest + 26;
  b->width = width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
  b->height = HEAD + LINE * (double)b->line.n + FOOT;
}

/* Mean place of what a box reads; boxes without operands come last. */
static double wanted(const Diagram *d, int box)
{
  double sum = 0;
  int n = 0;
  for (uint32_t k = 0; k < d->edge.n; k++)
    if (d->edge.at[k].to == box) {
      sum += d->box.at[d->edge.at[k].from].x;
      n++;
    }
  return n ? sum / n : 1e6;
}

/* Boxes of a row in the order of what they read; ties: of the spec. Returns how many. */
static int order_row(const Diagram *d, int row, int *order)
{
  int n = 0;
  for (uint32_t i = 0; i < d->box.n; i++) {
    if (d->box.at[i].rank != row)
      continue;
    int at = n++;
    while (at > 0 && wanted(d, order[at - 1]) > wanted(d, (int)i)) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = (int)i;
  }
  return n;
}

/* Places a row's boxes from y on; returns its height. Inputs that join below the first row stand
 * beside the middle. */
static double place_row(Diagram *d, int row, int *order, double y)
{
  int n = order_row(d, row, order);
  double width = -SIDE, height = 0;
  for (int i = 0; i < n; i++) {
    const DiagramBox *b = &d->box.at[order[i]];
    width += b->kind == BOX_INPUT && row > 0 ? 0 : b->width + SIDE;
    height = b->height > height ? b->height : height;
  }
  double x = -width / 2;
  for (int i = 0; i < n; i++) {
    DiagramBox *b = &d->box.at[order[i]];
    b->x = x + b->width / 2;
    b->y = y;
    x += b->width + SIDE;
  }
  return height;
}

static void row_edges(const Diagram *d, int from, int to, double *low, double *high)
{
  for (uint32_t i = 0; i < d->box.n; i++) {
    const DiagramBox *b = &d->box.at[i];
    if (b->rank >= from && b->rank <= to) {
      *low = b->x - b->width / 2 < *low ? b->x - b->width / 2 : *low;
      *high = b->x + b->width / 2 > *high ? b->x + b->width / 2 : *high;
    }
  }
}

/* A lane for a value that passes rows: right of their boxes, and of lanes given there before. */
static void find_lane(Diagram *d, uint32_t edge)
{
  DiagramEdge *e = &d->edge.at[edge];
  int from = d->box.at[e->from].rank, to = d->box.at[e->to].rank;
  double low = 0, high = -1e9;
  if (to - from < 2)
    return;
  row_edges(d, from + 1, to - 1, &low, &high);
  double lane = high + PAD + LANE;
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t k = 0; k < edge; k++) {
      const DiagramEdge *o = &d->edge.at[k];
      bool meets = o->lane != 0 && d->box.at[o->from].rank < to && d->box.at[o->to].rank > from;
      if (meets && lane - o->lane < LANE && o->lane - lane < LANE) {
        lane = o->lane + LANE;
        moved = true;
      }
    }
  }
  e->lane = lane;
}

/* Left, right and lower edge of everything, margins left out. */
static void place(Diagram *d, double *low, double *high, double *bottom)
{
  int *order = ARENA_ARRAY(d->arena, int, d->box.n + 1);
  double y = TITLE;
  for (uint32_t i = 0; i < d->box.n; i++)
    size_box(d, &d->box.at[i]);
  for (int row = 0; row < d->rows; row++)
    y += place_row(d, row, order, y) + GAP;
  for (uint32_t k = 0; k < d->edge.n; k++)
    find_lane(d, k);
  *low = *high = 0;
  row_edges(d, 0, d->rows, low, high);
  for (uint32_t k = 0; k < d->edge.n; k++)
    *high = d->edge.at[k].lane > *high ? d->edge.at[k].lane : *high;
  *low -= 2 * PAD;
  *high += 2 * PAD;
  *bottom = y - GAP + MARGIN;
}

/* ---- SVG ---- */

static const char style[] =
    "<style>.net{--n-bg:#fff;--n-ink:#1b1d20;--n-soft:#5c6370;--n-line:#8b93a1;--n-card:#f6f7f9;"
    "--n-in:#009e73;--n-layer:#0072b2;--n-loss:#d55e00;--n-out:#9c5a84;--n-group:#eef1f6}\n"
    "@media(prefers-color-scheme:dark){.net{--n-bg:#15171b;--n-ink:#e7e9ec;--n-soft:#9aa3af;"
    "--n-line:#78828f;--n-card:#23272e;--n-in:#3fd0a4;--n-layer:#56b4e9;--n-loss:#e69f00;"
    "--n-out:#e0a3c8;--n-group:#1a1d22}}\n"
    "@media print{.net{--n-bg:#fff;--n-ink:#000;--n-soft:#444;--n-line:#666;--n-card:#f6f7f9;"
    "--n-in:#009e73;--n-layer:#0072b2;--n-loss:#d55e00;--n-out:#9c5a84;--n-group:#eef1f6}"
    ".net rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n"
    ".net{font:12px system-ui,sans-serif}.net text{fill:var(--n-ink)}.net .n-name{font-weight:600;"
    "font-size:13px}.net .n-soft{fill:var(--n-soft)}.net .n-shape{fill:var(--n-soft);paint-order:"
    "stroke;stroke:var(--n-bg);stroke-width:4px}.net .n-box{fill:var(--n-card);stroke:"
    "var(--n-line);stroke-width:.8}.net .n-group{fill:var(--n-group);stroke:var(--n-line);"
    "stroke-width:.8;stroke-dasharray:3 3}.net .n-edge{fill:none;stroke:var(--n-line);"
    "stroke-width:1.5}.net .n-head{fill:var(--n-line)}.net .n-ground{fill:var(--n-bg)}"
    ".net .input{fill:var(--n-in)}.net .layers{fill:var(--n-layer)}.net .loss{fill:var(--n-loss)}"
    ".net .output{fill:var(--n-out)}</style>\n";

static const char *const kind_name[] = { "input", "layers", "loss", "output" };

static void text_at(Out *o, const char *look, double x, double y, const char *text)
{
  out_printf(o, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", look, x, y);
  page_text(o, text);
  out_printf(o, "</text>\n");
}

static void draw_box(Out *o, const Diagram *d, const DiagramBox *b)
{
  double left = b->x - b->width / 2;
  out_printf(o, "<g><title>");
  page_text(o, b->name);
  out_printf(o, "</title><rect class=\"n-box\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                "height=\"%.1f\" rx=\"5\"/><rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"4\" "
                "height=\"%.1f\" rx=\"2\"/>\n",
             left, b->y, b->width, b->height, kind_name[b->kind], left, b->y, b->height);
  text_at(o, "n-name", left + 13, b->y + 17, b->name);
  if (b->params)
    out_printf(o, "<text class=\"n-soft\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
               left + b->width - 9, b->y + 17, count_text(d->arena, b->params));
  for (uint32_t i = 0; i < b->line.n; i++) {
    const DiagramLine *l = &b->line.at[i];
    out_printf(o, "<text x=\"%.1f\" y=\"%.1f\">", left + 13, b->y + HEAD + LINE * i + 12.0);
    page_text(o, l->what);
    out_printf(o, " <tspan class=\"n-soft\">");
    page_text(o, shortened(d->arena, l->how));
    out_printf(o, "</tspan></text>\n");
  }
  out_printf(o, "</g>\n");
}

/* Where a value leaves or enters a box: the middle, and right of it for values in lanes. */
static double port(const DiagramBox *b, const DiagramEdge *e)
{
  return e->lane != 0 ? b->x + 0.3 * b->width : b->x;
}

static void draw_edge(Out *o, const Diagram *d, const DiagramEdge *e)
{
  const DiagramBox *from = &d->box.at[e->from], *to = &d->box.at[e->to];
  double x1 = port(from, e), y1 = from->y + from->height, x2 = port(to, e), y2 = to->y - 5;
  if (e->lane != 0)
    out_printf(o, "<path class=\"n-edge\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fV%.1f"
                  "C%.1f %.1f %.1f %.1f %.1f %.1f\"/>",
               x1, y1, x1, y1 + GAP * 0.6, e->lane, y1 + GAP * 0.1, e->lane, y1 + GAP * 0.8,
               to->y - GAP * 0.8, e->lane, to->y - GAP * 0.1, x2, to->y - GAP * 0.7, x2, y2);
  else if (x1 == x2)
    out_printf(o, "<path class=\"n-edge\" d=\"M%.1f %.1fV%.1f\"/>", x1, y1, y2);
  else
    out_printf(o, "<path class=\"n-edge\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>", x1,
               y1, x1, y1 + GAP * 0.5, x2, y2 - GAP * 0.5, x2, y2);
  out_printf(o, "<path class=\"n-head\" d=\"M%.1f %.1fl-4-7h8z\"/>\n", x2, to->y);
}

static void draw_shape(Out *o, const Diagram *d, uint32_t box)
{
  const DiagramBox *b = &d->box.at[box];
  for (uint32_t k = 0; k < d->edge.n; k++)
    if (d->edge.at[k].from == (int)box) {
      text_at(o, "n-shape", b->x + 7, b->y + b->height + 16, b->shape);
      return;
    }
}

/* A frame around a group's boxes and the lanes that end in it. */
static void draw_group(Out *o, const Diagram *d, int group)
{
  double left = 1e9, right = -1e9, top = 1e9, bottom = -1e9;
  for (uint32_t i = 0; i < d->box.n; i++) {
    const DiagramBox *b = &d->box.at[i];
    if (b->group != group)
      continue;
    left = b->x - b->width / 2 < left ? b->x - b->width / 2 : left;
    right = b->x + b->width / 2 > right ? b->x + b->width / 2 : right;
    top = b->y < top ? b->y : top;
    bottom = b->y + b->height > bottom ? b->y + b->height : bottom;
  }
  for (uint32_t k = 0; k < d->edge.n; k++)
    if (d->box.at[d->edge.at[k].to].group == group && d->edge.at[k].lane > right)
      right = d->edge.at[k].lane;
  out_printf(o, "<rect class=\"n-group\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                "rx=\"8\"/>\n",
             left - PAD, top - PAD, right - left + 2 * PAD, bottom - top + 2 * PAD);
}

void diagram_svg(Out *o, Diagram *d)
{
  double low, high, bottom;
  place(d, &low, &high, &bottom);
  double width = high - low + 2 * MARGIN, least = 8.0 * (double)strlen(d->name) + 220;
  width = width < least ? least : width;
  out_printf(o, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"net\" viewBox=\"%.1f 0 %.1f "
                "%.1f\" style=\"width:100%%;max-width:%.0fpx\" role=\"img\"><title>Network ",
             low - MARGIN, width, bottom, width);
  page_text(o, d->name);
  out_printf(o, "</title><desc>%u boxes, %u connections, %" PRId64 " parameters</desc>\n%s"
                "<rect class=\"n-ground\" x=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
             d->box.n, d->edge.n, d->params, style, low - MARGIN, width, bottom);
  text_at(o, "n-name", low - MARGIN + 14, 22, d->name);
  out_printf(o, "<text class=\"n-soft\" x=\"%.1f\" y=\"22\">%s parameters</text>\n",
             low - MARGIN + 26 + 8.0 * (double)strlen(d->name), count_text(d->arena, d->params));
  for (int g = 0; g < (int)d->group.n; g++)
    draw_group(o, d, g);
  for (uint32_t k = 0; k < d->edge.n; k++)
    draw_edge(o, d, &d->edge.at[k]);
  for (uint32_t i = 0; i < d->box.n; i++) {
    draw_shape(o, d, i);
    draw_box(o, d, &d->box.at[i]);
  }
  out_printf(o, "</svg>\n");
}

/* ---- Graphviz ---- */

/* In quotes: quotes and backslashes escaped. */
static void dot_text(Out *o, const char *s)
{
  for (; *s; s++)
    out_printf(o, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
}

static void dot_box(Out *o, const Diagram *d, uint32_t i)
{
  static const char *const color[] = { "#009e73", "#0072b2", "#d55e00", "#9c5a84" };
  const DiagramBox *b = &d->box.at[i];
  out_printf(o, "  b%u [color=\"%s\", label=\"", i, color[b->kind]);
  dot_text(o, b->name);
  out_printf(o, b->params ? "   %s\\l" : "\\l", count_text(d->arena, b->params));
  for (uint32_t k = 0; k < b->line.n; k++) {
    dot_text(o, b->line.at[k].what);
    out_printf(o, " ");
    dot_text(o, shortened(d->arena, b->line.at[k].how));
    out_printf(o, "\\l");
  }
  out_printf(o, "\"];\n");
}

void diagram_dot(Out *o, const Diagram *d)
{
  out_printf(o, "digraph \"");
  dot_text(o, d->name);
  out_printf(o, "\" {\n  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11];\n"
                "  edge [fontname=\"sans-serif\", fontsize=10, fontcolor=\"#5c6370\"];\n");
  for (int g = -1; g < (int)d->group.n; g++) {
    if (g >= 0)
      out_printf(o, "  subgraph cluster_%d {\n  style=\"dashed,rounded\";\n", g);
    for (uint32_t i = 0; i < d->box.n; i++)
      if (d->box.at[i].group == g)
        dot_box(o, d, i);
    out_printf(o, "%s", g >= 0 ? "  }\n" : "");
  }
  for (uint32_t k = 0; k < d->edge.n; k++) {
    const DiagramEdge *e = &d->edge.at[k];
    out_printf(o, "  b%d -> b%d [label=\"%s\"];\n", e->from, e->to, d->box.at[e->from].shape);
  }
  out_printf(o, "}\n");
}
