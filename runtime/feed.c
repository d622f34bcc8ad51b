/* Rows of the training set in which those of the coming steps are augmented. Each field that is
 * augmented has a second block with a place for every row; a thread fills places in the order in
 * which the epoch will read them, as far ahead as it gets. Within an epoch no row comes twice, so
 * that it never writes what a step reads. What a row holds depends on seed, epoch and row alone:
 * with or without the thread, from any position on, the bits are the same. */
#include "augment.h"
#include "data.h"

#include <inttypes.h>
#include <pthread.h>

enum { FEED_CHUNK = 16 };       /* samples between two looks at what is wanted */

struct gradrt_feed {
  gradrt_feed_options o;
  const void *rows[GRADRT_FIELDS_MAX];
  void *own[GRADRT_FIELDS_MAX]; /* the second blocks; NULL: rows of the set */
  float *scratch;
  bool threaded;
  pthread_t thread;
  pthread_mutex_t lock;         /* guards what follows */
  pthread_cond_t work, done;
  int64_t epoch, start, next;   /* positions start .. next - 1 of the epoch are filled */
  bool paused, busy, quit;      /* busy: a chunk is being filled */
};

static void feed_fill(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n)
{
  const gradrt_net *net = feed->o.net;
  for (int64_t i = first; i < first + n; i++) {
    gradrt_draw draw = { feed->o.seed, (uint32_t)epoch, feed->o.row_at(feed->o.ctx, epoch, i) };
    for (int f = 0; f < net->nfield; f++) {
      const gradrt_field *field = &net->field[f];
      size_t bytes = (size_t)gradrt_field_elems(field) * gradrt_dtype_size(field->dtype);
      if (feed->own[f])
        gradrt_augment_sample(field, &draw,
                              (const char *)feed->o.set->rows[f] + draw.row * bytes,
                              (char *)feed->own[f] + draw.row * bytes, feed->scratch);
    }
  }
}

static void *feed_main(void *arg)
{
  gradrt_feed *feed = arg;
  pthread_mutex_lock(&feed->lock);
  while (!feed->quit) {
    int64_t left = feed->o.set->n - feed->next;
    if (feed->paused || left <= 0) {
      pthread_cond_wait(&feed->work, &feed->lock);
      continue;
    }
    int64_t epoch = feed->epoch, first = feed->next, n = left < FEED_CHUNK ? left : FEED_CHUNK;
    feed->busy = true;
    pthread_mutex_unlock(&feed->lock);
    feed_fill(feed, epoch, first, n);
    pthread_mutex_lock(&feed->lock);
    feed->busy = false;
    feed->next = first + n;
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
    size_t bytes = (size_t)gradrt_field_elems(field) * gradrt_dtype_size(field->dtype);
    feed->rows[f] = feed->o.set->rows[f];
    if (field->naugment == 0)
      continue;
    if (gradrt_mul_size(bytes, (size_t)n, &bytes))
      feed->own[f] = gradrt_alloc(bytes);
    if (!feed->own[f])
      return gradrt_error(GRADRT_LIMIT,
                          "out of memory for %" PRId64 " augmented rows of field '%s'", n,
                          field->name);
    feed->rows[f] = feed->own[f];
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
    gradrt_free(feed->own[f]);
  gradrt_free(feed->scratch);
  gradrt_free(feed);
}

const void *const *gradrt_feed_rows(const gradrt_feed *feed) { return feed->rows; }

void gradrt_feed_pause(gradrt_feed *feed)
{
  if (!feed)
    return;
  pthread_mutex_lock(&feed->lock);
  feed->paused = true;
  while (feed->busy)
    pthread_cond_wait(&feed->done, &feed->lock);
  feed->epoch = -1;
  pthread_mutex_unlock(&feed->lock);
}

void gradrt_feed_want(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n)
{
  if (!feed->threaded) {
    feed_fill(feed, epoch, first, n);
    return;
  }
  pthread_mutex_lock(&feed->lock);
  if (feed->epoch != epoch || first < feed->start || first > feed->next) {
    feed->paused = true;
    while (feed->busy)
      pthread_cond_wait(&feed->done, &feed->lock);
    feed->epoch = epoch;
    feed->start = feed->next = first;
    feed->paused = false;
    pthread_cond_signal(&feed->work);
  }
  while (feed->next < first + n)
    pthread_cond_wait(&feed->done, &feed->lock);
  pthread_mutex_unlock(&feed->lock);
}
