/* Makes and shows pictures for the end-to-end tests, by libpng's simple interface:
 *   pictures cifar BATCH.bin FOLDER PER_CLASS SEED   the same images as CIFAR records and PNG files
 *   pictures faces FOLDER TABLE.csv N SEED           faces with attributes, and the table of these
 *   pictures pets FOLDER PER_CLASS SEED              three colours as class folders, PNG
 *   pictures ramp FILE.png WIDTH HEIGHT              grey: 7 x + 11 y + x y mod 256
 *   pictures show FILE.png                           sides, planes, samples
 *   pictures damage FILE                             changes a byte in its middle; twice: as it was
 *   pictures peak COMMAND ..                         runs it; prints the most memory it took, in KB
 * Random numbers are the same everywhere. */
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE };

static const char *const names[] = { "airplane", "automobile", "bird", "cat", "deer",
                                     "dog", "frog", "horse", "ship", "truck" };
static uint32_t seed;

static unsigned next(unsigned n)
{
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % n;
}

static void die(const char *what)
{
  perror(what);
  exit(1);
}

static void write_png(const char *path, const unsigned char *pixel, int width, int height,
                      int planes)
{
  png_image m;
  memset(&m, 0, sizeof m);
  m.version = PNG_IMAGE_VERSION;
  m.width = (png_uint_32)width;
  m.height = (png_uint_32)height;
  m.format = planes == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  if (!png_image_write_to_file(&m, path, 0, pixel, 0, NULL))
    die(path);
}

/* Class c: a bright bar whose place and colour depend on the class, on noise. */
static void draw(unsigned char *pixel, int c)
{
  int at = c % 5 * 6 + (int)next(3);
  for (int i = 0; i < PIXELS; i++) {
    int along = c < 5 ? i / SIDE : i % SIDE;
    for (int k = 0; k < 3; k++)
      pixel[3 * i + k] =
          (unsigned char)(next(70) + (along >= at && along < at + 5 ? 60 * (k + 1) : 0));
  }
}

static void folder(const char *path)
{
  mkdir(path, 0777);
}

static void make_cifar(char **arg)
{
  FILE *f = fopen(arg[0], "wb");
  unsigned char pixel[3 * PIXELS], record[1 + 3 * PIXELS];
  char path[512];
  seed = (uint32_t)atoi(arg[3]);
  if (!f)
    die(arg[0]);
  folder(arg[1]);
  for (int c = 0; c < 10; c++) {
    snprintf(path, sizeof path, "%s/%s", arg[1], names[c]);
    folder(path);
    for (int n = 0; n < atoi(arg[2]); n++) {
      draw(pixel, c);
      record[0] = (unsigned char)c;
      for (int i = 0; i < PIXELS; i++)
        for (int k = 0; k < 3; k++)
          record[1 + k * PIXELS + i] = pixel[3 * i + k];
      fwrite(record, 1, sizeof record, f);
      snprintf(path, sizeof path, "%s/%s/%04d.png", arg[1], names[c], n);
      write_png(path, pixel, SIDE, SIDE, 3);
    }
  }
  if (fclose(f) != 0)
    die(arg[0]);
}

/* Glasses: two dark squares; a smile: a bright bar below; young: a light background. */
static void make_faces(char **arg)
{
  FILE *f = fopen(arg[1], "w");
  unsigned char pixel[3 * PIXELS];
  char path[512];
  seed = (uint32_t)atoi(arg[3]);
  if (!f)
    die(arg[1]);
  folder(arg[0]);
  fprintf(f, "image_id,Eyeglasses,Male,Smiling,Young\n");
  for (int n = 0; n < atoi(arg[2]); n++) {
    int glasses = (int)next(2), smiles = (int)next(2), young = (int)next(2);
    for (int i = 0; i < PIXELS; i++) {
      int x = i % SIDE, y = i / SIDE;
      int eye = y >= 9 && y < 14 && ((x >= 7 && x < 13) || (x >= 19 && x < 25));
      int mouth = y >= 22 && y < 25 && x >= 9 && x < 23;
      for (int k = 0; k < 3; k++)
        pixel[3 * i + k] = (unsigned char)((eye && glasses       ? 10
                                            : mouth && smiles ? 200
                                            : young           ? 150
                                                              : 90) + next(50));
    }
    snprintf(path, sizeof path, "%s/%06d.png", arg[0], n + 1);
    write_png(path, pixel, SIDE, SIDE, 3);
    fprintf(f, "%06d.png,%d,%d,%d,%d\n", n + 1, 2 * glasses - 1, n % 2 ? 1 : -1, 2 * smiles - 1,
            2 * young - 1);
  }
  if (fclose(f) != 0)
    die(arg[1]);
}

static void make_pets(char **arg)
{
  static const char *const pets[] = { "cat", "dog", "fox" };
  unsigned char pixel[16 * 12 * 3];
  char path[512];
  seed = (uint32_t)atoi(arg[2]);
  folder(arg[0]);
  for (int c = 0; c < 3; c++) {
    snprintf(path, sizeof path, "%s/%s", arg[0], pets[c]);
    folder(path);
    for (int n = 0; n < atoi(arg[1]); n++) {
      for (int i = 0; i < 16 * 12 * 3; i++)
        pixel[i] = (unsigned char)(next(80) + (i % 3 == c ? 120 : 0));
      snprintf(path, sizeof path, "%s/%s/%03d.png", arg[0], pets[c], n);
      write_png(path, pixel, 16, 12, 3);
    }
  }
}

static void make_ramp(char **arg)
{
  int width = atoi(arg[1]), height = atoi(arg[2]);
  unsigned char *pixel = malloc((size_t)width * (size_t)height);
  for (int i = 0; pixel && i < width * height; i++)
    pixel[i] = (unsigned char)(7 * (i % width) + 11 * (i / width) + i % width * (i / width));
  write_png(arg[0], pixel, width, height, 1);
  free(pixel);
}

static void show(char **arg)
{
  png_image m;
  memset(&m, 0, sizeof m);
  m.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&m, arg[0]))
    die(arg[0]);
  int planes = m.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
  m.format = planes == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  unsigned char *pixel = malloc(PNG_IMAGE_SIZE(m));
  if (!pixel || !png_image_finish_read(&m, NULL, pixel, 0, NULL))
    die(arg[0]);
  printf("%u %u %d\n", (unsigned)m.width, (unsigned)m.height, planes);
  for (size_t i = 0; i < PNG_IMAGE_SIZE(m); i++)
    printf("%d\n", pixel[i]);
  free(pixel);
}

static void damage(char **arg)
{
  FILE *f = fopen(arg[0], "r+b");
  if (!f || fseek(f, 0, SEEK_END) != 0)
    die(arg[0]);
  long middle = ftell(f) / 2;
  fseek(f, middle, SEEK_SET);
  int byte = fgetc(f);
  fseek(f, middle, SEEK_SET);
  if (byte == EOF || fputc(byte ^ 0x55, f) == EOF || fclose(f) != 0)
    die(arg[0]);
}

/* Exits as the command does. */
static int peak(char **command)
{
  struct rusage used;
  int status;
  pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    die(command[0]);
  }
  if (child < 0 || waitpid(child, &status, 0) != child || getrusage(RUSAGE_CHILDREN, &used) != 0)
    die(command[0]);
  printf("%ld\n", used.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
  static const struct { const char *name; int args; void (*run)(char **); } verbs[] = {
    { "cifar", 4, make_cifar }, { "faces", 4, make_faces }, { "pets", 3, make_pets },
    { "ramp", 3, make_ramp },   { "show", 1, show },        { "damage", 1, damage },
  };
  if (argc > 2 && strcmp(argv[1], "peak") == 0)
    return peak(argv + 2);
  for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].args + 2) {
      verbs[i].run(argv + 2);
      return 0;
    }
  fprintf(stderr, "pictures: the first lines of pictures.c say what to write\n");
  return 2;
}
