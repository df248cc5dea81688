"""Names that several rooms share: registered models, their tags and folders, beginnings of a training, sets of videos."""

import json

# Registered models, and the asset whose weights each holds.
STUDENT, TEACHER = "omnihuman-student", "omnihuman-teacher"
MODELS = {STUDENT: "distilled_student", TEACHER: "stage_3_checkpoint"}

# Outside the flow, and so of no gate's pair.
STREAMING_STUDENT = "omnihuman-streaming-student"

TRANSFORMER = "transformer"  # folder of a checkpoint and of a pipeline
LOCK = "dvc.lock"  # beside dvc.yaml, in a home's root

# Where the training stages begin: `from` of start.json.
SCRATCH, CHAMPION = "scratch", "champion"
FROM_SCRATCH = json.dumps({"from": SCRATCH}, indent=1) + "\n"

# Folder under generated_videos -> asset whose weights it samples.
SOURCES = {
    "teacher": "stage_3_checkpoint",
    "teacher_one_step": "stage_3_checkpoint",
    "consistency_student": "consistency_student",
    "distilled_student": "distilled_student",
}
STUDY = "ablation_study"  # asset with a partition for each study
