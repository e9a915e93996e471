#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the files out of docs/adding-a-family.md and builds them as a plugin outside the tree.

    build_walkthrough.py PAGE FOLDER RANKSCOPE_BUILD
"""
import pathlib
import re
import shutil
import subprocess
import sys

page, folder, package = (pathlib.Path(argument) for argument in sys.argv[1:])
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
files = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
if set(files) != {"CMakeLists.txt", "family.cpp", "family.json"}:
    sys.exit(f"{page} holds {sorted(files)}")
for name, text in files.items():
    (folder / name).write_text(text, encoding="utf-8")
subprocess.run(["cmake", "-G", "Ninja", "-B", folder / "build", "-S", folder, "-DCMAKE_BUILD_TYPE=Release",
                f"-DRankscope_DIR={package}"], check=True)
subprocess.run(["cmake", "--build", folder / "build"], check=True)
