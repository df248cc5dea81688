"""Audio: wav2vec 2.0 states at the video rate, their projection to tokens, and per-latent-frame cross-attention."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.normalization import FP32LayerNorm
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2Model

from media.speech.level import RATE, sound_end
from media.weights import load_network
from omnihuman.conditions.hearing import Hearing, prepared
from omnihuman.deferred_imports import deferring
from omnihuman.errors import InputError, reading_weights
from omnihuman.latents import fold_frames_into_latents
from omnihuman.placement import execution_device

# A tenth of a second: less sound is heard with the silence behind it.
LEAST = 1_600
AUDIO_REMEDY = "download a wav2vec 2.0 such as facebook/wav2vec2-base-960h again, or put the config.json there that belongs to the file"
# What stands in for masked sound in training alone; models trained further without masks lack it.
AUDIO_UNUSED = (r"masked_spec_embed$",)
# Heads: letters (CTC), classes, and what pre-training compares with.
AUDIO_BESIDE = (r"lm_head\.", r"classifier\.", r"projector\.", r"quantizer\.", r"project_(q|hid)\.")


class AudioEncoder:
    """A frozen wav2vec 2.0 that returns every hidden state, resampled from its 50 Hz to the video rate."""

    @deferring()
    def __init__(self, path: str | Path, dtype: torch.dtype = torch.float32):
        """Load a transformers folder or hub id.

        Raises:
            MissingWeights: nothing there that can be read.
            WrongWeights: not this network's weights, whole.
        """
        with reading_weights(path):
            model = load_network(
                Wav2Vec2Model, path, AUDIO_REMEDY, may_lack=AUDIO_UNUSED, may_have=AUDIO_BESIDE, dtype=dtype
            )
        self.model = model.eval().requires_grad_(False)
        self.hearing = Hearing.read(path)

    def encode(self, waveforms: Tensor, frames: int, fps: float) -> Tensor:
        """`(B, S)` float 16 kHz, each whole, to `(B, frames, K, D)` of its first frames; see `encode_audio`."""
        return encode_audio(self.model, prepared(waveforms, self.hearing.normalised), frames, fps)


@torch.no_grad()
def encode_audio(
    model: Wav2Vec2Model, waveforms: Tensor, frames: int, fps: float, states: Sequence[int] | None = None
) -> Tensor:
    """Hidden states at the video rate.

    A group norm takes its mean over all that it is given: half a second of sound has other states with silence behind it. So for
    an encoder that has one the frames of a sound that ends before the video are heard without that silence, in training as in
    generation. A layer norm looks at one moment, and there silence behind is nearer to what would have followed than nothing is.

    Args:
        model: wav2vec 2.0.
        waveforms: `(B, S)` float, 16 kHz, as `omnihuman.conditions.hearing.prepared` gives it. Sound shorter than the video is
            padded with silence, longer sound is cut.
        frames: of the video.
        fps: of the video.
        states: which hidden states, rising, 0 the input of the first layer; None or none is every one.

    Returns:
        `(B, frames, K, D)` float32, K hidden states, interpolated at frame centres.

    Raises:
        InputError: the encoder has fewer hidden states.
    """
    count = model.config.num_hidden_layers + 1
    chosen = list(states or range(count))
    if chosen[-1] >= count:
        raise InputError(
            f"encoders.audio_states asks for hidden state {chosen[-1]}, and the audio encoder has {count}, 0 to {count - 1}"
        )
    wanted = round(frames / fps * RATE)
    heard = resample_states(_states(model, waveforms[:, :wanted], wanted, chosen), frames, fps)
    if model.config.feat_extract_norm != "group":
        return heard
    centres = (torch.arange(frames, device=heard.device) + 0.5) / fps * RATE
    for index, sound in enumerate(waveforms[:, :wanted].cpu().numpy()):
        end = sound_end(sound)
        if LEAST <= end < wanted - RATE / fps:
            alone = resample_states(_states(model, waveforms[index : index + 1, :end], end, chosen), frames, fps)[0]
            heard[index] = torch.where((centres < end)[:, None, None], alone, heard[index])
    return heard


def _states(model: Wav2Vec2Model, waveforms: Tensor, length: int, chosen: Sequence[int]) -> Tensor:
    """`(B, T50, K, D)` float32 of `(B, S)` sound, S at most `length`: the K states that are chosen."""
    # The stem's receptive field is 400 samples: that much silence at the end gives the last frame its own state.
    padded = F.pad(waveforms, (0, length - waveforms.shape[1] + 400))
    padded = padded.to(execution_device(model), model.dtype)
    states = model(padded, output_hidden_states=True).hidden_states
    return torch.stack([states[number] for number in chosen], dim=2).float()


def resample_states(states: Tensor, frames: int, fps: float, rate: float = 50.0) -> Tensor:
    """`(B, T50, K, D)` at `rate` Hz to `(B, frames, K, D)`: linear interpolation at each frame's centre.

    State i of wav2vec 2.0 sees samples 320 i to 320 i + 400, whose centre is at (320 i + 200) / 16000 seconds.
    """
    centre = (torch.arange(frames, device=states.device) + 0.5) / fps
    position = (centre * rate - 200 / 320).clamp(0, states.shape[1] - 1)
    low = position.floor().long()
    high = (low + 1).clamp_max(states.shape[1] - 1)
    weight = (position - low).view(1, -1, 1, 1).to(states)
    return states[:, low] * (1 - weight) + states[:, high] * weight


class AudioProjection(nn.Module):
    """wav2vec states to audio tokens (OmniHuman-1 section 3.1: MLP, neighbouring frames concatenated).

    Layers are mixed with learned softmax weights, each frame is joined with `window` neighbours on either side, an MLP
    brings it to model width, and the frames of a latent become its tokens: frame 0 alone (four times) for latent 0,
    frames 4k-3..4k for latent k; so where a latent holds four frames. A learned slot embedding tells the four apart.
    """

    def __init__(self, audio_dim: int, layers: int, dim: int, window: int, temporal_stride: int = 4):
        super().__init__()
        self.window, self.temporal_stride = window, temporal_stride
        self.layer_mix = nn.Parameter(torch.zeros(layers))
        self.norm_in = nn.LayerNorm(audio_dim)
        self.linear_1 = nn.Linear(audio_dim * (2 * window + 1), dim)
        self.linear_2 = nn.Linear(dim, dim)
        self.norm_out = nn.LayerNorm(dim)
        self.slot_embedding = nn.Parameter(0.02 * torch.randn(temporal_stride, dim))

    def forward(self, audio: Tensor) -> Tensor:
        """`(B, sn+1, K, D_audio)` to `(B, n+1, s, dim)`, s the temporal stride.

        Raises:
            InputError: the number of hidden states or their width is not what this model was built for.
        """
        layers, width = self.layer_mix.shape[0], self.norm_in.normalized_shape[0]
        if audio.ndim != 4 or audio.shape[2:] != (layers, width):
            raise InputError(
                f"audio features are {tuple(audio.shape[2:])} (hidden states, width); this model takes ({layers}, {width}): "
                "the wav2vec 2.0 that made them is not the one the model was trained with"
            )
        mixed = torch.einsum("btkd,k->btd", audio, self.layer_mix.softmax(0).to(audio))
        mixed = self.norm_in(mixed)
        neighbours = torch.cat([_shift(mixed, step) for step in range(-self.window, self.window + 1)], dim=-1)
        tokens = self.norm_out(self.linear_2(F.silu(self.linear_1(neighbours))))
        return fold_frames_into_latents(tokens, 1, self.temporal_stride) + self.slot_embedding


def _shift(x: Tensor, step: int) -> Tensor:
    """Frame t holds frame t + step; the edges repeat."""
    index = (torch.arange(x.shape[1], device=x.device) + step).clamp(0, x.shape[1] - 1)
    return x[:, index]


class PerFrameAudioProcessor:
    """The arithmetic of `PerFrameAudioAttention`, apart from its weights as diffusers has it.

    It has a backend and no parallel configuration: audio tokens are few and whole on every rank, so context parallelism
    splits the video tokens only.
    """

    _attention_backend = None

    def __call__(
        self, attn: "PerFrameAudioAttention", hidden_states: Tensor, audio_tokens: Tensor, first: int, frame_tokens: int
    ) -> Tensor:
        """Video tokens `(B, N, dim)` at positions `first` and on, to what each hears of its own latent frame."""
        count, frames = hidden_states.shape[1], audio_tokens.shape[1]
        start, stop, before = frames_of_slice(first, count, frame_tokens, frames)
        after = (stop - start) * frame_tokens - before - count
        tokens = (audio_tokens if stop - start == frames else audio_tokens[:, start:stop]).flatten(0, 1)
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        if before or after:
            # A slice may start or end in mid-frame: its frames are filled up with queries whose answers are cut off again.
            query = F.pad(query, (0, 0, 0, 0, before, after))
        key = attn.norm_k(attn.to_k(tokens)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(tokens).unflatten(2, (attn.heads, -1))
        query = query.unflatten(1, (stop - start, frame_tokens)).flatten(0, 1)
        heard = dispatch_attention_fn(query, key, value, backend=self._attention_backend).flatten(2, 3).type_as(query)
        heard = heard.unflatten(0, (-1, stop - start)).flatten(1, 2)
        return attn.to_out(heard[:, before : before + count] if before or after else heard)


def frames_of_slice(first: int, count: int, frame_tokens: int, frames: int) -> tuple[int, int, int]:
    """Latent frames `start` to `stop` that `count` tokens from position `first` touch, and the tokens before them in `start`.

    A slice without video tokens counts as an empty part of the last frame, so that every rank runs every layer: collectives
    of gradients need the same parameters everywhere.
    """
    if count == 0:
        return frames - 1, frames, 0
    start = first // frame_tokens
    return start, -(-(first + count) // frame_tokens), first - start * frame_tokens


class PerFrameAudioAttention(nn.Module, AttentionModuleMixin):
    """Video tokens of a latent frame attend to that latent's audio tokens and to no others; output starts at zero."""

    _default_processor_cls = PerFrameAudioProcessor
    _available_processors = [PerFrameAudioProcessor]
    _supports_qkv_fusion = False
    processor: PerFrameAudioProcessor

    def __init__(self, dim: int, heads: int, eps: float):
        super().__init__()
        self.heads = heads
        self.norm = FP32LayerNorm(dim, eps, elementwise_affine=True)
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.norm_q = nn.RMSNorm(dim, eps=eps)
        self.norm_k = nn.RMSNorm(dim, eps=eps)
        self.to_out = nn.Linear(dim, dim)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)
        self.processor = PerFrameAudioProcessor()

    def forward(
        self,
        hidden_states: Tensor,
        audio_tokens: Tensor,
        mask: Tensor | None,
        first: int = 0,
        frame_tokens: int | None = None,
    ) -> Tensor:
        """What audio adds to the video tokens.

        Args:
            hidden_states: `(B, N, dim)` video tokens; under context parallelism a slice of them.
            audio_tokens: `(B, F, 4, dim)` of every latent frame.
            mask: `(B,)` or None; 0 mutes a sample.
            first: position of the first video token given.
            frame_tokens: video tokens of a latent frame; left out, the tokens given are all there are.

        Returns:
            `(B, N, dim)`.
        """
        normed = self.norm(hidden_states.float()).type_as(hidden_states)
        per_frame = hidden_states.shape[1] // audio_tokens.shape[1] if frame_tokens is None else frame_tokens
        increment = self.processor(self, normed, audio_tokens, first, per_frame)
        return increment if mask is None else increment * mask.view(-1, 1, 1).to(increment)
