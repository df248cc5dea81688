"""`OmniHumanPipeline`: prompt, reference image, sound and keypoints in, video frames out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ModelMixin, UniPCMultistepScheduler
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Wav2Vec2Model

from media.speech.level import RATE
from media.weights import refuse_pickles
from omnihuman.autoencoder import check_grid, decode_video, load_autoencoder, profile_grid, use_fast_layers
from omnihuman.bases.checkpoint import class_name
from omnihuman.bases.model import OmniHumanModel
from omnihuman.bases.registry import base_of_class
from omnihuman.conditions.activation import activate_conditions
from omnihuman.conditions.audio import AudioEncoder
from omnihuman.conditions.encoding_cache import EncodingCache
from omnihuman.conditions.pictures import LATENTS, OUTPUT_TYPES, Pictures, fit_reference, from_pixels, to_reference
from omnihuman.conditions.prompts import clean_prompt
from omnihuman.conditions.sounds import Sounds, share_out, to_sounds
from omnihuman.conditions.text import ENCODERS, TOKENIZERS, TextEncoder
from omnihuman.deferred_imports import deferring
from omnihuman.errors import InputError, MissingWeights, reading_weights
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.sampling import StepEnd, build_scheduler
from omnihuman.saved_encoders import load_encoders
from omnihuman.streaming.decoder import with_stream_decoder
from omnihuman.streaming.stream import stream_latents
from omnihuman.talking import OmniHumanOutput, Talking
from omnihuman.wan.lora import LoraLoading
from profiles import Profile, resolve_source
from profiles.conditions import TRACKS
from profiles.judging import SamplingConfig

# Of diffusers' `from_pretrained`, those that say what is downloaded and from where.
HUB_OPTIONS = (
    "cache_dir",
    "force_download",
    "proxies",
    "local_files_only",
    "token",
    "revision",
    "variant",
    "use_safetensors",
)


class OmniHumanPipeline(Talking, LoraLoading, DiffusionPipeline):
    """Audio-driven (no keypoints) and pose-driven generation with a teacher or a one-step student.

    Args:
        text_encoder, tokenizer: and of some bases up to two more, under the names of their published folders
            (`omnihuman.conditions.text_of_bases`).
        buckets: frames, height and width of the windows that the model was trained on; empty where nothing says.
        streaming: how the model streams (`omnihuman.streaming.settings.Streaming`); empty where it was not trained to.

    Example:
        >>> pipe = OmniHumanPipeline.from_pretrained("model")  # the folder of a registered version, or of `save_pretrained`
        >>> pipe("A person talks.", image="face.png", audio=sound).frames.shape  # one window
        torch.Size([1, 17, 64, 64, 3])
        >>> pipe.talk("face.png", "voice.wav").frames.shape  # as long as the sound
        torch.Size([1, 25, 64, 64, 3])
    """

    scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler
    model_cpu_offload_seq = "text_encoder->text_encoder_2->text_encoder_3->audio_encoder->transformer->vae"
    _optional_components = [*ENCODERS[1:], *TOKENIZERS[1:]]  # noqa: RUF012 - diffusers' own attribute
    _callback_tensor_inputs = ["latents"]

    def __init__(
        self,
        transformer: OmniHumanModel,
        vae: ModelMixin,
        text_encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        audio_encoder: Wav2Vec2Model,
        scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler,
        num_inference_steps: int = 20,
        fps: float = 16.0,
        text_tokens: int = 32,
        pose_keypoints: list[int] = [7, 8, 9, 10],  # noqa: B006 - diffusers reads this annotation; never changed
        guidance_scale: float = 1.0,
        normalise_sound: bool = False,
        buckets: list[list[int]] = [],  # noqa: B006 - as above
        audio_states: list[int] = [],  # noqa: B006 - as above
        streaming: dict[str, Any] = {},  # noqa: B006 - as above
        text_encoder_2: PreTrainedModel = None,  # type: ignore[assignment] # diffusers reads no union
        tokenizer_2: PreTrainedTokenizerBase = None,  # type: ignore[assignment] # as above
        text_encoder_3: PreTrainedModel = None,  # type: ignore[assignment] # as above
        tokenizer_3: PreTrainedTokenizerBase = None,  # type: ignore[assignment] # as above
    ):
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=use_fast_layers(vae),
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            text_encoder_3=text_encoder_3,
            tokenizer_3=tokenizer_3,
            audio_encoder=audio_encoder,
            scheduler=scheduler,
        )
        self.register_to_config(
            num_inference_steps=num_inference_steps,
            fps=fps,
            text_tokens=text_tokens,
            pose_keypoints=list(pose_keypoints),
            guidance_scale=guidance_scale,
            normalise_sound=normalise_sound,
            buckets=[list(bucket) for bucket in buckets],
            audio_states=list(audio_states),
            streaming=dict(streaming),
        )
        self.set_progress_bar_config(disable=True)
        self.encoding_cache = EncodingCache()

    @classmethod
    @deferring()
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As diffusers', but an encoder whose files lack weights, or have others, is an error and not a warning.

        Raises:
            media.weights.WrongWeights: (a ValueError) with the place and the keys, or pickles; of the transformer `CheckpointError`.
        """
        place = pretrained_model_name_or_path
        hub = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs}
        folder = Path(place) if Path(place).is_dir() else Path(cls.download(place, use_safetensors=True, **hub))
        for part in folder.iterdir():
            refuse_pickles(part)
        encoders = load_encoders(folder, kwargs)
        if kwargs.get("device_map") is None and kwargs.get("quantization_config") is None:
            # Else they were read to be looked at: diffusers places and shrinks what it reads itself.
            kwargs = encoders | kwargs
        return super().from_pretrained(str(folder), **kwargs | {"use_safetensors": True})

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] = "",
        image: Pictures | None = None,
        audio: Sounds | None = None,
        pose: Tensor | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_scale_end: float | None = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "frames",
        guidance: OmniHumanGuidance | None = None,
        activate: str | None = None,
        without: Collection[str] = (),
        reference: Tensor | None = None,
        negative_prompt: str | Sequence[str] = "",
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        keypoints: Tensor | None = None,
        sample_rate: int = RATE,
    ) -> OmniHumanOutput:
        """Generate a batch of clips of one window. `talk` makes a video as long as its sound.

        One prompt, picture, sound or pose among several of the others serve all clips: one picture and a list of sounds is one
        person who says several things.

        Args:
            prompt: captions, cleaned as Wan's (`omnihuman.conditions.prompts.clean_prompt`); empty leaves text off.
            image: pictures that give identity and size, as people have them: see `omnihuman.conditions.pictures.to_reference`. One of
                another size than the model's goes to the nearest, see `omnihuman.conditions.pictures.fit_reference`.
            audio: sounds as people have them, see `omnihuman.conditions.sounds.to_sounds`. A voice far from
                `media.speech.level.LEVEL` is brought to it.
            pose: `(B, T, 133, 3)` COCO-WholeBody keypoints: x, y in pixels and confidence. Leave out for audio-driven.
            num_frames: 4n+1; default the model's window, and then a sound that is longer is refused. Sound past a length that is given is
                not heard, which is said.
            num_inference_steps: default is the model's own: 1 for a distilled student.
            guidance_scale: on text and audio together; 1 samples without a second pass.
            guidance_scale_end: scale at the last step; default the same.
            height, width: needed without an image, and pictures are brought to them; multiples of `multiple`.
            generator: one for all, or one per clip, for repeatable noise.
            output_type: "frames" (uint8), "latents" `(B, C, F, h, w)` normalised, or diffusers' "pil", "np", "pt", "latent".
            guidance: scales of their own for text and audio, or another annealing; instead of the two above.
            activate: the strongest condition to use, see `omnihuman.conditions.activation.activate_conditions`; default all given.
            without: conditions to leave out although given.
            reference: earlier name of `image`, `(B, H, W, 3)` uint8.
            negative_prompt: what guidance leads away from, one for all or one per prompt; without guidance it has no effect.
            callback_on_step_end: see `StepEnd`; setting `pipeline._interrupt` in it ends the sampling early.
            callback_on_step_end_tensor_inputs: as in diffusers; there is only "latents".
            keypoints: earlier name of `pose`.
            sample_rate: of samples in `audio`, Hz.

        Raises:
            InputError: a prompt that is no text, fewer than one step, sizes that do not fit each other or the model's strides, guidance for a one-step student, or
                (`ConditionError`) conditions that do not go together.
        """
        prompts = _texts(prompt)
        if num_inference_steps is not None and num_inference_steps < 1:
            raise InputError(
                f"num_inference_steps is 1 or more, got {num_inference_steps}; leave it out for the model's own"
            )
        if pose is not None and keypoints is not None:
            raise InputError("pose and keypoints are the same; give one of them")
        keypoints = pose if keypoints is None else keypoints
        if output_type not in OUTPUT_TYPES:
            raise InputError(f"output_type is one of {', '.join(OUTPUT_TYPES)}, got {output_type!r}")
        given_reference, (height, width) = fit_reference(
            _one_of(reference, image), height, width, self.shapes(), self.multiple
        )
        inputs = {"reference": given_reference, "pose": keypoints}
        given = {name: value for name, value in inputs.items() if value is not None}
        if audio is not None:
            clips = max(len(prompts), *(len(value) for value in given.values()), 0)
            given["audio"] = to_sounds(audio, sample_rate, clips, round(RATE / self.config.fps))
        prompts, given = share_out(prompts, given)
        num_frames = self.frames_for(given.get("audio"), num_frames, height, width)
        active = activate_conditions([*given, *["text"] * any(map(clean_prompt, prompts))], activate, without)
        steps = num_inference_steps or self.config.num_inference_steps
        guidance = self.choose_guidance(steps, guidance_scale, guidance_scale_end, guidance)
        step_end = _step_end(callback_on_step_end, callback_on_step_end_tensor_inputs)
        shown = {name: given[name] if name in active.on else None for name in ("reference", "audio")}
        tracks = {name: given[name] for name in TRACKS if name in active.on}
        words = prompts if "text" in active.on else [""] * len(prompts)
        if self.config.streaming:
            latents = stream_latents(
                self, words, shown["reference"], shown["audio"], tracks, num_frames, height, width, generator
            )
        else:
            conditions = self.encode_conditions(
                words, shown["reference"], shown["audio"], tracks, num_frames, height, width
            )
            latents = self.sample(
                conditions, len(words), num_frames, height, width, steps, guidance, generator, negative_prompt, step_end
            )
        made = latents if output_type in LATENTS else from_pixels(decode_video(self.vae, latents), output_type)
        self.forget_sound()
        self.maybe_free_model_hooks()
        making = None
        if len(prompts) == 1 and output_type == "frames":
            heard = given["audio"][0] if "audio" in active.on else None
            seed = generator.initial_seed() if isinstance(generator, torch.Generator) else None
            making = self.making(prompts[0] if "text" in active.on else "", heard, seed, steps, guidance)
        return OmniHumanOutput(frames=made, conditions=active.record(), making=making)


def _texts(prompt: str | Sequence[str]) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) or not isinstance(prompt, Iterable) else list(prompt)
    if strange := [one for one in prompts if not isinstance(one, str)]:
        raise InputError(f'a prompt is a text, or a list of them, got {strange[0]!r}; "" leaves text off')
    return prompts


def _one_of(reference: Tensor | None, image: Pictures | None) -> Tensor | None:
    if image is None:
        return reference
    if reference is not None:
        raise InputError("image and reference are the same; give one of them")
    return to_reference(image)


def _step_end(callback: StepEnd | None, tensors: Sequence[str]) -> StepEnd | None:
    strange = set(tensors) - set(OmniHumanPipeline._callback_tensor_inputs)
    if strange:
        raise InputError(f"callback_on_step_end_tensor_inputs may name latents, got {', '.join(sorted(strange))}")
    return callback


def build_pipeline(
    profile: Profile,
    transformer: str | Path | OmniHumanModel,
    num_inference_steps: int,
    streaming: Mapping[str, Any] | None = None,
) -> OmniHumanPipeline:
    """Join a checkpoint's transformer with the profile's frozen encoders.

    Args:
        profile: names the encoders.
        transformer: a diffusers folder (`config.json` beside the safetensors) or a model.
        num_inference_steps: what the pipeline samples with by default; 1 for a student, whose few steps are not shifted.
        streaming: of a streaming student, what its training put down (`omnihuman.streaming.settings.Streaming`); its autoencoder is the one for streams.

    Raises:
        MissingWeights: the checkpoint folder does not exist.
        InputError: the autoencoder has other latents than the profile says, or the transformer takes text of another number of encoders or
            of another width.
    """
    if not isinstance(transformer, OmniHumanModel):
        transformer = load_transformer(transformer)
    autoencoder = load_autoencoder(resolve_source(profile.encoders.autoencoder))
    check_grid(autoencoder, profile_grid(profile), profile.encoders.autoencoder)
    if streaming:
        autoencoder = with_stream_decoder(profile, autoencoder)
    sources = profile.encoders.texts
    transformer.check_texts(len(sources))
    width = transformer.text_width(transformer.config)
    text = TextEncoder([resolve_source(source) for source in sources], profile.encoders.text_tokens, width)
    sound = AudioEncoder(resolve_source(profile.encoders.audio))
    return OmniHumanPipeline(
        transformer=transformer.eval().requires_grad_(False),
        vae=autoencoder,
        audio_encoder=sound.model,
        normalise_sound=sound.hearing.normalised,
        audio_states=list(profile.encoders.audio_states or ()),
        scheduler=build_scheduler(SamplingConfig() if num_inference_steps == 1 else profile.evaluation.sampling),
        num_inference_steps=num_inference_steps,
        fps=profile.video.fps,
        buckets=[[bucket.frames, bucket.height, bucket.width] for bucket in profile.video.all_buckets],
        text_tokens=profile.encoders.text_tokens,
        pose_keypoints=list(profile.transformer.pose_keypoints),
        guidance_scale=1.0 if num_inference_steps == 1 else profile.evaluation.guidance_scale,
        streaming=dict(streaming or {}),
        **text.modules(),
    )


def load_transformer(folder: str | Path) -> OmniHumanModel:
    """Read a checkpoint's transformer, safetensors only.

    Raises:
        MissingWeights: nothing there, with the asset that makes it.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise MissingWeights(
            f"no transformer at {path}; materialise the asset that writes it (see `python -m assets --help`)"
        )
    kind = class_name(path)
    base = base_of_class(kind, path)
    if kind != base.model:
        raise InputError(f"{path} holds a {kind}; {base.model}.from_base reads a published one")
    with reading_weights(path):
        return base.load().from_pretrained(str(path), use_safetensors=True)
