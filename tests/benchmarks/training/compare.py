#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training throughput and memory: this project against Hugging Face PEFT on the same work.

    python compare.py --engine build/release/bin/rankscope-engine --model MODEL.gguf --data train.json
                      [--peer-python VENV/bin/python]

LoRA of rank 16 on the seven linears, batches of 8 rows, loss on the answers, float32. Needs h5py; the peer's Python needs
torch, transformers, peft, gguf and jinja2 (without --peer-python only our side is run). Both sides get the same rows in
the same batches as the same token ids: checked by the tokens of every step and by the loss of the first one, which is
that of the base model. The sides take turns; each round is a process of its own.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

PEER = pathlib.Path(__file__).with_name("peer.py")


def run(command):
    """Standard output and the largest resident memory of the process and those it waited for, in bytes."""
    with tempfile.TemporaryFile("w+") as error:
        # Our engine limits how long threads spin while they wait; on a machine that does other work too, the peer
        # would lose by it what is no merit of ours.
        environment = os.environ | {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "2000")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error, text=True, env=environment)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            error.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{error.read()[-2000:]}")
    return output, usage.ru_maxrss * 1024


def ours(arguments, folder, turn):
    job = {
        "model": {"path": str(arguments.model), "dtype": "float32"},
        "data": {"train": [str(arguments.data)], "trainRows": arguments.rows, "maxLength": arguments.max_length},
        "adapter": {"family": "lora", "settings": {"rank": 16, "alpha": 16, "dropout": 0, "targets": ["all-linear"]}},
        "training": {"steps": arguments.warmup + arguments.steps, "batchSize": arguments.batch, "learningRate": 2e-4,
                     "schedule": "constant", "warmup": 0, "checkpointEvery": 0, "seed": arguments.seed,
                     "threads": arguments.threads},
        "evaluation": {"before": False},
        "analysis": {"every": 0},
        "device": "cpu",
    }
    file, directory = folder / f"job-{turn}.json", folder / f"run-{turn}"
    file.write_text(json.dumps(job, indent=2))
    _, memory = run([arguments.engine, "run", file, "--run-dir", directory, "--json"])
    with h5py.File(directory / "run.h5") as record:
        def series(name):
            return [float(value) for value in record[f"measures/train/{name}/values"][:]]

        seen = [0.0, *series("tokens_seen")]
        return {"seconds": series("step_time"), "tokens": [int(b - a) for a, b in zip(seen, seen[1:])],
                "loss": series("loss"), "memory": memory,
                "samples": [round(s * t) for s, t in zip(series("samples_per_second"), series("step_time"))]}


def peer(arguments, folder):
    names = ("data", "rows", "max_length", "batch", "seed", "steps", "warmup", "threads", "model")
    options = json.dumps({name: str(value) if isinstance(value, pathlib.Path) else value
                          for name, value in vars(arguments).items() if name in names})
    output, memory = run([arguments.peer_python, PEER, "train", folder / "base", options])
    return json.loads(output.splitlines()[-1]) | {"memory": memory}


def check_same_work(a, b):
    if a["tokens"] != b["tokens"] or a["samples"] != b["samples"]:
        sys.exit(f"the sides did different work:\n{a['tokens']}\n{b['tokens']}")
    if abs(a["loss"][0] - b["loss"][0]) > 1e-3:
        sys.exit(f"the first loss differs: {a['loss'][0]} and {b['loss'][0]}")


def summary(rounds, warmup):
    seconds = [t for one in rounds for t in one["seconds"][warmup:]]
    samples = [n for one in rounds for n in one["samples"][warmup:]]
    tokens = [n for one in rounds for n in one["tokens"][warmup:]]
    return {"samplesPerSecond": sum(samples) / sum(seconds), "tokensPerSecond": sum(tokens) / sum(seconds),
            "stepSeconds": sum(seconds) / len(seconds), "peakMemory": max(one["memory"] for one in rounds),
            "roundSeconds": [round(sum(one["seconds"][warmup:]), 2) for one in rounds]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a .json list of rows")
    parser.add_argument("--peer-python", help="a Python with torch, transformers, peft, gguf and jinja2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in ("engine", "model", "data"):
        setattr(arguments, name, getattr(arguments, name).resolve())

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if arguments.peer_python:
            run([arguments.peer_python, PEER, "prepare", folder / "base", str(arguments.model)])
        sides = {"rankscope": [], "peft": []}
        for turn in range(arguments.rounds):
            sides["rankscope"].append(ours(arguments, folder, turn))
            if arguments.peer_python:
                sides["peft"].append(peer(arguments, folder))
                check_same_work(sides["rankscope"][-1], sides["peft"][-1])
    result = {name: summary(rounds, arguments.warmup) for name, rounds in sides.items() if rounds}
    for name, numbers in result.items():
        print(f"{name:10}  {numbers['samplesPerSecond']:7.3f} samples/s  {numbers['tokensPerSecond']:7.1f} tokens/s  "
              f"{numbers['stepSeconds']:6.3f} s/step  {numbers['peakMemory'] / 2**20:6.0f} MiB  rounds {numbers['roundSeconds']} s")
    if "peft" in result:
        a, b = result["rankscope"], result["peft"]
        print(f"ratio       {a['samplesPerSecond'] / b['samplesPerSecond']:7.2f} x samples/s  "
              f"{a['peakMemory'] / b['peakMemory']:6.2f} x peak memory  (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")


main()
