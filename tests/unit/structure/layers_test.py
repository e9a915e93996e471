#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes go only where the libraries' links allow, links go only downward, and Qt and LibTorch stay where they belong.

    python3 layers_test.py ROOT
"""
import pathlib
import re
import sys
import tempfile
import unittest

import source_tree

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()

# Bottom-up, after docs/architecture.md. Folders of one entry may depend on each other, but not in a circle.
LAYERS = [["core/base"], ["core/protocol"], ["core/record", "core/checkpoint"], ["core/text"], ["kernels"], ["core/model"],
          ["core/adapter"], ["core/analysis", "core/interchange"], ["core/train"], ["plugins"], ["app/worker"], ["app/engine"], ["views"],
          ["app/workbench"]]
WITHOUT_QT = ("core/", "kernels/", "plugins/", "app/engine/", "app/worker/")
WITHOUT_TORCH = ("core/base/", "core/protocol/", "core/record/", "core/checkpoint/", "core/text/", "app/workbench/",
                 "app/engine/", "views/")
WITH_VTK = ("views/",)
QT = re.compile(r"^Q[A-Z]\w*(/|$)|^Qt\w*/")
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
VTK = re.compile(r"^vtk[A-Z]")


def layer(folder):
    for index, folders in enumerate(LAYERS):
        if any(folder == entry or folder.startswith(entry + "/") for entry in folders):
            return index
    return None


def link_violations(libraries):
    for library in libraries.values():
        here = layer(library.folder)
        if here is None:
            yield f"{library.folder} is in no layer: add it to LAYERS"
            continue
        for name in library.links:
            if name in libraries and layer(libraries[name].folder) is not None and layer(libraries[name].folder) > here:
                yield f"{library.name} links {name}, which is above it"
        everything = source_tree.reachable(library, libraries)
        if library.name in everything:
            yield f"{library.name} depends on itself, through what it links"
        folder = library.folder + "/"
        if folder.startswith(WITHOUT_QT) and any(name.startswith("Qt6::") for name in everything):
            yield f"{library.name} links Qt"
        if folder.startswith(WITHOUT_TORCH) and any(name.startswith("libtorch::") for name in everything):
            yield f"{library.name} links LibTorch"


def include_violations(root, libraries):
    for path, text in source_tree.code_files(root):
        mine = source_tree.owner(path, libraries)
        if mine is None:
            yield f"{path} belongs to no target"
            continue
        allowed = source_tree.reachable(mine, libraries)
        for name, quoted in source_tree.includes(text):
            if QT.match(name) and path.startswith(WITHOUT_QT):
                yield f"{path} includes {name}: Qt belongs into app/workbench and views"
            if TORCH.match(name) and path.startswith(WITHOUT_TORCH):
                yield f"{path} includes {name}: LibTorch stays below the worker"
            if VTK.match(name) and not path.startswith(WITH_VTK):
                yield f"{path} includes {name}: VTK belongs into views"
            if not quoted or name.endswith(".moc"):
                continue
            other = source_tree.owner(name, libraries)
            if other is None:
                yield f"{path} includes \"{name}\": write it from the root of the tree"
            elif other is not mine and other.name not in allowed:
                yield f"{path} includes {name} of {other.name}, which {mine.name} does not link"


def violations(root):
    libraries = source_tree.read_libraries(root)
    return [*link_violations(libraries), *include_violations(root, libraries)]


class Tree(unittest.TestCase):
    def test_holds(self):
        libraries = source_tree.read_libraries(ROOT)
        self.assertGreater(len(libraries), 15, "the CMake files were not understood")
        self.assertGreater(sum(1 for _ in source_tree.code_files(ROOT)), 150)
        self.assertEqual(violations(ROOT), [])


class Planted(unittest.TestCase):
    """The test itself: a small clean tree, and one violation of each kind."""

    CLEAN = {
        "core/base/CMakeLists.txt": "rankscope_library(base SOURCES a.h LINKS nlohmann_json::nlohmann_json)",
        "core/base/a.h": "#include <string>\n",
        "core/record/CMakeLists.txt": "rankscope_library(record SOURCES r.h r.cpp LINKS rankscope::base)",
        "core/record/r.h": '#include "core/base/a.h"\n',
        "core/record/r.cpp": '#include "core/record/r.h"\n',
        "core/text/CMakeLists.txt": "rankscope_library(text SOURCES t.h LINKS rankscope::base) # rankscope::record",
        "core/text/t.h": '#include "core/base/a.h"\n',
        "core/model/CMakeLists.txt": "rankscope_library(model SOURCES m.h LINKS rankscope::text libtorch::cpu)",
        "core/model/m.h": '#include "core/base/a.h"\n#include <ATen/core/Tensor.h>\n',
        "plugins/lora/CMakeLists.txt": "rankscope_family(lora)",
        "plugins/lora/family.cpp": '#include "core/adapter/x.h"\n',
        "core/adapter/CMakeLists.txt": "rankscope_library(adapter SOURCES x.h LINKS rankscope::model)",
        "core/adapter/x.h": "#pragma once\n",
        "views/plot/CMakeLists.txt": "rankscope_library(plot SOURCES p.h LINKS Qt6::Widgets rankscope::record)",
        "views/plot/p.h": '#include "core/record/r.h"\n#include <QWidget>\n',
        "app/engine/CMakeLists.txt": "add_executable(rankscope-engine main.cpp)\n"
                                     "target_link_libraries(rankscope-engine PRIVATE rankscope::record)",
        "app/engine/main.cpp": '#include "core/record/r.h"\n',
    }

    def found(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, content in (self.CLEAN | changes).items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(content, encoding="utf-8")
            return "\n".join(violations(root))

    def test_clean_tree_passes(self):
        self.assertEqual(self.found({}), "")

    def test_each_violation_is_found(self):
        cases = {
            "upward include": ({"core/base/a.h": '#include "core/record/r.h"\n'}, "core/base/a.h includes core/record/r.h"),
            "sideways include": ({"core/text/t.h": '#include "core/record/r.h"\n'}, "rankscope::text does not link"),
            "upward link": ({"core/base/CMakeLists.txt": "rankscope_library(base SOURCES a.h LINKS rankscope::text)"},
                            "links rankscope::text, which is above it"),
            "circle": ({"core/record/CMakeLists.txt": "rankscope_library(record LINKS rankscope::checkpoint)",
                        "core/checkpoint/CMakeLists.txt": "rankscope_library(checkpoint LINKS rankscope::record)"},
                       "depends on itself"),
            "Qt in core": ({"core/text/t.h": "#include <QString>\n"}, "QString: Qt belongs"),
            "Qt module in the engine": ({"app/engine/main.cpp": "#include <QtCore/QObject>\n"}, "Qt belongs"),
            "Qt linked": ({"core/text/CMakeLists.txt": "rankscope_library(text LINKS rankscope::base Qt6::Core)"}, "links Qt"),
            "torch in text": ({"core/text/t.h": "#include <ATen/ATen.h>\n"}, "LibTorch stays"),
            "torch in a view": ({"views/plot/p.h": "#  include <torch/torch.h>\n"}, "LibTorch stays"),
            "torch linked by the engine": (
                {"app/engine/CMakeLists.txt": "add_executable(rankscope-engine main.cpp)\n"
                                              "target_link_libraries(rankscope-engine PRIVATE rankscope::model)"}, "links LibTorch"),
            "VTK elsewhere": ({"app/workbench/CMakeLists.txt": "rankscope_library(workbench SOURCES w.h)",
                               "app/workbench/w.h": "#include <vtkActor.h>\n"}, "VTK belongs"),
            "beside": ({"core/record/r.cpp": '#include "r.h"\n'}, "from the root of the tree"),
            "a plugin reaches too far": ({"plugins/lora/family.cpp": '#include "views/plot/p.h"\n'}, "does not link"),
        }
        for name, (changes, sentence) in cases.items():
            with self.subTest(name):
                self.assertIn(sentence, self.found(changes))


if __name__ == "__main__":
    unittest.main()
