// SPDX-License-Identifier: Apache-2.0
// A folder that appears complete or not at all.
#pragma once

#include "core/base/result.h"

#include <filesystem>

namespace rankscope::interchange
{

/// Errors: something that is not an empty folder lies there already.
Status checkOutputFolder(const std::filesystem::path& place);

/// Filled beside its place under a name that starts with a dot; commit() renames it. Goes away if it is not
/// committed.
class OutputFolder
{
public:
    /// Errors: as checkOutputFolder(), or nothing can be made there.
    static Result<OutputFolder> create(const std::filesystem::path& place);
    ~OutputFolder();
    OutputFolder(OutputFolder&& other) noexcept;
    OutputFolder& operator=(OutputFolder&& other) = delete;
    OutputFolder(const OutputFolder&) = delete;
    OutputFolder& operator=(const OutputFolder&) = delete;

    /// Where its files are written.
    [[nodiscard]] const std::filesystem::path& path() const { return m_beside; }
    Status commit();

private:
    OutputFolder(std::filesystem::path place, std::filesystem::path beside)
        : m_place(std::move(place)),
          m_beside(std::move(beside))
    {
    }

    std::filesystem::path m_place;
    std::filesystem::path m_beside; ///< empty once committed
};

} // namespace rankscope::interchange
