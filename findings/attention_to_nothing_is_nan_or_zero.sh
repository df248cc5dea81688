#!/usr/bin/env bash
# torch 2.13.0 (CPU, Python 3.11): who may attend to nothing gets 0, NaN or the mean of all, by an argument that is about something else.
#
# Seen: a batch in which one sample has all its keys masked, as a clip without speech has no audio tokens. `scaled_dot_product_attention` answers 0, with a mask of
# bools and of -inf alike. nn.MultiheadAttention, given the same key_padding_mask, answers NaN by default and a finite number (its output's bias) with need_weights=False,
# which its documentation recommends for speed. TransformerEncoderLayer asks for no weights, so it is finite, and a copy of it that looks at
# the weights is not. A mask filled with the least float32 in place of -inf gives the mean of the hidden values: what was masked is read. Gradients follow: with NaN
# the one clip spoils the whole batch's step. A model that trains without weights asked for breaks when they are plotted.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attention

torch.manual_seed(0)
WIDTH, KEYS = 16, 4
query, key, value = torch.randn(3, 2, 1, KEYS, WIDTH)
seen = torch.ones(2, 1, KEYS, KEYS, dtype=torch.bool)
seen[1] = False  # the second sample has nothing to look at
answers = {}
for name, mask in {
    "bools": seen,
    "-inf": torch.zeros(seen.shape).masked_fill(~seen, -torch.inf),
    "least float32": torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min),
}.items():
    answers[name] = attention(query, key, value, attn_mask=mask)[1, 0]
    print(f"scaled_dot_product_attention, {name:14} {answers[name][0, :3].tolist()}")
assert not answers["bools"].any() and not answers["-inf"].any(), "changed"
assert torch.allclose(answers["least float32"], value[1, 0].mean(0).expand(KEYS, WIDTH), atol=1e-6), "changed"

module = nn.MultiheadAttention(WIDTH, 1, batch_first=True)
nn.init.constant_(module.out_proj.bias, 0.25)
states, padding = torch.randn(2, KEYS, WIDTH), torch.tensor([[False] * KEYS, [True] * KEYS])
for asked, expected in ((True, "NaN"), (False, "its bias")):
    module.zero_grad()
    answer = module(states, states, states, key_padding_mask=padding, need_weights=asked)[0]
    answer[0].sum().backward()  # of the sample that has keys
    sound = torch.isfinite(module.in_proj_weight.grad).all().item()
    print(f"MultiheadAttention, need_weights={asked}: {answer[1, 0, :3].tolist()}, gradients of the other sample finite: {sound}")
    assert torch.isfinite(answer[0]).all()
    if asked:
        assert answer[1].isnan().all() and not sound, "changed"
    else:
        assert torch.allclose(answer[1], torch.tensor(0.25)) and sound, "changed"

layer = nn.TransformerEncoderLayer(WIDTH, 1, 32, dropout=0, batch_first=True)
finite = layer(states, src_key_padding_mask=padding).isfinite().all().item()
print("TransformerEncoderLayer finite:", finite)
assert finite, "changed"
PY
