// SPDX-License-Identifier: Apache-2.0
#include "core/record/run_directory.h"

#include "core/base/files.h"
#include "core/record/journal.h"
#include "core/record/snapshot.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sys/stat.h>

namespace rankscope::record
{
namespace fs = std::filesystem;
namespace
{

/// "step-000200" is 200.
std::optional<std::int64_t> stepOf(const std::string& name)
{
    static constexpr std::string_view prefix = "step-";
    if (!name.starts_with(prefix))
        return std::nullopt;
    std::int64_t step = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, step);
    if (parsed.ec != std::errc() || parsed.ptr != end || step < 0)
        return std::nullopt;
    return step;
}

bool startsAsHdf5(const fs::path& path)
{
    char signature[8]{};
    std::ifstream file(path, std::ios::binary);
    file.read(signature, sizeof signature);
    return file && std::memcmp(signature, "\x89HDF\r\n\x1a\n", sizeof signature) == 0;
}

/// Is the file's first event whole? Whatever is damaged behind it, such a file is a journal.
bool startsAsJournal(const fs::path& path)
{
    std::string bytes(std::size_t{1} << 20, '\0');
    std::ifstream file(path, std::ios::binary);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    JournalReader reader;
    (void)reader.feed(bytes);
    return reader.position() > 0;
}

Result<RunRecord> openDirectory(const RunDirectory& directory, const UnsealedReader& unsealed)
{
    std::error_code code;
    if (!fs::exists(directory.journal(), code)) {
        if (fs::exists(directory.snapshot(), code))
            return readSnapshot(directory.snapshot(), unsealed);
        RANKSCOPE_TRY(const std::string job, base::readFile(directory.job(), std::uintmax_t{16} << 20));
        RunRecord waiting; // queued: nothing has happened yet
        waiting.description.jobJson = job;
        return waiting;
    }
    auto run = loadJournal(directory.journal());
    if (run || !fs::exists(directory.snapshot(), code))
        return run;
    auto snapshot = readSnapshot(directory.snapshot(), unsealed);
    if (!snapshot)
        return run;
    snapshot->notices.push_back({0, "warning", "shown as of the last snapshot: " + run.error().message});
    return snapshot;
}

} // namespace

RunDirectory::RunDirectory(fs::path folder) : m_folder(std::move(folder))
{
    if (!m_folder.has_filename())
        m_folder = m_folder.parent_path();
}

Result<RunDirectory> RunDirectory::create(const fs::path& runs, const std::string& name)
{
    RANKSCOPE_CHECK(base::ensureWritableFolder(runs));
    for (int attempt = 1; attempt < 10000; ++attempt) {
        const fs::path folder = runs / (attempt == 1 ? name : name + "-" + std::to_string(attempt));
        if (::mkdir(folder.c_str(), 0755) == 0)
            return RunDirectory(folder);
        if (errno != EEXIST)
            return fail("cannot create the run directory " + folder.string() + ": " + std::strerror(errno));
    }
    return fail("cannot create a run directory named " + name + " in " + runs.string() +
                ": too many of that name");
}

Result<RunDirectory> RunDirectory::createAt(const fs::path& folder)
{
    if (isRunDirectory(folder))
        return fail(folder.string() +
                    " already holds a run; add --resume to continue it, or name another folder");
    std::error_code code;
    if (fs::exists(folder, code) && (!fs::is_directory(folder, code) || !fs::is_empty(folder, code)))
        return fail(folder.string() + " is not an empty folder; name a new one for the run");
    RANKSCOPE_CHECK(base::ensureWritableFolder(folder));
    return RunDirectory(folder);
}

Result<RunDirectory> RunDirectory::open(const fs::path& folder)
{
    if (!isRunDirectory(folder))
        return fail(folder.string() + " is not a run directory: it holds neither job.json nor journal.rec");
    return RunDirectory(folder);
}

bool RunDirectory::isRunDirectory(const fs::path& folder)
{
    std::error_code code;
    return fs::is_directory(folder, code) && (fs::is_regular_file(folder / "job.json", code) ||
                                              fs::is_regular_file(folder / "journal.rec", code));
}

std::string RunDirectory::name() const
{
    return m_folder.filename().string();
}

fs::path RunDirectory::checkpoint(std::int64_t step) const
{
    char name[32];
    std::snprintf(name, sizeof name, "step-%06lld", static_cast<long long>(step));
    return checkpoints() / name;
}

std::vector<RunDirectory::Checkpoint> RunDirectory::completeCheckpoints() const
{
    std::vector<Checkpoint> found;
    std::error_code code;
    for (fs::directory_iterator entry(checkpoints(), code), end; !code && entry != end;
         entry.increment(code)) {
        const auto step = stepOf(entry->path().filename().string());
        std::error_code ignored;
        if (step && fs::is_regular_file(entry->path() / "adapter_model.safetensors", ignored))
            found.push_back({*step, entry->path()});
    }
    std::ranges::sort(found, {}, &Checkpoint::step);
    return found;
}

std::optional<RunDirectory::Checkpoint> RunDirectory::lastCheckpoint() const
{
    auto all = completeCheckpoints();
    if (all.empty())
        return std::nullopt;
    return all.back();
}

Result<RunRecord> openRun(const fs::path& path, const UnsealedReader& unsealed)
{
    std::error_code code;
    if (!fs::exists(path, code))
        return fail("there is no run at " + path.string());
    if (fs::is_directory(path, code)) {
        RANKSCOPE_TRY(const RunDirectory directory, RunDirectory::open(path));
        return openDirectory(directory, unsealed);
    }
    if (startsAsHdf5(path))
        return readSnapshot(path, unsealed);
    // In a run directory a journal may have to wait for its first event; a file named alone must hold one.
    if (!startsAsJournal(path))
        return fail(path.string() + " is no run: neither an HDF5 snapshot nor the journal of one");
    return loadJournal(path);
}

} // namespace rankscope::record
