// SPDX-License-Identifier: Apache-2.0
// Something computed from trained tensors, kept for as long as they stay as they are.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <optional>
#include <vector>

namespace rankscope::adapter
{

template <class Value>
class Derived
{
public:
    /// The value that `make` gives for `sources` as they are now; the kept one where none of them has been
    /// written since.
    template <class Make>
    const Value& get(const std::vector<at::Tensor>& sources, const Make& make)
    {
        std::vector<std::int64_t> versions;
        for (const auto& source : sources)
            versions.push_back(static_cast<std::int64_t>(source._version()));
        if (!m_value || versions != m_versions) {
            m_value = make();
            m_versions = std::move(versions);
        }
        return *m_value;
    }
    void forget() { m_value.reset(); }

private:
    std::optional<Value> m_value;
    std::vector<std::int64_t> m_versions;
};

} // namespace rankscope::adapter
