// SPDX-License-Identifier: Apache-2.0
#include "core/interchange/output_folder.h"

#include "core/base/files.h"

namespace rankscope::interchange
{
namespace fs = std::filesystem;

namespace
{

/// Absolute, without a slash at its end.
fs::path resolved(const fs::path& place)
{
    std::error_code code;
    const fs::path target = fs::absolute(place, code).lexically_normal();
    return target.has_filename() ? target : target.parent_path();
}

} // namespace

Status checkOutputFolder(const fs::path& place)
{
    std::error_code code;
    if (fs::exists(place, code) && !(fs::is_directory(place, code) && fs::is_empty(place, code)))
        return fail(place.string() + " exists already and is not an empty folder; choose another");
    return {};
}

Result<OutputFolder> OutputFolder::create(const fs::path& place)
{
    RANKSCOPE_CHECK(checkOutputFolder(place));
    std::error_code code;
    const fs::path target = resolved(place);
    const fs::path beside = target.parent_path() / ("." + target.filename().string() + ".part");
    fs::remove_all(beside, code);
    fs::create_directories(beside, code);
    if (code)
        return fail("cannot create the folder " + beside.string() + ": " + code.message());
    return OutputFolder(target, beside);
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : m_place(std::move(other.m_place)),
      m_beside(std::move(other.m_beside))
{
    other.m_beside.clear();
}

OutputFolder::~OutputFolder()
{
    std::error_code code;
    if (!m_beside.empty())
        fs::remove_all(m_beside, code);
}

Status OutputFolder::commit()
{
    RANKSCOPE_CHECK(base::syncPath(m_beside));
    std::error_code code;
    fs::rename(m_beside, m_place, code); // takes the place of an empty folder
    if (code)
        return fail("cannot put " + m_place.string() + " in place: " + code.message());
    m_beside.clear();
    return base::syncPath(m_place.parent_path());
}

} // namespace rankscope::interchange
