/* The pictures of a source, decoded when they are wanted. Rows lie in reserved memory, so that a
 * row has its address whether it is there or not. Who reads rows walks an order of them; a crew of
 * threads decodes what comes next in it, as far as the budget of decoded bytes allows. While all
 * rows fit, each is decoded once. Where they do not, room comes first from rows that the walk is
 * done with, the newest first, because an order that begins again needs the oldest first; then
 * from rows outside of the order; then from those that are wanted last.
 *
 * One thread at a time asks for rows; those of its last call stay until the next one. A picture
 * that cannot be decoded is told to who asks for its row, not to the crew, so that nothing that is
 * reported depends on threads. */
#include "data.h"
#include "pictures.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { STORE_THREADS_MAX = 16, STORE_LEAD = 64 };

/* States of a row in its block; 0: nothing is there. */
enum { STORE_BUSY = 1, STORE_THERE, STORE_BAD };

struct gradrt_store {
  gradrt_ask ask;
  int field;
  gradrt_block block;
  char *text;                   /* names of the files, each ending with 0 */
  size_t length, room;
  size_t *name;                 /* per row: its place in the text */
  int64_t named;
  uint32_t *mark;               /* per row: what its file is recognised by */
  size_t budget;                /* bytes of rows that may be there */
  bool whole;                   /* none is dropped */
  int wanted, started;          /* threads of the crew */
  pthread_t thread[STORE_THREADS_MAX];
  pthread_mutex_t lock;         /* guards what follows, and the states */
  pthread_cond_t work, done;
  bool quit;
  size_t taken;                 /* bytes of rows that are there or being decoded */
  uint32_t *order;              /* rows of the walk */
  uint8_t *listed;              /* per row: the order has it */
  uint32_t *spent;              /* rows that are there and that the walk is done with */
  int64_t norder, nspent;
  int64_t first, end;           /* positions that are held */
  int64_t next;                 /* the first position that nobody looked at */
  int64_t hand, far;            /* rows below and positions above are no longer worth dropping */
};

/* ---- room ---- */

/* false: the row is not there. */
static bool store_drop(gradrt_store *s, int64_t row)
{
  if (s->block.state[row] != STORE_THERE)
    return false;
  gradrt_block_drop(&s->block, row);
  s->taken -= gradrt_block_cost(&s->block);
  return true;
}

/* Drops one row; false: there is none that the next position is worth more than. */
static bool store_make_room(gradrt_store *s)
{
  while (s->nspent > 0)
    if (store_drop(s, s->spent[--s->nspent]))
      return true;
  while (s->hand < s->block.n) {
    int64_t row = s->hand++;
    if (!s->listed[row] && store_drop(s, row))
      return true;
  }
  while (s->next < s->end + STORE_LEAD && s->far > s->next)
    if (store_drop(s, s->order[s->far--]))
      return true;
  return false;
}

/* Whether the row at the next position may be decoded now; one that is asked for always may. */
static bool store_has_room(gradrt_store *s)
{
  size_t cost = gradrt_block_cost(&s->block);
  bool fits = s->whole || s->taken + cost <= s->budget;
  while (!fits && store_make_room(s))
    fits = s->taken + cost <= s->budget;
  return fits || s->next < s->end;
}

/* ---- decoding ---- */

/* The next row below a position that has to be decoded becomes the caller's. */
static bool store_claim(gradrt_store *s, int64_t below, int64_t *row)
{
  while (s->next < below) {
    *row = s->order[s->next];
    if (s->block.state[*row] == 0) {
      if (!store_has_room(s))
        return false;
      s->block.state[*row] = STORE_BUSY;
      s->taken += gradrt_block_cost(&s->block);
      s->next++;
      return true;
    }
    s->next++;
  }
  return false;
}

static void store_finish(gradrt_store *s, int64_t row, bool good)
{
  s->block.state[row] = good ? STORE_THERE : STORE_BAD;
  s->taken -= good ? 0 : gradrt_block_cost(&s->block);
  pthread_cond_broadcast(&s->done);
}

/* The lock is open meanwhile. */
static void store_decode(gradrt_store *s, int64_t row)
{
  pthread_mutex_unlock(&s->lock);
  bool good = gradrt_picture_fill(&s->ask, gradrt_store_name(s, row), s->mark[row], s->field,
                                  s->block.at, row);
  pthread_mutex_lock(&s->lock);
  store_finish(s, row, good);
}

static void *store_work(void *store)
{
  gradrt_store *s = store;
  int64_t row;
  pthread_mutex_lock(&s->lock);
  while (!s->quit) {
    if (store_claim(s, s->norder, &row))
      store_decode(s, row);
    else
      pthread_cond_wait(&s->work, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

/* Threads that cannot be started are missed by nobody: who asks decodes. */
static void store_start_crew(gradrt_store *s)
{
  while (s->started < s->wanted &&
         pthread_create(&s->thread[s->started], NULL, store_work, s) == 0)
    s->started++;
  s->wanted = s->started;
}

/* ---- the walk ---- */

static uint32_t store_row_at(const gradrt_set *set, const gradrt_order *o, int64_t position)
{
  return o ? o->row_at(o->ctx, o->epoch, position) : set->row[position];
}

/* Whether these positions are the next ones of the walk, or those that are held. */
static bool store_goes_on(const gradrt_store *s, const gradrt_set *set, const gradrt_order *o,
                          int64_t first, int64_t n)
{
  bool follows = (first == s->first || first == s->end) && first + n <= s->norder;
  for (int64_t i = first; i < first + n && follows; i++)
    follows = s->order[i] == store_row_at(set, o, i);
  return follows;
}

/* Positions below `end` are done with. */
static void store_spend(gradrt_store *s, int64_t begin, int64_t end)
{
  for (int64_t i = begin; i < end && !s->whole; i++)
    if (s->block.state[s->order[i]] == STORE_THERE)
      s->spent[s->nspent++] = s->order[i];
}

static void store_begin(gradrt_store *s, const gradrt_set *set, const gradrt_order *o,
                        int64_t first)
{
  s->norder = o ? o->n : set->n;
  memset(s->listed, 0, (size_t)s->block.n);
  for (int64_t i = 0; i < s->norder; i++) {
    s->order[i] = store_row_at(set, o, i);
    s->listed[s->order[i]] = 1;
  }
  s->nspent = s->hand = 0;
  s->far = s->norder - 1;
  s->next = first;
  store_spend(s, 0, first);
}

/* Whether a held row is being decoded. */
static bool store_is_busy(const gradrt_store *s)
{
  for (int64_t i = s->first; i < s->end; i++)
    if (s->block.state[s->order[i]] == STORE_BUSY)
      return true;
  return false;
}

int64_t gradrt_store_ready(gradrt_store *s, const gradrt_set *set, const gradrt_order *o,
                           int64_t first, int64_t n)
{
  int64_t row, there = 0;
  pthread_mutex_lock(&s->lock);
  if (store_goes_on(s, set, o, first, n))
    store_spend(s, s->first, first);
  else
    store_begin(s, set, o, first);
  s->first = first;
  s->end = first + n;
  store_start_crew(s);
  pthread_cond_broadcast(&s->work);
  for (bool waits = true; waits;) {
    if (store_claim(s, s->end, &row))
      store_decode(s, row);
    else if ((waits = store_is_busy(s)))
      pthread_cond_wait(&s->done, &s->lock);
  }
  while (there < n && s->block.state[s->order[first + there]] == STORE_THERE)
    there++;
  pthread_mutex_unlock(&s->lock);
  return there;
}

int gradrt_store_retry(gradrt_store *s, int64_t position)
{
  pthread_mutex_lock(&s->lock);
  int64_t row = s->order[position];
  s->block.state[row] = STORE_BUSY;
  s->taken += gradrt_block_cost(&s->block);
  pthread_mutex_unlock(&s->lock);
  const char *name = gradrt_store_name(s, row);
  int code = gradrt_picture_row(&s->ask, name, s->field, s->block.at, row);
  if (code == GRADRT_OK && !gradrt_picture_is(&s->ask, name, s->mark[row]))
    code = gradrt_error(GRADRT_DATA, "%s: %s is not the file that it was when this began",
                        s->ask.source->place ? s->ask.source->place : s->ask.net->file, name);
  pthread_mutex_lock(&s->lock);
  store_finish(s, row, code == GRADRT_OK);
  pthread_mutex_unlock(&s->lock);
  return code;
}

/* ---- rows and their files ---- */

static int store_no_memory(const gradrt_ask *a, int field, int64_t n, double bytes)
{
  return gradrt_error(
      GRADRT_LIMIT,
      "%s: %" PRId64 " samples of field '%s' need %.3g GiB of memory, more than there is",
      a->source->place ? a->source->place : a->net->file, n, a->net->field[field].name,
      (double)n * bytes / 1073741824.0);
}

int gradrt_store_open(gradrt_store **out, const gradrt_ask *a, int field, int64_t n)
{
  const gradrt_field *f = &a->net->field[field];
  size_t rows = (size_t)n + 1, bytes = (size_t)gradrt_field_elems(f) * gradrt_dtype_size(f->dtype);
  gradrt_store *s = *out = gradrt_alloc(sizeof *s);
  if (s) {
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->done, NULL);
    s->field = field;
    s->name = gradrt_alloc(rows * sizeof *s->name);
    s->mark = gradrt_alloc(rows * sizeof *s->mark);
    s->order = gradrt_alloc(rows * sizeof *s->order);
    s->spent = gradrt_alloc(rows * sizeof *s->spent);
    s->listed = gradrt_alloc(rows);
  }
  bool good = s && s->name && s->mark && s->order && s->spent && s->listed &&
              n <= (int64_t)UINT32_MAX && gradrt_block_open(&s->block, n, bytes);
  if (good && (gradrt_block_drops(&s->block) || (double)s->block.reserved <= gradrt_memory()))
    return GRADRT_OK;
  return store_no_memory(a, field, n, (double)bytes);
}

void gradrt_store_close(gradrt_store *s)
{
  if (!s)
    return;
  pthread_mutex_lock(&s->lock);
  s->quit = true;
  pthread_cond_broadcast(&s->work);
  pthread_mutex_unlock(&s->lock);
  for (int i = 0; i < s->started; i++)
    pthread_join(s->thread[i], NULL);
  pthread_cond_destroy(&s->done);
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->lock);
  gradrt_block_close(&s->block);
  gradrt_free(s->listed);
  gradrt_free(s->spent);
  gradrt_free(s->order);
  gradrt_free(s->mark);
  gradrt_free(s->name);
  gradrt_free(s->text);
  gradrt_free(s);
}

bool gradrt_store_add(gradrt_store *s, const char *name)
{
  size_t n = strlen(name) + 1;
  if (n > s->room - s->length) {
    size_t room = 2 * s->room + n + GRADRT_DATA_PATH;
    char *text = gradrt_alloc(room);
    if (!text)
      return false;
    memcpy(text, s->text ? s->text : "", s->length);
    gradrt_free(s->text);
    s->text = text;
    s->room = room;
  }
  memcpy(s->text + s->length, name, n);
  s->name[s->named++] = s->length;
  s->length += n;
  return true;
}

const char *gradrt_store_name(const gradrt_store *s, int64_t row) { return s->text + s->name[row]; }

void *gradrt_store_rows(const gradrt_store *s, int *field)
{
  *field = s->field;
  return s->block.at;
}

void gradrt_store_mark(gradrt_store *s, int64_t row, uint32_t mark) { s->mark[row] = mark; }

uint32_t gradrt_store_fingerprint(const gradrt_store *s, int64_t n, uint32_t crc)
{
  return gradrt_crc32c(crc, s->mark, (size_t)n * sizeof *s->mark);
}

void gradrt_store_move(gradrt_store *s, int64_t from, int64_t to)
{
  s->name[to] = s->name[from];
  s->mark[to] = s->mark[from];
}

/* ---- settings ---- */

double gradrt_store_bytes(const gradrt_store *s, int64_t n)
{
  return (double)s->block.bytes * (double)n;
}

int gradrt_store_settle(gradrt_store *s, const gradrt_ask *a, int64_t n, double budget,
                        int threads)
{
  double batch = (double)a->net->batch * (double)gradrt_block_cost(&s->block),
         all = gradrt_store_bytes(s, n);
  s->ask = *a;
  s->whole = !gradrt_block_drops(&s->block) || all <= budget;
  s->budget = budget < all ? (size_t)budget : (size_t)all;
  s->wanted = threads < STORE_THREADS_MAX ? threads : STORE_THREADS_MAX;
  if (s->whole || batch <= gradrt_memory())
    return GRADRT_OK;
  return store_no_memory(a, s->field, a->net->batch, (double)gradrt_block_cost(&s->block));
}

static uint32_t store_itself(const void *ctx, int64_t epoch, int64_t position)
{
  (void)ctx;
  (void)epoch;
  return (uint32_t)position;
}

int gradrt_store_unpack(const gradrt_ask *a, gradrt_rows *rows)
{
  gradrt_store *s = rows->store;
  gradrt_order order = { .row_at = store_itself, .n = rows->n };
  int field, code = GRADRT_OK;
  void *at = gradrt_store_rows(s, &field);
  if (gradrt_store_bytes(s, rows->n) > gradrt_memory())
    return store_no_memory(a, field, rows->n, (double)s->block.bytes);
  code = gradrt_store_settle(s, a, rows->n, INFINITY, gradrt_default_threads());
  for (int64_t n = 0; n < rows->n && code == GRADRT_OK;) {
    n = gradrt_store_ready(s, NULL, &order, 0, rows->n);
    code = n < rows->n ? gradrt_store_retry(s, n) : GRADRT_OK;
  }
  rows->rows[field] = at;
  return code;
}
