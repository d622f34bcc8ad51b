/* Augmentation of training samples: augment.c changes one sample, feed.c prepares those of an epoch
 * ahead of the steps, in a thread of its own. */
#ifndef GRADRT_AUGMENT_H
#define GRADRT_AUGMENT_H

#include "internal.h"

/* Everything that decides a sample's random numbers; row: its number in the source. */
typedef struct { uint64_t seed; uint32_t epoch, row; } gradrt_draw;

bool gradrt_augment_wanted(const gradrt_net *net);      /* some field is augmented */
/* Numbers that gradrt_augment_sample wants as scratch. */
size_t gradrt_augment_scratch(const gradrt_field *f);
/* Writes the changed sample to `to`, from and to being the first numbers of a sample in the field's
 * type. */
void gradrt_augment_sample(const gradrt_field *f, const gradrt_draw *d, const void *from, void *to,
                           float *scratch);

/* Rows of a set in which those of the coming steps are changed ones. */
typedef struct gradrt_feed gradrt_feed;
typedef struct {
  const gradrt_net *net;
  const gradrt_set *set;
  uint64_t seed;
  gradrt_row_at row_at;
  const void *ctx;
  bool ahead;                   /* in a thread of its own; else when rows are asked for */
} gradrt_feed_options;

/* Reserves as many rows as the source has for each augmented field. */
int gradrt_feed_open(gradrt_feed **feed, const gradrt_feed_options *o);
void gradrt_feed_close(gradrt_feed *feed);      /* also NULL */
/* Returns when the rows at positions first .. first + n - 1 of the epoch are there, and fills rows,
 * per field, for steps. They stay until the next call. Errors: as gradrt_set_want. Until
 * gradrt_feed_pause only the feed may ask the set's source for rows. */
int gradrt_feed_want(gradrt_feed *feed, int64_t epoch, int64_t first, int64_t n,
                     const void *rows[GRADRT_FIELDS_MAX]);
/* Returns when nothing is read or written any more; gradrt_feed_want goes on. NULL: fine. */
void gradrt_feed_pause(gradrt_feed *feed);

#endif
