/* gradcheck: the user's own net with the same plans, in double, keeping gradients instead of updating; the
 * generated program compares them with differences of its own loss. */
#include "cmd/cmd.h"

int cmd_gradcheck(const CmdOptions *o)
{
  CmdOptions check = *o;
  check.driver.gradients = true;
  check.driver.f64 = true;
  return cmd_run(&check, "gradcheck");
}
