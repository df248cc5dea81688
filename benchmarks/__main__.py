"""`python -m benchmarks`: prints one table of ratios and rates, adds a line to the performance record, and ends with 1 where something is slower than usual."""

import resource
import sys

from benchmarks.curation.near_duplicates import search_million
from benchmarks.generation.autoencoder import frames_per_second
from benchmarks.generation.pipeline import comparisons
from benchmarks.generation.student_against_teacher import TEACHER_STEPS, student_and_teacher
from benchmarks.generation.transformer import conditions_off, one_step_against_teacher
from benchmarks.record import Policy, append, judge, read_history, this_run
from benchmarks.training.adversarial import adversarial_update
from benchmarks.training.loader import loader_against_step
from benchmarks.training.training_step import training_step

RATIO, RATE, COUNT = Policy(), Policy(better="higher", relative=0.3), Policy(better="equal")
# Ratios are of interleaved minima; rates are of this machine at this hour, which a busy one misses by a fifth.
POLICIES = {
    "transformer / bare Wan": RATIO,
    "1 step / 20 steps": RATIO,
    "student / teacher, transformer": RATIO,
    "student / teacher, pipeline": RATIO,
    "training step / plain loop": RATIO,
    "training step, ms": Policy(relative=0.3),
    "adversarial update / its passes": RATIO,
    "pipeline, conditions off / diffusers' WanPipeline, 8 steps": RATIO,
    "one-step call / one forward and one decode, sound, picture and prompt known": RATIO,
    "all three new to it": RATIO,
    "all three new, and encoded on the other side too": RATIO,
    "known, 256 x 256 pixels": RATIO,
    "loader / training": Policy(better="higher", relative=0.3),
    "encoded frames a second": RATE,
    "decoded frames a second": RATE,
    "near duplicates, seconds": Policy(relative=0.3, absolute=0.2),
    "near duplicates, clips": COUNT,
    "near duplicates, found": COUNT,
    "peak GiB": Policy(relative=0.05, absolute=0.05),
}


def main() -> int:
    """Run all of them, a few minutes on two cores."""
    off = conditions_off()
    print(
        f"transformer, conditions off / bare Wan, forward + backward: {off.ratio:.3f}  ({off.ours * 1e3:.0f} / {off.theirs * 1e3:.0f} ms)"
    )
    step = one_step_against_teacher()
    print(
        f"transformer, 1 step / 20 steps of generation:               {step.ratio:.3f}  ({step.ours * 1e3:.0f} / {step.theirs * 1e3:.0f} ms, 16 clips)"
    )
    student, teacher = student_and_teacher()
    print(
        f"1 step / {TEACHER_STEPS} steps with guidance, transformer:              {student.transformer / teacher.transformer:.3f}  ({student.transformer:.2f} / {teacher.transformer:.2f} s, 16 clips)"
    )
    print(
        f"  the whole pipeline:                                        {student.whole / teacher.whole:.3f}  ({student.whole:.2f} / {teacher.whole:.2f} s)"
    )
    print(
        f"  the decoder's share:                                       {student.decoder / student.whole:.0%} of the student, {teacher.decoder / teacher.whole:.0%} of the teacher"
    )
    whole = training_step()
    print(
        f"whole training step / plain torch loop:                      {whole.ratio:.3f}  ({whole.ours * 1e3:.0f} / {whole.theirs * 1e3:.0f} ms)"
    )
    update = adversarial_update()
    print(
        f"adversarial update / its forwards and backwards alone:       {update.ratio:.3f}  ({update.ours * 1e3:.0f} / {update.theirs * 1e3:.0f} ms)"
    )
    calls = comparisons()
    for label, call in calls.items():
        print(f"{label + ':':<60} {call.ratio:.3f}  ({call.ours * 1e3:.0f} / {call.theirs * 1e3:.0f} ms)")
    load = loader_against_step()
    print(
        f"loader alone / what training consumes, samples per second:   {1 / load.ratio:.1f}  ({16 / load.ours:.0f} / {16 / load.theirs:.0f} samples/s)"
    )
    rates = frames_per_second()
    print(
        f"autoencoder, 64 x 64 frames per second:                      encode {rates['encode']:.0f}, decode {rates['decode']:.0f}"
    )
    search = search_million()
    print(
        f"near duplicates of {search.asked} clips among {search.clips}:     {search.search_seconds:.1f} s, table {search.table_seconds:.1f} s, "
        f"{search.found} of {search.planted} planted copies found"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of this process: {peak:.2f} GiB")
    run = this_run(
        {
            "transformer / bare Wan": off.ratio,
            "1 step / 20 steps": step.ratio,
            "student / teacher, transformer": student.transformer / teacher.transformer,
            "student / teacher, pipeline": student.whole / teacher.whole,
            "training step / plain loop": whole.ratio,
            "training step, ms": 1e3 * whole.ours,
            "adversarial update / its passes": update.ratio,
            **{label.strip(): call.ratio for label, call in calls.items()},
            "loader / training": 1 / load.ratio,
            "encoded frames a second": rates["encode"],
            "decoded frames a second": rates["decode"],
            "near duplicates, seconds": search.search_seconds,
            "near duplicates, clips": search.clips,
            "near duplicates, found": search.found,
            "peak GiB": peak,
        }
    )
    slower = judge(read_history(), run, POLICIES)
    append(run)
    for slowdown in slower:
        print(f"SLOWER  {slowdown}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
