/* Rows of the training set in which those of the coming steps are augmented. Each field that is
 * augmented has a second block with a place for every row; a thread fills places in the order in
 * which the epoch will read them: as far ahead as it gets, or, where rows are large, some MiB, for
 * those are dropped behind the steps. Within an epoch no row comes twice, so that it never writes
 * what a step reads. What a row holds depends on seed, epoch and row alone: with or without the
 * thread, from any position on, the bits are the same. */
#include "augment.h"
#include "data.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum { FEED_CHUNK = 16, FEED_AHEAD = 1 << 24 }; /* samples between two looks; bytes ahead */

struct gradrt_feed {
  gradrt_feed_options o;
  gradrt_block own[GRADRT_FIELDS_MAX];  /* the second blocks; not open: rows of the set */
  float *scratch;
  bool threaded, drops;
  bool asks;                    /* what is augmented comes from the set's store */
  pthread_t thread;
  pthread_mutex_t lock;         /* guards what follows */
  pthread_cond_t work, done;
  int64_t epoch, start, next;   /* positions start .. next - 1 of the epoch are filled */
  int64_t until;                /* positions below it are to be filled */
  bool paused, busy, quit;      /* busy: a chunk is being filled */
  bool broken;                  /* the row at position next is not to be had */
};

static size_t feed_bytes(const gradrt_feed *feed, int f)
{
  const gradrt_field *field = &feed->o.net->field[f];
  return (size_t)gradrt_field_elems(field) * gradrt_dtype_size(field->dtype);
}

static gradrt_order feed_order(const gradrt_feed *feed, int64_t epoch)
{
  return (gradrt_order){ feed->o.row_at, feed->o.ctx, epoch, feed->o.set->n };
}

/* Augments n rows; *rows: where the set has them. */
static void feed_augment(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n,
                         const void *const *rows)
{
  for (int64_t i = first; i < first + n; i++) {
    gradrt_draw draw = { feed->o.seed, (uint32_t)epoch, feed->o.row_at(feed->o.ctx, epoch, i) };
    for (int f = 0; f < feed->o.net->nfield; f++) {
      size_t at = draw.row * feed_bytes(feed, f);
      if (feed->own[f].at)
        gradrt_augment_sample(&feed->o.net->field[f], &draw, (const char *)rows[f] + at,
                              feed->own[f].at + at, feed->scratch);
    }
  }
}

/* Fills n places; returns how many there are before a row that is not to be had. */
static int64_t feed_fill(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n)
{
  const void *rows[GRADRT_FIELDS_MAX];
  gradrt_order order = feed_order(feed, epoch);
  memcpy(rows, feed->o.set->rows, sizeof rows);
  if (feed->asks)
    n = gradrt_set_ready(feed->o.set, &order, first, n, rows);
  feed_augment(feed, epoch, first, n, rows);
  return n;
}

/* Notes which places are used: all of these positions, or none any more. */
static void feed_mark(gradrt_feed *feed, int64_t first, int64_t end, bool used)
{
  for (int64_t i = first; i < end && feed->drops; i++) {
    uint32_t row = feed->o.row_at(feed->o.ctx, feed->epoch, i);
    for (int f = 0; f < feed->o.net->nfield; f++) {
      if (feed->own[f].at && used)
        feed->own[f].state[row] = 1;
      else if (feed->own[f].at)
        gradrt_block_drop(&feed->own[f], row);
    }
  }
}

static void *feed_main(void *arg)
{
  gradrt_feed *feed = arg;
  pthread_mutex_lock(&feed->lock);
  while (!feed->quit) {
    int64_t left = feed->until - feed->next;
    if (feed->paused || feed->broken || left <= 0) {
      pthread_cond_wait(&feed->work, &feed->lock);
      continue;
    }
    int64_t epoch = feed->epoch, first = feed->next, n = left < FEED_CHUNK ? left : FEED_CHUNK;
    feed->busy = true;
    feed_mark(feed, first, first + n, true);
    pthread_mutex_unlock(&feed->lock);
    int64_t filled = feed_fill(feed, epoch, first, n);
    pthread_mutex_lock(&feed->lock);
    feed->busy = false;
    feed->broken = filled < n;
    feed->next = first + filled;
    pthread_cond_broadcast(&feed->done);
  }
  pthread_mutex_unlock(&feed->lock);
  return NULL;
}

/* Rows of the source, which the set's numbers choose from. */
static int64_t feed_source_rows(const gradrt_set *set)
{
  int64_t n = 0;
  for (int64_t i = 0; i < set->n; i++)
    n = (int64_t)set->row[i] >= n ? (int64_t)set->row[i] + 1 : n;
  return n;
}

static int feed_memory(gradrt_feed *feed)
{
  const gradrt_net *net = feed->o.net;
  int64_t n = feed_source_rows(feed->o.set);
  size_t scratch = 0;
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    if (field->naugment == 0)
      continue;
    if (!gradrt_block_open(&feed->own[f], n, feed_bytes(feed, f)))
      return gradrt_error(GRADRT_LIMIT,
                          "out of memory for %" PRId64 " augmented rows of field '%s'", n,
                          field->name);
    feed->drops = feed->drops || gradrt_block_drops(&feed->own[f]);
    feed->asks = feed->asks || !feed->o.set->rows[f];
    size_t want = gradrt_augment_scratch(field);
    scratch = want > scratch ? want : scratch;
  }
  feed->scratch = gradrt_alloc(scratch * sizeof *feed->scratch);
  return feed->scratch ? GRADRT_OK : gradrt_error(GRADRT_LIMIT, "out of memory");
}

int gradrt_feed_open(gradrt_feed **out, const gradrt_feed_options *o)
{
  gradrt_feed *feed = *out = gradrt_alloc(sizeof *feed);
  if (!feed)
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  feed->o = *o;
  feed->epoch = -1;
  feed->paused = true;
  pthread_mutex_init(&feed->lock, NULL);
  pthread_cond_init(&feed->work, NULL);
  pthread_cond_init(&feed->done, NULL);
  int code = feed_memory(feed);
  if (code == GRADRT_OK && o->ahead)
    feed->threaded = pthread_create(&feed->thread, NULL, feed_main, feed) == 0;
  return code;
}

void gradrt_feed_close(gradrt_feed *feed)
{
  if (!feed)
    return;
  pthread_mutex_lock(&feed->lock);
  feed->quit = true;
  pthread_cond_signal(&feed->work);
  pthread_mutex_unlock(&feed->lock);
  if (feed->threaded)
    pthread_join(feed->thread, NULL);
  pthread_cond_destroy(&feed->done);
  pthread_cond_destroy(&feed->work);
  pthread_mutex_destroy(&feed->lock);
  for (int f = 0; f < GRADRT_FIELDS_MAX; f++)
    gradrt_block_close(&feed->own[f]);
  gradrt_free(feed->scratch);
  gradrt_free(feed);
}

/* Nothing is filled any more; the lock is closed. */
static void feed_stop(gradrt_feed *feed)
{
  feed->paused = true;
  while (feed->busy)
    pthread_cond_wait(&feed->done, &feed->lock);
}

void gradrt_feed_pause(gradrt_feed *feed)
{
  if (!feed)
    return;
  pthread_mutex_lock(&feed->lock);
  feed_stop(feed);
  feed_mark(feed, feed->start, feed->next, false);
  feed->epoch = -1;
  feed->start = feed->next = 0;
  pthread_mutex_unlock(&feed->lock);
}

/* Positions that the thread is to fill once first .. first + n - 1 are asked for. */
static int64_t feed_until(const gradrt_feed *feed, int64_t first, int64_t n)
{
  int64_t until = feed->drops ? first + 2 * n : feed->o.set->n;
  for (int f = 0; f < feed->o.net->nfield && feed->drops; f++)
    if (feed->own[f].at)
      until += FEED_AHEAD / (int64_t)feed_bytes(feed, f);
  return until < feed->o.set->n ? until : feed->o.set->n;
}

/* Places before the first one asked for are done with. */
static void feed_go_on(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n)
{
  if (feed->epoch != epoch || first < feed->start || first > feed->next) {
    feed_stop(feed);
    feed_mark(feed, feed->start, feed->next, false);
    feed->epoch = epoch;
    feed->next = first;
    feed->broken = false;
  } else {
    feed_mark(feed, feed->start, first, false);
  }
  feed->start = first;
  feed->until = feed_until(feed, first, n);
}

/* By the caller, one row after the other, with a message. */
static int feed_fill_now(gradrt_feed *feed, int64_t n)
{
  int code = GRADRT_OK;
  feed_mark(feed, feed->next, feed->next + n, true);
  while (n > 0 && code == GRADRT_OK) {
    int64_t filled = feed_fill(feed, feed->epoch, feed->next, n);
    feed->next += filled;
    n -= filled;
    const void *rows[GRADRT_FIELDS_MAX];
    gradrt_order order = feed_order(feed, feed->epoch);
    if (n > 0)
      code = gradrt_set_want(feed->o.set, &order, feed->next, 1, rows);
  }
  return code;
}

/* By the thread, and by the caller from a row on that is not to be had. */
static int feed_wait(gradrt_feed *feed, int64_t end)
{
  feed->paused = false;
  pthread_cond_signal(&feed->work);
  while (feed->next < end && !feed->broken)
    pthread_cond_wait(&feed->done, &feed->lock);
  if (feed->next >= end)
    return GRADRT_OK;
  int code = feed_fill_now(feed, end - feed->next);
  feed->broken = code != GRADRT_OK;
  return code;
}

int gradrt_feed_want(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n,
                     const void *rows[GRADRT_FIELDS_MAX])
{
  gradrt_order order = feed_order(feed, epoch);
  int code = GRADRT_OK;
  pthread_mutex_lock(&feed->lock);
  feed_go_on(feed, epoch, first, n);
  if (feed->threaded)
    code = feed_wait(feed, first + n);
  else if (feed->next < first + n)
    code = feed_fill_now(feed, first + n - feed->next);
  pthread_mutex_unlock(&feed->lock);
  if (feed->asks)
    memcpy(rows, feed->o.set->rows, sizeof feed->o.set->rows);
  else if (code == GRADRT_OK)
    code = gradrt_set_want(feed->o.set, &order, first, n, rows);
  for (int f = 0; f < feed->o.net->nfield; f++)
    if (feed->own[f].at)
      rows[f] = feed->own[f].at;
  return code;
}
