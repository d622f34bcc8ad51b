/* What the files of `gradc data` share: the loaded data and what was counted in it. */
#ifndef GRADC_CMD_DATAVIEW_H
#define GRADC_CMD_DATAVIEW_H

#include "cmd/cmd.h"
#include "internal.h"

typedef struct {
  const CmdOptions *options;
  Arena *arena;
  const Data *data;             /* as the spec says */
  const gradrt_net *net;
  gradrt_named *named;          /* gets the words of a table's labels */
  gradrt_data *rows;            /* all splits */
} DataView;

/* Of the numbers of some elements in all rows of a split; std is the population's. */
typedef struct { double low, high, mean, std; } DataRange;

/* Elements at, at + step, .. of each sample: `width` of them. */
typedef struct { int64_t at, step, width; } DataPart;

/* As far as samples can be read. */
DataRange data_range(const gradrt_field *f, const gradrt_set *set, int field, DataPart part);
/* One sample's numbers of a field, until the next one is asked for; zeros: it cannot be read. */
const void *data_sample(const DataView *v, const gradrt_set *set, int field, uint32_t row);
/* Samples of each class: counts[classes]. */
int64_t *data_classes(const DataView *v, const gradrt_set *set, int field);
/* Groups that statistics are told for: the elements of a short vector, the channels of an image,
 * the columns of a window of rows, else everything at once (1). */
int64_t data_groups(const DataView *v, int field);
DataPart data_part(const DataView *v, int field, int64_t group);
/* "longitude", "channel 0", "[3]" or "" for everything at once. */
const char *data_group_name(const DataView *v, int field, int64_t group);
/* Missing cells of the column that feeds an element, in the table of a split; -1: it has none. */
int64_t data_missing(const DataView *v, int split, int field, int64_t element);
/* "12 x 16 pixels", "8 to 30 x 8 to 40 pixels": height and width of the pictures of a split as
 * their files have them; NULL: there are none. */
const char *data_sides(const DataView *v, int split);
int data_train_split(const DataView *v);        /* the split that is shown: train, else the first */

void data_print(const DataView *v);
void data_print_json(const DataView *v);
/* Writes pictures of samples to --out: .html, .svg or .png. Returns an exit code. */
int data_write_page(const DataView *v, const char *path);

#endif
