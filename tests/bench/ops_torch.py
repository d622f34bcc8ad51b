"""One operation of ops.sh in PyTorch, forward and backward, on one thread.

usage: ops_torch.py ROW BATCH INPUT SECONDS          prints microseconds, the median of its rounds
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Local(nn.Module):
    """A locally connected layer: windows unfolded, each times the weights of its position."""

    def __init__(self, channels, filters, kernel, positions):
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.randn(positions, filters, channels * kernel * kernel))
        self.bias = nn.Parameter(torch.randn(filters, positions))

    def forward(self, x):
        return torch.einsum("bkl,lok->bol", F.unfold(x, self.kernel), self.weight) + self.bias


ROWS = {
    "layernorm": lambda: nn.LayerNorm([16, 16, 16]),
    "groupnorm": lambda: nn.GroupNorm(4, 16),
    "conv_transpose": lambda: nn.ConvTranspose2d(16, 16, 4, 2, 1),
    "upsample": lambda: nn.Upsample(scale_factor=2),
    "adaptive_avgpool": lambda: nn.AdaptiveAvgPool2d(4),
    "global_avgpool": lambda: nn.AdaptiveAvgPool2d(1),
    "global_maxpool": lambda: nn.AdaptiveMaxPool2d(1),
    "depthwise": lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32),
    "reflect": lambda: nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
    "pool_overlap": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "conv1d": lambda: nn.Conv1d(16, 16, 5, padding=2),
    "grouped": lambda: nn.Conv2d(32, 32, 3, padding=1, groups=4),
    "concat": lambda: lambda x: torch.cat((x, x), 1),
    "concat_two": lambda: lambda x, z: torch.cat((x, z), 1),
    "transpose": lambda: lambda x: x.transpose(2, 3).contiguous(),
    "axis_mean": lambda: lambda x: x.mean((2, 3)),
    "axis_max": lambda: lambda x: x.max(1).values,
    "matmul": lambda: lambda x: torch.matmul(x, x),
    "matmul_two": lambda: torch.matmul,
    "embedding": lambda: nn.Embedding(256, 64),
    "local2d": lambda: Local(8, 8, 3, 14 * 14),
    "own_conv": lambda: nn.Conv2d(16, 16, 3, padding=1, bias=False),
    "own_steps": lambda: nn.Linear(64, 64, bias=False),
    "own_product": lambda: torch.matmul,
}
TWO = ("concat_two", "matmul_two", "own_product")       # rows with two operands


def operand(batch, kind):
    """kind: f32[16,4,4], or u8[64] for numbers of tokens."""
    shape = [batch, *map(int, kind[kind.index("[") + 1:-1].split(","))]
    if kind.startswith("u8"):
        return torch.randint(0, 256, shape)
    return torch.randn(shape, requires_grad=True)


def main(row, batch, kind, seconds):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    op = ROWS[row]()
    x = [operand(int(batch), kind) for _ in range(2 if row in TWO else 1)]
    leaves = x + (list(op.parameters()) if isinstance(op, nn.Module) else [])
    dy = torch.randn_like(op(*x))
    rounds, end = [], time.perf_counter() + float(seconds) + 0.1
    while time.perf_counter() < end or len(rounds) < 5:
        start = time.perf_counter()
        op(*x).backward(dy)
        rounds.append(time.perf_counter() - start)
        for leaf in leaves:
            leaf.grad = None
    print(f"{statistics.median(rounds) * 1e6:.2f}")


main(*sys.argv[1:])
