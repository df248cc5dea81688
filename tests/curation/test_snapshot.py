"""What identifies a snapshot: one digest over its samples and over what they were made with."""

import hashlib
import json

import pandas as pd
import pytest

from curation.snapshot.training_snapshot import samples_digest


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_the_digest_is_that_of_the_whole_json_however_many_rows_are_in_memory(rows):
    samples = pd.DataFrame(
        {
            "sample_id": ["a-0", "b-ü", "c-1"],
            "row": [0, 1, 2],
            "text": [True, True, True],
            "audio": [True, False, True],
            "pose": [False, False, True],
        }
    )
    made_of = [[("s-1", "f" * 64)], {"text": "motion > 0"}, {"audio": "x"}]
    listed = [
        {"sample_id": row.sample_id, "text": row.text, "audio": row.audio, "pose": row.pose}
        for row in samples.itertuples()
    ]
    whole = json.dumps([listed, *made_of], sort_keys=True)
    assert samples_digest(samples, made_of, rows) == hashlib.sha256(whole.encode()).hexdigest()
