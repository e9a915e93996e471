# SPDX-License-Identifier: Apache-2.0
"""Opens a snapshot with h5py: units, axes and dimension scales are found without any code of ours."""
import math
import subprocess
import sys
import tempfile

try:
    import h5py
except ImportError:
    sys.exit(77)  # skipped: the system's Python has no h5py

with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.argv[1], folder], check=True)
    with h5py.File(folder + "/run.h5", "r") as file:
        assert file.attrs["format"] == "rankscope-run"
        assert file.attrs["format_version"] == 1
        assert file["run"].attrs["device"] == "cpu (2 threads)"
        assert file["run"].attrs["trainable_parameters"] == 921600
        assert file["run/job.json"].asstr()[()] == '{"name": "s\u00e4mple"}'
        assert list(file["run/tasks"].asstr()) == ["arithmetic", "logic"]
        assert list(file["states/state"].asstr()) == ["running"]
        values = file["measures/train/task_loss/values"]
        assert values.shape == (3, 2) and values.dtype == "float32"
        assert values.compression == "gzip" and values.chunks is not None
        assert values.attrs["unit"] == "nats"
        assert values.attrs["title"] == "Loss by task"
        assert values.attrs["definition"] == "mean negative log-likelihood"
        assert list(values.attrs["axes"]) == ["step", "task"]
        assert values[0, 0] == 1 and values[1, 0] == 0.5 and values[2, 1] == 3 and math.isnan(values[1, 1])
        step, task = values.dims[0]["step"], values.dims[1]["task"]
        assert all(h5py.h5ds.is_scale(scale.id) for scale in (step, task))
        assert list(step) == [10, 20, 30]
        assert list(task.asstr()) == ["arithmetic", "logic"]
        assert values.dims[0].label == "step" and values.dims[1].label == "task"
