/* What images(..) asks of the fields of its data block: pictures need a shape with sides, labels
 * folders or a table. */
#include "sema/sema.h"

static const Prop *option(const SourceSpec *source, const char *name)
{
  for (int i = 0; i < source->nprop; i++)
    if (str_eq(source->prop[i].name, name))
      return &source->prop[i];
  return NULL;
}

bool sema_images_with_table(const SourceSpec *source)
{
  return str_eq(source->kind, "images") && option(source, "labels");
}

/* The field of the pictures, the first that is no label; -1: none. */
static int picture_field(const Data *d)
{
  for (int i = 0; i < d->nfield; i++)
    if (!d->field[i].is_label)
      return i;
  return -1;
}

/* [3,h,w], [1,h,w] or [h,w]. */
static bool holds_pictures(const Type *t)
{
  return t->rank == 2 || (t->rank == 3 && (t->dim[0] == 1 || t->dim[0] == 3));
}

static bool check_shape(Sema *s, const Field *f)
{
  if (holds_pictures(&f->type))
    return true;
  diag_error(s->diag, f->at, "E0518", "field `%s` is fed by images, but %s has no sides", f->name,
             type_user(s->arena, &f->type));
  diag_help(s->diag, "write `field %s: u8[3,64,64] ..` for colours, `u8[1,64,64]` or `u8[64,64]` "
                     "for grey", f->name);
  return false;
}

/* size=[h, w] and channels=.. must be those of the field. */
static void check_options(Sema *s, const SourceSpec *source, const Field *f)
{
  const Prop *height = option(source, "size"), *width = option(source, "size_2");
  const Prop *channels = option(source, "channels");
  const Type *t = &f->type;
  int64_t h = t->dim[t->rank - 2], w = t->dim[t->rank - 1], planes = t->rank == 3 ? t->dim[0] : 1;
  if (height && (!width || option(source, "size_3"))) {
    diag_error(s->diag, height->at, "E0518", "`size` is two numbers: the height and the width");
    diag_help(s->diag, "write size=[%lld, %lld]", (long long)h, (long long)w);
  } else if (height && ((int64_t)height->number != h || (int64_t)width->number != w)) {
    diag_error(s->diag, height->at, "E0518", "images are resized to %g x %g, but field `%s` is %s",
               height->number, width->number, f->name, type_user(s->arena, t));
    diag_help(s->diag, "write size=[%lld, %lld], or change the field", (long long)h, (long long)w);
  }
  if (channels && (int64_t)channels->number != planes) {
    diag_error(s->diag, channels->at, "E0518", "images have %g channels here, but field `%s` is %s",
               channels->number, f->name, type_user(s->arena, t));
    diag_help(s->diag, "channels is 1 for grey and 3 for colours; without it the field decides");
  }
}

/* Without a table a folder is a class, so there is one label and nothing else. */
static void check_labels(Sema *s, const SourceSpec *source, const Data *d, int picture)
{
  int others = 0;
  for (int i = 0; i < d->nfield; i++) {
    const FieldSpec *f = &d->field[i];
    if (i == picture)
      continue;
    others++;
    if (f->is_label && others == 1)
      continue;
    diag_error(s->diag, s->program->fields.at[f->field].at, "E0518",
               "folders of images give one label, nothing feeds field `%s`", f->name);
    diag_note(s->diag, source->at, "the source is here");
    diag_help(s->diag, "name a table: images(.., labels=\"table.csv\") and `field %s: .. from "
                       "\"column\"`", f->name);
    return;
  }
}

void sema_images(Sema *s, const Data *d, const SourceSpec *source, int nsource)
{
  int picture = picture_field(d);
  for (int i = 0; i < nsource; i++) {
    if (!str_eq(source[i].kind, "images"))
      continue;
    if (picture < 0) {
      if (d->nfield)
        diag_error(s->diag, source[i].at, "E0518", "no field of data `%s` holds the images",
                   d->name);
      return;
    }
    const Field *f = &s->program->fields.at[d->field[picture].field];
    if (!d->field[picture].value.node || !check_shape(s, f))
      return;
    check_options(s, &source[i], f);
    if (!sema_images_with_table(&source[i]))
      check_labels(s, &source[i], d, picture);
  }
}
