#!/usr/bin/python3
"""Writes <net>.<real>.txt: the losses of PyTorch on the nets of this folder, step by step.

    python3 tests/golden/torch/make_goldens.py [net ..]

Needs PyTorch (1.13 made the committed files) and numpy; the tests need neither. Each file holds the
checksum of the data, the loss of every step, the mean loss on the test rows after every epoch, and
for every parameter and running statistic after the last step its sum and the sum of its magnitudes.

What a spec has to say to give the same numbers: `rng: torch;`, the same `seed`, and for f64
`real: f64` (here through --set real=f64). In double the initial values are PyTorch's float32
draws, converted: build the module in float32, then call .double(). The modules below create their
parameters in the order of the spec's layers, weight before bias.
"""
import os
import sys
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

TRAIN, TEST, SIDE, CLASSES, BATCH, SEED = 300, 100, 28, 10, 32, 7
STEPS = {"f64": 100, "f32": 20}
HERE = os.path.dirname(os.path.abspath(__file__))


def mix(v):
    """One round of an integer hash on 32 bits; golden.c has the same."""
    v = (v * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF)
    return v ^ (v >> np.uint64(15))


def rows(first, n):
    """Samples first .. first + n - 1: a blocky picture for each class under noise."""
    i = np.arange(first, first + n, dtype=np.uint64)
    label = (i * np.uint64(7) + i // np.uint64(10)) % np.uint64(CLASSES)
    side = np.arange(SIDE, dtype=np.uint64)
    r, c = np.meshgrid(side, side, indexing="ij")
    block = (r // np.uint64(4)) * np.uint64(31) + c // np.uint64(4)
    shape = mix(label[:, None, None] * np.uint64(997) + block[None] + np.uint64(1)) >> np.uint64(24)
    cell = i[:, None, None] * np.uint64(SIDE * SIDE) + (r * np.uint64(SIDE) + c)[None]
    noise = mix(mix(cell + np.uint64(1))) >> np.uint64(25)
    return (shape // np.uint64(2) + noise).astype(np.uint8), label.astype(np.uint8)


def checksum(x, y):
    """FNV-1a over the pixels, then the labels."""
    h = 0x811C9DC5
    for b in x.tobytes() + y.tobytes():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def layers(*pairs):
    return nn.Sequential(OrderedDict(pairs))


def softmax():
    net = layers(("flat", nn.Flatten()), ("logits", nn.Linear(784, 10)))
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


def mlp():
    net = layers(("flat", nn.Flatten()), ("h", layers(
        ("dense1", nn.Linear(784, 50)), ("relu1", nn.ReLU()),
        ("dense2", nn.Linear(50, 30)), ("relu2", nn.ReLU()))),
        ("logits", nn.Linear(30, 10)))
    return net, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def course_cnn():
    net = layers(
        ("c1", nn.Conv2d(1, 2, 2, padding=3)), ("r1", nn.ReLU()), ("p1", nn.MaxPool2d(2)),
        ("c2", nn.Conv2d(2, 4, 2, padding=1)), ("r2", nn.ReLU()), ("p2", nn.MaxPool2d(2)),
        ("c3", nn.Conv2d(4, 8, 2, padding=1)), ("r3", nn.ReLU()), ("p3", nn.MaxPool2d(2)),
        ("flat", nn.Flatten()), ("h", nn.Linear(128, 32)), ("r4", nn.ReLU()),
        ("logits", nn.Linear(32, 10)))
    return net, torch.optim.Adam(net.parameters(), lr=2e-3)


def lenet5():
    net = layers(
        ("c1", nn.Conv2d(1, 6, 5, padding=2)), ("r1", nn.ReLU()), ("p1", nn.MaxPool2d(2)),
        ("c2", nn.Conv2d(6, 16, 5)), ("r2", nn.ReLU()), ("p2", nn.MaxPool2d(2)),
        ("flat", nn.Flatten()), ("h", layers(
            ("dense1", nn.Linear(400, 120)), ("relu1", nn.ReLU()),
            ("dense2", nn.Linear(120, 84)), ("relu2", nn.ReLU()))),
        ("logits", nn.Linear(84, 10)))
    return net, torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)


def bn_cnn():
    net = layers(
        ("c1", layers(
            ("conv", nn.Conv2d(1, 8, 3, padding=1, bias=False)),
            ("batchnorm", nn.BatchNorm2d(8)))),
        ("r1", nn.ReLU()), ("p1", nn.MaxPool2d(2)),
        ("c2", layers(("conv", nn.Conv2d(8, 16, 3, padding=1)), ("batchnorm", nn.BatchNorm2d(16)))),
        ("r2", nn.ReLU()), ("p2", nn.AvgPool2d(2)),
        ("flat", nn.Flatten()),
        ("h", layers(("dense", nn.Linear(784, 32)), ("batchnorm", nn.BatchNorm1d(32)))),
        ("r3", nn.ReLU()), ("logits", nn.Linear(32, 10)))
    return net, torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, nesterov=True,
                                weight_decay=1e-4)


class Recurrent(nn.Module):
    """A picture row by row."""
    def __init__(self):
        super().__init__()
        self.l = nn.LSTM(28, 12, num_layers=2, batch_first=True)
        self.g = nn.GRU(12, 17, bias=False, batch_first=True)
        self.r = nn.RNN(17, 9, nonlinearity="relu", batch_first=True)
        self.s = nn.Linear(9, 6)
        self.t = nn.RNN(6, 8, batch_first=True)
        self.logits = nn.Linear(8, 10)

    def forward(self, x):
        states = self.s(self.r(self.g(self.l(x)[0])[0])[0])
        return self.logits(self.t(states)[0][:, -1])


def recurrent():
    net = Recurrent()
    return net, torch.optim.SGD(net.parameters(), lr=0.5)


class Own(nn.Module):
    """What own.nn writes with indices. Weights start as those of linear layers do."""
    def __init__(self):
        super().__init__()
        self.e = nn.ParameterDict({"k": weight(6, 4, 4)})
        self.z = nn.Linear(294, 8)
        self.logits = nn.ParameterDict({"w": weight(10, 8, 36)})

    def forward(self, x):
        e = F.conv2d(x, self.e["k"][:, None], stride=2)
        square = F.pad(e * e, (0, 0, 0, 0, 1, 1))
        s = square[:, :-2] + square[:, 1:-1] + square[:, 2:]
        m = F.max_pool2d(e / (1 + 0.5 * s) ** 0.75, 3, 2, 1)
        g = torch.einsum("ncij,neij->nce", m, m).flatten(1) / 49
        z = torch.tanh(self.z(m.flatten(1)))
        return torch.einsum("ni,kij,nj->nk", z, self.logits["w"], g)


def weight(*shape):
    return nn.Parameter(nn.init.kaiming_uniform_(torch.empty(*shape), a=5 ** 0.5))


def own():
    net = Own()
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


NETS = {"softmax": softmax, "mlp": mlp, "course_cnn": course_cnn, "lenet5": lenet5,
        "bn_cnn": bn_cnn, "recurrent": recurrent, "own": own}


def inputs(name, pixels, real):
    x = torch.from_numpy(pixels).to(real)[:, None] / 255
    if name == "recurrent":
        return x[:, 0]
    return x if name in ("softmax", "mlp") else (x - 0.1307) / 0.3081


def train(name, real_name, f):
    real = {"f64": torch.float64, "f32": torch.float32}[real_name]
    x, y = rows(0, TRAIN)
    tx, ty = rows(TRAIN, TEST)
    version = torch.__version__.split("+")[0]
    f.write(f"# PyTorch {version}, {name}, {real_name}, batch {BATCH}, seed {SEED}\n")
    f.write(f"data {checksum(x, y):08x} {checksum(tx, ty):08x}\n")
    torch.manual_seed(SEED)
    net, optimizer = NETS[name]()
    if real_name == "f64":
        net.double()
    dataset = torch.utils.data.TensorDataset(inputs(name, x, real), torch.from_numpy(y).long())
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True)
    test = inputs(name, tx, real), torch.from_numpy(ty).long()
    loss_of, step, epoch = nn.CrossEntropyLoss(), 0, 0
    while step < STEPS[real_name]:
        net.train()
        for bx, by in loader:
            optimizer.zero_grad()
            loss = loss_of(net(bx), by)
            loss.backward()
            optimizer.step()
            step += 1
            f.write(f"step {step} {loss.item():.17g}\n")
        epoch += 1
        net.eval()
        with torch.no_grad():
            f.write(f"epoch {epoch} {loss_of(net(test[0]), test[1]).item():.17g}\n")
    for key, value in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        v = value.double()
        f.write(f"tensor {key} {v.sum().item():.17g} {v.abs().sum().item():.17g}\n")


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or NETS:
        for real_name in STEPS:
            with open(os.path.join(HERE, f"{name}.{real_name}.txt"), "w", encoding="ascii") as f:
                train(name, real_name, f)


if __name__ == "__main__":
    main()
