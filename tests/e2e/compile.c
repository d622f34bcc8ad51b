/* A program that compiles by the library: compile FORM FILE [OPTION ..], the spec from standard
 * input where FILE is -; prints what the command would and ends with its exit code. Two threads
 * compile the same at once, and must make the same. */
#include <gradc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 32 << 20 };
static const char *const forms[] = { "check", "ast", "graph", "grad", "loop", "c", "library",
                                     "header" };

typedef struct { gradc_options o; gradc_form form; gradc *made; } job;

static void *work(void *arg)
{
  job *j = arg;
  j->made = gradc_compile(&j->o, j->form);
  return NULL;
}

static char *all_of_input(void)
{
  char *text = malloc(TEXT_MAX + 1);
  size_t n = text ? fread(text, 1, TEXT_MAX, stdin) : 0;
  if (text)
    text[n] = '\0';
  return text;
}

int main(int argc, char **argv)
{
  job j[2] = { { .form = GRADC_CHECK } };
  pthread_t other;
  if (argc < 3)
    return 99;
  for (int i = 0; i < (int)(sizeof forms / sizeof *forms); i++)
    if (strcmp(forms[i], argv[1]) == 0)
      j[0].form = (gradc_form)i;
  char *text = strcmp(argv[2], "-") ? NULL : all_of_input();
  j[0].o = (gradc_options){ .file = text ? "memory.nn" : argv[2], .text = text };
  if (argc > 3 && strncmp(argv[3], "cpu=", 4) == 0)
    j[0].o.cpu = argv[3] + 4;
  else
    j[0].o.set = (const char *const *)(argv + 3), j[0].o.nset = argc - 3;
  j[1] = j[0];
  if (pthread_create(&other, NULL, work, &j[1]))
    return 99;
  work(&j[0]);
  pthread_join(other, NULL);
  size_t n, m;
  const char *one = gradc_output(j[0].made, &n), *two = gradc_output(j[1].made, &m);
  if (n != m || memcmp(one, two, n) ||
      strcmp(gradc_messages(j[0].made), gradc_messages(j[1].made)))
    return 98;
  fputs(gradc_messages(j[0].made), stderr);
  fwrite(one, 1, n, stdout);
  int status = gradc_status(j[0].made);
  gradc_free(j[0].made);
  gradc_free(j[1].made);
  gradc_free(NULL);
  free(text);
  return status;
}
