// SPDX-License-Identifier: Apache-2.0
// What the conformance suite runs over: every plugin of the build, in every variant that its family.json
// declares, on small random models. Nothing here knows a family by name.
#pragma once

#include "core/adapter/family.h"
#include "core/adapter/plugin_loader.h"

#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace rankscope::conformance
{

/// Between two orders of the same float64 arithmetic, relative to the values.
constexpr double rounding = 1e-10;

struct Variant {
    std::string family;
    checkpoint::ModelConfig model;
    std::string changed; ///< "router=top-p"; "defaults"
    base::Json settings; ///< complete

    [[nodiscard]] std::string name() const; ///< as GoogleTest allows it
    friend std::ostream& operator<<(std::ostream& out, const Variant& variant)
    {
        return out << variant.name();
    }
};

using Rows = std::vector<std::vector<std::int32_t>>;

/// A model with an adapter on it.
struct Subject {
    std::unique_ptr<model::Decoder> model;
    std::unique_ptr<adapter::Adapter> adapter; ///< goes before the model

    /// Final hidden states of one pass.
    at::Tensor run(const model::Pass& pass) const;
    at::Tensor run(const Rows& rows, bool training = false) const;
    [[nodiscard]] std::map<std::string, at::Tensor> tensors() const;
};

const std::vector<adapter::Plugin>& plugins();
const adapter::Plugin& plugin(const std::string& name);

/// Default settings on every architecture, and each choice of each text and the other value of each switch on
/// one. With dropout, jitter and noise off.
std::vector<Variant> variants();
/// Names of the settings that make a training pass random: dropout, jitter, noise.
std::vector<std::string> noiseSettings(const protocol::FamilyManifest& manifest);
/// Settings under which `name` is shown and used; empty if it always is.
base::Json shown(const protocol::FamilyManifest& manifest, const std::string& name);
/// These settings over the family's defaults (its manifest's "small" where it has one), dropout and the like
/// off.
Variant variant(const std::string& family, const base::Json& settings);

/// The architectures of base models that adapters train on.
const std::vector<std::string>& architectures();
/// Gives the model an architecture, with what follows from it.
void setArchitecture(checkpoint::ModelConfig& model, const std::string& architecture);
/// A model of one small shape.
checkpoint::ModelConfig smallModel(const std::string& architecture);
std::unique_ptr<model::Decoder> makeModel(const checkpoint::ModelConfig& config,
                                          at::ScalarType dtype = at::kDouble, at::Device device = at::kCPU);
/// The type of an adapter on a base of that type.
at::ScalarType adapterType(at::ScalarType base);
Subject attach(const Variant& variant, std::uint64_t seed = 7, at::ScalarType base = at::kDouble,
               at::Device device = at::kCPU);
/// Moves every trainable tensor off its initial value, as training would: B is no longer zero.
void disturb(adapter::Adapter& adapter, std::uint64_t seed);

Rows someRows();
/// A loss with no symmetry: every hidden number with its own weight, and the family's auxiliary loss.
at::Tensor unevenLoss(const Subject& subject, const model::Pass& pass, double auxiliaryWeight);
at::Tensor randomLike(const at::Tensor& tensor, std::uint64_t seed);
double distance(const at::Tensor& a, const at::Tensor& b);
/// The distance as a share of the greatest value of `expected`, where that is more than 1.
double relativeDistance(const at::Tensor& actual, const at::Tensor& expected);

class Conformance : public testing::TestWithParam<Variant>
{
};

} // namespace rankscope::conformance
