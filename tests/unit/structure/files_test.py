#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file: its licence in the first line, `#pragma once`, a size that a reader can hold, no machine's paths.

    python3 files_test.py ROOT
"""
import pathlib
import re
import sys
import tempfile
import unittest

import source_tree

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
FOLDERS = (*source_tree.CODE, "tests", "resources/cmake", "sample-data")
SUFFIXES = (".h", ".cpp", ".cu", ".py", ".cmake", ".proto")
SCRIPTS = ("run", "setup", "test")
GPL = ("app/workbench/", "views/", "tests/gui/")
TORCH_FOLDERS = ("core/model/", "core/adapter/", "core/analysis/", "core/train/", "kernels/")
TENSOR = "ATen/core/Tensor.h"
LONGEST = 650


def files(root):
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in SUFFIXES or file.name == "CMakeLists.txt":
                yield file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
    for name in SCRIPTS:
        if (root / name).is_file():
            yield name, (root / name).read_text(encoding="utf-8")


def licence(path):
    return "GPL-3.0-or-later" if path.startswith(GPL) else "Apache-2.0"


def reaches_tensor(root, name, seen):
    if name == TENSOR:
        return True
    if name in seen or not (root / name).is_file():
        return False
    seen.add(name)
    text = (root / name).read_text(encoding="utf-8")
    return any(reaches_tensor(root, other, seen) for other, _ in source_tree.includes(text))


def violations(root):
    for path, text in files(root):
        lines = text.splitlines() or [""]
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if not re.fullmatch(rf"(//|#) SPDX-License-Identifier: {re.escape(licence(path))}", first):
            yield f"{path}: the first line must be SPDX-License-Identifier: {licence(path)}"
        if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.MULTILINE):
            yield f"{path}: no #pragma once"
        if len(lines) > LONGEST:
            yield f"{path}: {len(lines)} lines"
        if re.search(r"(?<![\w.])/(root|home)/\w|/opt/ref", text) and not path.startswith("tests/unit/structure/"):
            yield f"{path}: a path of one machine"
        if path.endswith(".h") and path.startswith(TORCH_FOLDERS) and re.search(r"\bat::Tensor\b", text):
            if not reaches_tensor(root, path, set()):
                yield f"{path}: uses at::Tensor, but does not include {TENSOR}"


class Files(unittest.TestCase):
    def test_holds(self):
        self.assertGreater(sum(1 for _ in files(ROOT)), 250)
        self.assertEqual(list(violations(ROOT)), [])

    def test_each_violation_is_found(self):
        apache = "// SPDX-License-Identifier: Apache-2.0\n"
        cases = {
            "core/a.cpp": "int a;\n",
            "core/b.cpp": apache.replace("Apache-2.0", "GPL-3.0-or-later"),
            "views/c.cpp": apache,
            "core/d.h": apache + "int d();\n",
            "core/e.cpp": apache + "\n" * LONGEST,
            "core/f.cpp": apache + 'auto f = "/home/someone/model";\n',
            "kernels/g.h": apache + "#pragma once\nat::Tensor g();\n",
        }
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, content in cases.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(content, encoding="utf-8")
            (root / "core" / "good.h").write_text(apache + "#pragma once\n", encoding="utf-8")
            found = list(violations(root))
            self.assertEqual(sorted(line.split(":")[0] for line in found), sorted(cases))


if __name__ == "__main__":
    unittest.main()
