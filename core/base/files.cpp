// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace rankscope::base
{
namespace
{

/// Closes a descriptor at the end of the scope.
class Descriptor
{
public:
    explicit Descriptor(int descriptor) : m_descriptor(descriptor) {}
    ~Descriptor()
    {
        if (m_descriptor >= 0)
            ::close(m_descriptor);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return m_descriptor; }
    [[nodiscard]] bool valid() const { return m_descriptor >= 0; }

private:
    int m_descriptor;
};

std::string reason()
{
    return std::strerror(errno);
}

constexpr std::string_view partMark = ".part-";

/// The process that writes a part of this name; 0 if it is no such name.
pid_t writerOf(const std::string& name)
{
    const auto mark = name.rfind(partMark);
    if (mark == std::string::npos || mark == 0)
        return 0;
    pid_t process = 0;
    const char* first = name.data() + mark + partMark.size();
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(first, end, process);
    const bool exact = parsed.ec == std::errc() && parsed.ptr == end && *first != '0' && process > 0;
    return exact ? process : 0;
}

} // namespace

Result<std::string> readFile(const std::filesystem::path& path, std::uintmax_t limit)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid())
        return fail("cannot read " + path.string() + ": " + reason());
    struct stat status {
    };
    if (::fstat(file.get(), &status) != 0)
        return fail("cannot read " + path.string() + ": " + reason());
    if (S_ISDIR(status.st_mode))
        return fail("cannot read " + path.string() + ": it is a folder, a file was expected");
    std::string text;
    char buffer[1 << 16];
    for (;;) {
        const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return fail("cannot read " + path.string() + ": " + reason());
        }
        if (count == 0)
            return text;
        if (text.size() + static_cast<std::uintmax_t>(count) > limit)
            return fail(path.string() + " is larger than the " + std::to_string(limit) +
                        " bytes accepted here");
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

Status syncPath(const std::filesystem::path& path)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid() || (::fsync(file.get()) != 0 && errno != EINVAL))
        return fail("cannot flush " + path.string() + " to disk: " + reason());
    return {};
}

std::filesystem::path partBeside(const std::filesystem::path& target)
{
    return target.string() + std::string(partMark) + std::to_string(::getpid());
}

void removeAbandonedParts(const std::filesystem::path& folder)
{
    namespace fs = std::filesystem;
    std::vector<fs::path> abandoned;
    std::error_code code;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
        const pid_t process = writerOf(entry->path().filename().string());
        std::error_code ignored;
        if (process > 0 && entry->symlink_status(ignored).type() == fs::file_type::regular &&
            ::kill(process, 0) != 0 && errno == ESRCH)
            abandoned.push_back(entry->path());
    }
    for (const auto& path : abandoned)
        fs::remove(path, code); // what cannot be removed harms nothing but the space it takes
}

AtomicFile::AtomicFile(const std::filesystem::path& path)
    : m_path(path),
      m_beside(partBeside(path)),
      m_descriptor(::open(m_beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644))
{
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : m_path(std::move(other.m_path)),
      m_beside(std::exchange(other.m_beside, {})),
      m_descriptor(std::exchange(other.m_descriptor, -1))
{
}

AtomicFile::~AtomicFile()
{
    if (m_descriptor >= 0)
        ::close(m_descriptor);
    if (!m_beside.empty())
        ::unlink(m_beside.c_str());
}

Error AtomicFile::failed(std::string_view what) const
{
    return {std::string(what) + " " + m_path.string() + ": " + reason()};
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path)
{
    AtomicFile file(path);
    if (file.m_descriptor < 0)
        return fail(file.failed("cannot write"));
    return file;
}

Status AtomicFile::write(std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const ssize_t count = ::write(m_descriptor, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(failed("cannot write"));
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Status AtomicFile::commit()
{
    if (::fsync(m_descriptor) != 0)
        return fail(failed("cannot flush"));
    ::close(std::exchange(m_descriptor, -1));
    if (::rename(m_beside.c_str(), m_path.c_str()) != 0)
        return fail(failed("cannot put in place"));
    m_beside.clear();
    const auto folder = m_path.parent_path();
    return syncPath(folder.empty() ? std::filesystem::path(".") : folder);
}

Status writeFileAtomically(const std::filesystem::path& path, std::string_view bytes)
{
    RANKSCOPE_TRY(AtomicFile file, AtomicFile::create(path));
    RANKSCOPE_CHECK(file.write(std::as_bytes(std::span(bytes))));
    return file.commit();
}

Status ensureWritableFolder(const std::filesystem::path& folder)
{
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (code)
        return fail("cannot create the folder " + folder.string() + ": " + code.message());
    if (!std::filesystem::is_directory(folder))
        return fail(folder.string() + " is not a folder");
    std::string probe = (folder / ".rankscope-XXXXXX").string();
    Descriptor file(::mkostemp(probe.data(), O_CLOEXEC));
    if (!file.valid())
        return fail("cannot write into the folder " + folder.string() + ": " + reason());
    ::unlink(probe.c_str());
    return {};
}

Result<std::uintmax_t> freeSpace(const std::filesystem::path& path)
{
    std::error_code code;
    std::filesystem::path folder = std::filesystem::absolute(path, code);
    while (!folder.empty() && !std::filesystem::exists(folder, code) && folder != folder.parent_path())
        folder = folder.parent_path();
    const auto space = std::filesystem::space(folder, code);
    if (code)
        return fail("cannot read the free space at " + folder.string() + ": " + code.message());
    return space.available;
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid())
        return fail("cannot open " + path.string() + ": " + reason());
    struct stat status {
    };
    if (::fstat(file.get(), &status) != 0)
        return fail("cannot open " + path.string() + ": " + reason());
    if (!S_ISREG(status.st_mode))
        return fail("cannot open " + path.string() + ": it is not a regular file");
    MappedFile mapped;
    mapped.m_path = path;
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0)
        return mapped;
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED)
        return fail("cannot map " + path.string() + " into memory: " + reason());
    mapped.m_owner = std::shared_ptr<const void>(
        address, [size](const void* start) { ::munmap(const_cast<void*>(start), size); });
    mapped.m_bytes = {static_cast<const std::byte*>(address), size};
    return mapped;
}

} // namespace rankscope::base
