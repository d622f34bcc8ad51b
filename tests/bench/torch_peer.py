"""The nets of nets/*.nn in PyTorch, timed as the command bench of a generated program times itself.

usage: torch_peer.py NET BATCH THREADS [SECONDS]     one JSON object on standard output
       torch_peer.py --start NET BATCH FILE          writes parameters, samples and labels for other peers
       torch_peer.py --check                         is this PyTorch worth comparing with? exit 0, or 3

Weights and samples are drawn in the order that `rng: torch; seed: 0;` repeats, so losses can be compared.
At its best on Debian: apt-get install python3-torch libopenblas0-openmp, OPENBLAS_CORETYPE as --check says.
"""
import ctypes
import json
import statistics
import sys
import time

import torch
from torch import nn

CHECK_STEPS = 5
WARM_SECONDS = 0.2
GOOD_CORES = {"SkylakeX", "Cooperlake", "Sapphirerapids", "Zen", "Haswell"}
WIDE_CORES = {"SkylakeX", "Cooperlake", "Sapphirerapids"}


def dense(*sizes):
    layers = [nn.Flatten()]
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return layers[:-1]


def convs(*rows):
    """rows: (in, out, kernel, pad, pool after it?)"""
    layers = []
    for fan_in, fan_out, kernel, pad, pool in rows:
        layers += [nn.Conv2d(fan_in, fan_out, kernel, padding=pad), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
    return layers


def conv_norm(fan_in, fan_out, kernel, stride):
    conv = nn.Conv2d(fan_in, fan_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(fan_out))


class Residual(nn.Module):
    def __init__(self, fan_in, fan_out, stride):
        super().__init__()
        self.first = conv_norm(fan_in, fan_out, 3, stride)
        self.second = conv_norm(fan_out, fan_out, 3, 1)
        same = fan_in == fan_out and stride == 1
        self.shortcut = nn.Identity() if same else conv_norm(fan_in, fan_out, 1, stride)

    def forward(self, x):
        inner = self.second(torch.relu(self.first(x)))
        return torch.relu(inner + self.shortcut(x))


def resnet20():
    layers, width = [conv_norm(3, 16, 3, 1), nn.ReLU()], 16
    for out in (16, 32, 64):
        for block in range(3):
            layers.append(Residual(width, out, 2 if block == 0 and out > 16 else 1))
            width = out
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def vgg_small():
    rows = [(a, b, 3, 1, pool) for a, b, pool in ((3, 64, 0), (64, 64, 1), (64, 128, 0),
                                                 (128, 128, 1), (128, 256, 0), (256, 256, 1))]
    return nn.Sequential(*convs(*rows), *dense(4096, 256, 10))


class Recurrent(nn.Module):
    """Windows of one-hot symbols to scores of the next one at each step."""
    def __init__(self, layer):
        super().__init__()
        self.states = layer(SYMBOLS, 128, batch_first=True)
        self.scores = nn.Linear(128, SYMBOLS)

    def forward(self, x):
        states, _ = self.states(nn.functional.one_hot(x, SYMBOLS).float())
        return self.scores(states).flatten(0, 1)


WINDOW, SYMBOLS = 64, 65
GREY28, GREY32, COLOUR32 = (1, 28, 28), (1, 32, 32), (3, 32, 32)
NETS = {
    "softmax": (GREY28, lambda: nn.Sequential(*dense(784, 10))),
    "mlp": (GREY28, lambda: nn.Sequential(*dense(784, 512, 256, 10))),
    "course_cnn": (GREY32, lambda: nn.Sequential(
        *convs((1, 2, 2, 1, 1), (2, 4, 2, 1, 1), (4, 8, 2, 1, 1)), *dense(128, 32, 10))),
    "lenet5": (GREY28, lambda: nn.Sequential(
        *convs((1, 6, 5, 2, 1), (6, 16, 5, 0, 1)), *dense(400, 120, 84, 10))),
    "vgg_small": (COLOUR32, vgg_small),
    "vgg_small_fast": (COLOUR32, vgg_small),      # numerics: fast, of which PyTorch has none
    "resnet20": (COLOUR32, resnet20),
    "charlstm": (None, lambda: Recurrent(nn.LSTM)),
    "chargru": (None, lambda: Recurrent(nn.GRU)),
    "charrnn": (None, lambda: Recurrent(nn.RNN)),
}


def blas():
    """Core type, threading and threads of the OpenBLAS in this process."""
    torch.mm(torch.ones(8, 8), torch.ones(8, 8))
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "openblas" in line or "libblas" in line}
    for path in sorted(paths):
        try:
            lib = ctypes.CDLL(path)
            lib.openblas_get_corename.restype = ctypes.c_char_p
            how = ("none", "pthread", "openmp")[lib.openblas_get_parallel()]
            return lib.openblas_get_corename().decode(), how, lib.openblas_get_num_threads()
        except (OSError, AttributeError):
            continue
    return "unknown", "unknown", 0


def check():
    core, how, threads = blas()
    with open("/proc/cpuinfo") as cpuinfo:
        wide = "avx512f" in cpuinfo.read()
    print(f"PyTorch {torch.__version__}; BLAS core type {core}, threads by {how} ({threads}); "
          f"{torch.get_num_threads()} threads of PyTorch; oneDNN {torch.backends.mkldnn.is_available()}")
    if core not in (WIDE_CORES if wide else GOOD_CORES):
        print(f"refused: BLAS runs kernels for {core}; set OPENBLAS_CORETYPE to",
              "SkylakeX" if wide else "Zen or Haswell")
        return 3
    if how != "openmp":
        print("refused: BLAS and PyTorch would have a pool of threads each; "
              "install libopenblas0-openmp")
        return 3
    return 0


def times(step, seconds):
    """Warms up, then runs for so long; at least 5 runs."""
    spent, took = 0.0, []
    while spent < min(WARM_SECONDS, seconds) or spent == 0:
        start = time.perf_counter()
        step()
        spent += time.perf_counter() - start
    spent = 0.0
    while len(took) < 5 or spent < seconds:
        start = time.perf_counter()
        step()
        took.append(time.perf_counter() - start)
        spent += took[-1]
    return {"median_ns": round(statistics.median(took) * 1e9), "min_ns": round(min(took) * 1e9),
            "p99_ns": round(sorted(took)[len(took) * 99 // 100] * 1e9), "steps": len(took)}


def memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def start(name, batch):
    shape, make = NETS[name]
    torch.manual_seed(0)
    net = make().train()
    if shape is None:
        x, y = (torch.randint(0, SYMBOLS, (batch, WINDOW)) for _ in range(2))
        return net, x, y.flatten()
    return net, torch.randn(batch, *shape), torch.randint(0, 10, (batch,))


def write_start(name, batch, path):
    """As floats: parameters in order, those of batch normalisation left out (1 and 0), x, labels."""
    net, x, y = start(name, batch)
    with open(path, "wb") as out:
        for module in net.modules():
            if not isinstance(module, nn.BatchNorm2d):
                for p in module.parameters(recurse=False):
                    out.write(p.detach().numpy().tobytes())
        out.write(x.float().numpy().tobytes() + y.float().numpy().tobytes())


def bench(name, batch, threads, seconds):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    net, x, y = start(name, batch)
    rule = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        rule.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        rule.step()
        return loss

    losses = [step().item() for _ in range(CHECK_STEPS)]
    train = times(step, seconds)
    net.eval()
    with torch.inference_mode():
        infer = times(lambda: net(x), seconds)
    return {"net": name, "batch": batch, "threads": threads, "train": train, "infer": infer,
            "loss": losses, "params": sum(p.numel() for p in net.parameters()),
            "peak_rss_bytes": memory()}


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    if len(sys.argv) == 5 and sys.argv[1] == "--start":
        sys.exit(write_start(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    if len(sys.argv) < 4 or sys.argv[1] not in NETS:
        sys.exit(__doc__)
    limit = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0
    print(json.dumps(bench(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), limit)))
