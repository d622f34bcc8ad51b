#!/usr/bin/python3
"""Prints what tests/e2e/course_text.sh expects of a net that reads lines: the loss of every step,
and loss and perplexity at the end, as PyTorch's cross_entropy with ignore_index computes them.

    python3 tests/golden/torch/make_padded.py
"""
import math

import torch
import torch.nn.functional as F

TEXT, T, BATCH = "abc\nde\nfghijabcdefg\na\nbadge\n", 8, 4
vocabulary = sorted(set(TEXT))
inputs, targets = [], []
for line in TEXT.splitlines():
    tokens = [vocabulary.index(c) for c in f"\n{line}\n"]
    for begin in range(0, len(tokens) - 1, T):
        inputs.append([tokens[i] if i < len(tokens) else tokens[0]
                       for i in range(begin, begin + T)])
        targets.append([tokens[i] if i < len(tokens) else -1
                        for i in range(begin + 1, begin + T + 1)])
x, y = torch.tensor(inputs), torch.tensor(targets)


def loss(net, first, n):
    logits = net(x[first:first + n]).reshape(-1, len(vocabulary))
    return F.cross_entropy(logits, y[first:first + n].reshape(-1), ignore_index=-1)


torch.manual_seed(5)
net = torch.nn.Embedding(len(vocabulary), len(vocabulary))
optimizer = torch.optim.SGD(net.parameters(), lr=1)
for epoch in range(2):
    for first in range(0, len(inputs), BATCH):
        optimizer.zero_grad()
        value = loss(net, first, BATCH)
        value.backward()
        optimizer.step()
        print(value.item())
value = loss(net, 0, len(inputs)).item()
print(value, math.exp(value))
