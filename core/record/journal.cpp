// SPDX-License-Identifier: Apache-2.0
#include "core/record/journal.h"

#include "core/base/crc32c.h"

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace rankscope::record
{
namespace
{

static_assert(std::endian::native == std::endian::little, "the journal's integers are little-endian");

constexpr std::size_t headerBytes = 12;

template <typename T>
T load(std::string_view bytes, std::size_t offset)
{
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

template <typename T>
void store(std::string& bytes, T value)
{
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

enum class FrameState { Whole, Incomplete };

struct Frame {
    FrameState state = FrameState::Incomplete;
    std::size_t size = 0; ///< of the whole frame; 0 while even its length is unknown
};

std::string damage(std::int64_t position, const std::string& what)
{
    return "the journal is damaged at byte " + std::to_string(position) + " (" + what + ")";
}

bool isZero(std::string_view bytes)
{
    return bytes.find_first_not_of('\0') == std::string_view::npos;
}

/// What stands in a checksum's place if zeros begin in it or before it. (Little-endian: the last bytes are
/// the high ones.)
bool isTornChecksum(std::uint32_t stored, std::uint32_t expected)
{
    for (int missing = 1; missing < 4; ++missing) {
        if (stored == (expected & (0xFFFFFFFFU >> (8 * missing))))
            return true;
    }
    return stored == 0;
}

/// The frame at the start of `bytes`. A file that lost power may end in zeros, in place of a frame or of its
/// last part: that is a torn tail.
Result<Frame> parseFrame(std::string_view bytes, std::int64_t position)
{
    if (bytes.size() < headerBytes)
        return Frame{};
    const auto length = load<std::uint64_t>(bytes, 0);
    if (load<std::uint32_t>(bytes, 8) != base::maskedCrc32c(bytes.substr(0, 8))) {
        if (isZero(bytes.substr(headerBytes)))
            return Frame{};
        return fail(damage(position, "the checksum of an event's length does not match"));
    }
    if (length > maxEventBytes)
        return fail(damage(position, "an event of " + std::to_string(length) + " bytes; at most " +
                                         std::to_string(maxEventBytes) + " are allowed"));
    const auto size = static_cast<std::size_t>(length) + frameOverhead;
    if (bytes.size() < size)
        return Frame{FrameState::Incomplete, size};
    const std::string_view data = bytes.substr(headerBytes, static_cast<std::size_t>(length));
    const std::uint32_t expected = base::maskedCrc32c(data);
    if (const auto stored = load<std::uint32_t>(bytes, size - 4); stored != expected) {
        if (isZero(bytes.substr(size)) && isTornChecksum(stored, expected))
            return Frame{FrameState::Incomplete, size};
        return fail(damage(position, "the checksum of an event does not match"));
    }
    return Frame{FrameState::Whole, size};
}

std::string systemReason()
{
    return std::strerror(errno);
}

/// Reads up to `count` bytes at `offset`; fewer at the end of the file.
Result<std::string> readAt(int descriptor, std::int64_t offset, std::size_t count, const std::string& name)
{
    std::string bytes(count, '\0');
    std::size_t filled = 0;
    while (filled < count) {
        const ssize_t got = ::pread(descriptor, bytes.data() + filled, count - filled,
                                    offset + static_cast<std::int64_t>(filled));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail("cannot read the journal " + name + ": " + systemReason());
        if (got == 0)
            break;
        filled += static_cast<std::size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
}

struct OpenFile {
    explicit OpenFile(int opened) : descriptor(opened) {}
    ~OpenFile()
    {
        if (descriptor >= 0)
            ::close(descriptor);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    [[nodiscard]] int release() { return std::exchange(descriptor, -1); }
    int descriptor;
};

/// Where the last whole frame of an open journal ends.
Result<std::int64_t> endOfFrames(int descriptor, const std::string& name)
{
    std::int64_t position = 0;
    std::size_t window = std::size_t{1} << 20;
    for (;;) {
        RANKSCOPE_TRY(const std::string bytes, readAt(descriptor, position, window, name));
        RANKSCOPE_TRY(const std::size_t whole, wholeFrames(bytes, position));
        position += static_cast<std::int64_t>(whole);
        if (whole > 0)
            continue;
        if (bytes.size() < window)
            return position;
        window = maxEventBytes + frameOverhead;
        if (bytes.size() >= window)
            return fail(damage(position, "no end of the event"));
    }
}

} // namespace

std::string frameEvent(const protocol::JournalEvent& event)
{
    const std::string data = event.SerializeAsString();
    std::string frame;
    frame.reserve(data.size() + frameOverhead);
    store(frame, static_cast<std::uint64_t>(data.size()));
    store(frame, base::maskedCrc32c(frame));
    frame += data;
    store(frame, base::maskedCrc32c(data));
    return frame;
}

Result<std::size_t> wholeFrames(std::string_view bytes, std::int64_t position)
{
    std::size_t whole = 0;
    for (;;) {
        RANKSCOPE_TRY(const Frame frame,
                      parseFrame(bytes.substr(whole), position + static_cast<std::int64_t>(whole)));
        if (frame.state == FrameState::Incomplete)
            return whole;
        whole += frame.size;
    }
}

JournalWriter::JournalWriter(std::filesystem::path path, int descriptor, std::int64_t position)
    : m_path(std::move(path)),
      m_descriptor(descriptor),
      m_position(position)
{
}

JournalWriter::~JournalWriter()
{
    if (m_descriptor >= 0)
        ::close(m_descriptor);
}

JournalWriter::JournalWriter(JournalWriter&& other) noexcept
    : m_path(std::move(other.m_path)),
      m_descriptor(std::exchange(other.m_descriptor, -1)),
      m_position(other.m_position)
{
}

JournalWriter& JournalWriter::operator=(JournalWriter&& other) noexcept
{
    std::swap(m_path, other.m_path);
    std::swap(m_descriptor, other.m_descriptor);
    std::swap(m_position, other.m_position);
    return *this;
}

Result<JournalWriter> JournalWriter::open(const std::filesystem::path& path)
{
    OpenFile file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (file.descriptor < 0)
        return fail("cannot open the journal " + path.string() + ": " + systemReason());
    // File systems without locks say ENOLCK or ENOTSUP: the run goes on without the guard.
    if (::flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return fail("another process is writing the journal " + path.string() + "; is this run still going?");
    auto position = endOfFrames(file.descriptor, path.string());
    if (!position)
        return fail(position.error().message + ": " + path.string() +
                    " cannot be continued; cut it there with truncate -s, or start a new run");
    if (::ftruncate(file.descriptor, *position) != 0)
        return fail("cannot cut the torn end of the journal " + path.string() + ": " + systemReason());
    return JournalWriter(path, file.release(), *position);
}

Status JournalWriter::append(protocol::JournalEvent event)
{
    if (event.time_us() == 0) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        event.set_time_us(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
    }
    if (event.ByteSizeLong() > maxEventBytes)
        return fail("an event of " + std::to_string(event.ByteSizeLong()) +
                    " bytes is too large for the journal " + m_path.string());
    const std::string frame = frameEvent(event);
    std::size_t written = 0;
    while (written < frame.size()) {
        const ssize_t count = ::pwrite(m_descriptor, frame.data() + written, frame.size() - written,
                                       m_position + static_cast<std::int64_t>(written));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            const std::string why = count == 0 ? std::string("nothing was written") : systemReason();
            // A part of a frame may stand there: without it readers see the last whole event as the end.
            if (::ftruncate(m_descriptor, m_position) != 0)
                return fail("cannot write or repair the journal " + m_path.string() + ": " + why);
            return fail("cannot write the journal " + m_path.string() + ": " + why);
        }
        written += static_cast<std::size_t>(count);
    }
    m_position += static_cast<std::int64_t>(frame.size());
    return {};
}

Status JournalWriter::sync()
{
    if (::fdatasync(m_descriptor) != 0)
        return fail("cannot flush the journal " + m_path.string() + " to disk: " + systemReason());
    return {};
}

Result<std::vector<protocol::JournalEvent>> JournalReader::feed(std::string_view bytes)
{
    if (!m_damage.empty())
        return fail(m_damage);
    const auto damaged = [this](std::string message) {
        m_damage = std::move(message);
        m_pending.clear();
        return fail(m_damage);
    };
    m_pending += bytes;
    std::vector<protocol::JournalEvent> events;
    std::size_t used = 0;
    for (;;) {
        const std::string_view rest = std::string_view(m_pending).substr(used);
        const auto frame = parseFrame(rest, m_position);
        if (!frame)
            return damaged(frame.error().message);
        if (frame->state == FrameState::Incomplete)
            break;
        protocol::JournalEvent event;
        const auto length = frame->size - frameOverhead;
        if (!event.ParseFromArray(rest.data() + headerBytes, static_cast<int>(length)))
            return damaged(damage(m_position, "not an event of this program"));
        events.push_back(std::move(event));
        used += frame->size;
        m_position += static_cast<std::int64_t>(frame->size);
    }
    m_pending.erase(0, used);
    return events;
}

JournalFollower::JournalFollower(std::filesystem::path path, std::int64_t position)
    : m_path(std::move(path)),
      m_position(position)
{
}

Result<std::string> JournalFollower::next(std::size_t limit)
{
    OpenFile file(::open(m_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.descriptor < 0 && errno == ENOENT)
        return std::string();
    if (file.descriptor < 0)
        return fail("cannot open the journal " + m_path.string() + ": " + systemReason());
    struct stat status {
    };
    if (::fstat(file.descriptor, &status) != 0)
        return fail("cannot read the journal " + m_path.string() + ": " + systemReason());
    if (status.st_size < m_position)
        return fail("the journal " + m_path.string() + " is shorter than the position " +
                    std::to_string(m_position) + " it was read up to; it is not the same journal any more");
    const auto available = static_cast<std::size_t>(status.st_size - m_position);
    RANKSCOPE_TRY(std::string bytes,
                  readAt(file.descriptor, m_position, std::min(limit, available), m_path.string()));
    const auto frames = wholeFrames(bytes, m_position);
    if (!frames)
        return fail(frames.error().within(m_path.string()));
    std::size_t whole = *frames;
    if (whole == 0 && bytes.size() < available) {
        const std::size_t enough = std::min(available, maxEventBytes + frameOverhead);
        RANKSCOPE_TRY(bytes, readAt(file.descriptor, m_position, enough, m_path.string()));
        const auto frame = parseFrame(bytes, m_position);
        if (!frame)
            return fail(frame.error().within(m_path.string()));
        whole = frame->state == FrameState::Whole ? frame->size : 0;
    }
    bytes.resize(whole);
    m_position += static_cast<std::int64_t>(whole);
    return bytes;
}

Result<JournalNews> readOn(RunRecord& run, JournalFollower& follower, JournalReader& reader,
                           std::size_t limit)
{
    RANKSCOPE_TRY(const std::string bytes, follower.next(limit));
    const auto events = reader.feed(bytes);
    if (!events)
        return fail(events.error().within(follower.path().string()));
    JournalNews news{!bytes.empty(), false};
    for (const auto& event : *events) {
        if (const auto status = applyEvent(run, event); !status)
            return fail(status.error().within(follower.path().string()));
        news.rewound = news.rewound || event.has_rewound();
    }
    return news;
}

Result<RunRecord> loadJournal(const std::filesystem::path& path)
{
    std::error_code code;
    if (!std::filesystem::is_regular_file(path, code))
        return fail("cannot open the journal " + path.string() + ": there is no such file");
    RunRecord run;
    JournalFollower follower(path);
    JournalReader reader;
    for (;;) {
        RANKSCOPE_TRY(const JournalNews news, readOn(run, follower, reader));
        if (!news.any)
            return run;
    }
}

} // namespace rankscope::record
