"""`python -m benchmarks`: prints one table of ratios and rates."""

import resource

from benchmarks.curation.near_duplicates import search_million
from benchmarks.generation.autoencoder import frames_per_second
from benchmarks.generation.pipeline import lines as pipeline_lines
from benchmarks.generation.student_against_teacher import TEACHER_STEPS, student_and_teacher
from benchmarks.generation.transformer import conditions_off, one_step_against_teacher
from benchmarks.training.adversarial import adversarial_update
from benchmarks.training.loader import loader_against_step
from benchmarks.training.training_step import training_step


def main() -> None:
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
    for line in pipeline_lines():
        print(line)
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
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
