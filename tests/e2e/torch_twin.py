"""The net of examples/digits.nn and a batch-normalised one in PyTorch, for export.sh.

    torch_twin.py outputs NET WEIGHTS.npz|.safetensors IMAGES.idx OUT.csv   probabilities of images
    torch_twin.py fresh NET SEED OUT.npz                                   initial weights
"""
import json
import struct
import sys

import numpy as np
import torch
from torch import nn


class Lenet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                                nn.Linear(84, 10))
        self.ours = {"c1": "conv1", "c2": "conv2", "h.dense1": "fc.0", "h.dense2": "fc.2",
                     "logits": "fc.4"}

    def forward(self, x):
        x = (x / 255 - 0.1307) / 0.3081
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.ours = {}
        self.logits = nn.ModuleDict({"dense1": nn.Linear(784, 100, bias=False),
                                     "dense2": nn.Linear(100, 10)})
        self.norm = nn.BatchNorm1d(100)

    def forward(self, x):
        x = torch.sigmoid(self.norm(self.logits["dense1"](x.flatten(1) / 255)))
        return self.logits["dense2"](x)


def load(path):
    if path.endswith(".npz"):
        return dict(np.load(path))
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    return {name: np.frombuffer(data[x["data_offsets"][0]:x["data_offsets"][1]],
                                types[x["dtype"]]).reshape(x["shape"])
            for name, x in head.items() if name != "__metadata__"}


def their_name(net, name):
    for ours, theirs in net.ours.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours):]
    return name


def main():
    net = {"lenet": Lenet, "normed": Normed}[sys.argv[2]]
    if sys.argv[1] == "fresh":
        torch.manual_seed(int(sys.argv[3]))
        np.savez_compressed(sys.argv[4], **{k: v.numpy() for k, v in net().state_dict().items()})
        return
    net = net().double()
    arrays = load(sys.argv[3])
    net.load_state_dict({their_name(net, k): torch.tensor(v) for k, v in arrays.items()})
    net.eval()
    with open(sys.argv[4], "rb") as f:
        f.read(16)
        images = np.frombuffer(f.read(), np.uint8).reshape(-1, 1, 28, 28)
    with torch.no_grad():
        p = torch.softmax(net(torch.tensor(images.astype(np.float64))), 1)
    np.savetxt(sys.argv[5], p.numpy(), "%.9g", ",")


main()
