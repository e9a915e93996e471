// SPDX-License-Identifier: Apache-2.0
#include "core/base/paths.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rankscope::base
{
namespace fs = std::filesystem;
namespace
{

std::string environment(const char* name)
{
    const char* value = std::getenv(name);
    return value ? value : "";
}

fs::path home()
{
    if (const std::string value = environment("HOME"); !value.empty())
        return value;
    const passwd* entry = ::getpwuid(::getuid());
    return entry ? fs::path(entry->pw_dir) : fs::path("/");
}

/// Folders that may hold installed models, nearest first: .deps/models of the clone the program was built in.
std::vector<fs::path> modelFolders()
{
    std::vector<fs::path> folders;
    if (const std::string named = environment("RANKSCOPE_MODEL"); !named.empty())
        folders.push_back(fs::path(named).parent_path());
    for (fs::path folder = programFolder(); folder.has_relative_path(); folder = folder.parent_path())
        folders.push_back(folder / ".deps" / "models");
    return folders;
}

} // namespace

fs::path programFolder()
{
    std::error_code code;
    const fs::path program = fs::read_symlink("/proc/self/exe", code);
    return code ? fs::current_path() : program.parent_path();
}

Result<fs::path> siblingProgram(const std::string& name)
{
    const fs::path program = programFolder() / name;
    if (::access(program.c_str(), X_OK) != 0)
        return fail("the program " + program.string() +
                    " is missing or cannot be executed; build the target " + name);
    return program;
}

std::vector<fs::path> pluginFolders()
{
    std::vector<fs::path> folders{programFolder().parent_path() / "plugins"};
    const std::string named = environment("RANKSCOPE_PLUGINS");
    for (std::size_t start = 0; start < named.size();) {
        const std::size_t end = std::min(named.find(':', start), named.size());
        if (end > start)
            folders.emplace_back(named.substr(start, end - start));
        start = end + 1;
    }
    return folders;
}

Result<fs::path> runtimeFolder()
{
    fs::path parent = environment("XDG_RUNTIME_DIR");
    fs::path folder;
    std::error_code code;
    if (!parent.empty() && fs::is_directory(parent, code))
        folder = parent / "rankscope";
    else if (parent = fs::temp_directory_path(code); !code)
        folder = parent / ("rankscope-" + std::to_string(::getuid()));
    else
        return fail("there is no folder for temporary files (" + code.message() +
                    "); set TMPDIR or XDG_RUNTIME_DIR");
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return fail("cannot create the runtime folder " + folder.string() + ": " + std::strerror(errno));
    struct stat status {
    };
    if (::lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::getuid())
        return fail("the runtime folder " + folder.string() +
                    " is not a folder of this user; remove it or set XDG_RUNTIME_DIR");
    if ((status.st_mode & 0077) != 0 && ::chmod(folder.c_str(), 0700) != 0)
        return fail("the runtime folder " + folder.string() + " is open to others and cannot be closed");
    return folder;
}

Result<fs::path> defaultSocket()
{
    RANKSCOPE_TRY(const fs::path folder, runtimeFolder());
    return folder / "engine.sock";
}

fs::path stateFolder()
{
    if (const std::string value = environment("XDG_STATE_HOME"); !value.empty())
        return fs::path(value) / "rankscope";
    return home() / ".local" / "state" / "rankscope";
}

Result<fs::path> absolutePath(const fs::path& path)
{
    std::error_code code;
    const fs::path absolute = fs::absolute(path, code).lexically_normal();
    if (code)
        return fail("there is no working folder that '" + path.string() + "' could start at (" +
                    code.message() + "); change into a folder that exists");
    return absolute.has_filename() ? absolute : absolute.parent_path();
}

Result<fs::path> runsFolder(const fs::path& named)
{
    if (!named.empty())
        return absolutePath(named);
    const std::string value = environment("RANKSCOPE_RUNS");
    return absolutePath(value.empty() ? "runs" : value);
}

fs::path defaultModel()
{
    if (const std::string value = environment("RANKSCOPE_MODEL"); !value.empty())
        return value;
    std::error_code code; // without a working folder there are the installed ones
    return resolveModel("SmolLM2-135M-Instruct.Q4_1.gguf", fs::current_path(code));
}

fs::path resolveModel(const std::string& name, const fs::path& base)
{
    const fs::path given = base / name; // name itself where it is absolute
    std::error_code code;
    // Who names a place means the model there: one of the same name elsewhere may be another model.
    if (fs::exists(given, code) || fs::path(name).has_parent_path())
        return given;
    for (const auto& folder : modelFolders()) {
        if (const fs::path candidate = folder / name; fs::exists(candidate, code))
            return candidate;
    }
    return given;
}

} // namespace rankscope::base
