#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every adapter family on the same fine-tune: does it learn, how fast, in how much memory, relative to LoRA.

    python table.py --engine build/release/bin/rankscope-engine --model MODEL.gguf
                    --train ARC-Easy/train.json math/train.json [--test ARC-Easy/test.json math/addsub_test.json]
                    [--families lora mixlora ...] [--dtypes float32 bfloat16] > table.md

Each family with its own defaults for 30 steps over the training files mixed, the same rows in the same order. Writes one
Markdown table; fails if a loss is not finite or does not fall. With --test each task's accuracy before and after is
added. Families take turns in two rounds, so that a busy minute does not fall on one of them. Needs h5py.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import h5py


def command(arguments, *rest):
    process = subprocess.Popen([arguments.engine, *map(str, rest)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, rest))}: {error.strip().splitlines()[-1] if error.strip() else 'failed'}")
    return json.loads(output)


def job(arguments, family, dtype):
    return {
        "model": {"path": str(arguments.model), "dtype": dtype},
        "data": {"train": [str(file) for file in arguments.train], "trainRows": arguments.rows,
                 "test": [str(file) for file in arguments.test], "testRows": arguments.test_rows,
                 "maxLength": arguments.max_length},
        "adapter": {"family": family, "settings": arguments.settings.get(family, {})},
        "training": {"steps": arguments.steps, "batchSize": arguments.batch, "gradientAccumulation": 1,
                     "learningRate": arguments.learning_rate,
                     "schedule": "constant", "warmup": 0.1, "checkpointEvery": 0, "seed": 1},
        "evaluation": {"before": bool(arguments.test), "maxNewTokens": 96},
        "analysis": {"every": 10},
        "device": "cpu",
    }


def measure(arguments, folder, family, dtype):
    file, directory = folder / "job.json", folder / "run"
    file.write_text(json.dumps(job(arguments, family, dtype)))
    plan = command(arguments, "plan", file, "--json")
    final = command(arguments, "run", file, "--run-dir", directory, "--json")
    with h5py.File(directory / "run.h5") as record:
        def series(name):
            return [float(value) for value in record[f"measures/{name}/values"][:]]

        result = {"loss": series("train/loss"), "seconds": series("train/step_time"), "memory": max(series("train/memory")),
                  "tokens": series("train/tokens_seen")[-1], "share": series("analysis/time_share")[-1]}
    subprocess.run(["rm", "-rf", directory], check=True)
    return result | {"plan": plan, "final": final}


def mean(values):
    return sum(values) / len(values)


def thirds(losses):
    """Means over the first and the last third of the steps: single batches of two tasks differ too much."""
    count = len(losses) // 3
    return mean(losses[:count]), mean(losses[-count:])


def accuracy(final):
    return ", ".join(f"{task['task']} {100 * task['accuracyBefore']:.0f} -> {100 * task['accuracyAfter']:.0f} %"
                     for task in final["tasks"] if task["accuracyBefore"] is not None) or "accuracy not measured"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--train", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--test", type=pathlib.Path, nargs="*", default=[])
    parser.add_argument("--families", nargs="*")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--settings", type=json.loads, default={}, help='{"opera": {"experts": 2}}: over the defaults')
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--test-rows", type=int, default=50)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    arguments.engine, arguments.model = arguments.engine.resolve(), arguments.model.resolve()
    arguments.train = [file.resolve() for file in arguments.train]
    arguments.test = [file.resolve() for file in arguments.test]

    known = [family["name"] for family in command(arguments, "families", "--json")]
    families = arguments.families or ["lora", *sorted(set(known) - {"lora"})]
    runs, failures = {}, []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(arguments.rounds):
            for family in families:
                for dtype in arguments.dtypes:
                    try:
                        one = measure(arguments, pathlib.Path(name), family, dtype)
                    except (RuntimeError, KeyError) as error:
                        failures.append(f"{family} {dtype}: {error}")
                        continue
                    first, last = thirds(one["loss"])
                    if not all(map(math.isfinite, one["loss"])) or last >= first:
                        failures.append(f"{family} {dtype}: the loss goes from {first:.3f} to {last:.3f}")
                    runs.setdefault((family, dtype), []).append(one)
                    print(f"{family} {dtype} {first:.3f} -> {last:.3f}, {statistics.median(one['seconds']):.2f} s/step, "
                          f"{accuracy(one['final'])}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)

    def speed(key):  # the quieter half of the steps after the first two, of all rounds
        seconds = sorted(second for one in runs[key] for second in one["seconds"][2:])
        return mean(seconds[:max(1, len(seconds) // 2)])

    def row(key):
        family, dtype = key
        one, reference = runs[key], runs.get(("lora", dtype))
        plan = one[0]["plan"]
        first, last = thirds(one[0]["loss"])
        relative = f"{speed(('lora', dtype)) / speed(key):.2f}" if reference else ""
        memory = max(run["memory"] for run in one)
        lora = max(run["memory"] for run in reference) if reference else 0
        return (f"| {family} | {dtype} | {plan['trainableParameters']:,} | {first:.3f} | "
                f"{last:.3f} | {speed(key):.2f} | {relative} | {memory / 2**20:.0f} | "
                f"{memory / lora if lora else float('nan'):.2f} | {plan['memoryBytes'] / 2**20:.0f} | {100 * one[0]['share']:.2f} | "
                f"{accuracy(one[0]['final'])} |")

    print("| family | base | trainable | loss, first third | loss, last third | s/step | speed / LoRA | memory, MiB | memory / LoRA | "
          "planned, MiB | analysis, % | accuracy |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    for key in runs:
        print(row(key))
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    sys.exit(bool(failures))


main()
