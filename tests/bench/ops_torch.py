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
    "concat": lambda: lambda x: torch.cat((x, x), 1),
    "transpose": lambda: lambda x: x.transpose(2, 3).contiguous(),
    "axis_mean": lambda: lambda x: x.mean((2, 3)),
    "axis_max": lambda: lambda x: x.max(1).values,
    "matmul": lambda: lambda x: torch.matmul(x, x),
    "local2d": lambda: Local(8, 8, 3, 14 * 14),
}


def main(row, batch, dims, seconds):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    op = ROWS[row]()
    x = torch.randn(int(batch), *map(int, dims.split(",")), requires_grad=True)
    dy = torch.randn_like(op(x))
    rounds, end = [], time.perf_counter() + float(seconds) + 0.1
    while time.perf_counter() < end or len(rounds) < 5:
        start = time.perf_counter()
        op(x).backward(dy)
        rounds.append(time.perf_counter() - start)
        x.grad = None
    print(f"{statistics.median(rounds) * 1e6:.2f}")


main(*sys.argv[1:])
