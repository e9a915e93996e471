// SPDX-License-Identifier: Apache-2.0
// All tensors of an attached adapter by name: what is trained, what is saved, what is counted.
#pragma once

#include "core/base/result.h"

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rankscope::adapter
{

/// How a tensor starts (families.md section 0).
struct Init {
    enum class Kind { Zeros, Ones, KaimingUniform, Normal, Uniform, XavierUniform, SparseNormal, Given };
    Kind kind = Kind::Zeros;
    double value = 0;          ///< standard deviation, half-width or gain
    at::Tensor given;          ///< for Given
    std::int64_t nonZeros = 0; ///< of each row, for SparseNormal

    static Init zeros() { return {Kind::Zeros, 0, {}}; }
    static Init ones() { return {Kind::Ones, 0, {}}; }
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), fan_in = the last dimension: Kaiming-uniform with a = sqrt(5).
    static Init kaimingUniform() { return {Kind::KaimingUniform, 0, {}}; }
    static Init normal(double std) { return {Kind::Normal, std, {}}; }
    static Init uniform(double halfWidth) { return {Kind::Uniform, halfWidth, {}}; }
    /// U(-g sqrt(6/(in+out)), ...) over the last two dimensions.
    static Init xavierUniform(double gain) { return {Kind::XavierUniform, gain, {}}; }
    /// N(0, std) at `nonZeros` random places of each row of a matrix, 0 elsewhere.
    static Init sparseNormal(double std, std::int64_t nonZeros)
    {
        return {Kind::SparseNormal, std, {}, nonZeros};
    }
    static Init from(const at::Tensor& tensor) { return {Kind::Given, 0, tensor}; }
};

struct Parameter {
    std::string name; ///< as saved: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    at::Tensor tensor;
    bool trainable = true; ///< counted; false: a buffer (saved, never counted, no gradient)
    bool reached = true;   ///< false: trainable by the family's definition, yet no gradient can reach it
    double learningRateFactor = 1.0; ///< of the job's learning rate
};

class ParameterStore
{
public:
    /// Tensors are made in this type and on this device; the random draws are the same whatever the device.
    ParameterStore(at::ScalarType dtype, at::Device device, std::uint64_t seed);

    /// A trainable tensor. The name must be new.
    at::Tensor add(const std::string& name, const std::vector<std::int64_t>& shape, const Init& init,
                   double learningRateFactor = 1.0);
    /// A tensor that the family's definition counts as trainable though no gradient can reach it (the
    /// threshold of a hard comparison). Saved and counted; stays as it starts.
    at::Tensor addUnreached(const std::string& name, const std::vector<std::int64_t>& shape,
                            const Init& init);
    /// A tensor that is saved but not trained.
    at::Tensor addBuffer(const std::string& name, const std::vector<std::int64_t>& shape, const Init& init);

    [[nodiscard]] const std::vector<Parameter>& all() const { return m_parameters; }
    /// Those that gradients reach: what an optimizer steps.
    [[nodiscard]] std::vector<Parameter> trainable() const;
    [[nodiscard]] const Parameter* find(const std::string& name) const;
    /// Elements counted as trainable.
    [[nodiscard]] std::int64_t trainableElements() const;
    [[nodiscard]] at::ScalarType dtype() const { return m_dtype; }
    [[nodiscard]] at::Device device() const { return m_device; }

    /// Copies saved values in. Errors: a name that is missing or left over, another shape.
    Status load(const std::map<std::string, at::Tensor>& tensors);

private:
    at::Tensor insert(const std::string& name, const std::vector<std::int64_t>& shape, const Init& init,
                      Parameter parameter);
    at::Tensor make(const std::vector<std::int64_t>& shape, const Init& init);

    at::ScalarType m_dtype;
    at::Device m_device;
    at::Generator m_generator;
    std::vector<Parameter> m_parameters;
    std::map<std::string, std::size_t> m_index;
};

} // namespace rankscope::adapter
