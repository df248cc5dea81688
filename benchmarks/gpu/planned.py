"""What `omnihuman plan` says of the trainings that are measured."""

from typing import Any

from benchmarks.gpu.cases import CASES, Case, Shape
from training.plan.gpus import GIB
from training.plan.training_plan import plan_training

SECTION = {"step": "stage_3", "adversarial": "adversarial_videos"}  # kinds of cases that train


def plan_of(case: Case, shape: Shape) -> dict[str, Any]:
    """GiB of a rank at the peak of an update, and its model FLOPs by precision; no GPU is asked, and none is needed."""
    section, profile = SECTION[case.kind], shape.settings(case)
    one = getattr(profile, section).model_copy(update={"batch_size": 1})
    plan = plan_training(profile.model_copy(update={section: one}), section, 1)
    # A look and a probe are no part of an update, and are not measured.
    updates = [held for phase, held in plan.phases.items() if "learn" in phase or phase == "optimiser steps"]
    return {"planned_gib": max(updates) / GIB, "flops": plan.model_flops}


def plans(shape: Shape) -> dict[str, dict[str, Any]]:
    """Of every case that trains."""
    return {case.name: plan_of(case, shape) for case in CASES if case.kind in SECTION}
