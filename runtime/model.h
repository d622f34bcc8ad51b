/* A net in a program of one's own: what the functions stand on that `gradc build --emit header`
 * declares for one net. A model is a state, its memory and its workers; models do not share
 * anything, and each may be used by one thread at a time.
 *
 * Rows are samples side by side in row-major order, in the field's type, for each field of the net
 * in the order of net->field; NULL where the function that is called reads no such field. They are
 * read where they lie and need no alignment. Functions that return an int return 0 or an exit code
 * of gradrt.h after one message on standard error; then nothing has changed. */
#ifndef GRADRT_MODEL_H
#define GRADRT_MODEL_H

#include "gradrt.h"

typedef struct gradrt_model gradrt_model;

/* A model with initial values from the seed, as `train --seed`. threads: 1 to 256, the caller's own
 * among them; 0: as many as there are CPUs to use. No result depends on it. NULL: no memory, or a
 * net of another version, after a message. The caller frees it; net must live as long. */
gradrt_model *gradrt_model_new(const gradrt_net *net, int threads, uint64_t seed);
void gradrt_model_free(gradrt_model *m);        /* NULL is fine */

/* One step of the spec's optimizer on n samples, 1 <= n <= net->batch, with this learning rate; its
 * loss goes to *loss, unless NULL. Where the spec reads lines of a text, targets of -1 do not
 * count: a call takes the mean over its others, each of the `accumulate` calls of an update its
 * own. GRADRT_DATA: a label is out of range. GRADRT_NONFINITE: the loss is not a number or
 * infinite; the step is done. */
int gradrt_model_train(gradrt_model *m, const void *const *rows, int64_t n, double lr,
                       double *loss);

/* The outputs of the spec's infer block for any number of samples: out[i] receives n rows of output
 * i, row-major, in the net's real type; an output that is not per sample once. */
int gradrt_model_infer(gradrt_model *m, const void *const *rows, int64_t n, void *const *out);

/* All n values of a tensor by its name ("c1.weight"), row-major, in the net's real type. */
int gradrt_model_get(const gradrt_model *m, const char *name, void *values, int64_t n);
int gradrt_model_set(gradrt_model *m, const char *name, const void *values, int64_t n);

/* Parameters and statistics from a safetensors file, ours or another's with the same names; the
 * optimizer's state stays. GRADRT_CHECKPOINT: it does not fit, or is damaged. */
int gradrt_model_load(gradrt_model *m, const char *path);
/* Everything to a safetensors file that `eval`, `predict` and others read; whole or not at all. */
int gradrt_model_save(const gradrt_model *m, const char *path);

#endif
