"""Writes tests/golden/torch/ops.txt, C tables: operations, losses and optimizers in float64, as
PyTorch computes them. Run with PyTorch 1.13 from the root of the checkout:

    python3 tests/golden/torch/make_op_goldens.py > tests/golden/torch/ops.txt

A row: operation, attributes, operands, where the values of each come from (parameters too),
results, gradients towards the real operands for dy[i] = cos(i + 1), their number, and the samples
where they are not N. Operands of `values` are not written: the test makes them again. Of other
numbers there are 12 digits, for a tolerance of 1e-9."""

import itertools
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
N = 3


def values(shape, k, low=-2.0, high=2.0):
    count = math.prod(shape)
    middle, half = (low + high) / 2, (high - low) / 2
    v = [middle + half * math.sin(1.7 * i + 0.9 * k + 0.3) for i in range(count)]
    t = torch.tensor(v).reshape(shape)
    t.made = (k, low, high)
    return t


def numbers(t):
    return [f"{float(v):.12g}" for v in t.reshape(-1)]


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
    i = len(rows)
    data, gradient = [], []
    for at, t in enumerate(tensors):
        if hasattr(t, "made"):
            data.append("{ %g, %g, %g, NULL }" % t.made)
        else:
            array(f"in{i}_{at}", numbers(t.detach()))
            data.append(f"{{ 0, 0, 0, in{i}_{at} }}")
        if t.requires_grad:
            gradient += numbers(t.grad if t.grad is not None else torch.zeros_like(t))
    shown = operands[: len(operands) - nparam]
    shapes = ", ".join(operand(*o) for o in shown)
    array(f"y{i}", numbers(y.detach()))
    array(f"dx{i}", gradient)
    n = f", {len(y) if len(y) != N else 0}"
    made = ", ".join(data)
    rows.append(f'  {{ "{op}", "{attrs}",\n    "{shapes}", {{ {made} }},\n'
                f"    y{i}, dx{i}, {y.numel()}{n} }},")


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
row("layernorm", "axes=1", lambda x, w, b: F.layer_norm(x, (5,), w, b),
    [x_of(3, 5), param("weight", (5,), 1), param("bias", (5,), 2)], 2)
row("layernorm", "axes=2, eps=0.01", lambda x, w, b: F.layer_norm(x, (3, 2), w, b, 0.01),
    [x_of(2, 3, 2), param("weight", (3, 2), 1), param("bias", (3, 2), 2)], 2)
row("groupnorm", "groups=2", lambda x, w, b: F.group_norm(x, 2, w, b),
    [x_of(4, 3, 2), param("weight", (4,), 1), param("bias", (4,), 2)], 2)
row("conv1d", "filters=4, kernel=3, stride=2, pad=1, groups=2",
    lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1, groups=2),
    [x_of(2, 7), param("w", (4, 1, 3), 1), param("b", (4,), 2)], 2)
row("conv1d", "filters=2, kernel=2, dilation=3, bias=false",
    lambda x, w: F.conv1d(x, w, dilation=3), [x_of(3, 6), param("w", (2, 3, 2), 1)], 1)
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

# Borders, turned windows, sizes that are rounded up, elements that move.
weight = lambda *shape: param("w", shape, 1)
for pad, mode in [([2, 1, 0, 3], "reflect"), ([3, 0, 2, 1], "replicate"), ([1, 2, 3, 0], "circular")]:
    around = (pad[2], pad[3], pad[0], pad[1])
    row("pad", f"pad={pad}, mode={mode}", lambda x: F.pad(x, around, mode), [x_of(1, 3, 4)])
    row("conv", f"filters=2, kernel=[3, 2], stride=[1, 2], pad={pad}, pad_mode={mode}",
        lambda x, w, b: F.conv2d(F.pad(x, around, mode), w, b, (1, 2)),
        [x_of(2, 3, 4), weight(2, 2, 3, 2), param("b", (2,), 2)], 2)
    row("conv1d", f"filters=2, kernel=3, pad=2, pad_mode={mode}, bias=false",
        lambda x, w: F.conv1d(F.pad(x, (2, 2), mode), w),
        [x_of(2, 4), weight(2, 2, 3)], 1)
row("pad", "pad=[1, 2]", lambda x: F.pad(x, (2, 2, 1, 1)), [x_of(2, 2, 3)])
row("conv", "filters=2, kernel=3, pad=1, flip=true",
    lambda x, w, b: F.conv2d(x, w.flip(2, 3), b, padding=1),
    [x_of(2, 3, 4), weight(2, 2, 3, 3), param("b", (2,), 2)], 2)
row("conv1d", "filters=2, kernel=3, flip=true", lambda x, w, b: F.conv1d(x, w.flip(2), b),
    [x_of(2, 5), weight(2, 2, 3), param("b", (2,), 2)], 2)
for size, k, s, p in [((6, 4), 3, 2, 1), ((2, 9), (3, 4), (2, 3), 0), ((5, 7), 2, 3, 1), ((7, 5), 3, 2, 0)]:
    text = lambda v: str(list(v)) if isinstance(v, tuple) else str(v)
    how = f"kernel={text(k)}, stride={text(s)}, pad={p}, ceil=true"
    row("maxpool", how, lambda x: F.max_pool2d(x, k, s, p, ceil_mode=True), [x_of(2, *size)])
    row("avgpool", how, lambda x: F.avg_pool2d(x, k, s, p, ceil_mode=True), [x_of(2, *size)])
    row("avgpool", how + ", count_include_pad=false",
        lambda x: F.avg_pool2d(x, k, s, p, True, False), [x_of(2, *size)])
row("slice", "axis=1, from=1, to=-1", lambda x: x[:, :, 1:-1], [x_of(2, 4, 2)])
beside = lambda *shape: ("x2", values((N,) + shape, 1), True)
row("concat", "", lambda x, y: torch.cat((x, y), 1), [x_of(2, 3), beside(1, 3)])
row("concat", "axis=1", lambda x, y: torch.cat((x, y), 2), [x_of(2, 1, 2), beside(2, 3, 2)])
row("transpose", "", lambda x: x.transpose(1, 2), [x_of(2, 3)])
row("transpose", "order=[1, 2, 0]", lambda x: x.permute(0, 2, 3, 1), [x_of(2, 3, 2)])
for axis, dims in [("axis=1", 2), ("axis=[0, 2]", (1, 3)), ("axis=0, keep=true", 1)]:
    keep = "keep" in axis
    row("axis_sum", axis, lambda x: x.sum(dims, keep), [x_of(2, 3, 2)])
    row("axis_mean", axis, lambda x: x.mean(dims, keep), [x_of(2, 3, 2)])
    row("axis_max", axis, lambda x: x.amax(dims, keep), [x_of(2, 3, 2)])
    row("axis_min", axis, lambda x: x.amin(dims, keep), [x_of(2, 3, 2)])
row("argmax", "axis=1", lambda x: x.argmax(2).double(), [x_of(2, 5)])
row("matmul", "", torch.matmul, [x_of(2, 3), ("y", values((N, 3, 4), 1), True)])


def local2d(x, w, b, stride, pad):
    """Unfolds windows and multiplies each by the weights of its position."""
    filters, kernel = w.shape[2], w.shape[4:]
    cells = F.unfold(F.pad(x, (pad[2], pad[3], pad[0], pad[1])), kernel, stride=stride)
    each = w.reshape(w.shape[0] * w.shape[1], filters, -1)
    y = torch.einsum("bkl,lok->bol", cells, each).reshape(len(x), filters, *w.shape[:2])
    return y if b is None else y + b


row("local2d", "filters=2, kernel=2", lambda x, w, b: local2d(x, w, b, 1, (0, 0, 0, 0)),
    [x_of(2, 3, 4), weight(2, 3, 2, 2, 2, 2), param("b", (2, 2, 3), 2)], 2)
row("local2d", "filters=2, kernel=[2, 3], stride=[1, 2], pad=[1, 0, 2, 1], bias=false",
    lambda x, w: local2d(x, w, None, (1, 2), (1, 0, 2, 1)),
    [x_of(1, 3, 4), weight(3, 3, 2, 1, 2, 3)], 1)
row("reverse", "axes=[0, 2]", lambda x: x.flip(1, 3), [x_of(2, 3, 2)])
# Sequences: class numbers and logits of several positions, tokens.
places = torch.tensor([[0, 3, 1], [2, 2, 0], [3, 1, 1]], dtype=torch.uint8)
seq, tokens = ("y", places, True), ("x", places, True)


def mean_over_places(loss):
    return lambda x, y: loss(x.transpose(1, 2), y.long()).mean(1)


row("softmax", "", lambda x: F.softmax(x, 2), [x_of(3, 4)])
row("softmax_xent", "", mean_over_places(lambda x, y: F.cross_entropy(x, y, reduction="none")),
    [x_of(3, 4), seq])
row("softmax_xent", "smoothing=0.2",
    mean_over_places(lambda x, y: F.cross_entropy(x, y, reduction="none", label_smoothing=0.2)),
    [x_of(3, 4), seq])
row("nll", "", mean_over_places(lambda x, y: F.nll_loss(x, y, reduction="none")),
    [x_of(3, 4), seq])
row("one_hot", "classes=4", lambda x: F.one_hot(x.long(), 4).double(), [tokens])
row("embedding", "dim=2, tokens=4", lambda x, w: F.embedding(x.long(), w),
    [tokens, ("w", values((4, 2), 3), False)], nparam=1)


# Recurrent layers: 2 units over T steps of 2 numbers, for n samples.
def recurrent(layer, attrs, n, T, layers, bias, **options):
    module = layer(2, 2, layers, bias=bias, batch_first=True, **options)
    params = list(module.named_parameters())
    with torch.no_grad():
        for k, (_, p) in enumerate(params):
            start = values(p.shape, k + 1, -1, 1)
            p.copy_(start)
            p.made = start.made
    row(layer.__name__.lower(), f"units=2, layers={layers}, bias={str(bias).lower()}" + attrs,
        lambda x, *_: module(x)[0],
        [("x", values((n, T, 2), 0), True)] + [(name, p, False) for name, p in params],
        len(params))


for layer, layers, bias, n, T in itertools.product(
        (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU), (1, 2), (True, False), (1, 3), (1, 5)):
    recurrent(layer, "", n, T, layers, bias)
recurrent(torch.nn.RNN, ", activation=relu", 3, 5, 2, True, nonlinearity="relu")


# Index notation: nest(left, over, places of each operand), the indices with their extents.
def nest(left, over, *places):
    indices = {**left, **over}
    rows_of = []
    for place, extent in itertools.chain(*places):
        terms = {name: 0 for name in [*indices, "1"]}
        for term in place.replace("-", "+-").split("+"):
            number, _, name = term.rpartition("*")
            name, number = (term, "1") if not number else (name, number)
            if name.lstrip("-").isdigit():
                terms["1"] += int(name)
            else:
                terms[name.lstrip("-")] += -int(number) if name.startswith("-") else int(number)
        rows_of.append(list(terms.values()) + [1, extent])
    return f"rank={len(left)}, extent={list(indices.values())}, rows={rows_of}"


y_of = lambda *shape: ("y", values((N,) + shape, 1), True)
z_of = lambda *shape: ("z", values(shape, 2), False)
row("index_sum", nest({"i": 2, "j": 4}, {"k": 3}, [("i", 2), ("k", 3)], [("k", 3), ("j", 4)]),
    lambda x, y: torch.einsum("nik,nkj->nij", x, y), [x_of(2, 3), y_of(3, 4)])
row("index_sum", nest({"t": 2, "o": 4}, {"k": 3}, [("t", 2), ("k", 3)], [("o", 4), ("k", 3)]),
    lambda x, y: torch.einsum("ntk,ok->nto", x, y), [x_of(2, 3), param("y", (4, 3), 1)])
row("index_sum", nest({"o": 4}, {"i": 2, "j": 3}, [("i", 2), ("j", 3)], [("j", 3), ("o", 4), ("i", 2)]),
    lambda x, y: torch.einsum("nij,joi->no", x, y), [x_of(2, 3), param("y", (3, 4, 2), 1)])
row("index_sum", nest({"i": 2}, {"j": 3, "k": 4}, [("i", 2), ("j", 3)], [("j", 3), ("k", 4)], [("k", 4)]),
    lambda x, y, z: torch.einsum("nij,njk,k->ni", x, y, z), [x_of(2, 3), y_of(3, 4), z_of(4)])
row("index_sum", nest({"i": 3, "j": 2}, {}, [("i", 3), ("i", 3)], [("j", 2)]),
    lambda x, y: torch.einsum("nii,nj->nij", x, y), [x_of(3, 3), y_of(2)])
row("index_sum", nest({"i": 3}, {"k": 2}, [("2-i", 3), ("k", 2)], [("k", 2), ("i", 3)]),
    lambda x, y: torch.einsum("nik,ki->ni", x.flip(1), y), [x_of(3, 2), param("y", (2, 3), 1)])
row("index_sum", nest({"f": 3, "i": 4}, {"c": 2, "u": 3}, [("c", 2), ("2*i+u-1", 7)],
                      [("f", 3), ("c", 2), ("u", 3)]),
    lambda x, y: F.conv1d(x, y, stride=2, padding=1), [x_of(2, 7), param("y", (3, 2, 3), 1)])
row("index_sum", nest({"c": 2, "i": 2, "j": 3}, {"u": 2, "v": 2}, [("c", 2), ("i+2*u", 4), ("j+v", 4)],
                      [("c", 2), ("u", 2), ("v", 2)]),
    lambda x, y: F.conv2d(x, y[:, None], dilation=(2, 1), groups=2),
    [x_of(2, 4, 4), param("y", (2, 2, 2), 1)])
row("index_sum", nest({"i": 4}, {"u": 3}, [("i+u", 6)], [("u", 3)]),
    lambda x, y: torch.einsum("niu,nu->ni", x.unfold(1, 3, 1), y), [x_of(6), y_of(3)])
row("index_sum", nest({"i": 5}, {"u": 5}, [("i+u-2", 5)]),
    lambda x: F.pad(x, (2, 2)).unfold(1, 5, 1).sum(2), [x_of(5)])
row("index_max", nest({"c": 2, "i": 3}, {"u": 3}, [("c", 2), ("2*i+u", 7)]),
    lambda x: F.max_pool1d(x, 3, 2), [x_of(2, 7)])
row("index_max", nest({"c": 2, "i": 3, "j": 2}, {"u": 3, "v": 3},
                      [("c", 2), ("2*i+u-1", 5), ("2*j+v-1", 4)]),
    lambda x: F.max_pool2d(x, 3, 2, 1), [x_of(2, 5, 4)])
row("index_max", nest({"j": 3}, {"i": 2, "k": 4}, [("i", 2), ("j", 3), ("k", 4)]),
    lambda x: x.amax((1, 3)), [x_of(2, 3, 4)])
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
    steps("asgd", "", 0.1, lambda p: O.ASGD(p, 0.1)),
    steps("asgd", "lambd=0.2, alpha=0.6, t0=3, weight_decay=0.1", 0.2,
          lambda p: O.ASGD(p, 0.2, 0.2, 0.6, 3, 0.1)),
]
for i, (_, _, _, out) in enumerate(optimizers):
    array(f"w{i}", out)
print("\nstatic const TorchSteps torch_steps[] = {")
for i, (op, attrs, lr, _) in enumerate(optimizers):
    print(f'  {{ "{op}", "{attrs}", {lr}, w{i} }},')
print("};")
