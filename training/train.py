"""Entry point of every training run, started by the DeepSpeed launcher: `deepspeed training/train.py --job JOB.json`.

Rank 0 talks to MLflow and, where Dagster started it, to Dagster Pipes. A run that was killed goes on from its last
checkpoint when the same job file is started again; one that is asked to stop (`training.run.supervise`) writes one and ends with 75.
"""

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from media.access import keep_private
from media.user_error import exit_code
from omnihuman.placement import check_bfloat16
from training.engine.deepspeed_engine import device_of_rank
from training.engine.process_group import start_process_group
from training.errors import TrainingError
from training.run.attempt_lock import hold_alone, stop_with_launcher
from training.run.jobs import TrainingJob
from training.run.stopping import Stopped
from training.run.supervise import STOPPED


def run(job: TrainingJob) -> dict:
    """Train `job` in this process group, unless it is finished, and return the record of its output."""
    from training.run.finished import end_run, finished_record

    if (record := finished_record(job)) is not None:
        end_run(job, record)
        return record
    if job.kind == "stage":
        from training.stages.stage import train_stage as train
    elif job.kind == "consistency":
        from training.distillation.consistency import train_consistency as train
    elif job.kind == "streaming":
        from training.distillation.streaming import train_streaming as train
    elif job.kind == "decoder":
        from training.distillation.decoder import train_decoder as train
    else:
        from training.distillation.adversarial import train_adversarial as train
    return train(job)


def main() -> int:
    """Parse the command line, train, report; the exit code is 75 after a stop on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--job", type=Path, required=True, help="job file written by training.run.jobs.TrainingJob.write"
    )
    parser.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    job = TrainingJob.read(parser.parse_args().job)
    try:
        keep_private()  # where a scheduler started this, nobody did before
        return _train_alone(job)
    except Exception as error:
        return exit_code(error)


def _train_alone(job: TrainingJob) -> int:
    stop_with_launcher()
    if job.profile.engine.precision == "bf16":
        check_bfloat16("engine.precision is bf16", "engine.precision to fp32", device_of_rank())
    if os.environ.get("RANK") == "0" and torch.cuda.is_available():
        from training.plan.warning import warn_at_start

        warn_at_start(job.profile, job.section, int(os.environ["WORLD_SIZE"]))
    start_process_group()
    with hold_alone(Path(job.work)) if torch.distributed.get_rank() == 0 else nullcontext():
        torch.distributed.barrier()
        try:
            _run_and_report(job)
        except Stopped as stopped:
            if torch.distributed.get_rank() == 0:
                print(f"[rank0]: {job.name} {stopped}", flush=True)
            torch.distributed.barrier()  # the first rank to leave has the launcher end the others
            return STOPPED
        except torch.OutOfMemoryError as error:
            from training.plan.warning import out_of_memory

            raise TrainingError(out_of_memory(job.profile, job.section, torch.distributed.get_world_size())) from error
    return 0


def _run_and_report(job: TrainingJob) -> None:
    if "DAGSTER_PIPES_CONTEXT" not in os.environ or torch.distributed.get_rank() != 0:
        run(job)
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        record = run(job)
        metadata: dict[str, Any] = {
            k: v for k, v in record.items() if isinstance(v, (int, float, str)) and v is not None
        }
        metadata["section"] = {"raw_value": json.loads(json.dumps(record["section"])), "type": "json"}
        pipes.report_asset_materialization(metadata=metadata, data_version=record["weights_digest"])


if __name__ == "__main__":
    sys.exit(main())
