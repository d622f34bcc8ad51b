/* Augmented samples: what each step does, on what its random numbers depend, and that rows prepared
 * ahead are those prepared when asked for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "augment.h"
#include "data.h"

enum { SIDE = 7, PIXELS = SIDE * SIDE, ROWS = 53 };

static gradrt_field image_field(const gradrt_augment *steps, int n)
{
  return (gradrt_field){ .name = "x", .dtype = GRADRT_U8, .rank = 2, .dim = { SIDE, SIDE },
                         .height = SIDE, .width = SIDE, .naugment = n, .augment = steps };
}

static void fill_image(unsigned char *p, int seed)
{
  for (int i = 0; i < PIXELS; i++)
    p[i] = (unsigned char)(1 + (i * 37 + seed * 11) % 250);
}

/* One step with up to two options. */
typedef struct { const char *kind; gradrt_prop prop[2]; int nprop; } Step;

static void run(const Step *s, uint32_t epoch, uint32_t row, const unsigned char *from,
                unsigned char *to)
{
  float scratch[2 * PIXELS];
  gradrt_augment a = { s->kind, s->nprop, s->prop };
  gradrt_field f = image_field(&a, 1);
  assert_true(gradrt_augment_scratch(&f) <= 2 * PIXELS);
  gradrt_draw d = { 5, epoch, row };
  gradrt_augment_sample(&f, &d, from, to, scratch);
}

static void test_steps_without_strength_change_nothing(void **state)
{
  static const Step steps[] = {
    { "rotate", { { "degrees", 0, NULL } }, 1 }, { "scale", { { "by", 0, NULL } }, 1 },
    { "shift", { { "pixels", 0, NULL } }, 1 },   { "crop", { { "pad", 0, NULL } }, 1 },
    { "flip", { { "p", 0, NULL } }, 1 },         { "noise", { { "std", 0, NULL } }, 1 },
    { "brightness", { { "by", 0, NULL } }, 1 },  { "contrast", { { "by", 0, NULL } }, 1 },
    { "invert", { { "p", 0, NULL } }, 1 },
  };
  unsigned char from[PIXELS], to[PIXELS];
  (void)state;
  fill_image(from, 1);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    memset(to, 0, sizeof to);
    run(&steps[i], 0, 3, from, to);
    if (memcmp(from, to, sizeof to) != 0)
      fail_msg("%s changed the image", steps[i].kind);
  }
}

static void test_every_step_changes_something(void **state)
{
  static const Step steps[] = {
    { "rotate", { { "degrees", 30, NULL } }, 1 },  { "scale", { { "by", 0.5, NULL } }, 1 },
    { "shift", { { "pixels", 2, NULL } }, 1 },     { "crop", { { "pad", 3, NULL } }, 1 },
    { "flip", { { "p", 1, NULL } }, 1 },           { "noise", { { "std", 20, NULL } }, 1 },
    { "brightness", { { "by", 0.5, NULL } }, 1 },  { "contrast", { { "by", 0.5, NULL } }, 1 },
    { "invert", { { "p", 1, NULL } }, 1 },         { "cutout", { { "pixels", 3, NULL } }, 1 },
  };
  unsigned char from[PIXELS], to[PIXELS];
  (void)state;
  fill_image(from, 1);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    run(&steps[i], 0, 3, from, to);
    if (memcmp(from, to, sizeof to) == 0)
      fail_msg("%s did nothing", steps[i].kind);
  }
}

static void test_flip_and_invert_are_exact(void **state)
{
  const Step across = { "flip", { { "p", 1, NULL } }, 1 };
  const Step down = { "flip", { { "p", 1, NULL }, { "vertical", 1, NULL } }, 2 };
  const Step invert = { "invert", { { "p", 1, NULL } }, 1 };
  unsigned char from[PIXELS], a[PIXELS], b[PIXELS], c[PIXELS];
  (void)state;
  fill_image(from, 2);
  run(&across, 0, 0, from, a);
  run(&down, 0, 0, from, b);
  run(&invert, 0, 0, from, c);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      assert_int_equal(a[y * SIDE + x], from[y * SIDE + SIDE - 1 - x]);
      assert_int_equal(b[y * SIDE + x], from[(SIDE - 1 - y) * SIDE + x]);
      assert_int_equal(c[y * SIDE + x], 255 - from[y * SIDE + x]);
    }
}

/* The window at (dy, dx) of the padded image, or not. */
static int is_window(const unsigned char *from, const unsigned char *to, int dy, int dx, int fill)
{
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      int sy = y + dy, sx = x + dx;
      int inside = sy >= 0 && sx >= 0 && sy < SIDE && sx < SIDE;
      if (to[y * SIDE + x] != (inside ? from[sy * SIDE + sx] : fill))
        return 0;
    }
  return 1;
}

static void test_crop_takes_every_window(void **state)
{
  enum { PAD = 2, PLACES = 2 * PAD + 1 };
  const Step crop = { "crop", { { "pad", PAD, NULL }, { "fill", 9, NULL } }, 2 };
  unsigned char from[PIXELS], to[PIXELS];
  int met[PLACES * PLACES] = { 0 };
  (void)state;
  fill_image(from, 3);
  for (uint32_t row = 0; row < 500; row++) {
    int found = 0;
    run(&crop, 1, row, from, to);
    for (int k = 0; k < PLACES * PLACES; k++)
      if (is_window(from, to, k / PLACES - PAD, k % PLACES - PAD, 9)) {
        met[k]++;
        found++;
      }
    assert_int_equal(found, 1);
  }
  for (int k = 0; k < PLACES * PLACES; k++)
    assert_in_range(met[k], 5, 45);
}

static void test_cutout_fills_one_square(void **state)
{
  const Step cutout = { "cutout", { { "pixels", 3, NULL } }, 1 };
  unsigned char from[PIXELS], to[PIXELS];
  (void)state;
  fill_image(from, 4);
  for (uint32_t row = 0; row < 100; row++) {
    int n = 0;
    run(&cutout, 0, row, from, to);
    for (int i = 0; i < PIXELS; i++) {
      n += to[i] == 0;
      assert_true(to[i] == 0 || to[i] == from[i]);
    }
    assert_true(n == 9 || n == 6 || n == 4);    /* whole, at a side, at a corner */
  }
}

/* A dot two pixels from the middle stays there, whatever the angle. */
static void test_rotation_is_about_the_middle(void **state)
{
  const Step rotate = { "rotate", { { "degrees", 180, NULL } }, 1 };
  unsigned char from[PIXELS] = { 0 }, to[PIXELS];
  (void)state;
  from[PIXELS / 2 + 2] = 200;
  for (uint32_t row = 0; row < 50; row++) {
    double x = 0, y = 0, weight = 0;
    run(&rotate, 0, row, from, to);
    for (int i = 0; i < PIXELS; i++) {
      x += to[i] * (i % SIDE - SIDE / 2);
      y += to[i] * (i / SIDE - SIDE / 2);
      weight += to[i];
    }
    assert_true(weight > 100 && fabs(hypot(x, y) / weight - 2) < 0.35);
  }
}

static void test_bytes_stay_bytes(void **state)
{
  const Step noise = { "noise", { { "std", 400, NULL } }, 1 };
  unsigned char from[PIXELS], to[PIXELS];
  int low = 0, high = 0;
  (void)state;
  fill_image(from, 5);
  run(&noise, 0, 1, from, to);
  for (int i = 0; i < PIXELS; i++) {
    low += to[i] == 0;
    high += to[i] == 255;
  }
  assert_true(low > 5 && high > 5);
}

static void test_numbers_depend_on_epoch_row_and_seed_alone(void **state)
{
  const Step noise = { "noise", { { "std", 30, NULL } }, 1 };
  unsigned char from[PIXELS], a[PIXELS], b[PIXELS];
  (void)state;
  fill_image(from, 6);
  run(&noise, 2, 7, from, a);
  run(&noise, 2, 8, from, b);
  assert_memory_not_equal(a, b, PIXELS);
  run(&noise, 3, 7, from, b);
  assert_memory_not_equal(a, b, PIXELS);
  run(&noise, 2, 7, from, b);
  assert_memory_equal(a, b, PIXELS);
}

/* ---- feed ---- */

static uint32_t backwards(const void *ctx, int64_t epoch, int64_t position)
{
  const gradrt_set *set = ctx;
  return set->row[(set->n - 1 - position + epoch) % set->n];
}

/* Walks epochs in batches of 8, from a position on, and compares what steps would read. */
static void walk(gradrt_feed *a, gradrt_feed *b, const gradrt_set *set, int64_t epoch, int64_t from)
{
  for (int64_t at = from; at < set->n; at += 8) {
    int64_t n = set->n - at < 8 ? set->n - at : 8;
    const void *now[GRADRT_FIELDS_MAX], *ahead[GRADRT_FIELDS_MAX];
    assert_int_equal(gradrt_feed_want(a, epoch, at, n, now), GRADRT_OK);
    assert_int_equal(gradrt_feed_want(b, epoch, at, n, ahead), GRADRT_OK);
    const unsigned char *x = now[0], *y = ahead[0];
    for (int64_t i = at; i < at + n; i++) {
      size_t row = backwards(set, epoch, i);
      if (memcmp(x + row * PIXELS, y + row * PIXELS, PIXELS) != 0)
        fail_msg("epoch %d, position %d differs", (int)epoch, (int)i);
    }
    assert_ptr_equal(now[1], set->rows[1]);
  }
}

static void test_rows_ahead_are_those_asked_for(void **state)
{
  static const gradrt_prop degrees = { "degrees", 20, NULL }, std = { "std", 9, NULL };
  static const gradrt_augment steps[] = { { "rotate", 1, &degrees }, { "noise", 1, &std } };
  static unsigned char images[ROWS * PIXELS];
  static int32_t labels[ROWS];
  uint32_t row[ROWS];
  (void)state;
  gradrt_field field[2] = { image_field(steps, 2),
                            { .name = "y", .dtype = GRADRT_I32, .is_label = true, .classes = 2 } };
  gradrt_net net = { .nfield = 2, .field = field };
  gradrt_set set = { .n = 0, .row = row, .rows = { images, labels } };
  for (uint32_t i = 0; i < ROWS; i++) {
    fill_image(images + i * PIXELS, (int)i);
    if (i % 4)
      row[set.n++] = i;
  }
  gradrt_feed_options o = { .net = &net, .set = &set, .seed = 3, .row_at = backwards, .ctx = &set };
  gradrt_feed *now, *ahead;
  assert_true(gradrt_augment_wanted(&net));
  assert_int_equal(gradrt_feed_open(&now, &o), GRADRT_OK);
  o.ahead = true;
  assert_int_equal(gradrt_feed_open(&ahead, &o), GRADRT_OK);
  walk(now, ahead, &set, 0, 0);
  walk(now, ahead, &set, 1, 16);                /* a resumed epoch */
  gradrt_feed_pause(ahead);
  walk(now, ahead, &set, 1, 0);                 /* replayed */
  walk(now, ahead, &set, 2, 0);
  gradrt_feed_close(now);
  gradrt_feed_close(ahead);
  gradrt_feed_close(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_steps_without_strength_change_nothing),
    cmocka_unit_test(test_every_step_changes_something),
    cmocka_unit_test(test_flip_and_invert_are_exact),
    cmocka_unit_test(test_crop_takes_every_window),
    cmocka_unit_test(test_cutout_fills_one_square),
    cmocka_unit_test(test_rotation_is_about_the_middle),
    cmocka_unit_test(test_bytes_stay_bytes),
    cmocka_unit_test(test_numbers_depend_on_epoch_row_and_seed_alone),
    cmocka_unit_test(test_rows_ahead_are_those_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
