"""What the imports of `omnihuman` leave out, and that it is there for whoever asks for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from omnihuman.deferred_imports import DeferredName

ROOT = Path(__file__).resolve().parents[2]
FRESH = """
import sys
import omnihuman, omnihuman.digests, omnihuman.errors, omnihuman.conditions.activation
assert not {"torch", "diffusers", "transformers"} & set(sys.modules), "who asks for a digest waits for no pipeline"
assert {"OmniHumanPipeline", "OmniHumanTransformer3DModel"} <= set(dir(omnihuman)) and not hasattr(omnihuman, "OmniHumanImage")
import omnihuman.autoencoder
assert "diffusers" in sys.modules and "omnihuman.pipeline" not in sys.modules, "each module brings what it needs, and puts off by itself"
from omnihuman import OmniHumanPipeline, OmniHumanTransformer3DModel
import omnihuman.pipeline
assert OmniHumanPipeline is omnihuman.pipeline.OmniHumanPipeline is omnihuman.OmniHumanPipeline
left_out = ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy", "scipy.stats", "scipy.optimize", "peft", "boto3", "pandas",
            "diffusers.models.transformers.transformer_flux", "diffusers.models.autoencoders.autoencoder_kl_mochi")
assert not set(left_out) & set(sys.modules), sorted(set(left_out) & set(sys.modules))

import diffusers.models.modeling_utils
from diffusers.hooks import layerwise_casting
from diffusers.utils.torch_utils import is_compiled_module
import torch
assert not isinstance(torch.nn.Linear(1, 1), layerwise_casting.BaseTunerLayer)
assert not is_compiled_module(torch.nn.Linear(1, 1))
assert not {"peft", "torch._dynamo"} & set(sys.modules), "asking whether something is of a class is no reason to import it"

from diffusers.models.transformers import FluxTransformer2DModel  # of a package whose __init__ was not run
from diffusers import FluxTransformer2DModel as the_same
assert FluxTransformer2DModel is the_same and isinstance(the_same, type)

import scipy.stats
import peft
from peft.tuners.tuners_utils import BaseTunerLayer
assert scipy.stats.norm.cdf(0.0) == 0.5
tuned = peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["0"]), torch.nn.Sequential(torch.nn.Linear(2, 2)))[0]
assert isinstance(tuned, BaseTunerLayer) and isinstance(tuned, layerwise_casting.BaseTunerLayer)

import torch._dynamo
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
assert id(WanTransformerBlock) in torch._dynamo.trace_rules._allowed_callable_ids.function_ids, "marked before the compiler was there"
assert is_compiled_module(torch.compile(torch.nn.Linear(1, 1)))
print("held")
"""


def test_a_fresh_import_leaves_out_what_it_can_and_hands_it_over_when_asked():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FRESH], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "held", done.stderr


def test_a_deferred_name_is_the_real_thing_wherever_it_is_used():
    number, complex_number = DeferredName("numbers", "Number"), DeferredName("builtins", "complex")
    assert isinstance(1, number) and not isinstance("1", number) and issubclass(int, number)
    assert complex_number(1, 2) == 1 + 2j and complex_number.conjugate(1 + 2j) == 1 - 2j

    class Own(complex_number):  # type: ignore[valid-type,misc]
        pass

    assert isinstance(Own(1, 2), complex)
    with pytest.raises(ImportError, match="nowhere"):
        DeferredName("numbers", "nowhere")()


@pytest.mark.parametrize("module", ["adversarial", "consistency", "decoder", "streaming"])
def test_trainings_that_name_diffusers_themselves_leave_the_compiler_out_too(module):
    code = f"import sys, training.distillation.{module}; print({{'torch._dynamo', 'sympy', 'torchao', 'scipy.stats'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "set()", done.stdout + done.stderr
