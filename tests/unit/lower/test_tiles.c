/* The record of register tiles: which of the measured ones counts, choices by key, kernels by
 * group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lower/tiles.h"

static void last_wanted_counts(void **state)
{
  (void)state;
  Arena *a = arena_new("test");
  Tiles *t = tiles_new(a);
  char key[] = "conv; 4 x 6";
  assert_null(tiles_find(t, key));
  tiles_want(t, key, (Tile){ 2, 3 }, 5);
  tiles_want(t, "dense; 4 x 6", (Tile){ 1, 1 }, 9);
  tiles_want(t, key, (Tile){ 4, 1 }, 7.5);
  key[0] = 'x';                 /* texts are copied */
  const TileEntry *e = tiles_find(t, "conv; 4 x 6");
  assert_non_null(e);
  assert_int_equal(e->tile.nv, 4);
  assert_int_equal(e->tile.ns, 1);
  assert_true(e->gain == 7.5);
  assert_null(tiles_find(t, key));
  arena_free(&a);
}

static void kernels_belong_to_their_group(void **state)
{
  (void)state;
  Arena *a = arena_new("test");
  Tiles *t = tiles_new(a);
  t->group = "conv";
  TileChoice *c = tiles_choice(t, "conv; 1");
  c->standard = (Tile){ 2, 6 };
  c->used = (Tile){ 2, 4 };
  tiles_add_kernel(t, "c1_conv");
  tiles_add_kernel(t, "c1_conv");
  t->group = "dense";
  c = tiles_choice(t, "dense; 1");
  c->standard = c->used = (Tile){ 1, 8 };
  tiles_add_kernel(t, "d1_dense");
  assert_int_equal(t->made.n, 2);
  assert_int_equal(tiles_choice(t, "conv; 1")->kernels.n, 1);
  assert_string_equal(tiles_choice(t, "conv; 1")->group, "conv");
  assert_true(tiles_tuned(t, "c1_conv"));
  assert_false(tiles_tuned(t, "d1_dense"));
  assert_false(tiles_tuned(t, "c2_conv"));
  assert_false(tiles_tuned(NULL, "c1_conv"));
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(last_wanted_counts),
    cmocka_unit_test(kernels_belong_to_their_group),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
