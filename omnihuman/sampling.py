"""From noise to latents: steps of a sampler, guidance, and the noise itself."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from omnihuman.autoencoder import LatentGrid
from omnihuman.bases.model import OmniHumanModel
from omnihuman.conditions.inputs import FORWARD_NAMES, ConditionInputs
from omnihuman.errors import InputError
from omnihuman.guidance import OmniHumanGuidance
from profiles.judging import SamplingConfig

# Called after each step with (pipeline, step, timestep, {"latents": ...}); may return {"latents": ...} to go on from.
StepEnd = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor] | None]


def build_scheduler(sampling: SamplingConfig) -> FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler:
    """The sampler that a profile asks for, as Wan's pipelines configure it."""
    if sampling.solver == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=sampling.shift)
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=sampling.shift)


def sampling_of(scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler) -> SamplingConfig:
    """Solver and shift of a saved sampler.

    Raises:
        InputError: one that does not sample a velocity at shifted times.
    """
    config, euler = scheduler.config, isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
    asked = (
        {"use_dynamic_shifting": False} if euler else {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    )
    has = {name: config.get(name) for name in asked}
    if has != asked or not (euler or isinstance(scheduler, UniPCMultistepScheduler)):
        said = ", ".join(f"{name}={value}" for name, value in has.items())
        raise InputError(
            f"the pipeline's {type(scheduler).__name__}({said}) has no fixed shift of a flow's times, and this model is sampled at one; "
            "take Wan2.1's: FlowMatchEulerDiscreteScheduler(shift=3.0), or UniPCMultistepScheduler with flow_prediction, use_flow_sigmas and flow_shift"
        )
    return SamplingConfig(solver="euler" if euler else "unipc", shift=config.shift if euler else config.flow_shift)


class Sampling:
    """A part of `OmniHumanPipeline`, whose modules and configuration it reads."""

    transformer: OmniHumanModel
    scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler
    config: Any
    vae: Any
    progress_bar: Any
    _null_text: Any

    def choose_guidance(
        self,
        steps: int,
        scale: float | None = None,
        end: float | None = None,
        guidance: OmniHumanGuidance | None = None,
    ) -> OmniHumanGuidance | None:
        """The guider for a call, None where sampling takes no second pass.

        Args:
            steps: sampling steps.
            scale: on text and audio; default the model's own.
            end: at the last step; default the same.
            guidance: instead of both.

        Raises:
            InputError: both ways at once, guidance for one step of a student, whose distillation has it inside, or other than one step of a student
                that streams.
        """
        if steps != 1 and self.config.get("streaming"):
            raise InputError(
                f"a streaming student makes each latent in 1 step, not {steps}: leave the steps out, or sample the teacher"
            )
        if guidance is not None and (scale is not None or end is not None):
            raise InputError("give guidance, or guidance_scale and guidance_scale_end, not both")
        scale = self.config.guidance_scale if scale is None else scale
        asked = guidance is not None or scale != 1.0 or end not in (None, 1.0)
        if asked and steps == 1 and self.config.num_inference_steps == 1:
            raise InputError(
                "a one-step student samples without guidance (its distillation took that in): leave guidance out, or sample "
                "the teacher"
            )
        return guidance or (OmniHumanGuidance.joint(scale, end) if asked else None)

    @torch.no_grad()
    def sample(
        self,
        conditions: ConditionInputs,
        batch: int,
        num_frames: int,
        height: int,
        width: int,
        steps: int,
        guidance: OmniHumanGuidance | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        negative_prompt: str | Sequence[str] = "",
        step_end: StepEnd | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """From noise to latents `(batch, C, F, h, w)`, the conditions given on the device and in the dtype in which the transformer
        computes.

        `noise`, of the latents' shape, takes the place of what `generator` would draw.
        """
        self._interrupt = False
        if noise is None:
            noise = draw_noise(batch, LatentGrid.of(self.vae).shape(num_frames, height, width), generator)
        latents = noise.to(conditions.text.device, torch.float32)
        null = self._null_text(conditions, negative_prompt) if guidance else torch.empty(0)
        self._set_timesteps(steps, latents.device)
        for index, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            time = timestep.expand(batch).to(latents.device, torch.float32)
            if guidance is None:
                velocity = self._velocity(latents, time, conditions)
            else:
                guidance.set_state(index, steps, timestep)
                velocity = self._guided(latents, time, conditions, null, guidance)
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
            if step_end is not None:
                latents = (step_end(self, index, timestep, {"latents": latents}) or {}).get("latents", latents)
            if self._interrupt:
                break
        return latents

    def _velocity(self, latents: Tensor, time: Tensor, conditions: ConditionInputs) -> Tensor:
        return self.transformer(latents.to(conditions.text.dtype), time, return_dict=False, **conditions)[0].float()

    def _guided(
        self, latents: Tensor, time: Tensor, conditions: ConditionInputs, null: Tensor, guidance: OmniHumanGuidance
    ) -> Tensor:
        text, audio = conditions.text, conditions.audio
        data: dict[str, Any] = {**conditions, FORWARD_NAMES["text"]: (text, text, null)}
        guidance.set_conditions(text=not torch.equal(text, null), audio=audio is not None)
        if audio is not None:
            data["audio"] = (audio, None, None)
        branches = guidance.prepare_inputs(data)
        for branch in branches:
            guidance.prepare_models(self.transformer)
            branch.noise_pred = self._velocity(latents, time, ConditionInputs.of({name: branch[name] for name in data}))
        return guidance(branches).pred

    def _set_timesteps(self, steps: int, device: torch.device) -> None:
        sampling_of(self.scheduler)
        if isinstance(self.scheduler, FlowMatchEulerDiscreteScheduler):
            # From pure noise in equal steps, which the scheduler shifts, to the data; its own list ends one step short of it.
            self.scheduler.set_timesteps(sigmas=torch.linspace(1.0, 0.0, steps + 1)[:-1].tolist(), device=device)
        else:
            self.scheduler.set_timesteps(steps, device=device)


def draw_noise(
    batch: int, shape: tuple[int, ...], generator: torch.Generator | Sequence[torch.Generator] | None
) -> Tensor:
    """`(batch, C, F, h, w)` for clips whose latents have the shape `(C, F, h, w)`.

    Raises:
        InputError: generators, but not one for each clip.
    """
    if isinstance(generator, Sequence):
        if len(generator) != batch:
            raise InputError(f"{len(generator)} generators for {batch} clips")
        return torch.stack([torch.randn(shape, generator=g) for g in generator])
    return torch.randn((batch, *shape), generator=generator)
