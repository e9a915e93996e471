// SPDX-License-Identifier: Apache-2.0
// Any family on any model: what RapidCheck draws for the conformance suite, from the family's manifest alone.
#pragma once

#include "tests/property/conformance/subject.h"

#include <iosfwd>
#include <rapidcheck.h>
#include <vector>

namespace rankscope::conformance
{

struct Drawn {
    Variant variant;                    ///< with dropout, jitter and noise off
    base::Json noise;                   ///< values of those settings that make training random
    at::ScalarType dtype = at::kDouble; ///< of the base
    std::uint64_t seed = 1;
    Rows rows;
    std::vector<std::int64_t> tasks;   ///< of each row; -1: none
    std::vector<std::int64_t> prompts; ///< tokens of each row that belong to its prompt

    [[nodiscard]] model::Pass pass(bool training) const;
    /// One row alone.
    [[nodiscard]] Drawn only(std::size_t row) const;
    /// Every row without its later half, but with its prompt.
    [[nodiscard]] Drawn shortened() const;
    /// The same with other settings over its own.
    [[nodiscard]] Drawn with(const base::Json& settings) const;
    /// The family attached to a model of its own.
    [[nodiscard]] Subject subject() const { return attach(variant, seed, dtype); }
    /// One whose tensors have moved as in training.
    [[nodiscard]] Subject trained() const;
};

/// Shown where a property fails.
void showValue(const Drawn& drawn, std::ostream& out);

/// This family with any settings that its manifest allows, on a model of any shape, in one of these types.
/// They need not fit together: plan() says.
rc::Gen<Drawn> drawn(const protocol::FamilyManifest& manifest, const std::vector<at::ScalarType>& types);

} // namespace rankscope::conformance
