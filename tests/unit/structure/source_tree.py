# SPDX-License-Identifier: Apache-2.0
"""The source tree as its tests see it: libraries and what they link, files and what they include."""
import pathlib
import re

CODE = ("core", "kernels", "plugins", "app", "views")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
CALL = re.compile(r"\b(rankscope_library|rankscope_family|add_executable|add_library|target_link_libraries)\s*\(([^()]*)\)")
KEYWORDS = {"SOURCES", "LINKS", "PRIVATE_LINKS", "PUBLIC", "PRIVATE", "INTERFACE"}


class Library:
    """A CMake target: the folder it stands in, its files, and what it links."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.sources = set()  # paths from the root, or names of generated files
        self.public = []
        self.private = []

    @property
    def links(self):
        return self.public + self.private


def without_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def sections(words):
    """{keyword: words behind it}; what stands before the first keyword is under ''."""
    result, current = {"": []}, ""
    for word in words:
        if word in KEYWORDS:
            current = word
        result.setdefault(current, [])
        if word not in KEYWORDS:
            result[current].append(word)
    return result


def read_libraries(root):
    """Every target of the code folders by the name that others link it by ("rankscope::text" or a program's name)."""
    libraries = {}
    for top in CODE:
        for file in sorted((root / top).rglob("CMakeLists.txt")):
            folder = file.parent.relative_to(root).as_posix()
            for command, arguments in CALL.findall(without_comments(file.read_text(encoding="utf-8"))):
                words = arguments.split()
                parts = sections(words[1:])
                if command == "rankscope_library":
                    library = libraries.setdefault(f"rankscope::{words[0]}", Library(f"rankscope::{words[0]}", folder))
                    library.sources |= {source_path(folder, word) for word in parts.get("SOURCES", [])}
                    library.public += parts.get("LINKS", [])
                    library.private += parts.get("PRIVATE_LINKS", [])
                elif command == "rankscope_family" and "$" not in words[0]:
                    name = f"family {words[0]}"
                    libraries[name] = Library(name, folder)
                    libraries[name].private = ["rankscope::adapter"]
                elif command == "add_executable":
                    libraries[words[0]] = Library(words[0], folder)
                    libraries[words[0]].sources = {source_path(folder, word) for word in words[1:]}
                elif command == "target_link_libraries" and "$" not in words[0]:
                    name = words[0] if words[0] in libraries else "rankscope::" + words[0].removeprefix("rankscope_")
                    if name in libraries:
                        libraries[name].public += parts.get("PUBLIC", []) + parts.get("", [])
                        libraries[name].private += parts.get("PRIVATE", [])
    return libraries


def source_path(folder, word):
    name = word.strip('"')
    return pathlib.PurePosixPath(name).name if "$" in name else f"{folder}/{name}"


def owner(path, libraries):
    """The target that a file (a path from the root) belongs to; None if it is no file of ours."""
    name = pathlib.PurePosixPath(path).name
    inside = [library for library in libraries.values() if path.startswith(library.folder + "/")]
    if not inside:
        return None
    deepest = max(len(library.folder) for library in inside)
    inside = [library for library in inside if len(library.folder) == deepest]
    listed = [library for library in inside if path in library.sources or name in library.sources]
    return (listed or inside)[0]


def reachable(library, libraries):
    """Everything it can include from: what it links, and what that links publicly; names of ours and of others."""
    found, waiting = set(), list(library.links)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in libraries:
            waiting += libraries[name].public
    return found


def code_files(root):
    for top in CODE:
        for file in sorted((root / top).rglob("*")):
            if file.suffix in (".h", ".cpp", ".cu"):
                yield file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")


def includes(text):
    """[(name, written in quotes?)]"""
    return [(quoted or angled, bool(quoted)) for quoted, angled in INCLUDE.findall(text)]
