"""What the worker of the tests with NaNs trains, and what the tests expect of it; imports nothing heavy."""

# Each section of the profile, with the kind of training that it configures.
SECTIONS = {
    "stage_2": "stage",
    "consistency": "consistency",
    "slim_decoder": "decoder",
    "adversarial_images": "adversarial",
    "adversarial_videos": "adversarial",
}
STEPS = 6
BAD = 23  # the last sample: the probe of the adversarial phases looks at the first ones
LIMIT = 2  # engine.nonfinite_limit
