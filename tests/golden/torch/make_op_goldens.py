"""Writes tests/golden/torch/ops.txt, C tables: operations, losses and optimizers in float64, as
PyTorch computes them. Run with PyTorch 1.13 from the root of the checkout:

    python3 tests/golden/torch/make_op_goldens.py > tests/golden/torch/ops.txt

A row: operation, attributes, operands, samples, values of the operands (parameters too) one after
the other, results, gradients towards the real operands for dy[i] = cos(i + 1)."""

import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
N = 3


def values(shape, k, low=-2.0, high=2.0):
    count = math.prod(shape)
    middle, half = (low + high) / 2, (high - low) / 2
    v = [middle + half * math.sin(1.7 * i + 0.9 * k + 0.3) for i in range(count)]
    return torch.tensor(v).reshape(shape)


def numbers(t):
    return [repr(float(v)) for v in t.reshape(-1)]


def operand(name, t, batched):
    shape = list(t.shape[1:] if batched else t.shape)
    kind = "u8" if t.dtype == torch.uint8 else "f32"
    return f"{name}={kind}[" + ",".join(["n"] * batched + [str(d) for d in shape]) + "]"


def array(name, numbers_of):
    lines, line = [], " "
    for v in numbers_of:
        if len(line) + len(v) > 96:
            lines.append(line)
            line = " "
        line += f" {v},"
    print(f"static const double {name}[] = {{\n" + "\n".join(lines + [line]) + "\n};")


rows = []


def row(op, attrs, f, operands, nparam=0):
    """operands: (name, tensor, batched); the last nparam are parameters that the layer makes."""
    tensors = [t for _, t, _ in operands]
    for t in tensors:
        t.requires_grad_(t.dtype == torch.float64)
    y = f(*tensors)
    dy = torch.tensor([math.cos(i + 1) for i in range(y.numel())]).reshape(y.shape)
    if y.requires_grad:
        y.backward(dy)
    data, gradient = [], []
    for t in tensors:
        data += numbers(t.detach())
        if t.requires_grad:
            gradient += numbers(t.grad if t.grad is not None else torch.zeros_like(t))
    shown = operands[: len(operands) - nparam]
    shapes = ", ".join(operand(*o) for o in shown)
    i = len(rows)
    array(f"in{i}", data)
    array(f"y{i}", numbers(y.detach()))
    array(f"dx{i}", gradient)
    rows.append(f'  {{ "{op}", "{attrs}",\n    "{shapes}", in{i}, y{i}, dx{i}, {y.numel()} }},')


def x_of(*shape, k=0, low=-2.0, high=2.0):
    return ("x", values((N,) + shape, k, low, high), True)


def labels(*v):
    return ("y", torch.tensor(v, dtype=torch.uint8), True)


print("/* Made by tests/golden/torch/make_op_goldens.py with PyTorch "
      + torch.__version__.split("+")[0] + ". */")
for op, attrs, f in [
    ("elu", "", F.elu), ("elu", "alpha=0.5", lambda x: F.elu(x, 0.5)), ("selu", "", F.selu),
    ("silu", "", F.silu), ("gelu", "", F.gelu),
    ("gelu", "form=tanh", lambda x: F.gelu(x, approximate="tanh")),
    ("hardtanh", "", F.hardtanh), ("hardtanh", "min=-0.5, max=1.5", lambda x: F.hardtanh(x, -0.5, 1.5)),
    ("pow", "exponent=3", lambda x: x ** 3), ("pow", "exponent=-2", lambda x: x ** -2),
    ("sign", "", torch.sign), ("neg", "", torch.neg), ("abs", "", torch.abs),
]:
    row(op, attrs, f, [x_of(7)])
for p in ("1.5", "-0.5", "0.3"):
    row("pow", f"exponent={p}", lambda x: x ** float(p), [x_of(7, low=0.4, high=3)])
zeros = ("x", torch.tensor([[-1.5, 0.0], [0.5, -0.0], [0.0, 2.0]]), True)
row("heaviside", "at_zero=0.5", lambda x: torch.heaviside(x.detach(), torch.tensor(0.5)), [zeros])
row("heaviside", "", lambda x: torch.heaviside(x.detach(), torch.tensor(1.0)), [zeros])
pair = lambda **k: [x_of(4), ("y", values((N, 4), 1, **k), True)]
row("add", "", torch.add, pair())
row("sub", "", torch.sub, pair())
row("mul", "", torch.mul, pair())
row("div", "", torch.div, pair(low=0.5, high=2.5))

each = lambda v: v.reshape(N, -1)
row("sse", "", lambda x, y: each((x - y) ** 2).sum(1), pair())
row("hinge", "", lambda x, y: each(F.relu(1 - y * x)).mean(1), pair())
row("perceptron", "", lambda x, y: each(F.relu(-y * x)).mean(1), pair())
row("kl", "", lambda x, y: F.kl_div(x, y, reduction="none").sum(1), pair(low=0.1, high=1.0))
cls, w = labels(2, 0, 4), [0.5, 2.0, 1.0, 3.0, 1.5]
row("nll", "", lambda x, y: F.nll_loss(x, y.long(), reduction="none"), [x_of(5), cls])
row("nll", "weight=[0.5, 2, 1, 3, 1.5], ignore=0",
    lambda x, y: F.nll_loss(x, y.long(), torch.tensor(w), reduction="none", ignore_index=0),
    [x_of(5), cls])
row("weighted_xent", "weight=[0.5, 2, 1, 3, 1.5], ignore=2",
    lambda x, y: F.cross_entropy(x, y.long(), torch.tensor(w), reduction="none", ignore_index=2),
    [x_of(5), cls])
row("one_hot", "classes=5", lambda x: F.one_hot(x.long(), 5).double(), [("x", cls[1], True)])

param = lambda name, shape, k: (name, values(shape, k), False)
row("layernorm", "", lambda x, w, b: F.layer_norm(x, (6,), w, b),
    [x_of(6), param("weight", (6,), 1), param("bias", (6,), 2)], 2)
row("layernorm", "eps=0.01", lambda x, w, b: F.layer_norm(x, (2, 3, 2), w, b, 0.01),
    [x_of(2, 3, 2), param("weight", (2, 3, 2), 1), param("bias", (2, 3, 2), 2)], 2)
row("groupnorm", "groups=2", lambda x, w, b: F.group_norm(x, 2, w, b),
    [x_of(4, 3, 2), param("weight", (4,), 1), param("bias", (4,), 2)], 2)
row("conv1d", "filters=4, kernel=3, stride=2, pad=1, groups=2",
    lambda x, w, b: F.conv1d(x, w.squeeze(2), b, stride=2, padding=1, groups=2),
    [x_of(2, 7), param("w", (4, 1, 1, 3), 1), param("b", (4,), 2)], 2)
row("conv1d", "filters=2, kernel=2, dilation=3, bias=false",
    lambda x, w: F.conv1d(x, w.squeeze(2), dilation=3), [x_of(3, 6), param("w", (2, 3, 1, 2), 1)], 1)
row("conv_transpose", "filters=3, kernel=3, stride=2, pad=1, output_pad=1",
    lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
    [x_of(2, 3, 2), param("w", (2, 3, 3, 3), 1), param("b", (3,), 2)], 2)
row("conv_transpose", "filters=4, kernel=[2, 3], dilation=[1, 2], groups=2",
    lambda x, w, b: F.conv_transpose2d(x, w, b, dilation=(1, 2), groups=2),
    [x_of(2, 3, 3), param("w", (2, 2, 2, 3), 1), param("b", (4,), 2)], 2)
row("global_avgpool", "", lambda x: x.mean((2, 3)), [x_of(2, 3, 4)])
row("global_maxpool", "", lambda x: F.adaptive_max_pool2d(x, 1).flatten(1), [x_of(2, 3, 4)])
row("adaptive_avgpool", "size=[2, 3]", lambda x: F.adaptive_avg_pool2d(x, (2, 3)), [x_of(2, 4, 6)])
row("upsample", "factor=[2, 3]", lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest"),
    [x_of(2, 3, 2)])
print("\nstatic const TorchRow torch_rows[] = {\n" + "\n".join(rows) + "\n};\n")


# Optimizers: three weights with gradient c * w, ten steps; the weights after each.
def steps(op, attrs, lr, make):
    w = torch.tensor([1.0, -0.7, 0.4])
    c, out = torch.tensor([2.0, 0.7, 1.3]), []
    optimizer = make([w])
    for _ in range(10):
        w.grad = c * w
        optimizer.step()
        out += numbers(w)
    return op, attrs, lr, out


O = torch.optim
optimizers = [
    steps("sgd", "momentum=0.9, nesterov=true, weight_decay=0.1", 0.1,
          lambda p: O.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    steps("adam", "weight_decay=0.1", 0.1, lambda p: O.Adam(p, 0.1, weight_decay=0.1)),
    steps("adamw", "weight_decay=0.1", 0.1, lambda p: O.AdamW(p, 0.1, weight_decay=0.1)),
    steps("rmsprop", "", 0.05, lambda p: O.RMSprop(p, 0.05)),
    steps("rmsprop", "alpha=0.9, eps=0.001, weight_decay=0.1, momentum=0.8", 0.05,
          lambda p: O.RMSprop(p, 0.05, 0.9, 0.001, 0.1, 0.8)),
    steps("rmsprop", "alpha=0.9, momentum=0.5, centered=true", 0.01,
          lambda p: O.RMSprop(p, 0.01, 0.9, momentum=0.5, centered=True)),
    steps("adagrad", "", 0.1, lambda p: O.Adagrad(p, 0.1)),
    steps("adagrad", "lr_decay=0.2, eps=0.001, initial=0.3, weight_decay=0.1", 0.1,
          lambda p: O.Adagrad(p, 0.1, 0.2, 0.1, 0.3, 0.001)),
    steps("adadelta", "", 1.0, lambda p: O.Adadelta(p)),
    steps("adadelta", "rho=0.5, eps=0.001, weight_decay=0.1", 0.7,
          lambda p: O.Adadelta(p, 0.7, 0.5, 0.001, 0.1)),
]
for i, (_, _, _, out) in enumerate(optimizers):
    array(f"w{i}", out)
print("\nstatic const TorchSteps torch_steps[] = {")
for i, (op, attrs, lr, _) in enumerate(optimizers):
    print(f'  {{ "{op}", "{attrs}", {lr}, w{i} }},')
print("};")
