/* Decoding PNG and JPEG of every kind, refusing damaged ones, resizing. */
#include "fixture.h"
#include "pictures.h"

#if defined GRADRT_PNG && defined GRADRT_JPEG
#include <jpeglib.h>
#include <png.h>

enum { WIDTH = 13, HEIGHT = 6, FILE_MAX = 1 << 16 };

typedef struct { unsigned char bytes[FILE_MAX]; size_t n; } Bytes;

static void put(png_structp png, png_bytep from, png_size_t n)
{
  Bytes *b = png_get_io_ptr(png);
  assert_true(b->n + n <= FILE_MAX);
  memcpy(b->bytes + b->n, from, n);
  b->n += n;
}

static void flush(png_structp png) { (void)png; }

/* One sample of a test picture, of `bits` bits. */
static unsigned sample(int x, int y, int c, int bits)
{
  return (unsigned)(x * 37 + y * 91 + c * 53) * 2654435761u >> (32 - bits);
}

/* A PNG of any kind; palettes hold (i, 255 - i, 2 i mod 256). */
static void make_png(Bytes *b, int type, int bits, int interlaced)
{
  static const int planes_of[] = { 1, 0, 3, 1, 2, 0, 4 };
  int planes = planes_of[type];
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_color palette[256];
  png_byte rows[HEIGHT][WIDTH * 8] = { { 0 } };
  png_bytep row[HEIGHT];
  b->n = 0;
  for (int i = 0; i < 256; i++)
    palette[i] = (png_color){ (png_byte)i, (png_byte)(255 - i), (png_byte)(2 * i) };
  for (int y = 0; y < HEIGHT; y++) {
    row[y] = rows[y];
    for (int x = 0; x < WIDTH; x++)
      for (int c = 0; c < planes; c++) {
        unsigned v = sample(x, y, c, bits);
        int at = x * planes + c;
        if (bits == 16) {
          rows[y][2 * at] = (png_byte)(v >> 8);
          rows[y][2 * at + 1] = (png_byte)v;
        } else {
          rows[y][at * bits / 8] |= (png_byte)(v << (8 - bits - at * bits % 8));
        }
      }
  }
  png_set_write_fn(png, b, put, flush);
  png_set_IHDR(png, info, WIDTH, HEIGHT, bits, type,
               interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (type == PNG_COLOR_TYPE_PALETTE)
    png_set_PLTE(png, info, palette, 1 << bits);
  png_write_info(png, info);
  png_write_image(png, row);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
}

/* What sample c of a pixel is in 8 bits. */
static int expected(int type, int bits, int x, int y, int c)
{
  bool colours = type == PNG_COLOR_TYPE_RGB || type == PNG_COLOR_TYPE_RGBA;
  unsigned v = sample(x, y, colours ? c : 0, bits);
  if (type == PNG_COLOR_TYPE_PALETTE)
    return c == 0 ? (int)v : c == 1 ? 255 - (int)v : (int)(2 * v) % 256;
  unsigned most = (1u << bits) - 1;
  return (int)((v * 255 + most / 2) / most);
}

static void test_png_of_every_kind(void **state)
{
  (void)state;
  static const int kinds[][2] = {
    { 0, 1 }, { 0, 2 }, { 0, 4 }, { 0, 8 }, { 0, 16 }, { 2, 8 }, { 2, 16 }, { 3, 1 },
    { 3, 2 }, { 3, 4 }, { 3, 8 }, { 4, 8 }, { 4, 16 }, { 6, 8 }, { 6, 16 },
  };
  static Bytes b;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (int interlaced = 0; interlaced < 2; interlaced++) {
      int type = kinds[k][0], bits = kinds[k][1];
      gradrt_picture m;
      make_png(&b, type, bits, interlaced);
      assert_int_equal(gradrt_picture_decode("a.png", b.bytes, b.n, 3, &m), GRADRT_OK);
      assert_true(m.width == WIDTH && m.height == HEIGHT && m.planes == 3);
      for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
        int want = expected(type, bits, i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
        if (m.pixel[i] != want)
          fail_msg("kind %d, %d bits: sample %d is %d, not %d", type, bits, i, m.pixel[i], want);
      }
      gradrt_picture_free(&m);
    }
}

static void test_colours_become_grey(void **state)
{
  (void)state;
  static Bytes b;
  gradrt_picture m;
  make_png(&b, PNG_COLOR_TYPE_RGB, 8, 0);
  assert_int_equal(gradrt_picture_decode("a.png", b.bytes, b.n, 1, &m), GRADRT_OK);
  assert_int_equal(m.planes, 1);
  for (int i = 0; i < WIDTH * HEIGHT; i++) {
    int x = i % WIDTH, y = i / WIDTH;
    double grey = 0.299 * sample(x, y, 0, 8) + 0.587 * sample(x, y, 1, 8) +
                  0.114 * sample(x, y, 2, 8);
    assert_true(m.pixel[i] >= grey - 0.502 && m.pixel[i] <= grey + 0.502);
  }
  gradrt_picture_free(&m);
}

/* Decoding must fail and say so; returns what it said. */
static const char *refused(Fixture *f, const unsigned char *bytes, size_t n)
{
  gradrt_picture m;
  int kept = fixture_listen(f);
  int code = gradrt_picture_decode("cats/a.png", bytes, n, 3, &m);
  fixture_hear(f, kept);
  assert_null(m.pixel);
  if (code != GRADRT_DATA || !strstr(f->said, "cats/a.png: "))
    fail_msg("%zu bytes: code %d, said: %s", n, code, f->said);
  return f->said;
}

static void test_every_cut_png_is_refused(void **state)
{
  (void)state;
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  make_png(&b, PNG_COLOR_TYPE_RGB, 8, 1);
  for (size_t n = 0; n < b.n; n++)
    refused(&f, b.bytes, n);
  fixture_end(&f);
}

static void test_a_changed_byte_never_decodes(void **state)
{
  (void)state;
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  make_png(&b, PNG_COLOR_TYPE_RGB, 8, 0);
  for (size_t i = 0; i < b.n; i++) {
    b.bytes[i] ^= 0x10;
    refused(&f, b.bytes, b.n);
    b.bytes[i] ^= 0x10;
  }
  fixture_end(&f);
}

static void put_u32(unsigned char *at, unsigned v)
{
  for (int i = 0; i < 4; i++)
    at[i] = (unsigned char)(v >> (24 - 8 * i));
}

static unsigned crc(const unsigned char *p, size_t n)
{
  unsigned c = 0xFFFFFFFFu;
  for (size_t i = 0; i < n; i++) {
    c ^= p[i];
    for (int k = 0; k < 8; k++)
      c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
  }
  return ~c;
}

static void test_impossible_sides_are_refused(void **state)
{
  (void)state;
  static const struct { unsigned width, height; } rows[] = {
    { 0, 6 }, { 13, 0 }, { 0, 0 }, { 2147483647u, 1 }, { 1, 2147483647u }, { 32769, 1 },
    { 32768, 32768 }, { 9000, 9000 }, { 4294967295u, 4294967295u },
  };
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    make_png(&b, PNG_COLOR_TYPE_RGB, 8, 0);
    put_u32(b.bytes + 16, rows[i].width);
    put_u32(b.bytes + 20, rows[i].height);
    put_u32(b.bytes + 29, crc(b.bytes + 12, 17));
    refused(&f, b.bytes, b.n);
  }
  make_png(&b, PNG_COLOR_TYPE_RGB, 8, 0);
  put_u32(b.bytes + 16, 9000);
  put_u32(b.bytes + 20, 9000);
  put_u32(b.bytes + 29, crc(b.bytes + 12, 17));
  assert_non_null(strstr(refused(&f, b.bytes, b.n), "more pixels than so few bytes can hold"));
  assert_non_null(strstr(refused(&f, (const unsigned char *)"GIF89a..", 8), "but a GIF picture"));
  assert_non_null(strstr(refused(&f, (const unsigned char *)"", 0), "but an empty file"));
  fixture_end(&f);
}

/* ---- JPEG ---- */

typedef struct { J_COLOR_SPACE space; int planes; unsigned char colour[4]; } Ink;

static void make_jpeg(Bytes *b, const Ink *ink, bool progressive)
{
  struct jpeg_compress_struct c;
  struct jpeg_error_mgr errors;
  unsigned char row[4 * WIDTH], *out = NULL;
  unsigned long n = 0;
  JSAMPROW rows[1] = { row };
  c.err = jpeg_std_error(&errors);
  jpeg_create_compress(&c);
  jpeg_mem_dest(&c, &out, &n);
  c.image_width = WIDTH;
  c.image_height = HEIGHT;
  c.input_components = ink->planes;
  c.in_color_space = ink->space;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, 100, TRUE);
  if (progressive)
    jpeg_simple_progression(&c);
  jpeg_start_compress(&c, TRUE);
  for (int i = 0; i < WIDTH; i++)
    memcpy(row + ink->planes * i, ink->colour, (size_t)ink->planes);
  for (int y = 0; y < HEIGHT; y++)
    jpeg_write_scanlines(&c, rows, 1);
  jpeg_finish_compress(&c);
  assert_true(n <= FILE_MAX);
  memcpy(b->bytes, out, n);
  b->n = n;
  jpeg_destroy_compress(&c);
  free(out);
}

static void test_jpeg_grey_colour_and_inks(void **state)
{
  (void)state;
  static const struct { Ink ink; int red, green, blue; } rows[] = {
    { { JCS_GRAYSCALE, 1, { 77 } }, 77, 77, 77 },
    { { JCS_RGB, 3, { 200, 30, 90 } }, 200, 30, 90 },
    /* libjpeg writes Adobe's marker, so these are 255 - ink: the light that is left */
    { { JCS_CMYK, 4, { 255, 128, 0, 255 } }, 255, 128, 0 },
    { { JCS_CMYK, 4, { 255, 128, 0, 128 } }, 128, 64, 0 },
  };
  static Bytes b;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int progressive = 0; progressive < 2; progressive++) {
      gradrt_picture m;
      make_jpeg(&b, &rows[i].ink, progressive);
      assert_int_equal(gradrt_picture_decode("a.jpg", b.bytes, b.n, 3, &m), GRADRT_OK);
      assert_true(m.width == WIDTH && m.height == HEIGHT);
      for (int p = 0; p < WIDTH * HEIGHT; p++) {
        assert_in_range(m.pixel[3 * p] + 2, rows[i].red, rows[i].red + 4);
        assert_in_range(m.pixel[3 * p + 1] + 2, rows[i].green, rows[i].green + 4);
        assert_in_range(m.pixel[3 * p + 2] + 2, rows[i].blue, rows[i].blue + 4);
      }
      gradrt_picture_free(&m);
    }
}

static void test_every_cut_jpeg_is_refused(void **state)
{
  (void)state;
  static const Ink ink = { JCS_RGB, 3, { 200, 30, 90 } };
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  for (int progressive = 0; progressive < 2; progressive++) {
    make_jpeg(&b, &ink, progressive);
    for (size_t n = 0; n < b.n - 2; n++)
      refused(&f, b.bytes, n);
  }
  fixture_end(&f);
}

static void test_changed_bytes_of_a_jpeg_never_crash(void **state)
{
  (void)state;
  static const Ink ink = { JCS_CMYK, 4, { 200, 30, 90, 20 } };
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  for (int progressive = 0; progressive < 2; progressive++) {
    make_jpeg(&b, &ink, progressive);
    for (size_t i = 0; i < b.n; i++)
      for (int bit = 0; bit < 8; bit++) {
        gradrt_picture m;
        b.bytes[i] ^= (unsigned char)(1 << bit);
        int kept = fixture_listen(&f);
        int code = gradrt_picture_decode("a.jpg", b.bytes, b.n, 3, &m);
        fixture_hear(&f, kept);
        assert_true((code == GRADRT_OK) == (m.pixel != NULL));
        gradrt_picture_free(&m);
        b.bytes[i] ^= (unsigned char)(1 << bit);
      }
  }
  fixture_end(&f);
}

/* The ends of a file tell the sides that its decoder finds, and nothing where the file is cut. */
static void look(const Fixture *f, const Bytes *b)
{
  char path[128];
  int width, height;
  snprintf(path, sizeof path, "%s/a", f->dir);
  for (size_t n = 0; n <= b->n; n += b->n - n > 64 ? 37 : 1) {
    fixture_file(f, "a", b->bytes, n);
    int fd = open(path, O_RDONLY);
    bool good = gradrt_picture_head(fd, (int64_t)n, &width, &height);
    close(fd);
    if (good != (n == b->n) || (good && (width != WIDTH || height != HEIGHT)))
      fail_msg("%zu of %zu bytes: %d, %d x %d", n, b->n, good, width, height);
  }
}

static void test_ends_of_files_tell_their_sides(void **state)
{
  (void)state;
  static const Ink inks[] = { { JCS_GRAYSCALE, 1, { 77 } },
                              { JCS_CMYK, 4, { 200, 30, 90, 20 } } };
  static Bytes b;
  Fixture f;
  fixture_start(&f, "images");
  for (int i = 0; i < 4; i++) {
    make_jpeg(&b, &inks[i / 2], i % 2);
    look(&f, &b);
  }
  make_png(&b, PNG_COLOR_TYPE_RGB, 16, 1);
  look(&f, &b);
  b.bytes[0] = 'G';
  fixture_file(&f, "a", b.bytes, b.n);
  char path[128];
  int width, height;
  snprintf(path, sizeof path, "%s/a", f.dir);
  int fd = open(path, O_RDONLY);
  assert_false(gradrt_picture_head(fd, (int64_t)b.n, &width, &height));
  close(fd);
  fixture_end(&f);
}

/* A progressive file whose last scan is repeated, as if it had thousands. */
static void test_a_jpeg_of_endless_scans_is_refused(void **state)
{
  (void)state;
  static const Ink ink = { JCS_GRAYSCALE, 1, { 77 } };
  static Bytes b;
  static unsigned char many[1 << 20];
  Fixture f;
  fixture_start(&f, "images");
  make_jpeg(&b, &ink, true);
  size_t last = b.n - 2;
  while (!(b.bytes[last - 1] == 0xFF && b.bytes[last] == 0xDA))
    last--;
  last--;
  size_t scan = b.n - 2 - last, n = last;
  memcpy(many, b.bytes, last);
  for (int i = 0; i < 4000 && n + scan + 2 <= sizeof many; i++, n += scan)
    memcpy(many + n, b.bytes + last, scan);
  memcpy(many + n, b.bytes + b.n - 2, 2);
  refused(&f, many, n + 2);
  fixture_end(&f);
}
#endif

/* ---- sides ---- */

static void resize(int width, int height, const unsigned char *pixel, int to_width, int to_height,
                   unsigned char *out)
{
  gradrt_picture from = { width, height, 1, NULL }, to = { to_width, to_height, 1, NULL };
  char reason[GRADRT_REASON];
  assert_true(gradrt_picture_alloc(&from, width, height, 1, reason));
  memcpy(from.pixel, pixel, (size_t)(width * height));
  assert_true(gradrt_picture_resize(&from, &to));
  memcpy(out, to.pixel, (size_t)(to_width * to_height));
  gradrt_picture_free(&from);
  gradrt_picture_free(&to);
}

static void test_resizing_weighs_by_triangles(void **state)
{
  (void)state;
  static const struct { int from, to; unsigned char in[8], out[8]; } rows[] = {
    { 2, 4, { 0, 100 }, { 0, 25, 75, 100 } },           /* between two neighbours */
    { 4, 4, { 1, 7, 200, 3 }, { 1, 7, 200, 3 } },
    { 8, 4, { 0, 0, 0, 0, 80, 80, 80, 80 }, { 0, 10, 70, 80 } },        /* weights 1 3 3 1 */
    { 3, 1, { 10, 40, 70 }, { 40 } },
    { 1, 3, { 9 }, { 9, 9, 9 } },
    { 3, 2, { 0, 80, 160 }, { 30, 130 } },      /* reach 1.5, centres 0.75 and 2.25 */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int turned = 0; turned < 2; turned++) {
      unsigned char out[8];
      int from = rows[i].from, to = rows[i].to;
      if (turned)
        resize(1, from, rows[i].in, 1, to, out);
      else
        resize(from, 1, rows[i].in, to, 1, out);
      for (int k = 0; k < to; k++)
        if (out[k] != rows[i].out[k])
          fail_msg("row %zu: sample %d is %d, not %d", i, k, out[k], rows[i].out[k]);
    }
}

static void test_resizing_both_ways_keeps_a_plain_picture(void **state)
{
  (void)state;
  static unsigned char in[31 * 17], out[64 * 64];
  memset(in, 201, sizeof in);
  static const int sides[][2] = { { 1, 1 }, { 64, 64 }, { 5, 40 }, { 33, 2 } };
  for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
    resize(31, 17, in, sides[i][0], sides[i][1], out);
    for (int k = 0; k < sides[i][0] * sides[i][1]; k++)
      assert_int_equal(out[k], 201);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#if defined GRADRT_PNG && defined GRADRT_JPEG
    cmocka_unit_test(test_png_of_every_kind),
    cmocka_unit_test(test_colours_become_grey),
    cmocka_unit_test(test_every_cut_png_is_refused),
    cmocka_unit_test(test_a_changed_byte_never_decodes),
    cmocka_unit_test(test_impossible_sides_are_refused),
    cmocka_unit_test(test_jpeg_grey_colour_and_inks),
    cmocka_unit_test(test_every_cut_jpeg_is_refused),
    cmocka_unit_test(test_changed_bytes_of_a_jpeg_never_crash),
    cmocka_unit_test(test_a_jpeg_of_endless_scans_is_refused),
    cmocka_unit_test(test_ends_of_files_tell_their_sides),
#endif
    cmocka_unit_test(test_resizing_weighs_by_triangles),
    cmocka_unit_test(test_resizing_both_ways_keeps_a_plain_picture),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
